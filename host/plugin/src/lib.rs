//! The sandbox, the registry of methods, and the calls to them.
//!
//! A [`Registry`] holds one [`Snapshot`] of working plugins at a time; a
//! [`Plugin`] of it answers [`Plugin::ollama`], [`Plugin::openai`],
//! [`Plugin::training`] and [`Plugin::transform`], each call in a sandbox of its
//! own within [`Limits`]. [`Registry::watch`] follows the plugin directory, and
//! [`Registry::changes`] tells what came of it.

mod abi;
mod answer;
mod carrier;
mod change;
mod code;
mod compile;
mod descriptor;
mod engine;
mod error;
mod file;
mod health;
mod inspect;
mod limits;
mod loader;
mod method;
mod preflight;
mod process;
mod registry;
mod rejection;
mod results;
mod sandbox;
mod slots;
mod structure;
mod tier;
mod wasi;
mod watch;
mod words;
pub mod worker;

pub use answer::{Answer, Measured, Receipt};
pub use change::{Change, What, Widening};
pub use code::private as private_directory;
pub use engine::Engine;
pub use error::{CallError, Stopped};
pub use file::Stamp;
pub use health::{Quarantine, STRIKES, WITHIN};
pub use inspect::{Inspection, Producer, inspect};
pub use limits::{CompileLimits, DescriptorLimits, Limits, ResultLimits, StructureLimits};
pub use loader::Loader;
pub use method::{Ability, Plugin, Source};
pub use registry::{BuiltIn, Event, Golden, Options, Registry, RegistryError, Snapshot};
pub use rejection::{Reason, Rejection};
pub use structure::admit;
pub use tier::{Tier, UnknownTier};
pub use watch::{Watch, WatchOptions};
