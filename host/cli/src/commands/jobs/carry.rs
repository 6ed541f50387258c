//! Carrying a recorded job on from this shell: its services, its progress on the screen,
//! Ctrl-C, and what came of it.

use crate::options::OperatorArgs;
use crate::services::connect;
use crate::view::events::{Display, outcome_text};
use crate::view::line;
use crate::view::output::Output;
use crate::view::style::state;
use crate::{Workbench, runtime};
use crate::{detach, interrupt};
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tunesmith_core::failure::{Failure, Kind};
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_engine::execute::{self, EMULATOR_SERVICE, Ended, Executor, Until};
use tunesmith_provider::facts;
use tunesmith_store::{Event, Job, JobId, State, Store};

/// A job in hand.
pub(super) struct Hand<'a> {
    pub workbench: &'a Workbench,
    given: &'a OperatorArgs,
    pub runtime: Runtime,
    pub store: Store,
    pub job: Job,
    pub json: bool,
}

impl<'a> Hand<'a> {
    /// Finds a job.
    pub fn take(
        workbench: &'a Workbench,
        given: &'a OperatorArgs,
        job: &str,
        json: bool,
    ) -> Result<Self, Failure> {
        let runtime = runtime()?;
        let (store, job) = runtime.block_on(super::find(workbench, job))?;
        Ok(Self { workbench, given, runtime, store, job, json })
    }

    /// What can carry it on, at the services that it belongs to.
    pub fn executor(&self, display: &Display) -> Result<Executor, Failure> {
        let services = connect(self.workbench, self.job.service == EMULATOR_SERVICE)?;
        // It shows that this process lives, by a task of the runtime.
        let _entered = self.runtime.enter();
        Ok(self.workbench.executor(self.store.clone(), services, display.on_progress()))
    }

    /// Carries the job on by `work` and shows what came of it.
    pub fn carry(
        self,
        until: Until,
        output: &mut Output,
        work: impl AsyncFnOnce(&Executor, &JobId) -> Result<Ended, execute::Error>,
    ) -> Result<(), Failure> {
        let display = Display::new(output, self.json);
        let executor = self.executor(&display)?;
        if self.job.emulated && !self.json {
            output.progress_handle().say("emulated: nothing is trained, and no model is real");
        }
        let id = self.job.id.clone();
        let must_stay = facts::of(self.job.provider).client_must_stay;
        if must_stay && until == Until::Submitted {
            // Nothing goes on there without a client: it is begun, left at once, and a
            // runner in the background goes on with it.
            executor.leave();
        }
        let came: Result<(Ended, bool), Failure> = self.runtime.block_on(async {
            display.begin(&id, &self.job.name);
            let active = Arc::new(Mutex::new(vec![id.clone()]));
            let (ended, is_interrupted) = {
                let work = work(&executor, &id);
                tokio::pin!(work);
                tokio::select! {
                    ended = &mut work => (ended, false),
                    () = interrupt::asked() => interrupt::handle(&executor, &display, &active, work).await,
                }
            };
            display.done();
            let ended = ended?;
            if !ended.job.state.is_final() && must_stay && (is_interrupted || until == Until::Submitted) {
                let job = detach::hand_over(self.workbench, self.given, &executor, &ended.job).await?;
                return Ok((Ended { job, outcome: None }, is_interrupted));
            }
            Ok((ended, is_interrupted))
        });
        let result = match came {
            Ok((ended, is_interrupted)) => {
                report(&ended, self.json, &display, output);
                if is_interrupted {
                    Err(Failure::silent(Kind::Interrupted))
                } else {
                    outcome_code(ended.job.state)
                }
            }
            Err(error) => Err(self.failed(error, output)),
        };
        self.runtime.block_on(self.store.close());
        result
    }

    /// An error in the form that the reader asked for.
    fn failed(&self, error: Failure, output: &mut Output) -> Failure {
        if !self.json {
            return error;
        }
        failed(&self.job, &error, output);
        Failure::silent(error.kind())
    }
}

/// Tells a program why the work on a job ended.
pub(super) fn failed(job: &Job, error: &Failure, output: &mut Output) {
    let failed = Event::Failed { error: error.clone() };
    output.json_line(&line::of_event(Some(&job.id), None, now_ms(), &failed));
}

/// Shows where a job stands when this command is done with it.
pub(super) fn report(ended: &Ended, json: bool, display: &Display, output: &mut Output) {
    let job = &ended.job;
    if json {
        output.json_line(&line::of_event(Some(&job.id), None, now_ms(), &line::result(ended)));
        return;
    }
    match (&ended.outcome, job.state) {
        (Some(outcome), _) => output.text(&outcome_text(job, outcome)),
        (None, state) if state.is_final() || state == State::Paused => output.text(&stands(job)),
        (None, _) => display.detached(job, output),
    }
}

/// Where a job stands, on one line, with what one would do next.
pub(super) fn stands(job: &Job) -> String {
    let style = state(job.state);
    let why = job.reason.as_deref().map(|why| format!(": {}", visible(why))).unwrap_or_default();
    let next = match job.state {
        State::Failed | State::Cancelled => format!("\n  next  tunesmith jobs retry {}", job.id),
        State::Paused => format!("\n  next  tunesmith jobs resume {}", job.id),
        _ => String::new(),
    };
    format!("{} ({}) is {style}{}{style:#}{why}{next}\n", job.id, visible(&job.name), job.state)
}

/// What a job's state means for whoever waited for it to be done.
pub(super) fn outcome_code(state: State) -> Result<(), Failure> {
    match state {
        State::Failed | State::Cancelled => Err(Failure::silent(Kind::Failed)),
        _ => Ok(()),
    }
}
