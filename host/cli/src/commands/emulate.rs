//! `tunesmith emulate`: emulates Ollama and OpenAI's protocol until stopped.

use serde::de::DeserializeOwned;
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_emulator::{ANY_MODEL, Behaviour, DEFAULT_SPEED, Emulator, Fault, Key, Options, Pace, Unused};

/// The environment variable with the key that the emulated OpenAI requires.
pub const KEY_VARIABLE: &str = "TUNESMITH_EMULATOR_KEY";

/// The longest key file; a larger one is the wrong file.
const MAX_KEY: u64 = 4_096;

/// What `tunesmith emulate` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing is trained and no model runs: jobs advance by the clock, \
and every reply carries the header x-tunesmith-emulator. The services listen on this machine only. \
http://ADDRESS/_emulator controls faults and time.")]
pub struct Args {
    /// Port of the emulated Ollama; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    ollama: u16,

    /// Port of the emulated OpenAI; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    openai: u16,

    /// Directory that stores models, files and jobs; created if missing
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// How many times faster than at the real service jobs run
    #[arg(long, value_name = "TIMES", default_value_t = DEFAULT_SPEED, conflicts_with = "manual")]
    speed: f64,

    /// Advance time only by POST /_emulator/tick
    #[arg(long)]
    manual: bool,

    /// Base model that the emulated Ollama has from its first start; may be repeated
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,

    /// File with the key that the emulated OpenAI requires, readable by you alone;
    /// defaults to TUNESMITH_EMULATOR_KEY, and without that any key is accepted
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// JSON file with the behavior of the services, as GET /_emulator/behaviour returns it
    #[arg(long, value_name = "FILE")]
    behaviour: Option<PathBuf>,

    /// JSON file with a list of faults, as POST /_emulator/faults accepts them
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,

    /// Stop when standard input closes
    #[arg(long)]
    until_stdin_closes: bool,

    /// Stop with the last user, and let any model be pulled: how `--emulate` starts it
    #[arg(long, hide = true)]
    on_demand: bool,

    /// Print one JSON object with the addresses
    #[arg(long)]
    pub json: bool,
}

/// Runs both emulated services until Ctrl-C, SIGTERM or, if asked to, the end of standard input.
///
/// # Errors
/// Where a file cannot be read, a port or the state directory is taken, or an option
/// makes no sense.
pub fn run(args: &Args) -> Result<(), Failure> {
    let emulator = match Emulator::start(args.options()?) {
        // Two processes started one at the same time: they use the other.
        Err(tunesmith_emulator::Error::InUse { .. }) if args.on_demand => return Ok(()),
        started => started.map_err(start_error)?,
    };
    if let Some(path) = &args.faults {
        for fault in read_json::<Vec<Fault>>(path)? {
            let invalid = |error: tunesmith_emulator::FaultError| {
                Failure::new(Code::Invalid, format!("{}: {error}", path.display()))
            };
            emulator.faults().arm(fault).map_err(invalid)?;
        }
    }
    args.announce(&emulator).map_err(|error| {
        Failure::new(Code::Failed, format!("the addresses cannot be written to standard output: {error}"))
    })?;
    // Held until the emulator has stopped, so that whoever comes now starts the next one.
    let _unused = wait(args)?;
    emulator.stop();
    Ok(())
}

impl Args {
    fn options(&self) -> Result<Options, Failure> {
        let mut options = Options::new(&self.state);
        options.ollama_port = self.ollama;
        options.openai_port = self.openai;
        options.openai_key = self.key()?;
        options.pace = if self.manual { Pace::Manual } else { Pace::Times(self.speed) };
        if !self.models.is_empty() {
            options.models.clone_from(&self.models);
        }
        if let Some(path) = &self.behaviour {
            options.behaviour = read_json::<Behaviour>(path)?;
        }
        if self.on_demand {
            options.behaviour.ollama.registry = vec![ANY_MODEL.to_owned()];
        }
        Ok(options)
    }

    fn key(&self) -> Result<Option<Key>, Failure> {
        let Some(path) = &self.key_file else {
            let key = std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
            return Ok(key.map(Key::new));
        };
        check_private(path)?;
        let text = read_text(path, MAX_KEY)?;
        let key = text.trim();
        if key.is_empty() {
            return Err(Failure::new(Code::Invalid, format!("the key file {} is empty", path.display())));
        }
        Ok(Some(Key::new(key)))
    }

