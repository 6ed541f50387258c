//! Emulates Ollama and a service that speaks OpenAI's protocol, faithful to what real
//! ones send.
//!
//! Both listen on loopback, store their state in a directory that survives a kill, and
//! fail on demand. Nothing is trained and no model writes text: every reply carries the
//! header [`HEADER`] to say so.
//!
//! [`Emulator::start`] runs both in this process, [`Emulator`] steers them, and so does
//! the HTTP endpoint of `control` from another process. [`Lease`] is for emulators that
//! end with their last user.

mod behaviour;
mod body;
mod clock;
mod control;
mod disk;
mod faults;
mod ids;
#[cfg(test)]
#[path = "../../../tests/it/common/kept.rs"]
mod kept;
mod lease;
mod ollama;
mod openai;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

pub use behaviour::{
    ANY_MODEL, Behaviour, Closed, DEFAULT_MODELS, Generation, Odd, OllamaBehaviour, OpenAiBehaviour, Outcome,
    RateLimit,
};
pub use clock::Pace;
pub use disk::Running;
pub use faults::{Action, Armed, Counts, Fault, FaultError, Faults};
pub use lease::{Lease, Unused};

use clock::Clock;
use disk::{StateDir, Taken};
use faults::Counters;
use serve::Front;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, watch};
use tunesmith_core::failure::Code;

/// The header that every reply of the emulator carries.
pub const HEADER: &str = tunesmith_core::EMULATED_HEADER;

/// Connections that each service takes at once; more wait. Bounds memory and file
/// descriptors (256 connections with an upload each need 512 descriptors, below the
/// customary limit of 1,024).
const MAX_CONNECTIONS: usize = 256;

/// Threads that handle requests. The work is small; the disk has threads of its own.
const WORKERS: usize = 2;

/// An API key that is neither printed nor stored.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    fn is(&self, given: &str) -> bool {
        self.0 == given
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// How to start an emulator.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that holds the state. Created where it does not exist; held by
    /// one emulator at a time.
    pub state: PathBuf,
    /// The port of the emulated Ollama; 0 takes a free one.
    pub ollama_port: u16,
    /// The port of the service with OpenAI's protocol; 0 takes a free one.
    pub openai_port: u16,
    /// The key that this service requires; without one it takes any.
    pub openai_key: Option<Key>,
    /// How fast jobs go.
    pub pace: Pace,
    /// The models that the emulated Ollama has from its first start on.
    pub models: Vec<String>,
    /// How the services behave.
    pub behaviour: Behaviour,
}

impl Options {
    /// Free ports, any key, the usual base models, and jobs that take a few seconds.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            ollama_port: 0,
            openai_port: 0,
            openai_key: None,
            pace: Pace::Times(DEFAULT_SPEED),
            models: DEFAULT_MODELS.iter().map(|name| (*name).to_owned()).collect(),
            behaviour: Behaviour::default(),
        }
    }
}

/// Emulated seconds a second unless told otherwise: a small job, some ten minutes on
/// the service, takes about three seconds.
pub const DEFAULT_SPEED: f64 = 60.0;

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another emulator holds the state directory.
    #[error(
        "the state directory {} is in use by another emulator{}",
        path.display(),
        running.as_ref().map(|other| format!(" (process {})", other.pid)).unwrap_or_default()
    )]
    InUse {
        path: PathBuf,
        /// The other emulator, where it has said where it listens.
        running: Option<Running>,
    },
    /// The state cannot be read or written.
    #[error("the state directory {} cannot be used: {source}", path.display())]
    State {
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A port cannot be opened.
    #[error("port {port} on 127.0.0.1 cannot be opened: {source}")]
    Port {
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// A pace that is not a number of at least zero.
    #[error("the speed must be a positive number, not {0}")]
    Speed(f64),
    /// A model whose name Ollama would not take.
    #[error("{0:?} is not a name that Ollama takes for a model")]
    Model(String),
    /// Threads cannot be started.
    #[error("the emulator cannot start its threads: {0}")]
    Threads(io::Error),
}

impl Error {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::InUse { .. } => Code::EmulatorInUse,
            Self::State { .. } | Self::Port { .. } | Self::Threads(_) => Code::EmulatorFailed,
            Self::Speed(_) | Self::Model(_) => Code::Usage,
        }
    }
}

/// What both services, the faults and the control endpoint share.
#[derive(Debug)]
struct Shared {
    directory: StateDir,
    clock: Clock,
    faults: Faults,
    counters: Counters,
    behaviour: RwLock<Behaviour>,
    key: Option<Key>,
    ollama_url: String,
    openai_url: String,
}

impl Shared {
    fn behaviour(&self) -> RwLockReadGuard<'_, Behaviour> {
        self.behaviour.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviour_mut(&self) -> RwLockWriteGuard<'_, Behaviour> {
        self.behaviour.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn root(&self) -> &Path {
        self.directory.root()
    }

