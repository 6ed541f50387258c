//! `tunesmith plugin dev`: build, check, test and reload a project whenever it is saved.
//!
//! What is built is loaded by a registry of this process, as a watching host does it, so
//! that what is shown is what a host would say: a build that does not pass never
//! displaces the one before.

use super::{call, check, file, test};
use crate::view::advice;
use crate::view::style::{ERROR, FAINT, HEADING, HINT};
use crate::{Output, Workbench, registry};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tunesmith_core::contract::Level as NoteLevel;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_core::fs::{Access, Durability, replace};
use tunesmith_core::text::visible;
use tunesmith_kit::check::Level;
use tunesmith_kit::{CommandLine, Function, Project, cases};
use tunesmith_plugin_host::{Plugin, Registry, Source};

/// How often the project is looked at, and for how long it has to stay the same
/// before it is built: an editor saves several files within this time.
const LOOK: Duration = Duration::from_millis(200);

/// How often a running build is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What `plugin dev` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Runs the commands of the project's plugin.toml: use it on projects that you trust. \
Stops with Ctrl-C.")]
pub struct Args {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,

    /// Also put each build that passes into this folder of plugins, which hosts may watch
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    into: Option<PathBuf>,

    /// Go through it once, and fail if anything does
    #[arg(long)]
    once: bool,

    /// Print one JSON object for each step
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    if let Some(into) = &args.into
        && !into.is_dir()
    {
        let message = format!("{} is not a folder", into.display());
        return Err(Failure::new(Code::Usage, message).advise("make it first, or name another with --into"));
    }
    let project = Project::open(&args.folder)?;
    let running = Running::default();
    stop_on_signals(&running)?;
    let mut session = Session { args, workbench, output, running, registry: None, live: None };
    loop {
        // Before the build: what is saved meanwhile is built next.
        let seen = settled(&args.folder, None);
        // The project file itself may have been saved, and may be wrong for a while.
        let went = match if args.once { Ok(project.clone()) } else { Project::open(&args.folder) } {
            Ok(project) => session.round(&project),
            Err(error) => Err(error.into()),
        };
        if args.once {
            return went;
        }
        if let Err(error) = went {
            session.failed(&error);
        }
        session.say("wait", json!({}), &format!("{FAINT}for changes; Ctrl-C stops{FAINT:#}"));
        if session.output.is_closed() {
            return Ok(());
        }
        settled(&args.folder, Some(seen));
    }
}

/// The build that runs, if one does, so that it can be stopped with this process.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Option<rustix::process::Pid>>>);

impl Running {
    fn set(&self, pid: Option<rustix::process::Pid>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    fn stop(&self) {
        if let Some(pid) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may just have ended.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::TERM);
        }
    }
}

