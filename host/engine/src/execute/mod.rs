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
mod connect;
mod error;
mod follow;
mod ollama;
mod openai;
mod outcome;
mod patience;
mod progress;
mod recorded;
mod work;

#[cfg(test)]
mod tests;

pub use carry_on::{Asked, Decision, Recovered};
pub use connect::{Connect, EMULATOR_SERVICE};
pub use error::Error;
pub use follow::follow;
pub use outcome::{FINE_TUNED, Outcome, PROMPT_BAKED, outcome};
pub use patience::Patience;
pub use progress::{OnProgress, Progress, Transfer};
pub use recorded::Submission;

use recorded::Asked as AskedOf;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tunesmith_provider::Provider;
use tunesmith_store::{Beating, Claim, Job, Store};
use work::Work;

/// How an executor works.
#[derive(Clone)]
pub struct Options {
    /// How long it waits; `None` chooses by the service.
    pub patience: Option<Patience>,
    /// Where the files that jobs leave behind go, a folder for each job; `None` writes
    /// none.
    pub artifacts: Option<PathBuf>,
    /// Who hears of progress.
    pub on_progress: OnProgress,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: None, artifacts: None, on_progress: Arc::new(|_, _| ()) }
    }
}

/// Carries jobs out. Clones share everything.
#[derive(Clone)]
pub struct Executor(Arc<Inner>);

struct Inner {
    store: Store,
    connect: Arc<dyn Connect>,
    options: Options,
    leaving: watch::Sender<bool>,
    _beating: Beating,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("store", &self.0.store).finish_non_exhaustive()
    }
}

/// How far a job is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it is over.
    End,
    /// Until the service has it, and it needs nobody for a while: a detached job. On
    /// Ollama, where nothing goes on without a client, until it is over.
    Submitted,
    /// Until what was asked of it is answered.
    Answered,
}

/// Where a job stands when the executor is done with it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The job.
    pub job: Job,
    /// What it made, once it succeeded.
    pub outcome: Option<Outcome>,
}

/// What [`Executor::check`] found, for people.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What the user should know before going on.
    pub notes: Vec<String>,
    /// The service, as the store will call it.
    pub service: String,
    /// It is an emulator: nothing is trained, and no model is real.
    pub emulated: bool,
    /// The base model is missing and will be pulled.
    pub pulls: bool,
    /// A model of the name exists and will be replaced.
    pub replaces: bool,
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
        let beating = store.keep_beating();
        let (leaving, _) = watch::channel(false);
        Self(Arc::new(Inner { store, connect, options, leaving, _beating: beating }))
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Asks all jobs in hand to stop where they can be left: at OpenAI once the service
    /// has them, on Ollama at once.
    pub fn leave(&self) {
        self.0.leaving.send_replace(true);
    }

    fn is_leaving(&self) -> bool {
        *self.0.leaving.borrow()
    }

    /// Waits until [`Executor::leave`] is called.
    async fn left(&self) {
        let mut leaving = self.0.leaving.subscribe();
        // The sender lives as long as this executor.
        let _ = leaving.wait_for(|leaving| *leaving).await;
    }

    /// Looks whether a job can be carried out, before anything is recorded or changed.
    ///
    /// # Errors
    /// The service cannot be reached or refuses; the base model is missing or gone; the
    /// model's name is taken; the plan does not fit the model's context.
    pub async fn check(&self, submission: &Submission) -> Result<Checked, Error> {
        let recorded = submission.recorded()?;
        let mut checked = match &recorded.asked {
            AskedOf::Ollama(asked) => ollama::check(self, asked, &recorded.execution).await?,
            AskedOf::OpenAi(asked) => openai::check(self, asked).await?,
            AskedOf::Local(_) => return Err(Error::NotRunnable(Provider::Local)),
        };
        let provider = submission.planned.plan.job.provider;
        checked.service = connect::service(&*self.0.connect, provider).map_err(Error::Setup)?;
        Ok(checked)
    }

    /// Records a checked job, owned by this process.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn submit(&self, submission: &Submission, checked: &Checked) -> Result<Ticket, Error> {
        let new = submission.new_job(checked.service.clone(), checked.emulated)?;
        let (job, claim) = self.0.store.create_owned(&new).await?;
        Ok(Ticket { job, claim })
    }

    /// Records a checked job that nobody owns yet, for another process to carry out.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn record(&self, submission: &Submission, checked: &Checked) -> Result<Job, Error> {
        let new = submission.new_job(checked.service.clone(), checked.emulated)?;
        Ok(self.0.store.create(&new).await?)
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

    #[tracing::instrument(name = "job", skip_all, fields(id = %job.id, provider = job.provider, attempt = job.attempt))]
    async fn carry(&self, job: Job, claim: Claim, until: Until) -> Result<Ended, Error> {
        let mut work = Work::new(self.clone(), job, claim, until).await?;
        let result = match self.serves(&work.job) {
            Ok(()) => match &work.plan.asked {
                AskedOf::Ollama(asked) => {
                    let asked = asked.clone();
                    ollama::drive(&mut work, &asked).await
                }
                AskedOf::OpenAi(asked) => {
                    let asked = asked.clone();
                    openai::drive(&mut work, &asked).await
                }
                AskedOf::Local(_) => Err(Error::NotRunnable(Provider::Local)),
            },
            Err(error) => Err(error),
        };
        let id = work.job.id.clone();
        let released = work.release().await;
        result?;
        released?;
        self.ended(self.0.store.job(id.as_str()).await?).await
    }

    /// Where a job stands, with its outcome.
    async fn ended(&self, job: Job) -> Result<Ended, Error> {
        let outcome = outcome::outcome(&self.0.store, &job).await?;
        Ok(Ended { job, outcome })
    }

    /// Whether this executor's services are the job's. Looking for a job at another
    /// service would find nothing, and send it again.
    fn serves(&self, job: &Job) -> Result<(), Error> {
        let ours = connect::service(&*self.0.connect, recorded::provider(job)?).map_err(Error::Setup)?;
        if ours == job.service {
            return Ok(());
        }
        Err(Error::OtherService { job: job.id.clone(), theirs: job.service.clone(), ours })
    }
}
