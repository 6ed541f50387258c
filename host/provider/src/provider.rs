//! The seam that every provider stands behind.

use crate::drive::{Checked, Error, Execution, Work};
use crate::facts;
use crate::plan::{BaseModelFault, Made, Part, PlanError};
use tunesmith_core::ProviderId;
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::Rules;
use tunesmith_store::Job;

/// What a provider does its own way. What is true of each stands in [`facts`].
pub trait Provider {
    /// What it is asked for: its part of a plan.
    type Plan;

    /// Which one it is.
    const ID: ProviderId;

    /// Whether a base model can have this name.
    ///
    /// # Errors
    /// Why not.
    fn base_model(&self, name: &str) -> Result<(), BaseModelFault>;

    /// What a dataset for a base model is checked against, and by which tokenizer it is
    /// counted.
    fn rules(&self, _base_model: &str) -> (Rules, Tokenizer) {
        (Rules::new(facts::of(Self::ID).target, None), Tokenizer::Cautious)
    }

    /// Plans a job.
    ///
    /// # Errors
    /// The base model cannot be used, or the method did not give a valid answer.
    fn plan(&self, part: Part<'_>) -> Result<Made<Self::Plan>, PlanError>;
}

/// A provider that carries jobs out, at a service.
pub trait Service: Provider {
    /// What talks to the service.
    type Client: Send + Sync;

    /// Where the service is.
    fn address(&self, client: &Self::Client) -> String;

    /// Looks whether the job can be carried out, before anything is recorded or changed.
    ///
    /// # Errors
    /// The service cannot be reached or refuses; the base model is missing or gone; the
    /// model's name is taken; the plan does not fit the model's context.
    fn check(
        &self,
        client: &Self::Client,
        plan: &Self::Plan,
        execution: &Execution,
    ) -> impl Future<Output = Result<Checked, Error>> + Send;

    /// Carries a job on from wherever it stands.
    ///
    /// # Errors
    /// The job is over without a model, or is left as it stands.
    fn drive(
        &self,
        client: Self::Client,
        plan: &Self::Plan,
        work: &mut Work,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether a remote job can be adopted by the user's word. Asked only where
    /// [`remote_jobs`](facts::Facts::remote_jobs) is true.
    ///
    /// # Errors
    /// There is none of that id, or it belongs to another run.
    fn check_adoptable(
        &self,
        _client: &Self::Client,
        _job: &Job,
        _remote_id: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Deletes an uploaded file; false if the service does not have it. Asked only where
    /// [`uploads`](facts::Facts::uploads) is true.
    ///
    /// # Errors
    /// The service cannot be reached or refuses.
    fn remove_file(
        &self,
        _client: &Self::Client,
        _remote_id: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(false))
    }

    /// The command that talks to a model at a service; `None` where its name cannot
    /// safely go to a shell.
    fn try_it(&self, service: &str, model: &str) -> Option<String>;

    /// Asks the service whether it is there.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    fn diagnose(&self, client: &Self::Client) -> impl Future<Output = Result<Health, Error>> + Send;
}

/// What a service says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Where the service tells it.
    pub version: Option<String>,
    /// It is an emulator.
    pub emulated: bool,
    /// How many models it lists.
    pub models: usize,
}
