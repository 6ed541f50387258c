//! The seam that every provider stands behind.

use crate::drive::{Connect, Error, Shared};
use crate::facts::Facts;
use crate::plan::{BaseModelFault, Made, Part, PlanError};
use crate::provider_plan::ProviderPlan;
use futures_util::future::BoxFuture;
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::Rules;
use tunesmith_store::Job;

/// A provider: what is done differently for each. What is true of each is in
/// [`Facts`]; what depends on a plan is in [`ProviderPlan`].
pub trait Provider: Send + Sync {
    /// Its row in the table.
    fn facts(&self) -> &'static Facts;

    /// Whether a base model can have this name.
    ///
    /// # Errors
    /// Why not.
    fn base_model(&self, name: &str) -> Result<(), BaseModelFault>;

    /// What a dataset for a base model is checked against, and by which tokenizer it is
    /// counted.
    fn rules(&self, _base_model: &str) -> (Rules, Tokenizer) {
        (Rules::new(self.facts().target, None), Tokenizer::Cautious)
    }

    /// Plans a job.
    ///
    /// # Errors
    /// The base model cannot be used, or the method did not give a valid answer.
    fn plan(&self, part: Part<'_>) -> Result<Made<ProviderPlan>, PlanError>;

    /// The address of the service that jobs are carried out at.
    ///
    /// # Errors
    /// Its client cannot be set up, or there is none.
    fn service(&self, connect: &dyn Connect) -> Result<String, Error>;

    /// Whether a remote job can be adopted by the user's word. Asked only of providers
    /// that have remote jobs.
    fn check_adoptable<'a>(
        &'a self,
        _shared: &'a Shared,
        _job: &'a Job,
        _remote_id: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Deletes an uploaded file; false if the service does not have it. Asked only of
    /// providers that take uploads.
    fn remove_file<'a>(
        &'a self,
        _connect: &'a dyn Connect,
        _remote_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// The command that talks to a model at a service; `None` where its name cannot
    /// safely go to a shell.
    fn try_it(&self, service: &str, model: &str) -> Option<String>;

    /// Asks the service whether it is there.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    fn diagnose<'a>(&'a self, connect: &'a dyn Connect) -> BoxFuture<'a, Result<Health, Error>>;
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
