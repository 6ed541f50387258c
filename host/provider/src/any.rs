//! Any provider, chosen while the program runs: the one place that matches on them.

use crate::connect::Connect;
use crate::drive::{Checked, EMULATOR_SERVICE, Error, Execution, Work};
use crate::facts::{self, Facts};
use crate::local::provider::Local;
use crate::ollama::provider::Ollama;
use crate::openai::provider::OpenAi;
use crate::plan::{BaseModelFault, Made, Part, PlanError};
use crate::provider::{Health, Provider as _, Service as _};
use crate::provider_plan::ProviderPlan;
use tunesmith_core::ProviderId;
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::Rules;
use tunesmith_store::Job;

/// A provider by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyProvider(pub ProviderId);

/// Does the same with each provider.
macro_rules! each {
    ($id:expr, $provider:ident => $do:expr) => {
        match $id {
            ProviderId::Ollama => {
                let $provider = Ollama;
                $do
            }
            ProviderId::OpenAi => {
                let $provider = OpenAi;
                $do
            }
            ProviderId::Local => {
                let $provider = Local;
                $do
            }
        }
    };
}

/// Does the same at the service of each provider that has one.
macro_rules! at_each {
    ($id:expr, $connect:expr, ($provider:ident, $client:ident) => $do:expr) => {
        match $id {
            ProviderId::Ollama => {
                let ($provider, $client) = (Ollama, $connect.ollama().map_err(Error::Setup)?);
                $do
            }
            ProviderId::OpenAi => {
                let ($provider, $client) = (OpenAi, $connect.openai().map_err(Error::Setup)?);
                $do
            }
            ProviderId::Local => return Err(Error::NotRunnable(ProviderId::Local)),
        }
    };
}

impl AnyProvider {
    /// What is true of it.
    pub fn facts(self) -> &'static Facts {
        facts::of(self.0)
    }

    /// Whether a base model can have this name.
    ///
    /// # Errors
    /// Why not.
    pub fn base_model(self, name: &str) -> Result<(), BaseModelFault> {
        each!(self.0, provider => provider.base_model(name))
    }

    /// What a dataset for a base model is checked against, and by which tokenizer it is
    /// counted.
    pub fn rules(self, base_model: &str) -> (Rules, Tokenizer) {
        each!(self.0, provider => provider.rules(base_model))
    }

    /// Plans a job.
    ///
    /// # Errors
    /// The base model cannot be used, or the method did not give a valid answer.
    pub fn plan(self, part: Part<'_>) -> Result<Made<ProviderPlan>, PlanError> {
        Ok(match self.0 {
            ProviderId::Ollama => Ollama.plan(part)?.map(ProviderPlan::Ollama),
            ProviderId::OpenAi => OpenAi.plan(part)?.map(ProviderPlan::OpenAi),
            ProviderId::Local => Local.plan(part)?.map(ProviderPlan::Local),
        })
    }

    /// What the store calls its service.
    ///
    /// # Errors
    /// Its client cannot be set up, or it carries no jobs out.
    pub fn service(self, connect: &dyn Connect) -> Result<String, Error> {
        if connect.is_emulated() {
            return Ok(EMULATOR_SERVICE.to_owned());
        }
        at_each!(self.0, connect, (provider, client) => Ok(provider.address(&client)))
    }

    /// Whether a remote job can be adopted by the user's word.
    ///
    /// # Errors
    /// There is none of that id, or it belongs to another run.
    pub async fn check_adoptable(
        self,
        connect: &dyn Connect,
        job: &Job,
        remote_id: &str,
    ) -> Result<(), Error> {
        at_each!(self.0, connect, (provider, client) => {
            provider.check_adoptable(&client, job, remote_id).await
        })
    }

    /// Deletes an uploaded file; false if the service does not have it.
    ///
    /// # Errors
    /// The service cannot be reached or refuses.
    pub async fn remove_file(self, connect: &dyn Connect, remote_id: &str) -> Result<bool, Error> {
        at_each!(self.0, connect, (provider, client) => provider.remove_file(&client, remote_id).await)
    }

    /// The command that talks to a model at a service; `None` where there is none that is
    /// safe to give.
    pub fn try_it(self, service: &str, model: &str) -> Option<String> {
        match self.0 {
            _ if service == EMULATOR_SERVICE => None,
            ProviderId::Ollama => Ollama.try_it(service, model),
            ProviderId::OpenAi => OpenAi.try_it(service, model),
            ProviderId::Local => None,
        }
    }

    /// Asks its service whether it is there.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn diagnose(self, connect: &dyn Connect) -> Result<Health, Error> {
        at_each!(self.0, connect, (provider, client) => provider.diagnose(&client).await)
    }
}

impl ProviderPlan {
    /// Looks whether the job can be carried out, before anything is recorded or changed.
    ///
    /// # Errors
    /// The service cannot be reached or refuses; the base model is missing or gone; the
    /// model's name is taken; the plan does not fit the model's context.
    pub async fn check(&self, connect: &dyn Connect, execution: &Execution) -> Result<Checked, Error> {
        let mut checked = match self {
            Self::Ollama(plan) => {
                let client = connect.ollama().map_err(Error::Setup)?;
                Ollama.check(&client, plan, execution).await?
            }
            Self::OpenAi(plan) => {
                let client = connect.openai().map_err(Error::Setup)?;
                OpenAi.check(&client, plan, execution).await?
            }
            Self::Local(_) => return Err(Error::NotRunnable(ProviderId::Local)),
        };
        checked.emulated |= connect.is_emulated();
        Ok(checked)
    }

    /// Carries the job on from wherever it stands.
    ///
    /// # Errors
    /// The job is over without a model, or is left as it stands.
    pub async fn drive(&self, connect: &dyn Connect, work: &mut Work) -> Result<(), Error> {
        match self {
            Self::Ollama(plan) => Ollama.drive(connect.ollama().map_err(Error::Setup)?, plan, work).await,
            Self::OpenAi(plan) => OpenAi.drive(connect.openai().map_err(Error::Setup)?, plan, work).await,
            Self::Local(_) => Err(Error::NotRunnable(ProviderId::Local)),
        }
    }
}
