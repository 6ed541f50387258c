//! A job in hand: the claim on it, every write in its name, and what others ask of it.

use super::outbox::Outbox;
use super::patience::ASKED_EVERY;
use super::{Error, Execution, OUTCOME_NOTE, Patience, Shared, Until};
use crate::artifacts::{self, Artifact};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, sleep};
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::Failure;
use tunesmith_core::time::now_ms;
use tunesmith_store::{
    Answer, Ask, Batch, Change, Claim, Event, Intent, Job, Level, NewArtifact, NewEvent, Operation, Outcome,
    Request, Situation, State, Store,
};

/// A job that this process carries on.
pub struct Work {
    pub(crate) shared: Arc<Shared>,
    /// The job.
    pub job: Job,
    pub(crate) execution: Execution,
    artifacts: Vec<Artifact>,
    pub(crate) patience: Patience,
    claim: Claim,
    until: Until,
    outbox: Mutex<Outbox>,
}

impl Work {
    /// Takes a job in hand. `artifacts` are the files that its plan leaves behind.
    pub fn new(
        shared: Arc<Shared>,
        job: Job,
        claim: Claim,
        until: Until,
        execution: Execution,
        artifacts: Vec<Artifact>,
    ) -> Self {
        let patience = shared
            .options
            .patience
            .unwrap_or_else(|| if job.emulated { Patience::emulator() } else { Patience::default() });
        Self { shared, job, execution, artifacts, patience, claim, until, outbox: Mutex::default() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// How far to go: less far once the user wants to leave.
    pub(crate) fn until(&self) -> Until {
        if self.shared.is_leaving() && self.until == Until::End { Until::Submitted } else { self.until }
    }

    /// Reports an event: it is shown at once and stored with the next write, or with a
    /// look at [what is asked](Self::requests).
    pub(crate) fn report(&self, event: Event) {
        let new = NewEvent::own(now_ms(), event);
        self.show(&new);
        self.outbox().add(&new);
    }

    /// Reports what is being done.
    pub(crate) fn phase(&self, phase: &str, detail: Option<String>) {
        self.report(Event::Phase { phase: phase.to_owned(), detail });
    }

    /// Reports a failure that may pass.
    pub(crate) fn waiting(&self, why: &dyn std::fmt::Display) {
        self.report(Event::Waiting { text: why.to_string() });
    }

    fn show(&self, new: &NewEvent) {
        (self.shared.options.on_progress)(&self.job.id, new);
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // Every write is whole, so a panic elsewhere leaves nothing half-done.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change; the intent that it recorded, if it did.
    pub(crate) async fn apply(&mut self, change: Change) -> Result<Option<Intent>, Error> {
        let from = self.job.state;
        let reported = self.outbox().take();
        let applied = self.store().apply(&self.claim, change.after(reported.clone())).await;
        let applied = applied.inspect_err(|_| self.outbox().put_back(reported))?;
        self.job = applied.job;
        if self.job.state != from {
            tracing::info!(from = from.as_str(), to = self.job.state.as_str(), "state");
            let reason = self.job.reason.clone();
            self.show(&NewEvent::own(
                now_ms(),
                Event::State { from: Some(from), to: self.job.state, reason },
            ));
        }
        Ok(applied.intent)
    }

    /// Applies a change that records an intent.
    pub(crate) async fn intend(
        &mut self,
        change: Change,
        operation: Operation,
        request_hash: &str,
    ) -> Result<Intent, Error> {
        let missing = || tunesmith_store::Error::Fault { detail: "an intent was not recorded".into() };
        Ok(self.apply(change.intend(operation, request_hash)).await?.ok_or_else(missing)?)
    }

    /// Asks the service again while it fails in ways that pass, for as long as contact may
    /// be lost: only where the job is to be carried to its end, and nobody wants to
    /// cancel it or to leave.
    pub(crate) async fn patiently<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        passes: impl Fn(&E) -> bool,
        ask: impl Fn() -> F,
    ) -> Result<T, E> {
        let begun = Instant::now();
        loop {
            match ask().await {
                Err(error)
                    if passes(&error)
                        && begun.elapsed() < self.patience.contact
                        && self.until() == Until::End
                        && matches!(self.cancel_asked().await, Ok(None)) =>
                {
                    self.waiting(&error);
                    sleep(self.patience.look).await;
                }
                other => return other,
            }
        }
    }

    /// Everything that is known of how far the job came.
    pub(crate) async fn situation(&mut self) -> Result<Situation, Error> {
        let situation = self.store().situation(&self.job.id).await?;
        self.job = situation.job.clone();
        Ok(situation)
    }

    /// Whether the claim still holds; asked right before an effect.
    pub(crate) async fn confirm(&self) -> Result<(), Error> {
        Ok(self.store().confirm(&self.claim).await?)
    }

    /// Appends what a look brought, and what was reported before.
    pub(crate) async fn append(&self, mut batch: Batch) -> Result<(), Error> {
        let reported = self.outbox().take();
        let brought = std::mem::replace(&mut batch.events, reported.clone());
        batch.events.extend_from_slice(&brought);
        let appended = self.store().append(&self.claim, &batch).await;
        appended.inspect_err(|_| self.outbox().put_back(reported))?;
        brought.iter().for_each(|new| self.show(new));
        Ok(())
    }

    /// Stores what was reported and has waited for long. Where that fails, the next write
    /// says why.
    async fn flush(&self) {
        if self.outbox().is_due() {
            let _ = self.append(Batch::default()).await;
        }
    }

    /// Stores that the work on the job ended with an error, unless the job was settled
    /// and given back: then its result says so. Whoever called is told the error itself.
    pub fn note_failure(&self, error: &Error) {
        if self.job.owner.is_none() {
            return;
        }
        let failure = match error {
            Error::Service(failure) | Error::Setup(failure) => failure.clone(),
            error => Failure::new(error.code(), error.to_string()).advise_all(error.advice()),
        };
        self.outbox().add(&NewEvent::own(now_ms(), Event::Failed { error: failure }));
    }

    /// Keeps how far an intent has come.
    pub(crate) async fn note_intent(&self, intent: &Intent, note: &Value) -> Result<(), Error> {
        Ok(self.store().note(&self.claim, intent.id, note).await?)
    }

    /// Records an event of tunesmith's own.
    pub(crate) async fn note(&self, level: Level, text: &str) -> Result<(), Error> {
        self.write_note(level, text, None).await
    }

    /// Records what belongs to the outcome.
    pub(crate) async fn note_outcome(&self, text: &str) -> Result<(), Error> {
        self.write_note(Level::Info, text, Some(json!({ OUTCOME_NOTE: self.job.attempt }))).await
    }

    async fn write_note(&self, level: Level, text: &str, data: Option<Value>) -> Result<(), Error> {
        let event = NewEvent::own(now_ms(), Event::Message { level, text: text.to_owned(), data });
        self.append(Batch { events: vec![event], ..Batch::default() }).await
    }

    /// Writes the files that the plan leaves behind.
    pub(crate) async fn keep_plan(&self) -> Result<(), Error> {
        self.keep(self.artifacts.clone()).await
    }

    /// Writes files for the user and records them. A run without a place for artifacts
    /// writes none.
    pub(crate) async fn keep(&self, files: Vec<Artifact>) -> Result<(), Error> {
        let Some(base) = &self.shared.options.artifacts else { return Ok(()) };
        let folder = base.join(self.job.id.as_str());
        let records = files.iter().map(|file| NewArtifact {
            name: file.name.clone(),
            path: folder.join(&file.name).display().to_string(),
            sha256: Digest::of(&file.content).to_string(),
            bytes: file.content.len() as u64,
        });
        let artifacts = records.collect();
        let written = tokio::task::spawn_blocking(move || artifacts::write(&folder, &files)).await;
        written.map_err(|error| tunesmith_store::Error::Fault { detail: error.to_string() })??;
        self.append(Batch { artifacts, ..Batch::default() }).await
    }

    /// What is asked of the job and not answered, oldest first. Whatever waits for long
    /// looks here from time to time, so that what was reported meanwhile is stored too.
    pub(crate) async fn requests(&self) -> Result<Vec<Request>, Error> {
        self.flush().await;
        Ok(self.store().requests(&self.job.id).await?)
    }

    /// The open request to cancel, if there is one.
    pub(crate) async fn cancel_asked(&self) -> Result<Option<Request>, Error> {
        Ok(self.requests().await?.into_iter().find(|request| request.ask == Ask::Cancel))
    }

    /// Waits until something is asked of the job.
    pub(crate) async fn asked(&self) -> Result<(), Error> {
        while self.requests().await?.is_empty() {
            sleep(ASKED_EVERY).await;
        }
        Ok(())
    }

    /// Waits until the job is asked to be cancelled, and refuses everything else
    /// meanwhile.
    pub(crate) async fn asked_to_cancel(&self, why_not: &str) -> Result<(), Error> {
        loop {
            self.refuse_others(why_not).await?;
            if self.cancel_asked().await?.is_some() {
                return Ok(());
            }
            sleep(ASKED_EVERY).await;
        }
    }

    /// Refuses what has no place here: everything that is asked but a cancel.
    pub(crate) async fn refuse_others(&self, why: &str) -> Result<(), Error> {
        for request in self.requests().await?.into_iter().filter(|request| request.ask != Ask::Cancel) {
            let change = Change::stay().answer(request.id, Answer::Refused(why.to_owned()));
            self.store().apply(&self.claim, change).await?;
        }
        Ok(())
    }

    /// Records that the job failed, and gives the error to report.
    pub(crate) async fn fail(&mut self, change: Change, source: Error) -> Error {
        let reason = source.to_string();
        match self.apply(change.because(reason.clone()).release()).await {
            Ok(_) => Error::Failed { job: self.job.id.clone(), reason, source: Some(Box::new(source)) },
            Err(error) => error,
        }
    }

    /// The error for a job that is left as it stands.
    pub(crate) fn left(&self, source: Error) -> Error {
        match source {
            already @ (Error::Left { .. } | Error::Store(_)) => already,
            source => {
                Error::Left { job: self.job.id.clone(), state: self.job.state, source: Box::new(source) }
            }
        }
    }

    /// Cancels a job that the service does not have: there is nothing to undo there.
    pub(crate) async fn cancelled_here(&mut self, why: &str) -> Result<Error, Error> {
        let situation = self.situation().await?;
        let detail = format!("cancelled: {why}");
        let mut change = Change::to(State::Cancelled).because(why).release();
        for intent in &situation.open {
            change = change.settle(intent.id, Outcome::Absent { detail: detail.clone() });
        }
        self.apply(change).await?;
        Ok(self.cancelled())
    }

    /// The error that reports a cancelled job.
    pub(crate) fn cancelled(&self) -> Error {
        Error::Cancelled { job: self.job.id.clone(), reason: self.job.reason.clone() }
    }

    /// Gives the job back, unless its last change did.
    pub async fn release(self) -> Result<(), Error> {
        if self.job.owner.is_none() {
            return Ok(());
        }
        // Nobody else has these; without them the job is as well recorded as with them.
        let _ = self.append(Batch::default()).await;
        match self.shared.store.release(self.claim).await {
            // Someone took it over: they have it now.
            Ok(()) | Err(tunesmith_store::Error::ClaimLost { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
