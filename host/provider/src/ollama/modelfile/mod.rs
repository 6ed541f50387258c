//! The Modelfile that shows a create request: written so that Ollama's reader gives
//! back exactly the request, or not written at all.

pub mod read;
pub mod represent;
pub mod syntax;
mod write;

pub use read::{Read, ReadError, ReadValue, read};
pub use represent::{Place, Reason, Unrepresentable};
pub use write::{Heading, Withheld, render_checked};
