//! `tunesmith jobs follow`.

use super::carry::{Hand, outcome_code, report};
use crate::Workbench;
use crate::options::OperatorArgs;
use crate::view::events::Display;
use crate::view::output::Output;
use futures_util::TryStreamExt as _;
use std::pin::pin;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_engine::execute::{self, Ended, Until};
use tunesmith_store::{Job, JobId, LONGEST_PAGE, State, Store};

/// Options of `jobs follow`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with the job: exit code 0 if it succeeded, 1 if it failed, was cancelled or was paused. \
A job that goes on at the service without any process is taken over; Ctrl-C then asks what to do with it."
)]
pub struct Args {
    /// The job's id, or the beginning of it
    job: String,
    /// Begin with at most this many of the events so far
    #[arg(long, value_name = "N", default_value_t = 10)]
    tail: i64,
    /// Print one JSON object a line, as `run --json` does
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(
    args: &Args,
    workbench: &Workbench,
    given: &OperatorArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let hand = Hand::take(workbench, given, &args.job, args.json)?;
    let id = hand.job.id.clone();
    let display = Display::new(output, args.json);
    let job = hand.runtime.block_on(async {
        let after = last_event(&hand.store, &id).await?.saturating_sub(args.tail.max(0));
        display.begin(&id, &hand.job.name);
        let followed = follow(&hand.store, &id, after, &display).await;
        display.done();
        Ok::<_, Failure>(followed?)
    })?;
    if job.state.is_final() || job.state == State::Paused {
        let outcome = hand.runtime.block_on(execute::outcome(&hand.store, &job)).unwrap_or_default();
        let state = job.state;
        report(&Ended { job, outcome }, args.json, &display, output);
        hand.runtime.block_on(hand.store.close());
        return if state == State::Paused { Err(Failure::silent(Kind::Failed)) } else { outcome_code(state) };
    }
    if job.remote_id.is_none() {
        let message = format!("job {id} is {}, and no process attends to it", job.state);
        return Err(
            Failure::new(Code::Failed, message).advise(format!("tunesmith jobs resume {id} carries on"))
        );
    }
    if !args.json {
        output.progress_handle().say("no process attends to this job, so this one carries it on");
    }
    hand.carry(Until::End, output, async |executor, id| match executor.resume(id, Until::End).await {
        // Another process was quicker: this one watches.
        Err(execute::Error::Store(tunesmith_store::Error::Owned { .. })) => {
            let job = follow(executor.store(), id, i64::MAX, &display).await?;
            let outcome = execute::outcome(executor.store(), &job).await?;
            Ok(Ended { job, outcome })
        }
        other => other,
    })
}

/// Shows a job's events until it is over or left; the job as it is then.
async fn follow(store: &Store, id: &JobId, after: i64, display: &Display) -> Result<Job, execute::Error> {
    let mut events = pin!(execute::follow(store, id, after));
    while let Some(stored) = events.try_next().await? {
        display.event(id, stored.at_ms, &stored.event);
    }
    Ok(store.job(id.as_str()).await?)
}

/// The number of the latest event.
async fn last_event(store: &Store, job: &JobId) -> Result<i64, Failure> {
    let (mut last, mut after) = (0, Some(0));
    while let Some(seq) = after {
        let page = store.events(job, seq, LONGEST_PAGE).await?;
        last = page.items.last().map_or(last, |event| event.seq);
        after = page.next;
    }
    Ok(last)
}
