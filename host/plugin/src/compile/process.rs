//! The parent's side of the compile worker: starting it, feeding it, and ending it.

use super::worker;
use crate::display::printable;
use crate::rejection::{CompileBudget, MESSAGE_BYTES, Reason};
use crate::sandbox::{CompileLimits, Flavor, Limits};
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tunesmith_core::fs::Draft;

/// How often the parent looks whether the worker is done. 1 ms: a small module takes
/// some 50 ms, and someone waits to see the plugin that they saved.
const POLL: Duration = Duration::from_millis(1);

/// Looks after which it looks less often. A second's worth: what takes longer is not
/// waited for to the millisecond.
const FAST_POLLS: u32 = 1000;

/// How often it polls then.
const SLOW_POLL: Duration = Duration::from_millis(10);

/// Cancels a compilation; clones share one flag.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A running compile worker. It compiles one file.
pub(crate) struct Process {
    pub(crate) flavor: Flavor,
    child: KillOnDrop,
    /// What it writes to.
    draft: Draft,
}

/// A child, ended when dropped.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // One that has ended and was waited for is left alone by both.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a worker ended.
enum End {
    Itself(ExitStatus),
    TooLate,
    Cancelled,
}

impl Process {
    /// Starts a worker, which waits for a file. It ends with the thread that started it.
    pub(crate) fn start(
        program: &Path,
        flavor: Flavor,
        limits: &Limits,
        draft: Draft,
    ) -> Result<Self, Reason> {
        let output = draft
            .as_file()
            .try_clone()
            .map_err(|error| failed("cannot open a file for compiled code", &error))?;
        let child = Command::new(program)
            .args(worker::arguments(flavor, limits))
            .env_clear()
            // Cranelift compiles functions in parallel; each thread reserves memory.
            .env("RAYON_NUM_THREADS", limits.compile.threads.to_string())
            .current_dir("/")
            // Ctrl-C is for tunesmith, which ends its worker; were both to get it, the
            // end of the worker would be taken for a fault of the file.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                failed(&format!("cannot start the compile worker {}", program.display()), &error)
            })?;
        Ok(Self { flavor, child: KillOnDrop(child), draft })
    }

    /// The process, if it is still there to be used.
    pub(crate) fn if_ready(mut self) -> Option<Self> {
        let alive = matches!(self.child.0.try_wait(), Ok(None));
        // Somebody may have cleared the directory meanwhile.
        (alive && self.draft.path().exists()).then_some(self)
    }

    /// Encodes and compiles a file.
    pub(crate) fn compile(
        self,
        bytes: &[u8],
        limits: &CompileLimits,
        cancel: &Cancel,
    ) -> Result<Draft, Reason> {
        let Self { mut child, draft, .. } = self;
        let deadline = Instant::now() + limits.wall;
        let (stdin, stderr) = (child.0.stdin.take(), child.0.stderr.take());
        let (end, words) = std::thread::scope(|scope| {
            // The worker may end before it has read everything.
            scope.spawn(move || {
                stdin.map(|mut stdin| {
                    stdin.write_all(&worker::header(bytes.len())).and_then(|()| stdin.write_all(bytes))
                })
            });
            let words = scope.spawn(move || {
                let mut words = Vec::new();
                if let Some(stderr) = stderr {
                    let _ = stderr.take(MESSAGE_BYTES as u64).read_to_end(&mut words);
                }
                String::from_utf8_lossy(&words).trim().to_owned()
            });
            let end = child.wait(deadline, cancel);
            if end.is_err() {
                // The threads above end with it.
                drop(child);
            }
            (end, words.join().unwrap_or_default())
        });
        match end.map_err(|error| failed("lost the compile worker", &error))? {
            End::Itself(status) => outcome(status, &words, limits).map(|()| draft),
            End::TooLate => Err(Reason::CompileBudget(CompileBudget::Wall(limits.wall))),
            End::Cancelled => Err(Reason::CompileFailed("canceled".into())),
        }
    }
}

impl KillOnDrop {
    /// Waits for the worker, and ends it where it is too late or not wanted any more.
    fn wait(&mut self, deadline: Instant, cancel: &Cancel) -> std::io::Result<End> {
        let mut polls = 0_u32;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(End::Itself(status));
            }
            let end = if cancel.is_set() {
                End::Cancelled
            } else if Instant::now() >= deadline {
                End::TooLate
            } else {
                polls = polls.saturating_add(1);
                std::thread::sleep(if polls < FAST_POLLS { POLL } else { SLOW_POLL });
                continue;
            };
            self.0.kill()?;
            self.0.wait()?;
            return Ok(end);
        }
    }
}

/// What the worker's end means.
fn outcome(status: ExitStatus, words: &str, limits: &CompileLimits) -> Result<(), Reason> {
    use rustix::process::Signal;
    let shown = printable(words, MESSAGE_BYTES);
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

fn failed(what: &str, error: &std::io::Error) -> Reason {
    Reason::CompileFailed(format!("{what}: {error}"))
}
