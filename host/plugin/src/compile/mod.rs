//! From a file's bytes to linked code: out of the store, or compiled into it. The
//! built-ins' bytes are compiled in this process, all others in the compile worker.

mod cache;
mod imports;
mod process;
mod structure;
pub mod worker;

use crate::display::{self, printable};
use crate::rejection::{MESSAGE_BYTES, Reason, VERSION_BYTES};
use crate::sandbox::{Code, Engine, Exports, Flavor, NotAMethod};
use crate::tier::Tier;
pub use cache::private_directory;
use cache::{CodeStore, Key, Unusable};
pub(crate) use process::Cancel;
use process::Process;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
pub use structure::admit;
pub(crate) use structure::{Form, check as check_structure};
use tracing::debug;
use tunesmith_core::contract::CONTRACT_VERSION;
use tunesmith_core::digest::Digest;
use tunesmith_core::fs::Draft;
use wasmtime::component::Component;

/// Whose bytes are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// They are part of this program.
    BuiltIn,
    /// They come from a file.
    Foreign,
}

/// The compiler and its code cache.
pub(crate) struct Compiler {
    pub(crate) engine: Arc<Engine>,
    store: CodeStore,
    worker: PathBuf,
    /// Held while the worker runs: one at a time, since each takes whole cores and
    /// much memory.
    worker_runs: Mutex<()>,
    /// A worker that waits for a file.
    spare: Mutex<Option<Process>>,
}

/// Linked code and its tier.
pub(crate) struct Linked {
    pub(crate) code: Arc<Code>,
    pub(crate) tier: Tier,
}

impl Compiler {
    /// A compiler with its store, and why the asked directory is not used.
    pub(crate) fn new(
        engine: Arc<Engine>,
        cache: Option<&Path>,
        worker: PathBuf,
    ) -> std::io::Result<(Self, Option<Unusable>)> {
        let (store, unusable) = CodeStore::open(cache, engine.limits().code_store)?;
        Ok((Self { engine, store, worker, worker_runs: Mutex::new(()), spare: Mutex::default() }, unusable))
    }

    /// Whether compiled code for these bytes is at hand.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.engine
            .flavored(Flavor::Metered)
            .is_ok_and(|flavored| self.store.has(&Key::new(digest, Flavor::Metered, &flavored.engine)))
    }

    /// Linked code of a flavor. `before_compiling` is called if that is needed;
    /// cancelling stops the compile worker.
    pub(crate) fn linked(
        &self,
        bytes: &[u8],
        digest: Digest,
        flavor: Flavor,
        trust: Trust,
        before_compiling: &dyn Fn(),
        cancel: &Cancel,
    ) -> Result<Linked, Reason> {
        let failed =
            |error: wasmtime::Error| Reason::CompileFailed(printable(&format!("{error:#}"), MESSAGE_BYTES));
        let flavored = self.engine.flavored(flavor).map_err(failed)?;
        let key = Key::new(digest, flavor, &flavored.engine);
        let component = match self.store.load(&key, &flavored.engine) {
            Some(component) => component,
            None => {
                let started = Instant::now();
                let draft = match trust {
                    Trust::BuiltIn => {
                        before_compiling();
                        self.compile_here(bytes, flavor, &flavored.engine)?
                    }
                    Trust::Foreign => {
                        structure::admit(bytes, &self.engine.limits().structure)?;
                        before_compiling();
                        self.compile_in_worker(bytes, flavor, cancel)?
                    }
                };
                let wall_ms = started.elapsed().as_secs_f64() * 1000.0;
                debug!(%digest, flavor = flavor.as_str(), size = bytes.len(), wall_ms, "plugin compiled");
                self.store.keep(&key, draft, &flavored.engine).map_err(failed)?
            }
        };
        self.link(&component, flavor)
    }

    fn link(&self, component: &Component, flavor: Flavor) -> Result<Linked, Reason> {
        let shape = |error: wasmtime::Error| Reason::Shape(printable(&format!("{error:#}"), MESSAGE_BYTES));
        let flavored = self.engine.flavored(flavor).map_err(shape)?;
        let imports = component.component_type();
        let names: Vec<&str> = imports.imports(&flavored.engine).map(|(name, _)| name).collect();
        let tier = imports::tier(names)?;
        let pre = flavored.linker(tier).instantiate_pre(component).map_err(shape)?;
        let exports = Exports::of(&pre).map_err(|error| match error {
            NotAMethod::Missing => Reason::NotAMethod,
            NotAMethod::OtherContract(built_for) => Reason::OtherContract {
                built_for: display::name(&built_for, VERSION_BYTES),
                speaks: CONTRACT_VERSION,
            },
            NotAMethod::Shape(words) => Reason::Shape(printable(&words, MESSAGE_BYTES)),
        })?;
        Ok(Linked { code: Arc::new(Code { flavor, pre, exports }), tier })
    }

    fn draft(&self) -> Result<Draft, Reason> {
        self.store.draft().map_err(|error| {
            Reason::CompileFailed(format!("cannot create a file for compiled code: {error}"))
        })
    }

    fn compile_here(&self, bytes: &[u8], flavor: Flavor, engine: &wasmtime::Engine) -> Result<Draft, Reason> {
        let compiled = worker::compile(bytes, flavor, engine).map_err(|error| match error {
            worker::Failure::Encode(words) => Reason::Encode(words),
            worker::Failure::Compile(words) => Reason::Invalid(words),
        })?;
        let mut draft = self.draft()?;
        draft
            .write_all(&compiled)
            .map_err(|error| Reason::CompileFailed(format!("cannot write compiled code: {error}")))?;
        Ok(draft)
    }

    /// Has the worker encode and compile the bytes into a draft.
    fn compile_in_worker(&self, bytes: &[u8], flavor: Flavor, cancel: &Cancel) -> Result<Draft, Reason> {
        let _alone = self.worker_runs.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = self.spare().take().filter(|spare| spare.flavor == flavor);
        let worker = match spare.and_then(Process::if_ready) {
            Some(worker) => worker,
            None => self.start(flavor)?,
        };
        worker.compile(bytes, &self.engine.limits().compile, cancel)
    }

    fn start(&self, flavor: Flavor) -> Result<Process, Reason> {
        Process::start(&self.worker, flavor, self.engine.limits(), self.draft()?)
    }

    fn spare(&self) -> MutexGuard<'_, Option<Process>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a worker that waits for the next file, where none does: starting takes as
    /// long as compiling a small plugin. It ends when the calling thread does.
    pub(crate) fn prepare(&self) {
        let mut spare = self.spare();
        if spare.is_none() {
            // Whoever needs a worker then starts one, and says what is wrong.
            *spare = self.start(Flavor::Metered).ok();
        }
    }

    /// Ends the worker that waits.
    pub(crate) fn dismiss(&self) {
        let spare = self.spare().take();
        drop(spare);
    }
}
