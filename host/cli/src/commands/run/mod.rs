//! `tunesmith run`: from job files to verified models.
//!
#![doc = include_str!("../../../../../docs/run.md")]

mod prepare;
pub(crate) mod runner;

use crate::inputs::PlanArgs;
use crate::options::OperatorArgs;
use crate::registry::PluginArgs;
use crate::view::brief::Brief;
use crate::view::events::{self as show, Display};
use crate::view::line::Line;
use crate::{Output, detach, interrupt, services};
use crate::{Workbench, runtime};
use futures_util::stream::{self, StreamExt as _};
use prepare::{Following, Preparer};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_engine::execute::{Checked, Ended, Executor, Recovered, Until};
use tunesmith_engine::workbench::Prepared;
use tunesmith_plugin_host::Snapshot;
use tunesmith_provider::facts;
use tunesmith_store::{Job, JobId, State};

/// Jobs that are carried out at a time unless `--parallel` says otherwise. A job mostly
/// waits, but services limit how many they train at once, and an Ollama server makes one
/// model after the other.
const PARALLEL: usize = 8;

/// More than this at a time is no use to anyone.
const MOST_PARALLEL: usize = 64;

/// After this many jobs a plan is made again when its turn comes, so that memory stays
/// flat however many jobs there are.
const PLANS_KEPT: usize = 16;

/// How long the jobs of other processes are looked after once this command's own are
/// done: as long as it takes to be sure of a create that was perhaps sent.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(90);

/// Carry jobs out: plan, confirm, make the model, and check that it answers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "On a terminal the plan and its cost are shown first, and a question is asked. Without a \
terminal a job that costs money needs --yes.

With --json each line is one object with an \"event\": planned, started, state, phase, bytes, steps, metrics, message, \
plugin, waiting, owner, request, recovered, detached, result, failed, summary.

Ctrl-C asks whether to leave the jobs running or to cancel them; twice leaves at once. Whatever happens, \
`tunesmith jobs resume` and the next `tunesmith run` carry on."
)]
pub struct Args {
    /// The job files
    #[arg(required = true, value_name = "JOB", value_hint = clap::ValueHint::FilePath)]
    jobs: Vec<PathBuf>,

    /// Try it on the built-in emulator: nothing is sent, trained or paid
    #[arg(long)]
    emulate: bool,

    /// Go on without asking
    #[arg(long, short)]
    yes: bool,

    /// Do not wait: the jobs go on, and `tunesmith jobs follow` shows them
    #[arg(long, short)]
    detach: bool,

    /// Replace a model of the same name (Ollama)
    #[arg(long)]
    replace: bool,

    /// Fetch a base model that the server does not have (Ollama)
    #[arg(long)]
    pull: bool,

    /// Refuse other plugins and host settings than JOB.lock says
    #[arg(long)]
    locked: bool,

    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,

    /// So many jobs at a time
    #[arg(long, value_name = "N", default_value_t = PARALLEL, value_parser = parallel)]
    parallel: usize,

    /// Run on this provider in place of the job's: ollama or openai
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<ProviderId>,

    #[command(flatten)]
    planning: PlanArgs,

    #[command(flatten)]
    registry: PluginArgs,
}

fn parallel(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST_PARALLEL).contains(number));
    number.ok_or_else(|| format!("give a number from 1 to {MOST_PARALLEL}"))
}

/// Runs the command.
pub fn run(
    args: &Args,
    given: &OperatorArgs,
    workbench: &Workbench,
    output: &mut Output,
) -> Result<(), Failure> {
    let preparer = Arc::new(Preparer::new(args, workbench, output)?);
    let services = services::connect(workbench, args.emulate)?;
    let display = Display::new(output, args.json);
    if args.emulate && !args.json {
        output.progress_handle().say(&services::notice(workbench));
    }
    runtime()?.block_on(async {
        let store = workbench.open_store().await?;
        let executor = workbench.executor(store, services, display.on_progress());
        let command = Command { args, given, workbench, preparer, executor, display };
        command.run(output).await
    })
}

/// A job of this command.
struct Item {
    brief: Brief,
    checked: Checked,
    /// The plugins that it was planned with.
    plugins: Arc<Snapshot>,
    /// Kept where there are few.
    prepared: Option<Prepared>,
}

struct Command<'a> {
    args: &'a Args,
    given: &'a OperatorArgs,
    workbench: &'a Workbench,
    preparer: Arc<Preparer>,
    executor: Executor,
    display: Display,
}

/// What came of a job.
enum Came {
    Ended(Box<Ended>),
    Detached(Box<Job>),
}

/// What came of a job of the command line, or which job failed and why.
type OfFile = (PathBuf, Result<Came, (Option<JobId>, Failure)>);

