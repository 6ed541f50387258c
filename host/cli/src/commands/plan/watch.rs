//! `tunesmith plan --watch`: plans again whenever the job, its dataset or a plugin
//! changes, and shows what that changed.

use super::Args;
use crate::record::Recorder;
use crate::view::advice;
use crate::view::moment::clock;
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING};
use crate::view::{difference, plan as text};
use crate::watch::{ASK_EVERY, Paths};
use crate::{Output, Workbench, runtime};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_engine::plan::Planned;
use tunesmith_engine::workbench::Prepared;
use tunesmith_plugin_host::{Change, ChangeKind, Registry, WatchOptions};

/// How long the work may take to end after Ctrl-C. Half a second: a compile is ended at
/// once, and reading a large dataset is not worth waiting for.
const LEAVE: Duration = Duration::from_millis(500);

/// What happened meanwhile.
enum Event {
    Plugin(Arc<Change>),
    Interrupted,
}

/// Runs until Ctrl-C.
pub(super) fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let registry = Arc::new(args.registry.load_to_follow(workbench, output)?);
    let (sender, events) = channel();
    forward(registry.changes(), sender.clone());
    interrupts(sender)?;
    let _watch =
        registry.watch(WatchOptions { poll: args.poll.then_some(ASK_EVERY), ..WatchOptions::default() });
    // A directory without plugins may get some.
    let _recorder = registry.directory().map(|_| Recorder::start(workbench, &registry, output));
    let mut session = Session { args, workbench, registry: &registry, paths: Paths::default(), shown: None };
    session.plan(output, &[]);
    output.flush();
    if !args.json {
        output.progress_handle().say(&session.watched());
    }
    loop {
        let why = match next(&events, &mut session.paths) {
            Next::Interrupted => return Err(Failure::silent(Kind::Interrupted)),
            Next::Changes(changes) => session.tell(output, &changes),
            Next::Files(files) => {
                files.iter().map(|file| format!("{} changed", visible(&file.display().to_string()))).collect()
            }
        };
        if !why.is_empty() {
            session.plan(output, &why);
        }
        // A reader that went away ends the watch.
        output.flush();
        if output.is_closed() {
            return Ok(());
        }
    }
}

/// What to do next.
enum Next {
    Interrupted,
    Changes(Vec<Arc<Change>>),
    Files(Vec<PathBuf>),
}

/// Waits until something changed.
fn next(events: &Receiver<Event>, paths: &mut Paths) -> Next {
    loop {
        match events.recv_timeout(ASK_EVERY) {
            Ok(Event::Plugin(change)) => {
                let mut changes = vec![change];
                for event in events.try_iter() {
                    match event {
                        Event::Plugin(change) => changes.push(change),
                        Event::Interrupted => return Next::Interrupted,
                    }
                }
                return Next::Changes(changes);
            }
            Ok(Event::Interrupted) | Err(RecvTimeoutError::Disconnected) => return Next::Interrupted,
            Err(RecvTimeoutError::Timeout) => {
                let files = paths.changed();
                if !files.is_empty() {
                    return Next::Files(files);
                }
            }
        }
    }
}

/// Passes the registry's changes on, as long as anyone listens.
fn forward(changes: mpsc::Receiver<Arc<Change>>, sender: Sender<Event>) {
    // A program that can start no thread cannot follow a directory either.
    let _ = std::thread::Builder::new().name("plugin changes".into()).spawn(move || {
        for change in changes {
            if sender.send(Event::Plugin(change)).is_err() {
                return;
            }
        }
    });
}

/// Tells of Ctrl-C, and ends the program if it does not end itself soon.
fn interrupts(sender: Sender<Event>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let wait = move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = sender.send(Event::Interrupted);
            std::thread::sleep(LEAVE);
            std::process::exit(i32::from(Kind::Interrupted.exit_code()));
        }
    };
    let started = std::thread::Builder::new().name("interrupts".into()).spawn(wait);
    started
        .map(drop)
        .map_err(|error| Failure::new(Code::Failed, format!("Ctrl-C cannot be awaited: {error}")))
}

/// What is planned again and again.
struct Session<'a> {
    args: &'a Args,
    workbench: &'a Workbench,
    registry: &'a Registry,
    paths: Paths,
    /// The last plan that succeeded.
    shown: Option<Value>,
}

