//! OpenAI's protocol behind the seam.

use super::client::Client;
use super::plan::OpenAiPlan;
use super::{drive, models, plan};
use crate::drive::{Checked, Error, Execution, Work};
use crate::facts;
use crate::failpoint::{Point, around};
use crate::plan::{BaseModelFault, FaultKind, Made, Part, PlanError};
use crate::provider::{Health, Provider, Service};
use tunesmith_core::ProviderId;
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::Rules;
use tunesmith_store::Job;

/// A service that speaks OpenAI's protocol; OpenAI's platform is one of them.
pub struct OpenAi;

impl Provider for OpenAi {
    type Plan = OpenAiPlan;

    const ID: ProviderId = ProviderId::OpenAi;

    fn base_model(&self, name: &str) -> Result<(), BaseModelFault> {
        models::check_name(name)
            .map_err(|fault| BaseModelFault { kind: FaultKind::Name, reason: fault.to_string() })
    }

    fn rules(&self, base_model: &str) -> (Rules, Tokenizer) {
        let limit = models::lookup(base_model).map(|known| known.most_example_tokens);
        (Rules::new(facts::of(Self::ID).target, limit), models::tokenizer(base_model).tokenizer)
    }

    fn plan(&self, part: Part<'_>) -> Result<Made<OpenAiPlan>, PlanError> {
        plan::plan(part)
    }
}

impl Service for OpenAi {
    type Client = Client;

    fn address(&self, client: &Client) -> String {
        client.endpoint().to_string()
    }

    async fn check(&self, client: &Client, plan: &OpenAiPlan, _: &Execution) -> Result<Checked, Error> {
        drive::check(client, plan).await
    }

    async fn drive(&self, client: Client, plan: &OpenAiPlan, work: &mut Work) -> Result<(), Error> {
        drive::drive(client, plan, work).await
    }

    async fn check_adoptable(&self, client: &Client, job: &Job, remote_id: &str) -> Result<(), Error> {
        drive::check_adoptable(client, job, remote_id).await
    }

    async fn remove_file(&self, client: &Client, remote_id: &str) -> Result<bool, Error> {
        Ok(around(Point::OpenAiDeleteFile, client.delete_file(remote_id)).await?)
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

    async fn diagnose(&self, client: &Client) -> Result<Health, Error> {
        let models = client.models().await?.len();
        Ok(Health { version: None, emulated: client.is_emulated(), models })
    }
}
