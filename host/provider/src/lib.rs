//! What each provider can be asked: typed requests, limits, prices. Everything here
//! is pure: no clock, file or network.

pub mod accepts;
pub mod artifacts;
pub mod drive;
pub mod failpoint;
pub mod http;
pub mod local;
pub mod ollama;
pub mod openai;
pub mod plan;
pub mod settings;
pub mod violation;
pub mod warning;

pub use violation::{Violation, Violations};
pub use warning::{Warning, WarningCode};
