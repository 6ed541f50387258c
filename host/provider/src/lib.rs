//! Providers: what each can be asked, and how a job is carried out there. A provider is
//! a folder (its requests and rules, its plans, its client, its driver) behind
//! [`provider::Provider`], with a row in [`facts`].

pub mod accepts;
pub mod any;
pub mod artifacts;
pub mod connect;
pub mod drive;
pub mod facts;
pub mod failpoint;
pub mod http;
pub mod local;
pub mod money;
pub mod ollama;
pub mod openai;
pub mod plan;
pub mod prices;
pub mod provider;
pub mod provider_plan;
pub mod settings;
pub mod violation;
pub mod warning;

pub use any::AnyProvider;
pub use violation::{Violation, Violations};
pub use warning::{Warning, WarningCode};
