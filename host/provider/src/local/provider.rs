//! The local trainer behind the seam: it plans, and cannot yet train.

use super::plan;
use crate::drive::{Connect, Error};
use crate::facts::{self, Facts};
use crate::plan::{BaseModelFault, Made, Part, PlanError};
use crate::provider::{Health, Provider};
use crate::provider_plan::ProviderPlan;
use futures_util::future::BoxFuture;
use tunesmith_core::ProviderId;

/// The trainer on this machine.
pub struct Local;

impl Provider for Local {
    fn facts(&self) -> &'static Facts {
        facts::of(ProviderId::Local)
    }

    fn base_model(&self, _name: &str) -> Result<(), BaseModelFault> {
        Ok(())
    }

    fn plan(&self, part: Part<'_>) -> Result<Made<ProviderPlan>, PlanError> {
        Ok(plan::plan(part)?.map(ProviderPlan::Local))
    }

    fn service(&self, _connect: &dyn Connect) -> Result<String, Error> {
        Err(Error::NotRunnable(ProviderId::Local))
    }

    fn try_it(&self, _service: &str, _model: &str) -> Option<String> {
        None
    }

    fn diagnose<'a>(&'a self, _connect: &'a dyn Connect) -> BoxFuture<'a, Result<Health, Error>> {
        Box::pin(std::future::ready(Err(Error::NotRunnable(ProviderId::Local))))
    }
}
