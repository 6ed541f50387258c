//! From a file's bytes to linked code: out of the store, or compiled into it. The
//! built-ins' bytes are compiled in this process, all others in the compile worker.

use super::abi::{Exports, NotAMethod};
use super::code::{CodeStore, Key, Unusable};
use super::engine::{Engine, Flavour};
use super::rejection::{CompileBudget, Reason, WORDS};
use super::sandbox::Code;
use super::structure;
use super::words::printable;
use super::{Digest, Tier, tier, worker};
use crate::contract::CONTRACT_VERSION;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use wasmtime::component::Component;

/// How often the parent looks whether the worker is done. 2 ms: a small module
/// takes some 50 ms.
const LOOK: Duration = Duration::from_millis(2);

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
        Ok((Self { engine, store, worker, worker_runs: Mutex::new(()) }, unusable))
    }

    /// Whether compiled code for these bytes is at hand.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.engine
            .flavoured(Flavour::Metered)
            .is_ok_and(|flavoured| self.store.has(&Key::new(digest, Flavour::Metered, &flavoured.engine)))
    }

    /// Linked code of a flavour. `before_compiling` is called if that is needed.
    pub(super) fn linked(
        &self,
        bytes: &[u8],
        digest: Digest,
        flavour: Flavour,
        trust: Trust,
        before_compiling: &dyn Fn(),
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
                        self.compile_here(bytes, &flavoured.engine)?
                    }
                    Trust::Foreign => {
                        structure::admit(bytes, &self.engine.limits().structure)?;
                        before_compiling();
                        self.compile_in_worker(bytes, flavour)?
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
            NotAMethod::OtherContract(built_for) => {
                Reason::OtherContract { built_for: printable(&built_for, 64), speaks: CONTRACT_VERSION }
            }
            NotAMethod::Shape(words) => Reason::Shape(printable(&words, WORDS)),
        })?;
        Ok(Linked { code: Arc::new(Code { flavour, pre, exports }), tier })
    }

    fn draft(&self) -> Result<NamedTempFile, Reason> {
        self.store.draft().map_err(|error| Reason::CompileFailed(format!("no room for its code: {error}")))
    }

    fn compile_here(&self, bytes: &[u8], engine: &wasmtime::Engine) -> Result<NamedTempFile, Reason> {
        let compiled = worker::compile(bytes, engine).map_err(|error| match error {
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
    fn compile_in_worker(&self, bytes: &[u8], flavour: Flavour) -> Result<NamedTempFile, Reason> {
        let _alone = self.worker_runs.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = &self.engine.limits().compile;
        let draft = self.draft()?;
        let failed = |what: &str, error: std::io::Error| Reason::CompileFailed(format!("{what}: {error}"));
        let output = draft.as_file().try_clone().map_err(|error| failed("its code has no file", error))?;
        let started = Instant::now();
        let mut child = Command::new(&self.worker)
            .args(worker::arguments(flavour, self.engine.limits(), bytes.len()))
            .env_clear()
            // Cranelift compiles functions in parallel; each thread reserves memory.
            .env("RAYON_NUM_THREADS", limits.threads.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                failed(&format!("the compile worker {} does not start", self.worker.display()), error)
            })?;
        let (status, words) = std::thread::scope(|scope| {
            let stdin = child.stdin.take();
            // The worker may end before it has read everything.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(bytes)));
            let stderr = child.stderr.take();
            let words = scope.spawn(move || {
                let mut words = Vec::new();
                if let Some(stderr) = stderr {
                    let _ = stderr.take(WORDS as u64).read_to_end(&mut words);
                }
                String::from_utf8_lossy(&words).trim().to_owned()
            });
            let status = wait(&mut child, started + limits.wall);
            (status, words.join().unwrap_or_default())
        });
        let status = status.map_err(|error| failed("the compile worker was lost", error))?;
        let Some(status) = status else {
            return Err(Reason::CompileBudget(CompileBudget::Wall(limits.wall)));
        };
        self.outcome(status, &words).map(|()| draft)
    }

    /// What the worker's end means.
    fn outcome(&self, status: ExitStatus, words: &str) -> Result<(), Reason> {
        use rustix::process::Signal;
        use std::os::unix::process::ExitStatusExt as _;
        let limits = &self.engine.limits().compile;
        let shown = printable(words, WORDS);
        let signal = status.signal();
        let budget = |budget| Err(Reason::CompileBudget(budget));
        match status.code() {
            Some(0) => Ok(()),
            Some(worker::ASYNC) => Err(Reason::Async),
            Some(worker::CANNOT_ENCODE) => Err(Reason::Encode(shown)),
            Some(worker::CANNOT_COMPILE) => Err(Reason::Invalid(shown)),
            Some(worker::NO_ROOM) => Err(Reason::CompileFailed(shown)),
            _ if signal == Some(Signal::XCPU.as_raw()) => budget(CompileBudget::Cpu(limits.cpu)),
            _ if signal == Some(Signal::XFSZ.as_raw()) => budget(CompileBudget::Output(limits.output)),
            _ if worker::is_out_of_memory(words) => budget(CompileBudget::Memory(limits.memory)),
            _ if words.contains("has overflowed its stack") => Err(Reason::CompileDepth),
            // The hard CPU limit, had the soft one been held back; nobody else sends
            // this but the system when it is out of memory.
            _ if signal == Some(Signal::KILL.as_raw()) => budget(CompileBudget::Memory(limits.memory)),
            _ => Err(Reason::CompileFailed(if shown.is_empty() {
                format!("the compile worker crashed ({status}); the file may be built to do that")
            } else {
                format!("the compile worker crashed ({status}): {shown}")
            })),
        }
    }
}

/// Waits for a child, and kills it at the deadline: `None`.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}