impl Session<'_> {
    /// Plans, and shows the plan or what changed in it. What is wrong is shown too, and
    /// the next change gives it another chance.
    fn plan(&mut self, output: &mut Output, why: &[String]) {
        match self.attempt(output) {
            Ok((prepared, written)) => self.show(output, why, prepared.planned(), &written),
            Err(error) if self.args.json => {
                output.json_line(&json!({ "event": "error", "why": why, "error": advice::json(&error) }));
            }
            Err(error) => {
                let mut text = headline(why);
                let _ = writeln!(text, "{ERROR}error{ERROR:#}: {}", error.message);
                for hint in advice::hints(&error) {
                    let _ = writeln!(text, "  {HINT}hint{HINT:#}: {hint}");
                }
                output.text(&text);
            }
        }
    }

    /// Plans by the methods of this moment, and follows the files that decide the plan, as
    /// far as they are known when something is wrong.
    fn attempt(&mut self, output: &Output) -> Result<(Prepared, Vec<PathBuf>), Failure> {
        let args = self.args;
        self.paths = Paths::default();
        self.paths.follow(&args.job);
        if let Some(prices) = &args.planning.prices {
            self.paths.follow(prices);
        }
        let options = args.options(output)?;
        let inputs = self.workbench.read(&args.job, &options)?;
        self.paths.follow(&inputs.dataset);
        if let Some(validation) = &inputs.validation {
            self.paths.follow(validation);
        }
        let prepared = self.workbench.plan(inputs, &options, self.registry.snapshot())?;
        let written = args.write(prepared.planned())?;
        Ok((prepared, written))
    }

    fn show(&mut self, output: &mut Output, why: &[String], planned: &Planned, written: &[PathBuf]) {
        // The bytes are JSON that this program just wrote.
        let plan: Value = serde_json::from_str(&planned.bytes).unwrap_or_default();
        let before = self.shown.replace(plan.clone());
        let differences = before.as_ref().map(|before| difference::between(before, &plan));
        if self.args.json {
            output.json_line(&json!({
                "event": "planned", "why": why, "plan": plan, "digest": planned.digest,
                "sidecar": planned.sidecar, "written": written, "differences": differences,
            }));
            return;
        }
        let mut text = headline(why);
        match differences.as_deref() {
            None => text += &text::plan(planned, written, self.args.full),
            Some([]) => {
                let _ = writeln!(text, "the same plan: {}", planned.digest);
            }
            Some(differences) => {
                let _ = writeln!(text, "another plan: {}", planned.digest);
                text += &difference::text(differences);
            }
        }
        output.text(&text);
    }

    /// Tells what happened to plugins; returns the reasons to plan again.
    fn tell(&self, output: &mut Output, changes: &[Arc<Change>]) -> Vec<String> {
        let mut why = Vec::new();
        for change in changes {
            let line = visible(&change.to_string()).into_owned();
            let matters = matches!(
                change.kind,
                ChangeKind::Loaded { .. }
                    | ChangeKind::Reloaded { .. }
                    | ChangeKind::Removed { .. }
                    | ChangeKind::BuiltInAgain
            );
            let warned = || format!("{WARNING}!{WARNING:#} {line}");
            if self.args.json {
                let mut object = serde_json::to_value(change.as_ref()).unwrap_or_default();
                if let Some(object) = object.as_object_mut() {
                    object.insert("event".into(), "plugin".into());
                }
                output.json_line(&object);
            } else if change.is_warning() && !matters {
                output.text(&format!("{FAINT}{}{FAINT:#} {}\n", clock(now_ms()), warned()));
            } else if !matters {
                output.text(&format!("{FAINT}{} {line}{FAINT:#}\n", clock(now_ms())));
            }
            if matters {
                // In the headline of the next plan.
                why.push(if change.is_warning() && !self.args.json { warned() } else { line });
            }
        }
        why
    }

    fn watched(&self) -> String {
        let plugins = match self.registry.directory() {
            Some(directory) => format!(", its dataset and the plugins in {}", directory.display()),
            None => " and its dataset; --plugins DIR follows plugins too".into(),
        };
        format!("following {}{plugins}; Ctrl-C ends it", visible(&self.args.job.display().to_string()))
    }
}

/// The line that says why there is another plan.
fn headline(why: &[String]) -> String {
    match why {
        [] => String::new(),
        why => format!("\n{HEADING}{}{HEADING:#} {}\n", clock(now_ms()), why.join("; ")),
    }
}