    fn announce(&self, emulator: &Emulator) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let (ollama, openai) = (&emulator.ollama_url, &emulator.openai_url);
        if self.json {
            let line = json!({
                "ollama_url": ollama,
                "openai_url": openai,
                "state": self.state,
                "pid": std::process::id(),
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "emulating Ollama at {ollama}\nemulating OpenAI at {openai}")?;
            writeln!(out, "state in {}; stop with Ctrl-C", self.state.display())?;
        }
        out.flush()
    }
}

#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let text = format!("the key file {} can be read by others (mode {:03o})", path.display(), mode & 0o777);
    Err(Failure::new(Code::Refused, text).advise(format!("chmod 600 {}", path.display())))
}

#[cfg(not(unix))]
fn check_private(_path: &Path) -> Result<(), Failure> {
    Ok(())
}

/// The largest JSON file that is read: a thousand faults with bodies of their own.
const MAX_JSON: u64 = 4 << 20;

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = read_text(path, MAX_JSON)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(Code::Invalid, format!("{}: {error}", path.display())))
}

fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > limit => {
            Err(Failure::new(Code::Invalid, format!("{} is above {limit} bytes", path.display())))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Invalid, format!("{} cannot be read: {error}", path.display()))
}

fn start_error(error: tunesmith_emulator::Error) -> Failure {
    use tunesmith_emulator::Error as E;
    let (code, text) = (error.code(), error.to_string());
    match error {
        E::InUse { running: Some(other), .. } => Failure::new(code, text).advise(format!(
            "use the one that runs: Ollama at {}, OpenAI at {}; or give another --state",
            other.ollama_url, other.openai_url
        )),
        E::InUse { running: None, .. } => Failure::new(code, text).advise("give another --state"),
        E::State { .. } => Failure::new(code, text).advise("give a --state that can be written"),
        E::Port { .. } => Failure::new(Code::Usage, text).advise("give another port, or 0 for a free one"),
        E::Speed(_) => Failure::new(code, text).advise("give a --speed above 0, or --manual"),
        E::Model(_) => Failure::new(code, text).advise("names look like llama3.2 or llama3.2:1b"),
        E::Threads(_) => Failure::new(Code::Internal, text),
    }
}

/// Returns once the program is asked to end, or once nobody uses it any more.
fn wait(args: &Args) -> Result<Option<Unused>, Failure> {
    let failed =
        |error: io::Error| Failure::new(Code::Internal, format!("signals cannot be awaited: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (finish, mut finished) = tokio::sync::mpsc::channel(1);
    // Plain threads: tokio's would keep the program from ending.
    if args.until_stdin_closes {
        let finish = finish.clone();
        std::thread::spawn(move || {
            // An error ends standard input as well as its end does.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = finish.blocking_send(Ok(None));
        });
    }
    if args.on_demand {
        let (finish, state) = (finish.clone(), args.state.clone());
        std::thread::spawn(move || finish.blocking_send(Unused::wait(&state).map(Some)));
    }
    runtime.block_on(async {
        tokio::select! {
            ended = ended() => ended.map(|()| None).map_err(failed),
            // `finish` lives as long as this function, so the channel stays open.
            Some(unused) = finished.recv() => unused.map_err(failed),
        }
    })
}

#[cfg(unix)]
async fn ended() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn ended() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Program::try_parse_from(["emulate"].iter().chain(words)).unwrap().args
    }

    #[test]
    fn options_follow_the_arguments() {
        let options =
            args(&["--state", "s", "--ollama", "7", "--manual", "--model", "mistral"]).options().unwrap();
        assert_eq!((options.ollama_port, options.openai_port), (7, 0));
        assert_eq!(options.pace, Pace::Manual);
        assert_eq!(options.models, ["mistral"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sk-secret\n").unwrap();
        let path = file.path().to_str().unwrap();
        let set = |mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        let error = args(&["--state", "s", "--key-file", path]).options().unwrap_err();
        assert_eq!(error.code, Code::Refused);
        assert!(error.message.contains("can be read by others (mode 644)"), "{}", error.message);
        set(0o600);
        let options = args(&["--state", "s", "--key-file", path]).options().unwrap();
        assert!(options.openai_key.is_some());
        assert!(!format!("{options:?}").contains("sk-secret"));
    }

    #[test]
    fn a_state_directory_that_is_taken_says_by_whom() {
        let state = tempfile::tempdir().unwrap();
        let first = Emulator::start(Options::new(state.path())).unwrap();
        let error = start_error(Emulator::start(Options::new(state.path())).unwrap_err());
        assert!(error.message.contains("in use by another emulator (process "), "{}", error.message);
        let hints = crate::view::advice::hints(&error);
        assert!(hints[0].contains(&first.ollama_url), "{hints:?}");
        first.stop();
        Emulator::start(Options::new(state.path())).unwrap().stop();
    }
}
