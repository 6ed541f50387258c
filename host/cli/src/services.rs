//! The services that jobs are carried out at: the configured ones, or the built-in
//! emulator's (`--emulate`).
//!
//! The emulator runs in a background process of its own, one for each data directory.
//! Whoever needs it first starts it, all processes share it, and it ends with its last
//! user (`docs/adr/0009-emulator-process.md`).

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::secret::{Found, Secret};
use tunesmith_emulator::{Lease, Running};
use tunesmith_engine::execute::Connect;
use tunesmith_engine::workbench::Workbench;
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

/// The services that jobs are carried out at: the configured ones, or the emulator of
/// this data directory, started where it does not run yet. Blocks until it answers.
///
/// # Errors
/// The emulator's state cannot be read or written, or its process cannot be started.
/// Whatever is wrong with a key shows when a service that needs it is first asked for.
pub fn connect(workbench: &Workbench, emulated: bool) -> Result<Arc<dyn Connect>, Failure> {
    if !emulated {
        return Ok(Arc::new(workbench.clone()));
    }
    Ok(Arc::new(Emulated::join(&emulator_directory(workbench))?))
}

/// What every run at the emulator says.
pub fn notice(workbench: &Workbench) -> String {
    format!(
        "emulated: nothing is sent anywhere, nothing is trained and no model runs; jobs and models exist in {} only",
        emulator_directory(workbench).display()
    )
}

/// Where the emulator keeps its state.
fn emulator_directory(workbench: &Workbench) -> PathBuf {
    workbench.store_directory().join("emulator")
}

impl Connect for Emulated {
    fn is_emulated(&self) -> bool {
        true
    }

    fn ollama(&self) -> Result<ollama::client::Client, Failure> {
        let endpoint = Endpoint::ollama(&self.running.ollama_url).map_err(odd_address)?;
        Ok(ollama::client::Client::new(ollama::client::Options::new(endpoint))?)
    }

    fn openai(&self) -> Result<openai::client::Client, Failure> {
        let endpoint = Endpoint::parse(&self.running.openai_url, false).map_err(odd_address)?;
        let key = Found { secret: Secret::new(NO_KEY), place: "--emulate".to_owned() };
        let options = openai::client::Options { key: Some(key), ..openai::client::Options::new(endpoint) };
        Ok(openai::client::Client::new(options)?)
    }
}

fn odd_address(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Internal, format!("the emulator listens at an odd address: {error}"))
}

/// The emulator of a data directory.
struct Emulated {
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
                    return Ok(Self { running, _lease: lease });
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
