//! Loading plugin files one at a time, outside of any directory: for those who look at
//! a file before they use it.

use super::options::{LoadEvent, RegistryError, RegistryOptions};
use super::plugin::{Plugin, Source};
use super::preflight::{self, Candidate};
use crate::compile::{Cancel, Compiler};
use crate::file;
use crate::rejection::Rejection;
use crate::sandbox::Limits;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Loads files by the same preflight as a registry, which it shares nothing with but
/// the store of compiled code.
pub struct Loader {
    options: RegistryOptions,
    compiler: Arc<Compiler>,
    /// One file at a time, so that events during compilation are about one file.
    one: Mutex<()>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("engine", &self.options.engine).finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader. Of the options, the built-in methods, the directory and the golden cases
    /// do not count.
    ///
    /// # Errors
    ///
    /// When there is no room for compiled code.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        let (compiler, unusable) =
            Compiler::new(Arc::clone(&options.engine), options.cache.as_deref(), options.worker.clone())
                .map_err(RegistryError::Cache)?;
        if let Some(unusable) = unusable {
            (options.on_event)(&LoadEvent::CacheUnusable { dir: unusable.dir, reason: unusable.reason });
        }
        Ok(Self { options, compiler: Arc::new(compiler), one: Mutex::default() })
    }

    /// The limits that hold for its plugins.
    pub fn limits(&self) -> &Limits {
        self.options.engine.limits()
    }

    /// Reads a file and puts it through the preflight. The plugin has no generation.
    ///
    /// # Errors
    ///
    /// When it does not pass. Duplicate ids are not checked.
    pub fn load(&self, path: &Path) -> Result<Plugin, Box<Rejection>> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let reject = |digest, reason| {
            Box::new(Rejection { path: path.to_owned(), digest, reason, still_serving: None })
        };
        let content =
            file::read(path, self.options.engine.limits()).map_err(|reason| reject(None, reason))?;
        let digest = content.digest;
        let compiling = || {
            (self.options.on_event)(&LoadEvent::Compiling {
                path: path.to_owned(),
                size: content.bytes.len() as u64,
            });
        };
        let candidate = Candidate {
            bytes: &content.bytes,
            digest,
            source: Source::File(path.to_owned()),
            cancel: Cancel::default(),
        };
        preflight::run(&self.compiler, candidate, &compiling).map_err(|reason| reject(Some(digest), reason))
    }
}
