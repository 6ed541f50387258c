//! Carrying jobs out: from a plan to a verified model, so that nothing that happens on the
//! way loses the job or does it twice.
//!
//! Each effect on the world is recorded in the [`Store`] before it is sent, goes through
//! a [failpoint](tunesmith_provider::failpoint), and is settled after. A process that dies leaves a
//! job from which the next one reads what was perhaps sent; it looks at the service
//! before it sends anything again. A driver is a loop over the job's state: a new job, a
//! resumed one and one after a crash take the same path.
//!
//! - [`Executor::check`] looks before anything is recorded: service, key, base model,
//!   name, context.
//! - [`Executor::submit`] records the job; [`Executor::drive`] carries it out.
//! - [`Executor::resume`], [`Executor::retry`], [`Executor::ask`], [`Executor::decide`]
//!   and [`Executor::recover`] go on with recorded jobs, from any process.
//! - [`follow()`] and [`outcome()`] read from the store alone.

mod carry_on;
mod follow;
mod outcome;
mod stored;
mod submission;

#[cfg(test)]
mod tests;

pub use carry_on::{Asked, Decision, Recovered};
pub use follow::follow;
pub use outcome::{Outcome, outcome};
pub use submission::Submission;
pub use tunesmith_provider::connect::Connect;
pub use tunesmith_provider::drive::{
    Checked, EMULATOR_SERVICE, Error, FINE_TUNED, OnProgress, Options, PROMPT_BAKED, Patience, Until,
};

use std::sync::Arc;
use stored::Stored;
use tunesmith_core::ProviderId;
use tunesmith_provider::AnyProvider;
use tunesmith_provider::drive::{Shared, Work};
use tunesmith_store::{Beating, Claim, Job, Store};

/// Carries jobs out. Clones share everything.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
    connect: Arc<dyn Connect>,
    _beating: Arc<Beating>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("store", &self.shared.store).finish_non_exhaustive()
    }
}

/// Where a job stands when the executor is done with it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The job.
    pub job: Job,
    /// What it made, once it succeeded.
    pub outcome: Option<Outcome>,
}

/// A recorded job, with the claim on it.
#[derive(Debug)]
pub struct Ticket {
    /// The job.
    pub job: Job,
    claim: Claim,
}

impl Executor {
    /// An executor over a store and a run's services. It shows that this process lives
    /// for as long as it exists, so it must be made within a tokio runtime.
    pub fn new(store: Store, connect: Arc<dyn Connect>, options: Options) -> Self {
        let beating = Arc::new(store.keep_beating());
        Self { shared: Arc::new(Shared::new(store, options)), connect, _beating: beating }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Asks all jobs in hand to stop where they can be left: at OpenAI once the service
    /// has them, on Ollama at once.
    pub fn leave(&self) {
        self.shared.leave();
    }

    /// Looks whether a job can be carried out, before anything is recorded or changed.
    ///
    /// # Errors
    /// The service cannot be reached or refuses; the base model is missing or gone; the
    /// model's name is taken; the plan does not fit the model's context.
    pub async fn check(&self, submission: &Submission) -> Result<Checked, Error> {
        let plan = &submission.planned.plan;
        let mut checked = plan.config.check(&*self.connect, &submission.execution()).await?;
        checked.service = self.service(plan.job.provider)?;
        Ok(checked)
    }

    /// Records a checked job, owned by this process.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn submit(&self, submission: &Submission, checked: &Checked) -> Result<Ticket, Error> {
        let new = submission.new_job(checked.service.clone(), checked.emulated)?;
        let (job, claim) = self.shared.store.create_owned(&new).await?;
        Ok(Ticket { job, claim })
    }

    /// Records a checked job that nobody owns yet, for another process to carry out.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn record(&self, submission: &Submission, checked: &Checked) -> Result<Job, Error> {
        let new = submission.new_job(checked.service.clone(), checked.emulated)?;
        Ok(self.shared.store.create(&new).await?)
    }

    /// Carries a recorded job out. What happens to it is in the store before this
    /// returns, and the claim is given back.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::Cancelled`] for a job that is over without a model;
    /// [`Error::Left`] and [`Error::Unknown`] for one that stands where it stood.
    pub async fn drive(&self, ticket: Ticket, until: Until) -> Result<Ended, Error> {
        self.carry(ticket.job, ticket.claim, until).await
    }

    #[tracing::instrument(name = "job", skip_all, fields(id = %job.id, provider = job.provider.as_str(), attempt = job.attempt))]
    async fn carry(&self, job: Job, claim: Claim, until: Until) -> Result<Ended, Error> {
        let stored = match Stored::load(&self.shared.store, &job.id).await {
            Ok(stored) => stored,
            Err(error) => {
                let _ = self.shared.store.release(claim).await;
                return Err(error);
            }
        };
        let plan = &stored.plan.config;
        let artifacts = plan.artifacts(&stored.document);
        let mut work = Work::new(Arc::clone(&self.shared), job, claim, until, stored.execution, artifacts);
        let result = match self.serves(&work.job) {
            Ok(()) => plan.drive(&*self.connect, &mut work).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            work.note_failure(error);
        }
        let id = work.job.id.clone();
        let released = work.release().await;
        result?;
        released?;
        self.ended(self.shared.store.job(id.as_str()).await?).await
    }

    /// Where a job stands, with its outcome.
    async fn ended(&self, job: Job) -> Result<Ended, Error> {
        let outcome = outcome::outcome(&self.shared.store, &job).await?;
        Ok(Ended { job, outcome })
    }

    /// What the store calls the service of a provider.
    fn service(&self, provider: ProviderId) -> Result<String, Error> {
        AnyProvider(provider).service(&*self.connect)
    }

    /// Whether this executor's services are the job's. Looking for a job at another
    /// service would find nothing, and send it again.
    fn serves(&self, job: &Job) -> Result<(), Error> {
        let ours = self.service(job.provider)?;
        if ours == job.service {
            return Ok(());
        }
        Err(Error::OtherService { job: job.id.clone(), theirs: job.service.clone(), ours })
    }
}