/// Ends this process on Ctrl-C and SIGTERM, with the build that runs.
fn stop_on_signals(running: &Running) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed =
        |error: std::io::Error| Failure::new(Code::Failed, format!("signals cannot be handled: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (interrupt, terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    let running = running.clone();
    let wait = move || {
        let (mut interrupt, mut terminate) = (interrupt, terminate);
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        running.stop();
        std::process::exit(i32::from(Kind::Interrupted.exit_code()));
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
    Ok(())
}

struct Session<'a> {
    args: &'a Args,
    workbench: &'a Workbench,
    output: &'a mut Output,
    running: Running,
    /// Over the folder that the project builds into.
    registry: Option<(PathBuf, Registry)>,
    live: Option<Digest>,
}

impl Session<'_> {
    /// Says one step: an object for programs, a line for people.
    fn say(&mut self, step: &str, mut facts: Value, line: &str) {
        if self.args.json {
            if let Some(object) = facts.as_object_mut() {
                object.insert("step".into(), step.into());
            }
            self.output.json(&facts);
        } else {
            self.output.text(&format!("{HEADING}{step:6}{HEADING:#}  {line}\n"));
        }
        self.output.flush();
    }

    fn failed(&mut self, error: &Failure) {
        let facts = json!({ "error": advice::json(error) });
        let mut line = format!("{ERROR}{}{ERROR:#}", error.message);
        for hint in advice::hints(error) {
            line.push_str(&format!("\n        {HINT}hint{HINT:#}: {hint}"));
        }
        if !error.is_silent() {
            self.say("failed", facts, &line);
        }
        if self.live.is_some() {
            let line = format!("{FAINT}the build before goes on serving{FAINT:#}");
            self.say("live", json!({ "unchanged": true }), &line);
        }
    }

    /// One round: everything from the build to the reload.
    fn round(&mut self, project: &Project) -> Result<(), Failure> {
        if let Some(setup) = project.needs_setup() {
            self.commands("setup", project, &setup.run)?;
        }
        self.commands("build", project, &project.build)?;
        let plugin = self.load(&project.output)?;
        if self.live == Some(plugin.digest()) {
            let line = format!("{FAINT}nothing that matters changed{FAINT:#}");
            self.say("live", json!({ "unchanged": true }), &line);
            return self.cases(project, &plugin);
        }
        self.check(project, &plugin)?;
        self.cases(project, &plugin)?;
        if let Some(into) = &self.args.into {
            publish(&project.output, into)?;
        }
        self.live = Some(plugin.digest());
        let facts = json!({
            "plugin": plugin.id(), "version": plugin.descriptor().version, "generation": plugin.generation(),
            "sha256": plugin.digest(), "tier": plugin.tier().to_string(),
        });
        let digest = plugin.digest().to_string();
        let line = format!(
            "{} {}, generation {}, {} tier {FAINT}sha256:{}{FAINT:#}",
            plugin.id(),
            visible(&plugin.descriptor().version),
            plugin.generation(),
            plugin.tier(),
            digest.get(..16).unwrap_or(&digest),
        );
        self.say("live", facts, &line);
        self.try_job(project, &plugin);
        Ok(())
    }

    fn commands(&mut self, step: &str, project: &Project, commands: &[CommandLine]) -> Result<(), Failure> {
        for command in commands {
            let shown = visible(&command.join(" ")).into_owned();
            let started = Instant::now();
            let status = self.run(project, command)?;
            let took = started.elapsed();
            if !status.success() {
                let message = format!("`{shown}` failed ({status})");
                let error = Failure::new(Code::Failed, message);
                return Err(if step == "setup" {
                    error.advise("it is run again until it has made what plugin.toml says that it `creates`")
                } else {
                    error
                });
            }
            let facts = json!({ "command": command, "milliseconds": took.as_millis() as u64 });
            self.say(step, facts, &format!("{shown} {FAINT}{:.1} s{FAINT:#}", took.as_secs_f64()));
        }
        Ok(())
    }

    /// Runs one command in a process group of its own, with its output on stderr.
    fn run(&mut self, project: &Project, command: &CommandLine) -> Result<ExitStatus, Failure> {
        use std::os::fd::AsFd as _;
        use std::os::unix::process::CommandExt as _;
        let [program, arguments @ ..] = command.as_slice() else {
            return Err(Failure::new(Code::Invalid, "plugin.toml: an empty command"));
        };
        let failed = |error: std::io::Error| {
            let what = format!("`{}` cannot be run: {error}", visible(program));
            let error_ = Failure::new(Code::Failed, what);
            if error.kind() == std::io::ErrorKind::NotFound {
                error_.advise("is it installed, and on the PATH?")
            } else {
                error_
            }
        };
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        let folder = std::path::absolute(&project.folder).map_err(failed)?;
        // A relative program is one of the project's own.
        let own = folder.join(program);
        let program = if program.contains('/') && own.exists() { own } else { PathBuf::from(program) };
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(stderr)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.running.set(i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw));
        let status = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None => std::thread::sleep(POLL),
            }
        };
        self.running.set(None);
        Ok(status)
    }

    /// Has the registry look at what was built.
    fn load(&mut self, built: &Path) -> Result<Arc<Plugin>, Failure> {
        let built = std::path::absolute(built)
            .map_err(|error| Failure::new(Code::Failed, format!("{}: {error}", built.display())))?;
        let folder = built.parent().unwrap_or(Path::new("/")).to_owned();
        if !built.is_file() {
            let message = format!("the build made no {}", built.display());
            return Err(
                Failure::new(Code::Failed, message).advise("plugin.toml says that it is its `output`")
            );
        }
        let snapshot = match &self.registry {
            Some((known, registry)) if *known == folder => registry.rescan()?,
            _ => {
                let mut options = registry::PluginArgs::default().options(self.workbench, self.output)?;
                options.directory = Some(folder.clone());
                let registry = Registry::load(options)?;
                let snapshot = registry.snapshot();
                self.registry = Some((folder, registry));
                snapshot
            }
        };
        if let Some(rejection) = snapshot.rejections().iter().find(|rejection| rejection.path == built) {
            return Err(rejection.clone().into());
        }
        let of_file = |plugin: &&Arc<Plugin>| matches!(plugin.source(), Source::File(path) if *path == built);
        snapshot.methods().find(of_file).map(Arc::clone).ok_or_else(|| {
            Failure::new(Code::Invalid, format!("{} is not a .wasm file that hosts look at", built.display()))
        })
    }

    fn check(&mut self, project: &Project, plugin: &Plugin) -> Result<(), Failure> {
        let Some((_, registry)) = &self.registry else { return Ok(()) };
        let limits = registry.engine().limits();
        let inspection = tunesmith_plugin_host::inspect(&project.output, limits)?;
        let report = tunesmith_kit::check(plugin, &inspection, limits);
        let mut line = check::verdict(&report);
        let bad = check::findings(&report, Level::Warning);
        if !bad.is_empty() {
            line.push('\n');
            line.push_str(bad.trim_end());
        }
        let facts = json!({ "verdict": report.verdict, "findings": report.findings, "calls": report.calls });
        self.say("check", facts, &line);
        if report.verdict == Level::Error { Err(Failure::silent(Kind::Plugin)) } else { Ok(()) }
    }

    fn cases(&mut self, project: &Project, plugin: &Plugin) -> Result<(), Failure> {
        let folder = project.cases();
        if !folder.is_dir() {
            return Ok(());
        }
        let cases = cases::read(&folder)?;
        let reports: Vec<_> =
            cases.iter().map(|case| cases::run(plugin, case, cases::Mode::Compare)).collect();
        let mut line = test::summary(&reports);
        for report in reports.iter().filter(|report| !report.verdict.is_good()) {
            line.push('\n');
            line.push_str(test::text(report).trim_end());
        }
        self.say("test", test::as_json(plugin, &reports), &line);
        if reports.iter().all(|report| report.verdict.is_good()) {
            Ok(())
        } else {
            Err(Failure::silent(Kind::Failed))
        }
    }

    /// Shows what the method makes of the project's own job.
    fn try_job(&mut self, project: &Project, plugin: &Plugin) {
        let job = project.folder.join("job.json");
        let function = Function::of(plugin).find(|function| *function != Function::Describe);
        let Some(function) = function.filter(|_| job.is_file()) else { return };
        let (facts, line) = match call::ask_about(plugin, function, &job) {
            Ok(called) => {
                let mut line =
                    format!("job.json: {function} {FAINT}{}{FAINT:#}", file::cost(&called.receipt));
                let said = match &called.outcome {
                    tunesmith_kit::CallResult::Refusal(refusal) => {
                        vec![format!("refused: {}", tunesmith_kit::refusal(refusal))]
                    }
                    tunesmith_kit::CallResult::Result(result) => {
                        let notes = result.get("notes").and_then(Value::as_array);
                        notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
                    }
                };
                let warned = called.notes.iter().filter(|note| note.level == NoteLevel::Warning);
                for text in said.iter().chain(warned.map(|note| &note.text)) {
                    line.push_str(&format!("\n          {}", visible(text)));
                }
                (json!({ "call": function.as_str(), "receipt": called.receipt, "said": said }), line)
            }
            Err(error) => (json!({ "error": error.message }), format!("job.json: {}", error.message)),
        };
        self.say("try", facts, &line);
    }
}

/// Puts a copy into a folder of plugins, whole or not at all: a host that watches it
/// never sees a part.
fn publish(built: &Path, into: &Path) -> Result<(), Failure> {
    let name = built.file_name().unwrap_or(built.as_os_str());
    let to = into.join(name);
    let copied = fs::read(built).and_then(|bytes| replace(&to, &bytes, Access::Shared, Durability::Synced));
    copied.map_err(|error| Failure::new(Code::Failed, format!("cannot write {}: {error}", to.display())))
}

/// Waits until the project differs from what was seen, and then stays the same for a
/// moment.
fn settled(folder: &Path, seen: Option<tunesmith_kit::SourceState>) -> tunesmith_kit::SourceState {
    let mut last = tunesmith_kit::SourceState::of(folder);
    while Some(&last) == seen.as_ref() {
        std::thread::sleep(LOOK);
        last = tunesmith_kit::SourceState::of(folder);
    }
    if seen.is_none() {
        return last;
    }
    loop {
        std::thread::sleep(LOOK);
        let now = tunesmith_kit::SourceState::of(folder);
        if now == last {
            return now;
        }
        last = now;
    }
}
