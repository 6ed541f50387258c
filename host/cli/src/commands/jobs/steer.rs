//! `tunesmith jobs cancel|pause|resume|retry`: from any shell, whoever has the job.

use super::carry::{Hand, stands};
use crate::options::OperatorArgs;
use crate::view::events::Display;
use crate::view::line::Line;
use crate::view::moment::span;
use crate::view::output::Output;
use crate::view::style::{ERROR, state};
use crate::{Workbench, runtime};
use futures_util::stream::{self, StreamExt as _};
use std::time::Duration;
use tunesmith_core::failure::{Failure, Kind};
use tunesmith_core::text::visible;
use tunesmith_engine::execute::{Asked, Decision, EMULATOR_SERVICE, Until};
use tunesmith_store::{Answer, Ask, Job, State};

/// Jobs that `resume --all` carries on at a time, as `run` does.
const AT_A_TIME: usize = 8;

/// Options of `jobs cancel` and `jobs pause`.
#[derive(Debug, clap::Args)]
pub struct AskArgs {
    /// The jobs' ids, or beginnings of them
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<String>,
    /// Wait at most so many seconds for the process that has the job
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Print one JSON object a job
    #[arg(long)]
    pub json: bool,
}

/// Options of `jobs resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The job's id, or the beginning of it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    job: Option<String>,
    /// Carry on with every job that no process attends to
    #[arg(long)]
    all: bool,
    /// Come back as soon as the job goes on without this command
    #[arg(long)]
    detach: bool,
    /// For a job that is unknown: this job at the service is it
    #[arg(long, value_name = "REMOTE-JOB", group = "decision", conflicts_with = "all")]
    adopt: Option<String>,
    /// For a job that is unknown: the service surely has none, so send it again
    #[arg(long, group = "decision", conflicts_with = "all")]
    create_anew: bool,
    /// For a job that is unknown: forget it; if it exists, it goes on at the service
    #[arg(long, group = "decision", conflicts_with = "all")]
    give_up: bool,
    /// Print one JSON object a line, as `run --json` does
    #[arg(long)]
    pub json: bool,
}

/// Options of `jobs retry`.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// The job's id, or the beginning of it
    job: String,
    /// Come back as soon as the job goes on without this command
    #[arg(long)]
    detach: bool,
    /// Print one JSON object a line, as `run --json` does
    #[arg(long)]
    pub json: bool,
}

fn until(detach: bool) -> Until {
    if detach { Until::Submitted } else { Until::End }
}

