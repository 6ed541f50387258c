//! The services that jobs are carried out at: the operator's, or the built-in
//! emulator's (`--emulate`).
//!
//! The emulator runs in a background process of its own, one for each data directory.
//! Whoever needs it first starts it, all processes share it, and it ends with its last
//! user (`docs/adr/0008-emulator-process.md`).

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::secret::{Found, Secret};
use tunesmith_emulator::{Lease, Running};
use tunesmith_engine::execute::Connect;
use tunesmith_provider::http::Endpoint;
use tunesmith_provider::{ollama, openai};

/// How long to wait for an emulator that another process is starting, or that is ending:
/// each takes about a second on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);

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

    /// The emulator whose state is in this directory, started where it does not run yet.
    /// Blocks until it answers.
    ///
    /// # Errors
    ///
    /// The state cannot be read or written, or the process cannot be started.
    pub fn emulated(state: &Path) -> Result<Self, Failure> {
        Emulated::join(state).map(|emulated| Self(Arc::new(Inner::Emulated(emulated))))
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
                let endpoint = Endpoint::ollama(&emulated.running.ollama_url).map_err(odd_address)?;
                Ok(ollama::client::Client::new(ollama::client::Options::new(endpoint))?)
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
                let endpoint = Endpoint::parse(&emulated.running.openai_url, false).map_err(odd_address)?;
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

/// The emulator of a data directory.
struct Emulated {
    state: PathBuf,
    running: Running,
    _lease: Lease,
}

impl Emulated {
    fn join(state: &Path) -> Result<Self, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(lease) = Lease::take(state).map_err(|error| cannot_start(&error))? {
                let running = match Running::of(state) {
                    None => start(state)?,
                    running => running,
                };
                if let Some(running) = running {
                    return Ok(Self { state: state.to_owned(), running, _lease: lease });
                }
            }
            if Instant::now() >= until {
                return Err(cannot_start(&"another process has it and does not answer"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Starts the emulator; none where another process was quicker.
fn start(state: &Path) -> Result<Option<Running>, Failure> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| cannot_start(&error))?);
    let state = std::path::absolute(state).map_err(|error| cannot_start(&error))?;
    command.args(["emulate", "--on-demand", "--json", "--state"]).arg(&state);
    // It has no need of the operator's keys, of this folder, or of Ctrl-C in this terminal.
    command.env_clear().current_dir(state).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| cannot_start(&error))?;
    let mut line = String::new();
    let read = child.stdout.take().map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
    read.map_err(|error| cannot_start(&error))?;
    match (serde_json::from_str(&line), serde_json::from_str::<Value>(&line)) {
        (Ok(running), _) => Ok(Some(running)),
        (_, said) => {
            let status = child.wait().map_err(|error| cannot_start(&error))?;
            match said.unwrap_or_default().pointer("/error/message").and_then(Value::as_str) {
                Some(message) => Err(cannot_start(&message)),
                None if status.success() => Ok(None),
                None => Err(cannot_start(&format!("its process ended with {status}"))),
            }
        }
    }
}

fn cannot_start(reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::EmulatorFailed, format!("the emulator cannot be started: {reason}")).advise(
        "--data-dir (or directories.data in config.toml) says where jobs are kept; it needs space, and must be writable",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_services_read_keys_when_asked() {
        let endpoint = Endpoint::ollama("127.0.0.1:1").unwrap();
        let real = Services::real(ollama::client::Options::new(endpoint), || {
            Err(Failure::new(Code::Invalid, "the key file is open to others"))
        });
        assert!(!real.is_emulated() && real.notice().is_none());
        real.ollama().unwrap();
        assert_eq!(real.openai().unwrap_err().message, "the key file is open to others");
    }
}
