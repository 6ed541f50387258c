//! From a file's bytes to linked code: out of the store, or compiled into it. The
//! built-ins' bytes are compiled in this process, all others in the compile worker.

use super::abi::{Exports, NotAMethod};
use super::code::{CodeStore, Key, Unusable};
use super::engine::{Engine, Flavour};
use super::process::{Cancel, Process};
use super::rejection::{Reason, VERSION, WORDS};
use super::sandbox::Code;
use super::structure;
use super::words::{self, printable};
use super::{Tier, tier, worker};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tunesmith_core::contract::CONTRACT_VERSION;
use tunesmith_core::digest::Digest;
use tunesmith_core::fs::Draft;
use wasmtime::component::Component;

/// Whose bytes are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// They are part of this program.
    BuiltIn,
    /// They come from a file.
    Foreign,
}

/// What compiles, and where the result is kept.
pub(super) struct Compiler {
    pub(super) engine: Arc<Engine>,
    store: CodeStore,
    worker: PathBuf,
    /// Held while the worker runs: one at a time, since each takes whole cores and
    /// much memory.
    worker_runs: Mutex<()>,
    /// A worker that waits for a file.
    spare: Mutex<Option<Process>>,
}

/// Linked code and its tier.
pub(super) struct Linked {
    pub(super) code: Arc<Code>,
    pub(super) tier: Tier,
}

impl Compiler {
    /// A compiler with its store, and why the asked directory is not used.
    pub(super) fn new(
        engine: Arc<Engine>,
        cache: Option<&Path>,
        worker: PathBuf,
    ) -> std::io::Result<(Self, Option<Unusable>)> {
        let (store, unusable) = CodeStore::open(cache, engine.limits().code_store)?;
        Ok((Self { engine, store, worker, worker_runs: Mutex::new(()), spare: Mutex::default() }, unusable))
    }

    /// Whether compiled code for these bytes is at hand.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.engine
            .flavoured(Flavour::Metered)
            .is_ok_and(|flavoured| self.store.has(&Key::new(digest, Flavour::Metered, &flavoured.engine)))
    }

    /// Linked code of a flavour. `before_compiling` is called if that is needed;
    /// cancelling stops the compile worker.
    pub(super) fn linked(
        &self,
        bytes: &[u8],
        digest: Digest,
        flavour: Flavour,
        trust: Trust,
        before_compiling: &dyn Fn(),
        cancel: &Cancel,
    ) -> Result<Linked, Reason> {
        let failed = |error: wasmtime::Error| Reason::CompileFailed(printable(&format!("{error:#}"), WORDS));
        let flavoured = self.engine.flavoured(flavour).map_err(failed)?;
        let key = Key::new(digest, flavour, &flavoured.engine);
        let component = match self.store.load(&key, &flavoured.engine) {
            Some(component) => component,
            None => {
                let draft = match trust {
                    Trust::BuiltIn => {
                        before_compiling();
                        self.compile_here(bytes, flavour, &flavoured.engine)?
                    }
                    Trust::Foreign => {
                        structure::admit(bytes, &self.engine.limits().structure)?;
                        before_compiling();
                        self.compile_in_worker(bytes, flavour, cancel)?
                    }
                };
                self.store.keep(&key, draft, &flavoured.engine).map_err(failed)?
            }
        };
        self.link(&component, flavour)
    }

    fn link(&self, component: &Component, flavour: Flavour) -> Result<Linked, Reason> {
        let shape = |error: wasmtime::Error| Reason::Shape(printable(&format!("{error:#}"), WORDS));
        let flavoured = self.engine.flavoured(flavour).map_err(shape)?;
        let imports = component.component_type();
        let imports: Vec<&str> = imports.imports(&flavoured.engine).map(|(name, _)| name).collect();
        let tier = tier::of_imports(imports)?;
        let pre = flavoured.linker(tier).instantiate_pre(component).map_err(shape)?;
        let exports = Exports::of(&pre).map_err(|error| match error {
            NotAMethod::Missing => Reason::NotAMethod,
            NotAMethod::OtherContract(built_for) => Reason::OtherContract {
                built_for: words::name(&built_for, VERSION),
                speaks: CONTRACT_VERSION,
            },
            NotAMethod::Shape(words) => Reason::Shape(printable(&words, WORDS)),
        })?;
        Ok(Linked { code: Arc::new(Code { flavour, pre, exports }), tier })
    }

    fn draft(&self) -> Result<Draft, Reason> {
        self.store.draft().map_err(|error| Reason::CompileFailed(format!("no room for its code: {error}")))
    }

    fn compile_here(
        &self,
        bytes: &[u8],
        flavour: Flavour,
        engine: &wasmtime::Engine,
    ) -> Result<Draft, Reason> {
        let compiled = worker::compile(bytes, flavour, engine).map_err(|error| match error {
            worker::Failure::Encode(words) => Reason::Encode(words),
            worker::Failure::Compile(words) => Reason::Invalid(words),
        })?;
        let mut draft = self.draft()?;
        draft
            .write_all(&compiled)
            .map_err(|error| Reason::CompileFailed(format!("its code could not be written: {error}")))?;
        Ok(draft)
    }

    /// Has the worker encode and compile the bytes into a draft.
    fn compile_in_worker(&self, bytes: &[u8], flavour: Flavour, cancel: &Cancel) -> Result<Draft, Reason> {
        let _alone = self.worker_runs.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = self.spare().take().filter(|spare| spare.flavour == flavour);
        let worker = match spare.and_then(Process::if_ready) {
            Some(worker) => worker,
            None => self.start(flavour)?,
        };
        worker.compile(bytes, &self.engine.limits().compile, cancel)
    }

    fn start(&self, flavour: Flavour) -> Result<Process, Reason> {
        Process::start(&self.worker, flavour, self.engine.limits(), self.draft()?)
    }

    fn spare(&self) -> MutexGuard<'_, Option<Process>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a worker that waits for the next file, where none does: starting takes as
    /// long as compiling a small plugin. It ends when the calling thread does.
    pub(super) fn prepare(&self) {
        let mut spare = self.spare();
        if spare.is_none() {
            // Whoever needs a worker then starts one, and says what is wrong.
            *spare = self.start(Flavour::Metered).ok();
        }
    }

    /// Ends the worker that waits.
    pub(super) fn dismiss(&self) {
        let spare = self.spare().take();
        drop(spare);
    }
}
