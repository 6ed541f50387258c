//! `tunesmith jobs`: what became of jobs, and steering them from any shell.

mod list;
mod remove;
mod show;

use super::Output;
use super::operator::Operator;
use crate::error::{Error, Kind};
use crate::store::{Job, State, Store};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::{Value, json};

/// List, show and steer jobs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List jobs, newest first
    List(list::Args),
    /// Show a job: facts, events, what it made, and its loss curve
    Show(show::Args),
    /// Forget jobs that are over or were never begun; what they made stays
    Remove(remove::Args),
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Remove(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(command: &Command, operator: &Operator, output: &mut Output) -> Result<(), Error> {
    match command {
        Command::List(args) => list::run(args, operator, output),
        Command::Show(args) => show::run(args, operator, output),
        Command::Remove(args) => remove::run(args, operator, output),
    }
}

/// The store, in which there must be a job by this id or beginning of one.
async fn find(operator: &Operator, given: &str) -> Result<(Store, Job), Error> {
    let Some(store) = operator.existing_store().await? else {
        let nothing = Error::new(Kind::Usage, format!("no job has the id {given:?}: there are no jobs yet"));
        return Err(nothing.hint(format!("the store would be in {}", operator.store_directory().display())));
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