impl Command<'_> {
    async fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let items = self.prepare(output).await?;
        self.confirm(&items, output).await?;
        let recovery = {
            let (executor, orphans) = (self.executor.clone(), self.executor.orphans().await);
            tokio::spawn(async move { Ok(executor.recover(orphans?, Until::Submitted).await) })
        };
        let active = Arc::new(Mutex::new(Vec::new()));
        let count = items.len();
        let (mut results, is_interrupted) = {
            let work = stream::iter(items)
                .map(|item| self.carry(item, &active))
                .buffer_unordered(self.args.parallel)
                .collect::<Vec<_>>();
            tokio::pin!(work);
            tokio::select! {
                results = &mut work => (results, false),
                () = interrupt::asked() => interrupt::handle(&self.executor, &self.display, &active, work).await,
            }
        };
        if is_interrupted {
            recovery.abort();
        }
        self.recovered(recovery, output).await;
        self.display.done();
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        let reported = self.report(count, results, output);
        if !is_interrupted {
            return reported;
        }
        Err(match reported {
            Ok(()) => Failure::silent(Kind::Interrupted),
            Err(error) => Failure { code: Code::Interrupted, ..error },
        })
    }

    /// Plans and checks every job before anything is recorded or sent. While there are
    /// others to plan, plugins that are saved are taken up for those; a job that is planned
    /// keeps the plugins that it was shown with.
    async fn prepare(&self, output: &mut Output) -> Result<Vec<Item>, Failure> {
        let many = self.args.jobs.len() > 1;
        let mut items: Vec<Item> = Vec::new();
        let mut failures = 0;
        let mut code = Code::Failed;
        let following = many.then(|| self.preparer.follow());
        for file in &self.args.jobs {
            let prepared = self.prepare_one(file).await;
            for change in following.iter().flat_map(Following::changes) {
                self.display.plugin(&change, output);
            }
            match prepared {
                Ok(item) => {
                    self.display.planned(&item.brief, &item.checked, output);
                    items.push(item);
                }
                Err(error) if many || self.args.json => {
                    (failures, code) = (failures + 1, error.code);
                    self.display.refused(file, &error, output);
                }
                Err(error) => return Err(error),
            }
        }
        if failures > 0 && self.args.json {
            return Err(Failure::silent(code.kind()));
        }
        if failures > 0 {
            let message =
                format!("{failures} of {} jobs cannot be run, so none was started", self.args.jobs.len());
            return Err(Failure::new(code, message).advise("fix or remove the jobs listed above"));
        }
        self.check_names(&items)?;
        Ok(items)
    }

    async fn prepare_one(&self, file: &Path) -> Result<Item, Failure> {
        let prepared = Preparer::prepare(&self.preparer, file, None).await?;
        let checked = self.executor.check(&prepared.submission).await?;
        let brief = Brief::of(file, &prepared.submission);
        let plugins = Arc::clone(&prepared.plugins);
        let prepared = (self.args.jobs.len() <= PLANS_KEPT).then_some(prepared);
        Ok(Item { brief, checked, plugins, prepared })
    }

    /// Two jobs that make a model of one name would overwrite each other.
    fn check_names(&self, items: &[Item]) -> Result<(), Failure> {
        let mut seen: std::collections::BTreeMap<&str, &Brief> = std::collections::BTreeMap::new();
        for item in items {
            let Some(model) = item.brief.model.as_deref() else { continue };
            if let Some(first) = seen.insert(model, &item.brief) {
                let message = format!(
                    "{} and {} would both make the model {model}",
                    first.file.display(),
                    item.brief.file.display()
                );
                return Err(Failure::new(Code::Usage, message).advise("give one of the jobs another name"));
            }
        }
        Ok(())
    }

    /// Asks on a terminal; without one, what costs money needs `--yes`.
    async fn confirm(&self, items: &[Item], output: &mut Output) -> Result<(), Failure> {
        let costs =
            items.iter().any(|item| facts::of(item.brief.provider).costs_money && !item.checked.emulated);
        if self.args.yes || items.iter().all(|item| item.checked.emulated) {
            return Ok(());
        }
        let is_asked = !self.args.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if !is_asked {
            if !costs {
                return Ok(());
            }
            let message = "this would upload data and cost money, and there is no terminal to ask on";
            return Err(Failure::new(Code::Usage, message)
                .advise("--yes goes on without asking; `tunesmith plan JOB` shows what it would cost")
                .advise("--emulate tries it on the built-in emulator"));
        }
        let question = match (items, costs) {
            ([_], true) => "Upload the data and start this job? [y/N] ".to_owned(),
            ([_], false) => "Make this model? [Y/n] ".to_owned(),
            (many, true) => format!("Upload the data and start these {} jobs? [y/N] ", many.len()),
            (many, false) => format!("Make these {} models? [Y/n] ", many.len()),
        };
        let answer = interrupt::ask(output.progress_handle(), question).await;
        let yes = match answer.as_deref().map(str::trim).map(str::to_lowercase).as_deref() {
            Some("y" | "yes") => true,
            Some("") => !costs,
            _ => false,
        };
        if yes {
            return Ok(());
        }
        Err(Failure::new(Code::Interrupted, "nothing was started"))
    }

    /// Records a job and carries it out; the result with its place on the command line.
    async fn carry(&self, item: Item, active: &Arc<Mutex<Vec<JobId>>>) -> OfFile {
        let file = item.brief.file.clone();
        let mut id = None;
        let result = self.carry_one(item, active, &mut id).await;
        if let Some(id) = &id {
            active.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != id);
        }
        self.display.over(id.as_ref());
        (file, result.map_err(|error| (id, error)))
    }

    async fn carry_one(
        &self,
        item: Item,
        active: &Arc<Mutex<Vec<JobId>>>,
        id: &mut Option<JobId>,
    ) -> Result<Came, Failure> {
        let prepared = match item.prepared {
            Some(prepared) => prepared,
            None => Preparer::prepare(&self.preparer, &item.brief.file, Some(item.plugins)).await?,
        };
        if prepared.submission.planned.digest != item.brief.digest {
            let message = format!("{} was changed since it was shown", item.brief.file.display());
            return Err(Failure::new(Code::Invalid, message).advise("nothing was done with it: run it again"));
        }
        let must_stay = facts::of(item.brief.provider).client_must_stay;
        let detached = self.args.detach && must_stay;
        if detached {
            let job = self.executor.record(&prepared.submission, &item.checked).await?;
            *id = Some(job.id.clone());
            self.display.started(&item.brief, &job.id);
            return detach::hand_over(self.workbench, self.given, &self.executor, &job)
                .await
                .map(|job| Came::Detached(Box::new(job)));
        }
        let ticket = self.executor.submit(&prepared.submission, &item.checked).await?;
        // The plan is in the store now; many jobs in hand are to take little memory.
        drop(prepared);
        *id = Some(ticket.job.id.clone());
        active.lock().unwrap_or_else(PoisonError::into_inner).push(ticket.job.id.clone());
        self.display.started(&item.brief, &ticket.job.id);
        let until = if self.args.detach { Until::Submitted } else { Until::End };
        let ended = self.executor.drive(ticket, until).await?;
        if ended.job.state.is_final() {
            return Ok(Came::Ended(Box::new(ended)));
        }
        // The user left, and somebody must stay.
        if must_stay {
            return detach::hand_over(self.workbench, self.given, &self.executor, &ended.job)
                .await
                .map(|job| Came::Detached(Box::new(job)));
        }
        Ok(Came::Detached(Box::new(ended.job)))
    }

    /// Says what became of the jobs that other processes had left.
    async fn recovered(
        &self,
        recovery: tokio::task::JoinHandle<Result<Vec<Recovered>, tunesmith_engine::execute::Error>>,
        output: &mut Output,
    ) {
        match tokio::time::timeout(RECOVERY_PATIENCE, recovery).await {
            Ok(Ok(Ok(recovered))) => {
                for one in recovered {
                    self.display.recovered(&one, output);
                }
            }
            Ok(Ok(Err(error))) => output.warning(&format!("could not look for interrupted jobs: {error}")),
            // It took too long, or was stopped: the next command goes on with it.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    fn report(&self, count: usize, results: Vec<OfFile>, output: &mut Output) -> Result<(), Failure> {
        let (mut succeeded, mut detached) = (0, 0);
        let mut failed = Vec::new();
        for (file, result) in results {
            match result {
                Ok(Came::Ended(ended)) => {
                    succeeded += u64::from(ended.job.state == State::Succeeded);
                    self.display.result(&file, &ended, count > 1, output);
                }
                Ok(Came::Detached(job)) => {
                    detached += 1;
                    self.display.detached(&job, output);
                }
                Err((id, error)) => failed.push((file, id, error)),
            }
        }
        for (file, id, error) in &failed {
            self.display.failed(file, id.as_ref(), error, count > 1, output);
        }
        if self.args.json {
            let (failed, emulated) = (failed.len(), self.args.emulate);
            output.json_line(&Line::Summary { succeeded, failed, detached, emulated });
        } else if count > 1 {
            output.text(&show::summary(succeeded, failed.len(), detached));
        }
        match failed.into_iter().next() {
            None => Ok(()),
            // Each was shown with its cause.
            Some((_, _, first)) if count > 1 || self.args.json => Err(Failure::silent(first.kind())),
            Some((_, _, first)) => Err(first),
        }
    }
}
