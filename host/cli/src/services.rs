//! The services that jobs are carried out at: the operator's, or the built-in
//! emulator's (`--emulate`).
//!
//! The emulator runs inside the processes that use it. Its state lies beside the store
//! and is held by one process at a time; the others talk to that one, and when it ends,
//! whatever its end, one of them takes its place at the same addresses.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::secret::{Found, Secret};
use tunesmith_emulator::{Emulator, Running};
use tunesmith_engine::execute::Connect;
use tunesmith_provider::http::Endpoint;
use tunesmith_provider::{ollama, openai};

/// How long to wait for another process to say where its emulator listens, or to let go
/// of the state: starting and stopping take about a second on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often to look whether the state has become free. A look costs an open file.
const LOOK: Duration = Duration::from_millis(50);

/// How long to try for the addresses of the emulator whose place is taken, so that
/// clients find it where it was. Longer than a dying process keeps its ports.
const SAME_ADDRESSES: Duration = Duration::from_secs(3);

/// How long clients wait while one process's emulator takes the place of another's: it
/// stops within a second, and starts in less.
const SUCCESSION: Duration = Duration::from_secs(10);

/// How long an emulator on this machine may take to say who it is.
const ANSWER: Duration = Duration::from_secs(2);

/// The largest answer to that: a few lines of JSON.
const LARGEST_ANSWER: u64 = 64 << 10;

/// What the emulator is given in place of a key: it takes any, and the operator's own is
/// not shown to it.
const NO_KEY: &str = "tunesmith-emulator-takes-any-key";

/// Makes the options of a client for OpenAI; it may need the operator's key, which
/// other providers do without.
type OpenAiOptions = Box<dyn Fn() -> Result<openai::client::Options, Failure> + Send + Sync>;

/// Clients for the services. Clones share them, and the emulator.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

enum Inner {
    Real {
        ollama_options: ollama::client::Options,
        openai_options: OpenAiOptions,
        ollama: OnceLock<ollama::client::Client>,
        openai: OnceLock<openai::client::Client>,
    },
    Emulated(Emulated),
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.0 {
            Inner::Real { ollama_options, .. } => f
                .debug_struct("Real")
                .field("ollama", &ollama_options.endpoint.to_string())
                .finish_non_exhaustive(),
            Inner::Emulated(emulated) => {
                f.debug_struct("Emulated").field("state", &emulated.state).finish_non_exhaustive()
            }
        }
    }
}

impl Services {
    /// The operator's services. Nothing is contacted, and the options for OpenAI are made
    /// when its client is first asked for.
    pub fn real(
        ollama_options: ollama::client::Options,
        openai_options: impl Fn() -> Result<openai::client::Options, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner::Real {
            ollama_options,
            openai_options: Box::new(openai_options),
            ollama: OnceLock::new(),
            openai: OnceLock::new(),
        }))
    }

    /// The emulator whose state is in this directory: in this process, or in another that
    /// has it running. Blocks until it answers.
    ///
    /// # Errors
    ///
    /// The state cannot be read or written, or is held by a process that does not answer.
    pub fn emulated(state: &Path) -> Result<Self, Failure> {
        Emulated::begin(state).map(|emulated| Self(Arc::new(Inner::Emulated(emulated))))
    }

    /// Whether it is the emulator of `--emulate`.
    pub fn is_emulated(&self) -> bool {
        matches!(*self.0, Inner::Emulated(_))
    }

    /// What every run at the emulator says.
    pub fn notice(&self) -> Option<String> {
        match &*self.0 {
            Inner::Real { .. } => None,
            Inner::Emulated(emulated) => Some(format!(
                "emulated: nothing is sent anywhere, nothing is trained and no model runs; jobs and models exist in {} only",
                emulated.state.display()
            )),
        }
    }

    /// The client for Ollama.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn ollama(&self) -> Result<ollama::client::Client, Failure> {
        match &*self.0 {
            Inner::Real { ollama_options, ollama, .. } => match ollama.get() {
                Some(client) => Ok(client.clone()),
                None => {
                    let client = ollama::client::Client::new(ollama_options.clone())?;
                    Ok(ollama.get_or_init(|| client).clone())
                }
            },
            Inner::Emulated(emulated) => {
                let endpoint = Endpoint::ollama(&emulated.addresses().ollama_url).map_err(odd_address)?;
                Ok(ollama::client::Client::patient(ollama::client::Options::new(endpoint), SUCCESSION)?)
            }
        }
    }

    /// The client for OpenAI, or for the service in its place.
    ///
    /// # Errors
    /// It cannot be set up: no key, or one that cannot be used.
    pub fn openai(&self) -> Result<openai::client::Client, Failure> {
        match &*self.0 {
            Inner::Real { openai_options, openai, .. } => match openai.get() {
                Some(client) => Ok(client.clone()),
                None => {
                    let client = openai::client::Client::new(openai_options()?)?;
                    Ok(openai.get_or_init(|| client).clone())
                }
            },
            Inner::Emulated(emulated) => {
                let endpoint =
                    Endpoint::parse(&emulated.addresses().openai_url, false).map_err(odd_address)?;
                let key = Found { secret: Secret::new(NO_KEY), place: "--emulate".to_owned() };
                let options =
                    openai::client::Options { key: Some(key), ..openai::client::Options::new(endpoint) };
                Ok(openai::client::Client::new(options)?)
            }
        }
    }
}

impl Connect for Services {
    fn is_emulated(&self) -> bool {
        Self::is_emulated(self)
    }

    fn ollama(&self) -> Result<ollama::client::Client, Failure> {
        Self::ollama(self)
    }

    fn openai(&self) -> Result<openai::client::Client, Failure> {
        Self::openai(self)
    }
}

