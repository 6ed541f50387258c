//! Jobs: the job file, its settings, and the plan that comes of them.

pub mod bounded;
pub mod config;
pub mod execute;
pub mod lock;
mod place;
pub mod plan;
pub mod policy;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod spec;
pub mod verify;
pub mod workbench;

pub use tunesmith_provider::artifacts;

#[cfg(test)]
#[path = "../../../tests/it/common/kept.rs"]
mod kept;

#[cfg(test)]
#[path = "../../../tests/it/common/stored.rs"]
mod stored;
