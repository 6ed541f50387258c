//! What a registry is made from, and what it reports while it loads.

use super::plugin::Plugin;
use crate::rejection::Reason;
use crate::sandbox::Engine;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tunesmith_core::failure::{Advice, Code, Failure};

/// Runs the golden cases that a plugin's file ships beside it. The error says in a line
/// how many failed and what the first one found.
pub type Golden = Arc<dyn Fn(&Plugin, &Path) -> Result<(), String> + Send + Sync>;

/// A method that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its id, which it has to describe itself by.
    pub id: &'static str,
    /// Its component, or core module with component type.
    pub wasm: &'static [u8],
}

/// What a registry is made from.
pub struct RegistryOptions {
    /// The engine, with the limits.
    pub engine: Arc<Engine>,
    /// The methods that are part of the program.
    pub built_ins: Vec<BuiltIn>,
    /// A directory of plugin files.
    pub directory: Option<PathBuf>,
    /// Whether that directory may be missing, which then counts as empty.
    pub directory_may_be_missing: bool,
    /// Whether a file may have a built-in method's id, and takes its place.
    pub override_built_ins: bool,
    /// A directory for compiled code, private to the user, outside of any plugin
    /// directory; it is made if it does not exist. Without it code is compiled anew
    /// by each process.
    pub cache: Option<PathBuf>,
    /// The program that compiles foreign files when started with
    /// [`crate::worker::ARGUMENT`]: `tunesmith` itself.
    pub worker: PathBuf,
    /// Runs the golden cases that files ship, as the last step of the preflight; without
    /// it no cases run.
    pub golden: Option<Golden>,
    /// Receives what the user may be waiting for; called from several threads.
    pub on_event: Arc<dyn Fn(&LoadEvent) + Send + Sync>,
}

/// Something that the user may want to know while plugins are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// Built-in methods are compiled: the first run of this version.
    CompilingBuiltIns { count: usize },
    /// A file is compiled, which may take a while.
    Compiling {
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The directory for compiled code cannot be used; a temporary one takes its
    /// place, so that every run compiles anew.
    CacheUnusable { dir: PathBuf, reason: String },
}

/// Why there is no registry, or no new snapshot of it.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// A built-in method does not work: a fault of this program.
    #[error("built-in method `{id}` {reason}")]
    BuiltIn { id: &'static str, reason: Box<Reason> },
    /// The plugin directory cannot be listed.
    #[error("cannot read plugin directory {}: {source}", .path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    /// There is no room for compiled code, not even a temporary one.
    #[error("cannot create a directory for compiled code: {0}")]
    Cache(std::io::Error),
}

impl RegistryError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::BuiltIn { .. } => Code::Internal,
            Self::Directory { .. } => Code::PluginDirectoryUnreadable,
            Self::Cache(_) => Code::NoSpace,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::BuiltIn { .. } => None,
            Self::Directory { .. } => Some("name an existing directory of .wasm files".into()),
            Self::Cache(_) => Some(Advice::FreeTemporarySpace),
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}
