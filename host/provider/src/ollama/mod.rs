//! Ollama: parameters, the typed create request, and the Modelfile that shows it.

pub mod check;
pub mod client;
pub mod drive;
pub mod modelfile;
pub mod names;
pub mod parameters;
pub mod plan;
pub mod printable;
pub mod provider;
pub mod request;

pub use check::{Baked, BakedShot, Budget, ContextOrigin, ContextWindow, ShotSource, check};
pub use names::{ModelName, NameFault};
pub use parameters::{ParameterValue, Parameters};
pub use request::{CreateRequest, RequestFault};

/// Ollama's own default on a machine with less than 23 GiB of graphics memory, which
/// is the one that holds everywhere.
pub const ASSUMED_CONTEXT_WINDOW: u32 = 4_096;

/// Of the context window, one part in this many stays free for question and answer.
/// Methods plan for at least as much (`prompt` of the guest SDK keeps a quarter too).
pub const RESERVE_DIVISOR: u32 = 4;

/// More than this need not stay free: a long question and a long answer.
pub const MOST_RESERVE: u32 = 2_048;

/// Tokens that must stay free for question and answer in a context window: a quarter
/// of it, at most [`MOST_RESERVE`].
pub fn reserve(context_window: u32) -> u32 {
    (context_window / RESERVE_DIVISOR).min(MOST_RESERVE)
}
