//! `tunesmith jobs`: what became of jobs, and steering them from any shell.

mod carry;
mod follow;
mod list;
mod remove;
mod show;
mod steer;

use crate::Output;
use crate::Workbench;
use crate::options::OperatorArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::{Value, json};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_store::{Ask, Job, State, Store};

/// List, show and steer jobs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List jobs, newest first
    List(list::Args),
    /// Show a job: facts, events, what it made, and its loss curve
    Show(show::Args),
    /// Show what happens to a job until it is over
    Follow(follow::Args),
    /// Cancel jobs, at the service too
    Cancel(steer::AskArgs),
    /// Pause jobs at the service (OpenAI; what is trained so far is kept and billed)
    Pause(steer::AskArgs),
    /// Carry on with a job that is paused, was detached or was interrupted
    Resume(steer::ResumeArgs),
    /// Try a failed or cancelled job again
    Retry(steer::RetryArgs),
    /// Forget jobs that are over or were never begun; what they made stays
    Remove(remove::Args),
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Follow(args) => args.json,
            Self::Cancel(args) | Self::Pause(args) => args.json,
            Self::Resume(args) => args.json,
            Self::Retry(args) => args.json,
            Self::Remove(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(
    command: &Command,
    workbench: &Workbench,
    given: &OperatorArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(args, workbench, output),
        Command::Show(args) => show::run(args, workbench, output),
        Command::Follow(args) => follow::run(args, workbench, given, output),
        Command::Cancel(args) => steer::ask(args, Ask::Cancel, workbench, given, output),
        Command::Pause(args) => steer::ask(args, Ask::Pause, workbench, given, output),
        Command::Resume(args) => steer::resume(args, workbench, given, output),
        Command::Retry(args) => steer::retry(args, workbench, given, output),
        Command::Remove(args) => remove::run(args, workbench, output),
    }
}

/// The store, in which there must be a job by this id or beginning of one.
async fn find(workbench: &Workbench, given: &str) -> Result<(Store, Job), Failure> {
    let Some(store) = workbench.existing_store().await? else {
        let nothing =
            Failure::new(Code::Usage, format!("no job has the id {given:?}: there are no jobs yet"));
        return Err(
            nothing.advise(format!("the store would be in {}", workbench.store_directory().display()))
        );
    };
    let job = store.job(given).await?;
    Ok((store, job))
}

/// A parser of states that lists them in the help.
fn known_state() -> impl clap::builder::TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.iter().map(|state| state.as_str()))
        .try_map(|name| name.parse::<State>())
}

/// How far a job is, in words.
fn progress(job: &Job) -> Option<String> {
    let step = job.step?;
    Some(match job.total_steps.filter(|total| *total > 0) {
        Some(total) => format!("{step}/{total}"),
        None => format!("step {step}"),
    })
}

/// Whether nobody attends to a job though something should: one that is paused waits
/// for its user.
fn is_unattended(job: &Job, orphans: &[Job]) -> bool {
    job.state != State::Paused && orphans.iter().any(|orphan| orphan.id == job.id)
}

/// A job as programs read it.
fn facts(job: &Job, unattended: bool) -> Value {
    let mut facts = json!(job);
    if let Some(fields) = facts.as_object_mut() {
        fields.insert("unattended".to_owned(), unattended.into());
    }
    facts
}
