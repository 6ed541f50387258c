//! Ollama behind the seam.

use super::client::Client;
use super::names::{ModelName, NameFault};
use super::plan::OllamaPlan;
use super::{drive, plan};
use crate::drive::{Checked, Error, Execution, Work};
use crate::plan::{BaseModelFault, FaultKind, Made, Part, PlanError};
use crate::provider::{Health, Provider, Service};
use tunesmith_core::ProviderId;

/// Where Ollama's own command line looks for a server unless told otherwise.
const DEFAULT_SERVICE: &str = "http://127.0.0.1:11434";

/// An Ollama server.
pub struct Ollama;

impl Provider for Ollama {
    type Plan = OllamaPlan;

    const ID: ProviderId = ProviderId::Ollama;

    fn base_model(&self, name: &str) -> Result<(), BaseModelFault> {
        ModelName::parse(name).map(drop).map_err(|fault| {
            let kind = match fault {
                NameFault::Url(_) | NameFault::Host(_) => FaultKind::ForeignHost,
                NameFault::ReservedTag { .. } => FaultKind::Cloud,
                _ => FaultKind::Name,
            };
            BaseModelFault { kind, reason: fault.to_string() }
        })
    }

    fn plan(&self, part: Part<'_>) -> Result<Made<OllamaPlan>, PlanError> {
        plan::plan(part)
    }
}

impl Service for Ollama {
    type Client = Client;

    fn address(&self, client: &Client) -> String {
        client.endpoint().to_string()
    }

    async fn check(
        &self,
        client: &Client,
        plan: &OllamaPlan,
        execution: &Execution,
    ) -> Result<Checked, Error> {
        drive::check(client, plan, execution).await
    }

    async fn drive(&self, client: Client, plan: &OllamaPlan, work: &mut Work) -> Result<(), Error> {
        drive::drive(client, plan, work).await
    }

    fn try_it(&self, service: &str, model: &str) -> Option<String> {
        let host = if service == DEFAULT_SERVICE { String::new() } else { format!("OLLAMA_HOST={service} ") };
        Some(format!("{host}ollama run {model}"))
    }

    async fn diagnose(&self, client: &Client) -> Result<Health, Error> {
        let server = client.connect().await?;
        let models = client.models().await?.len();
        Ok(Health { version: Some(server.version), emulated: server.emulated, models })
    }
}
