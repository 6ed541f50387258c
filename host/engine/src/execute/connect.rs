//! Where a run's clients come from, and by what name the store knows a service.

use tunesmith_core::failure::Failure;
use tunesmith_provider::{Provider, ollama, openai};

/// What the store calls the service of a job on the in-process emulator, whose ports
/// change from run to run while its state stays beside the store.
pub const EMULATOR_SERVICE: &str = "emulator";

/// Gives the clients of a run, made when they are first needed: a job on Ollama needs no
/// key for OpenAI.
pub trait Connect: Send + Sync {
    /// Whether these are the in-process emulator's services.
    fn is_emulated(&self) -> bool;

    /// The client for Ollama.
    ///
    /// # Errors
    /// It cannot be set up.
    fn ollama(&self) -> Result<ollama::client::Client, Failure>;

    /// The client for OpenAI or a compatible service.
    ///
    /// # Errors
    /// There is no key, or it cannot be set up.
    fn openai(&self) -> Result<openai::client::Client, Failure>;
}

/// What the store calls a service.
pub(super) fn service(connect: &dyn Connect, provider: Provider) -> Result<String, Failure> {
    if connect.is_emulated() {
        return Ok(EMULATOR_SERVICE.to_owned());
    }
    Ok(match provider {
        Provider::OpenAi => connect.openai()?.endpoint().to_string(),
        _ => connect.ollama()?.endpoint().to_string(),
    })
}
