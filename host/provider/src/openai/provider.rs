//! OpenAI's protocol behind the seam.

use super::models;
use super::{drive, plan};
use crate::drive::{Connect, Error, Shared};
use crate::facts::{self, Facts};
use crate::failpoint::{Point, around};
use crate::plan::{BaseModelFault, FaultKind, Made, Part, PlanError};
use crate::provider::{Health, Provider};
use crate::provider_plan::ProviderPlan;
use futures_util::future::BoxFuture;
use tunesmith_core::ProviderId;
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::Rules;
use tunesmith_store::Job;

/// A service that speaks OpenAI's protocol; OpenAI's platform is one of them.
pub struct OpenAi;

impl Provider for OpenAi {
    fn facts(&self) -> &'static Facts {
        facts::of(ProviderId::OpenAi)
    }

    fn base_model(&self, name: &str) -> Result<(), BaseModelFault> {
        models::check_name(name)
            .map_err(|fault| BaseModelFault { kind: FaultKind::Name, reason: fault.to_string() })
    }

    fn rules(&self, base_model: &str) -> (Rules, Tokenizer) {
        let limit = models::lookup(base_model).map(|known| known.most_example_tokens);
        (Rules::new(self.facts().target, limit), models::tokenizer(base_model).tokenizer)
    }

    fn plan(&self, part: Part<'_>) -> Result<Made<ProviderPlan>, PlanError> {
        Ok(plan::plan(part)?.map(ProviderPlan::OpenAi))
    }

    fn service(&self, connect: &dyn Connect) -> Result<String, Error> {
        Ok(connect.openai().map_err(Error::Setup)?.endpoint().to_string())
    }

    fn check_adoptable<'a>(
        &'a self,
        shared: &'a Shared,
        job: &'a Job,
        remote_id: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(drive::check_adoptable(shared, job, remote_id))
    }

    fn remove_file<'a>(
        &'a self,
        connect: &'a dyn Connect,
        remote_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let client = connect.openai().map_err(Error::Setup)?;
            Ok(around(Point::OpenAiDeleteFile, client.delete_file(remote_id)).await?)
        })
    }

    fn try_it(&self, service: &str, model: &str) -> Option<String> {
        // The name comes from the service, and the command goes to a shell.
        models::check_name(model).ok()?;
        Some(format!(
            "curl {service}/chat/completions -H \"Authorization: Bearer $OPENAI_API_KEY\" -H 'Content-Type: \
             application/json' -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \
             \"Hello\"}}]}}'"
        ))
    }

    fn diagnose<'a>(&'a self, connect: &'a dyn Connect) -> BoxFuture<'a, Result<Health, Error>> {
        Box::pin(async {
            let client = connect.openai().map_err(Error::Setup)?;
            let models = client.models().await?.len();
            Ok::<_, Error>(Health { version: None, emulated: client.is_emulated(), models })
        })
    }
}
