//! The sandbox, the registry of methods, and the calls to them.
//!
//! A [`Registry`] holds one [`Snapshot`] of working plugins at a time; a
//! [`Plugin`] of it answers [`Plugin::ollama`], [`Plugin::openai`],
//! [`Plugin::training`] and [`Plugin::transform`], each call in a sandbox of its
//! own within [`Limits`]. [`Registry::watch`] follows the plugin directory, and
//! [`Registry::changes`] reports what changed.
//!
//! Modules, each of which uses only those before it: `display`, `digest`, `tier`,
//! `ability`, `abi` and `carrier` (what crosses the border) · `sandbox` (one call) ·
//! `rejection` and `file` · `compile` (from bytes to linked code) · `inspect` ·
//! `registry` (plugins, their files, and hot reload).

mod abi;
mod ability;
mod carrier;
mod compile;
mod display;
mod file;
mod inspect;
mod registry;
mod rejection;
mod sandbox;
mod tier;

pub use ability::Ability;
pub use compile::{admit, private_directory, worker};
pub use file::Stamp;
pub use inspect::{Inspection, Producer, inspect};
pub use registry::{
    BuiltIn, Change, ChangeKind, Golden, LoadEvent, Loader, Plugin, Registry, RegistryError, RegistryOptions,
    STRIKES, Snapshot, Source, WITHIN, Watch, WatchOptions, Widening,
};
pub use rejection::{Reason, Rejection};
pub use sandbox::{
    Answer, CallError, CompileLimits, DescriptorLimits, Engine, Limits, Measured, Quarantine, Receipt,
    ResultLimits, Stopped, StructureLimits,
};
pub use tier::{Tier, UnknownTier};
pub use tunesmith_core::digest::Digest;
