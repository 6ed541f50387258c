//! Where a run's clients come from, and by what name the store knows a service.

use crate::{ollama, openai};
use tunesmith_core::failure::Failure;

/// Gives the clients of a run, made when they are first needed: a job on Ollama needs no
/// key for OpenAI.
pub trait Connect: Send + Sync {
    /// Whether these are the built-in emulator's services.
    fn is_emulated(&self) -> bool;

    /// The client for Ollama.
    ///
    /// # Errors
    /// It cannot be set up.
    fn ollama(&self) -> Result<ollama::client::Client, Failure>;

    /// The client for the service that speaks OpenAI's protocol.
    ///
    /// # Errors
    /// There is no key, or it cannot be set up.
    fn openai(&self) -> Result<openai::client::Client, Failure>;
}