    fn tick(&self, seconds: f64) -> io::Result<f64> {
        if !control::tick_is_sane(seconds) {
            let reason = format!("time moves forward, by a year at most, not by {seconds} s");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        self.clock.tick(seconds)
    }
}

/// Both services, running until dropped.
#[derive(Debug)]
pub struct Emulator {
    /// The address of the emulated Ollama, such as `http://127.0.0.1:40001`.
    pub ollama_url: String,
    /// The base URL of the service with OpenAI's protocol, such as `http://127.0.0.1:40002/v1`.
    pub openai_url: String,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts both services; they answer once this returns.
    ///
    /// # Errors
    /// Where the state directory is taken or unusable, a port is taken, or an option
    /// makes no sense.
    pub fn start(options: Options) -> Result<Self, Error> {
        if let Pace::Times(factor) = options.pace
            && !(factor > 0.0 && factor.is_finite())
        {
            return Err(Error::Speed(factor));
        }
        let state = |source| Error::State { path: options.state.clone(), source };
        let directory = StateDir::open(&options.state).map_err(|taken| match taken {
            Taken::InUse(running) => Error::InUse { path: options.state.clone(), running },
            Taken::Io(source) => state(source),
        })?;
        let clock = Clock::open(directory.root(), options.pace).map_err(state)?;
        let (ollama_listener, ollama_port) = listen(options.ollama_port)?;
        let (openai_listener, openai_port) = listen(options.openai_port)?;
        let running = Running {
            pid: std::process::id(),
            ollama_url: format!("http://127.0.0.1:{ollama_port}"),
            openai_url: format!("http://127.0.0.1:{openai_port}/v1"),
        };
        directory.announce(&running).map_err(state)?;
        let shared = Arc::new(Shared {
            directory,
            clock,
            faults: Faults::default(),
            counters: Counters::default(),
            behaviour: RwLock::new(options.behaviour),
            key: options.openai_key,
            ollama_url: running.ollama_url.clone(),
            openai_url: running.openai_url.clone(),
        });
        let ollama = ollama::front(shared.clone(), &options.models).map_err(|error| match error {
            ollama::OpenError::Name(name) => Error::Model(name),
            ollama::OpenError::Io(source) => state(source),
        })?;
        let openai = openai::Service::open(shared.clone()).map_err(state)?;
        let (stop, stopped) = watch::channel(false);
        let (started, is_started) = std::sync::mpsc::channel();
        // A thread of its own, so that the emulator starts and stops alike from
        // synchronous code and from within another runtime.
        let thread = std::thread::Builder::new()
            .name("emulator".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(WORKERS)
                    .thread_name("emulator")
                    .enable_all()
                    .build();
                let served = runtime.and_then(|runtime| {
                    runtime.block_on(async {
                        let ollama_listener = tokio::net::TcpListener::from_std(ollama_listener)?;
                        let openai_listener = tokio::net::TcpListener::from_std(openai_listener)?;
                        openai.resume();
                        let _ = started.send(Ok(()));
                        tokio::join!(
                            run(ollama_listener, ollama, stopped.clone()),
                            run(openai_listener, openai.front(), stopped)
                        );
                        Ok(())
                    })
                });
                if let Err(error) = served {
                    let _ = started.send(Err(error));
                }
            })
            .map_err(Error::Threads)?;
        match is_started.recv() {
            Ok(started) => started.map_err(Error::Threads)?,
            Err(_) => return Err(Error::Threads(io::Error::other("the emulator's thread ended"))),
        }
        let Running { ollama_url, openai_url, .. } = running;
        Ok(Self { ollama_url, openai_url, shared, stop, thread: Some(thread) })
    }

    /// Faults to arm and to look at.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was asked and what took effect since the start.
    pub fn counts(&self) -> Counts {
        self.shared.counters.counts()
    }

    /// Moves emulated time forward, whatever the pace; the new time, in emulated
    /// seconds.
    ///
    /// # Errors
    /// Where the time is negative, not a number or above a year, or cannot be stored.
    pub fn tick(&self, seconds: f64) -> io::Result<f64> {
        self.shared.tick(seconds)
    }

    /// Changes how the services behave from now on.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour_mut());
    }

    /// Stops listening, gives open connections a second, and lets go of the state
    /// directory. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed why; there is nothing to add.
            let _ = thread.join();
        }
    }
}

async fn run(listener: tokio::net::TcpListener, front: Front, stop: watch::Receiver<bool>) {
    serve::serve(listener, front, Arc::new(Semaphore::new(MAX_CONNECTIONS)), stop).await;
}

fn listen(port: u16) -> Result<(TcpListener, u16), Error> {
    let open = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    open().map_err(|source| Error::Port { port, source })
}