fn odd_address(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Internal, format!("the emulator listens at an odd address: {error}"))
}

/// The emulator, wherever it runs.
struct Emulated {
    state: PathBuf,
    shared: Arc<Shared>,
    /// Waits to take the place of another process's emulator.
    heir: Option<JoinHandle<()>>,
}

struct Shared {
    at: Mutex<At>,
    stop: AtomicBool,
}

/// Where the emulator listens, and itself where it runs in this process.
struct At {
    running: Running,
    /// Runs until dropped.
    _own: Option<Emulator>,
}

impl Shared {
    fn at(&self) -> MutexGuard<'_, At> {
        // Every write is whole, so a panic elsewhere leaves nothing half-done.
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Emulated {
    fn begin(state: &Path) -> Result<Self, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Emulator::start(options(state, None)) {
                Ok(own) => return Ok(Self::new(state, running(&own), Some(own))),
                Err(tunesmith_emulator::Error::InUse { running: Some(running), .. }) if answers(&running) => {
                    return Ok(Self::new(state, running, None));
                }
                // It is starting, or stopping.
                Err(tunesmith_emulator::Error::InUse { .. }) if Instant::now() < until => {
                    std::thread::sleep(LOOK)
                }
                Err(error) => return Err(cannot_start(error)),
            }
        }
    }

    fn new(state: &Path, running: Running, own: Option<Emulator>) -> Self {
        let is_guest = own.is_none();
        let shared =
            Arc::new(Shared { at: Mutex::new(At { running, _own: own }), stop: AtomicBool::new(false) });
        let heir = is_guest.then(|| {
            let (state, shared) = (state.to_owned(), Arc::clone(&shared));
            let wait = move || wait_for_place(&state, &shared);
            std::thread::Builder::new().name("emulator-heir".to_owned()).spawn(wait)
        });
        // Without a thread for it, this process only cannot take the other's place.
        let heir = heir.and_then(Result::ok);
        Self { state: state.to_owned(), shared, heir }
    }

    fn addresses(&self) -> Running {
        self.shared.at().running.clone()
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(heir) = self.heir.take() {
            // A thread that panicked has printed why; there is nothing to add.
            let _ = heir.join();
        }
    }
}

/// Looks whether the emulator's place has become free, and takes it.
fn wait_for_place(state: &Path, shared: &Shared) {
    let mut free_since = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let known = shared.at().running.clone();
        let same = free_since.is_none_or(|since: Instant| since.elapsed() < SAME_ADDRESSES);
        match Emulator::start(options(state, same.then_some(&known))) {
            Ok(own) => {
                *shared.at() = At { running: running(&own), _own: Some(own) };
                return;
            }
            // Another took the place, at addresses of its own if need be.
            Err(tunesmith_emulator::Error::InUse { running: Some(running), .. }) if running != known => {
                free_since = None;
                if answers(&running) {
                    shared.at().running = running;
                }
            }
            Err(tunesmith_emulator::Error::InUse { .. }) => free_since = None,
            // The ports are not free yet, or the disk is at fault: clients tell of it.
            Err(_) => {
                free_since.get_or_insert_with(Instant::now);
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn options(state: &Path, at: Option<&Running>) -> tunesmith_emulator::Options {
    let port = |url: &str| url.rsplit(':').next()?.split('/').next()?.parse::<u16>().ok();
    let mut options = tunesmith_emulator::Options::new(state);
    // Whatever base model somebody wants to try, `--pull` finds it.
    options.behaviour.ollama.registry = vec![tunesmith_emulator::ANY_MODEL.to_owned()];
    if let Some(at) = at {
        options.ollama_port = port(&at.ollama_url).unwrap_or(0);
        options.openai_port = port(&at.openai_url).unwrap_or(0);
    }
    options
}

fn running(emulator: &Emulator) -> Running {
    Running {
        pid: std::process::id(),
        ollama_url: emulator.ollama_url.clone(),
        openai_url: emulator.openai_url.clone(),
    }
}

/// Whether this very emulator answers. What the state directory says of it may be left
/// over from one that is gone, and its port may be another program's by now.
fn answers(running: &Running) -> bool {
    ask(running).is_some_and(|about| {
        about["pid"].as_u64() == Some(u64::from(running.pid))
            && about["ollama_url"].as_str() == Some(running.ollama_url.as_str())
    })
}

fn ask(running: &Running) -> Option<serde_json::Value> {
    let address = running.ollama_url.strip_prefix("http://")?;
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    stream.set_write_timeout(Some(ANSWER)).ok()?;
    let request = format!("GET /_emulator HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.take(LARGEST_ANSWER).read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn cannot_start(error: tunesmith_emulator::Error) -> Failure {
    use tunesmith_emulator::Error as E;
    let text = format!("the emulator cannot be started: {error}");
    match error {
        E::InUse { running: Some(other), .. } => Failure::new(Code::Failed, text).advise(format!(
            "process {} holds it and does not answer: end it, then try again",
            other.pid
        )),
        E::InUse { running: None, .. } => Failure::new(Code::Failed, text)
            .advise("the process that holds it does not say where it listens: end it, then try again"),
        E::State { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Failure::new(Code::Failed, text)
            .advise("free some space, or choose another data directory (--data-dir)"),
        E::State { .. } => Failure::new(Code::Failed, text).advise(
            "--data-dir (or directories.data in config.toml) says where jobs are kept; it needs space, and must be writable",
        ),
        E::Port { .. } => Failure::new(Code::Failed, text).advise("the system has no free port on loopback"),
        E::Speed(_) | E::Model(_) | E::Threads(_) => Failure::new(Code::Internal, text),
    }
}

#[cfg(test)]
mod tests;
