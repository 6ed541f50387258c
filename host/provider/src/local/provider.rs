//! The local trainer behind the seam. It plans, and this version cannot train, so that it
//! is no [`Service`](crate::provider::Service).

use super::plan::{self, LocalPlan};
use crate::plan::{BaseModelFault, Made, Part, PlanError};
use crate::provider::Provider;
use tunesmith_core::ProviderId;

/// The trainer on this machine.
pub struct Local;

impl Provider for Local {
    type Plan = LocalPlan;

    const ID: ProviderId = ProviderId::Local;

    fn base_model(&self, _name: &str) -> Result<(), BaseModelFault> {
        Ok(())
    }

    fn plan(&self, part: Part<'_>) -> Result<Made<LocalPlan>, PlanError> {
        plan::plan(part)
    }
}
