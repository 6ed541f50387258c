//! Providers: what each can be asked, and how a job is carried out there. A provider is
//! a folder (its requests and rules, its plans, its client, its driver) behind
//! [`provider::Provider`], with a row in [`facts`].

pub mod accepts;
pub mod artifacts;
pub mod drive;
pub mod facts;
pub mod failpoint;
pub mod http;
pub mod local;
pub mod ollama;
pub mod openai;
pub mod plan;
pub mod provider;
pub mod provider_plan;
pub mod settings;
pub mod violation;
pub mod warning;

pub use violation::{Violation, Violations};
pub use warning::{Warning, WarningCode};

use provider::Provider;
use tunesmith_core::ProviderId;

/// The provider with this id.
pub fn provider(id: ProviderId) -> &'static dyn Provider {
    match id {
        ProviderId::Ollama => &ollama::provider::Ollama,
        ProviderId::OpenAi => &openai::provider::OpenAi,
        ProviderId::Local => &local::provider::Local,
    }
}
