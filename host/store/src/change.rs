//! Changes: a move of the state machine with everything that belongs to it, in one
//! synced transaction.

use super::connection::{Sync, Write};
use super::{
    Answer, Claim, Error, EventKind, Intent, IntentId, Job, Level, NewModel, NewUpload, Operation, Outcome,
    RequestId, State, Store,
};

/// What to change, all of it or nothing. Putting a result, the next state and the next
/// intent into one change saves flushes to the disk.
#[derive(Debug, Clone, Default)]
#[must_use = "a change does nothing until it is applied"]
pub struct Change {
    to: Option<State>,
    reason: Option<String>,
    settle: Vec<(IntentId, Outcome)>,
    intend: Option<(Operation, String)>,
    models: Vec<NewModel>,
    verified: Vec<String>,
    uploads: Vec<NewUpload>,
    answers: Vec<(RequestId, Answer)>,
    release: bool,
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

    /// Why: kept with the job and shown in the event.
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

    /// Gives the job back.
    pub fn release(mut self) -> Self {
        self.release = true;
        self
    }
}

impl Store {
    /// Applies a change to the claim's job.
    ///
    /// # Errors
    /// [`Error::ClaimLost`]; [`Error::IllegalMove`]; [`Error::Unfounded`] if the new state
    /// would claim what is not recorded; [`Error::OutOfPlace`] and [`Error::StillOpen`]
    /// for an intent that the state or an earlier one forbids; [`Error::NoSuchIntent`].
    /// Whatever the error, nothing was changed.
    pub async fn apply(&self, claim: &Claim, change: Change) -> Result<Applied, Error> {
        let mut tx = self.inner.write(Sync::Full).await?;
        match self.change(&mut tx, claim, change).await {
            Ok(applied) => {
                tx.commit().await?;
                Ok(applied)
            }
            Err(error) => {
                // The error that matters is the first; a failed rollback undoes as well,
                // with the connection.
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    }

    async fn change(&self, tx: &mut Write, claim: &Claim, change: Change) -> Result<Applied, Error> {
        let now_ms = self.now_ms();
        super::owner::check(tx, claim).await?;
        let id = claim.job();
        for (intent, outcome) in &change.settle {
            super::intent::settle(tx, self, id, *intent, outcome, now_ms).await?;
        }
        let mut job = super::job::by_id(tx, id).await?;
        for model in &change.models {
            super::model::insert(tx, self, &job, model, now_ms).await?;
        }
        for name in &change.verified {
            super::model::verify(tx, &job, name, now_ms).await?;
        }
        for file in &change.uploads {
            super::file::insert(tx, &job, file, now_ms).await?;
        }
        if let Some(to) = change.to {
            self.step(tx, &mut job, to, change.reason.as_deref(), now_ms).await?;
        }
        let mut intent = None;
        if let Some((operation, hash)) = &change.intend {
            if !operation.allowed_in(job.state) {
                return Err(Error::OutOfPlace { job: job.id, operation: *operation, state: job.state });
            }
            intent = Some(super::intent::open(tx, &job, *operation, hash, now_ms).await?);
        }
        let facts = super::intent::facts(tx, id, job.attempt).await?;
        job.state.check(facts).map_err(|why| Error::Unfounded { job: id.clone(), state: job.state, why })?;
        for (request, answer) in &change.answers {
            super::request::answer(tx, self, id, *request, answer, now_ms).await?;
        }
        if job.state.is_final() {
            super::request::close(tx, &job, now_ms).await?;
        }
        if change.release {
            super::owner::give_back_claim(tx, claim).await?;
        }
        super::job::touch(tx, id).await?;
        Ok(Applied { job: super::job::by_id(tx, id).await?, intent })
    }

    /// Moves the job, with its event.
    async fn step(
        &self,
        tx: &mut Write,
        job: &mut Job,
        to: State,
        reason: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let from = job.state;
        super::state::check_move(&job.id, from, to)?;
        let reason = reason.map(|reason| self.redactor().text(reason));
        if to == State::Planned {
            job.attempt += 1;
            super::create::begin_attempt(tx, &job.id, job.attempt, now_ms).await?;
            tx.execute(
                sqlx::query("UPDATE jobs SET step = NULL, total_steps = NULL WHERE id = ?")
                    .bind(job.id.as_str()),
            )
            .await?;
        }
        let ended_ms = to.is_final().then_some(now_ms);
        tx.execute(
            sqlx::query("UPDATE attempts SET ended_ms = ? WHERE job = ? AND number = ?")
                .bind(ended_ms)
                .bind(job.id.as_str())
                .bind(job.attempt),
        )
        .await?;
        tx.execute(
            sqlx::query("UPDATE jobs SET state = ?, reason = ?, attempt = ?, changed_ms = ? WHERE id = ?")
                .bind(to.as_str())
                .bind(&reason)
                .bind(job.attempt)
                .bind(now_ms)
                .bind(job.id.as_str()),
        )
        .await?;
        let message = match &reason {
            Some(reason) => format!("{to}: {reason}"),
            None => to.to_string(),
        };
        let level = match to {
            State::Failed => Level::Error,
            State::Unknown => Level::Warning,
            _ => Level::Info,
        };
        super::event::own(tx, &job.id, now_ms, EventKind::State { from: Some(from), to }, level, &message)
            .await?;
        *job = super::job::by_id(tx, &job.id).await?;
        Ok(())
    }
}
