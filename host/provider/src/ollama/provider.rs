//! Ollama behind the seam.

use super::names::{ModelName, NameFault};
use super::plan;
use crate::drive::{Connect, Error};
use crate::facts::{self, Facts};
use crate::plan::{BaseModelFault, FaultKind, Made, Part, PlanError};
use crate::provider::{Health, Provider};
use crate::provider_plan::ProviderPlan;
use futures_util::future::BoxFuture;
use tunesmith_core::ProviderId;

/// Where Ollama listens unless told otherwise; its own command line looks there too.
const DEFAULT_SERVICE: &str = "http://127.0.0.1:11434";

/// An Ollama server.
pub struct Ollama;

impl Provider for Ollama {
    fn facts(&self) -> &'static Facts {
        facts::of(ProviderId::Ollama)
    }

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

    fn plan(&self, part: Part<'_>) -> Result<Made<ProviderPlan>, PlanError> {
        Ok(plan::plan(part)?.map(ProviderPlan::Ollama))
    }

    fn service(&self, connect: &dyn Connect) -> Result<String, Error> {
        Ok(connect.ollama().map_err(Error::Setup)?.endpoint().to_string())
    }

    fn try_it(&self, service: &str, model: &str) -> Option<String> {
        let host = if service == DEFAULT_SERVICE { String::new() } else { format!("OLLAMA_HOST={service} ") };
        Some(format!("{host}ollama run {model}"))
    }

    fn diagnose<'a>(&'a self, connect: &'a dyn Connect) -> BoxFuture<'a, Result<Health, Error>> {
        Box::pin(async {
            let client = connect.ollama().map_err(Error::Setup)?;
            let server = client.connect().await?;
            let models = client.models().await?.len();
            Ok::<_, Error>(Health { version: Some(server.version), emulated: server.emulated, models })
        })
    }
}