/// Asks for jobs to be cancelled or paused. Each is asked, whatever comes of the others.
pub fn ask(
    args: &AskArgs,
    ask: Ask,
    workbench: &Workbench,
    given: &OperatorArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut worst: Option<Failure> = None;
    for job in &args.jobs {
        let asked = Hand::take(workbench, given, job, args.json)
            .and_then(|hand| ask_one(&hand, ask, Duration::from_secs(args.wait), output));
        if let Err(error) = asked {
            // The last is shown by the program's end.
            if let Some(earlier) = worst.replace(error) {
                output.error(&earlier, args.json);
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

fn ask_one(hand: &Hand<'_>, ask: Ask, patience: Duration, output: &mut Output) -> Result<(), Failure> {
    let display = Display::new(output, false);
    let executor = hand.executor(&display)?;
    let asked = hand.runtime.block_on(async {
        let asked = executor.ask(&hand.job.id, ask, patience).await?;
        Ok::<_, Failure>(match asked {
            Asked::Answered(answer, job) => (Some(answer), job),
            Asked::Waiting(_) => (None, hand.store.job(hand.job.id.as_str()).await?),
        })
    });
    display.done();
    let (answer, job) = asked?;
    hand.runtime.block_on(hand.store.close());
    if hand.json {
        let (request, state) = (ask, job.state);
        output.json_line(&Line::Asked { job: &job.id, request, answer: answer.as_ref(), state });
    } else {
        output.text(&answered(&job, ask, answer.as_ref(), patience));
    }
    match answer {
        Some(Answer::Done) => Ok(()),
        Some(Answer::Refused(_)) => Err(Failure::silent(Kind::Usage)),
        // It ended otherwise meanwhile, or the answer is still to come.
        Some(Answer::Moot(_)) | None => Err(Failure::silent(Kind::Failed)),
    }
}

fn answered(job: &Job, ask: Ask, answer: Option<&Answer>, waited: Duration) -> String {
    let (id, name) = (&job.id, visible(&job.name));
    match answer {
        Some(Answer::Done) => stands(job),
        Some(Answer::Refused(why)) => {
            format!("{ERROR}refused{ERROR:#} to {ask} {id} ({name}): {}\n", visible(why))
        }
        Some(Answer::Moot(why)) => {
            let style = state(job.state);
            format!(
                "{id} ({name}) is {style}{}{style:#}, so there is nothing to {ask}: {}\n",
                job.state,
                visible(why)
            )
        }
        None => {
            let waited = span(i64::try_from(waited.as_millis()).unwrap_or(i64::MAX));
            let who = job.owner.as_ref().map(|owner| format!(" {}", owner.pid)).unwrap_or_default();
            format!(
                "{id} ({name}) was asked to {ask}. Process{who} has it and has not answered within {waited}; the \
                 request stays\n"
            )
        }
    }
}

/// Carries on with a job, or with all that nobody attends to.
pub fn resume(
    args: &ResumeArgs,
    workbench: &Workbench,
    given: &OperatorArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let until = until(args.detach);
    let Some(job) = &args.job else { return resume_all(args, workbench, given, output) };
    let decision = match (&args.adopt, args.create_anew, args.give_up) {
        (Some(remote_id), ..) => Some(Decision::Adopt { remote_id: remote_id.clone() }),
        (None, true, _) => Some(Decision::CreateAnew),
        (None, false, true) => Some(Decision::GiveUp),
        (None, false, false) => None,
    };
    let hand = Hand::take(workbench, given, job, args.json)?;
    if hand.job.state == State::Paused && decision.is_none() && hand.job.owner.is_some() {
        let orphans = hand.runtime.block_on(hand.store.orphans())?;
        if !orphans.iter().any(|orphan| orphan.id == hand.job.id) {
            // Somebody waits with it; that process goes on.
            return ask_one(&hand, Ask::Resume, Duration::from_secs(60), output);
        }
    }
    hand.carry(until, output, async |executor, id| match decision {
        Some(decision) => executor.decide(id, decision, until).await,
        None => executor.resume(id, until).await,
    })
}

/// Tries a job again.
pub fn retry(
    args: &RetryArgs,
    workbench: &Workbench,
    given: &OperatorArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let until = until(args.detach);
    let hand = Hand::take(workbench, given, &args.job, args.json)?;
    hand.carry(until, output, async |executor, id| executor.retry(id, until).await)
}

/// Carries on with every job that nobody attends to. Paused ones wait for their user.
fn resume_all(
    args: &ResumeArgs,
    workbench: &Workbench,
    given: &OperatorArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let runtime = runtime()?;
    let orphans = runtime.block_on(async {
        let Some(store) = workbench.existing_store().await? else { return Ok(Vec::new()) };
        let orphans = store.orphans().await?;
        store.close().await;
        Ok::<_, Failure>(orphans)
    })?;
    let jobs: Vec<Job> = orphans.into_iter().filter(|job| job.state != State::Paused).collect();
    if jobs.is_empty() {
        if !args.json {
            output.text("every job that is not over has a process that attends to it\n");
        }
        return Ok(());
    }
    if args.detach {
        // One by one: each comes back soon.
        let mut worst = Ok(());
        for job in &jobs {
            let hand = Hand::take(workbench, given, job.id.as_str(), args.json);
            let carried = hand.and_then(|hand| {
                hand.carry(Until::Submitted, output, async |executor, id| {
                    executor.resume(id, Until::Submitted).await
                })
            });
            if let Err(error) = carried {
                output.error(&error, false);
                worst = Err(Failure::silent(error.kind()));
            }
        }
        return worst;
    }
    let mut worst = Ok(());
    for emulated in [false, true] {
        let these: Vec<&Job> =
            jobs.iter().filter(|job| (job.service == EMULATOR_SERVICE) == emulated).collect();
        let Some(first) = these.first() else { continue };
        let hand = Hand::take(workbench, given, first.id.as_str(), args.json)?;
        let display = Display::new(output, args.json);
        let executor = hand.executor(&display)?;
        let carried = hand.runtime.block_on(async {
            let carried = stream::iter(&these)
                .map(|job| {
                    display.begin(&job.id, &job.name);
                    let executor = &executor;
                    async move { (*job, executor.resume(&job.id, Until::End).await) }
                })
                .buffer_unordered(AT_A_TIME)
                .collect::<Vec<_>>();
            let carried = carried.await;
            hand.store.close().await;
            carried
        });
        display.done();
        for (job, result) in carried {
            match result {
                Ok(ended) => super::carry::report(&ended, args.json, &display, output),
                Err(error) => {
                    let error = Failure::from(error);
                    worst = Err(Failure::silent(error.kind()));
                    if args.json {
                        super::carry::failed(job, &error, output);
                    } else {
                        output.error(&error, false);
                    }
                }
            }
        }
    }
    worst
}
