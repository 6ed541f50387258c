//! Changes: a move of the state machine with everything that belongs to it.

use super::error::Error;
use super::event::{Event, NewEvent};
use super::facts::Facts;
use super::file::NewUpload;
use super::intent::{Intent, IntentId, Outcome};
use super::job::Job;
use super::model::{Model, NewModel};
use super::operation::Operation;
use super::request::{Answer, RequestId};
use super::state::State;

/// What to change, all of it or nothing. Putting a result, the next state and the next
/// intent into one change saves flushes to the disk.
#[derive(Debug, Clone, Default)]
#[must_use = "a change does nothing until it is applied"]
pub struct Change {
    pub(crate) to: Option<State>,
    pub(crate) reason: Option<String>,
    pub(crate) settle: Vec<(IntentId, Outcome)>,
    pub(crate) intend: Option<(Operation, String)>,
    pub(crate) models: Vec<NewModel>,
    pub(crate) verified: Vec<String>,
    pub(crate) uploads: Vec<NewUpload>,
    pub(crate) answers: Vec<(RequestId, Answer)>,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) release: bool,
}

/// What a change made.
#[derive(Debug)]
pub struct Applied {
    /// The job as it is now.
    pub job: Job,
    /// The intent that was recorded. It is on the disk: the effect may be sent.
    pub intent: Option<Intent>,
}

impl Change {
    /// A move to this state. To `planned` from a job that failed or was cancelled begins
    /// a new attempt, with a new run id.
    pub fn to(state: State) -> Self {
        Self { to: Some(state), ..Self::default() }
    }

    /// A change that leaves the state as it is.
    pub fn stay() -> Self {
        Self::default()
    }

    /// Why: stored with the job and its event.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Records what is about to be done. The hash is of the request that will be sent.
    pub fn intend(mut self, operation: Operation, request_hash: impl Into<String>) -> Self {
        self.intend = Some((operation, request_hash.into()));
        self
    }

    /// Records what became of an earlier intent.
    pub fn settle(mut self, intent: IntentId, outcome: Outcome) -> Self {
        self.settle.push((intent, outcome));
        self
    }

    /// Records a model that the attempt made, as yet unverified.
    pub fn model(mut self, model: NewModel) -> Self {
        self.models.push(model);
        self
    }

    /// Records that this model of the attempt has answered.
    pub fn verified(mut self, model: impl Into<String>) -> Self {
        self.verified.push(model.into());
        self
    }

    /// Records a file that is now at the service.
    pub fn uploaded(mut self, file: NewUpload) -> Self {
        self.uploads.push(file);
        self
    }

    /// Answers a request from another shell.
    pub fn answer(mut self, request: RequestId, answer: Answer) -> Self {
        self.answers.push((request, answer));
        self
    }

    /// Records what happened before the change.
    pub fn after(mut self, events: impl IntoIterator<Item = NewEvent>) -> Self {
        self.events.extend(events);
        self
    }

    /// Gives the job back.
    pub fn release(mut self) -> Self {
        self.release = true;
        self
    }

    /// With every free text passed through `text`.
    pub(crate) fn with_texts(mut self, text: impl Fn(&str) -> String + Copy) -> Self {
        self.reason = self.reason.as_deref().map(text);
        for (_, outcome) in &mut self.settle {
            *outcome = outcome.with_detail(text);
        }
        for model in &mut self.models {
            model.made = text(&model.made);
        }
        for (_, answer) in &mut self.answers {
            *answer = answer.with_detail(text);
        }
        self
    }

    /// Records the outcomes in the intents of the job, as the change will; for each create
    /// that succeeded, the attempt and the remote id that it gets.
    ///
    /// # Errors
    /// [`Error::NoSuchIntent`] for one that is settled or not of this job;
    /// [`Error::Invalid`].
    pub(crate) fn settle_in(&self, job: &Job, intents: &mut [Intent]) -> Result<Vec<(u32, String)>, Error> {
        let mut adopted = Vec::new();
        for (id, outcome) in &self.settle {
            let intent = intents
                .iter_mut()
                .find(|intent| intent.id == *id && intent.outcome.is_none())
                .ok_or_else(|| Error::NoSuchIntent { job: job.id.clone(), intent: id.0 })?;
            if let Some(remote_id) = outcome.adopts(intent.operation)? {
                adopted.push((intent.attempt, remote_id.to_owned()));
            }
            intent.outcome = Some(outcome.clone());
        }
        Ok(adopted)
    }

    /// The move that the change makes from the job's state.
    ///
    /// # Errors
    /// [`Error::IllegalMove`].
    pub(crate) fn step(&self, job: &Job) -> Result<Option<Move>, Error> {
        let Some(to) = self.to else { return Ok(None) };
        if !job.state.next().contains(&to) {
            return Err(Error::IllegalMove { job: job.id.clone(), from: job.state, to });
        }
        let begins_attempt = to == State::Planned;
        Ok(Some(Move {
            from: job.state,
            to,
            reason: self.reason.clone(),
            attempt: job.attempt + u32::from(begins_attempt),
            begins_attempt,
        }))
    }

    /// The operation that is intended and its request's hash, if the job may do it.
    ///
    /// # Errors
    /// [`Error::OutOfPlace`]; [`Error::StillOpen`].
    pub(crate) fn intent_in(
        &self,
        job: &Job,
        intents: &[Intent],
    ) -> Result<Option<(Operation, &str)>, Error> {
        let Some((operation, hash)) = &self.intend else { return Ok(None) };
        let operation = *operation;
        if !operation.allowed_in(job.state) {
            return Err(Error::OutOfPlace { job: job.id.clone(), operation, state: job.state });
        }
        let mut open = intents.iter().filter(|i| i.attempt == job.attempt && i.outcome.is_none());
        if open.any(|intent| intent.operation == operation) {
            return Err(Error::StillOpen { job: job.id.clone(), operation, run_id: job.run_id.clone() });
        }
        Ok(Some((operation, hash)))
    }
}

/// Whether the job may be in its state, as its intents and models are recorded.
///
/// # Errors
/// [`Error::Unfounded`].
pub(crate) fn check_founded(job: &Job, intents: &[Intent], models: &[Model]) -> Result<(), Error> {
    let facts = Facts::of(job, intents, models);
    facts.allow(job.state).map_err(|why| Error::Unfounded { job: job.id.clone(), state: job.state, why })
}

/// A legal move from one state to another.
#[derive(Debug)]
pub(crate) struct Move {
    pub from: State,
    pub to: State,
    pub reason: Option<String>,
    /// The attempt after the move.
    pub attempt: u32,
    pub begins_attempt: bool,
}

impl Move {
    /// When the attempt ended, if the move ends it.
    pub fn ended_ms(&self, now_ms: i64) -> Option<i64> {
        self.to.is_final().then_some(now_ms)
    }

    /// What the job's history says of it.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        let (from, to, reason) = (Some(self.from), self.to, self.reason.clone());
        let result = Event::Result { state: to, reason: reason.clone(), outcome: None };
        std::iter::once(Event::State { from, to, reason }).chain(to.is_final().then_some(result))
    }
}
