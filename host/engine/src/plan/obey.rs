//! Holds a plan against the operator's policy, each part as early as it is known.

use super::{Context, PlanError, ProviderPlan, Spec};
use crate::policy::{Breach, Checked, Policy};
use std::path::Path;
use tunesmith_dataset::Dataset;

/// The job itself, and the plugin that it uses.
pub(super) fn job(context: &Context<'_>, spec: &Spec) -> Result<(), PlanError> {
    ask(context, |policy| {
        policy.provider(spec.provider)?;
        policy.base_model(&spec.base_model)?;
        policy.plugin(context.plugin)?;
        // Only the job's own transform is used, and so has to be allowed.
        let transform = context.transform.filter(|_| spec.transform.is_some());
        transform.map_or(Ok(()), |plugin| policy.plugin(plugin))
    })
}

/// The dataset's size on disk, before it is read. What cannot be looked at is said by
/// reading it.
pub(super) fn file(context: &Context<'_>, path: &Path) -> Result<(), PlanError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    ask(context, |policy| policy.dataset_bytes(metadata.len()))
}

/// What reading the dataset showed.
pub(super) fn dataset(context: &Context<'_>, dataset: &Dataset) -> Result<(), PlanError> {
    ask(context, |policy| {
        policy.dataset_bytes(dataset.bytes())?;
        policy.dataset_rows(dataset.rows())
    })
}

/// What the plan asks of its provider.
pub(super) fn demands(context: &Context<'_>, plan: &ProviderPlan) -> Result<(), PlanError> {
    let first = context.policy.and_then(|policy| breaches(policy, plan).into_iter().next());
    first.map_or(Ok(()), |breach| Err(PlanError::Policy(Box::new(breach))))
}

/// Everything in a provider's plan that the policy does not allow.
pub fn breaches(policy: &Policy, plan: &ProviderPlan) -> Vec<Breach> {
    let demands = plan.demands();
    let checks = [
        demands.context_window.map(|tokens| policy.context_window(tokens)),
        demands.answer.map(|tokens| policy.answer(tokens)),
        demands.cost.map(|cost| policy.cost(cost)),
    ];
    checks.into_iter().flatten().filter_map(Result::err).collect()
}

fn ask(context: &Context<'_>, question: impl FnOnce(&Policy) -> Checked) -> Result<(), PlanError> {
    context.policy.map_or(Ok(()), question).map_err(|breach| PlanError::Policy(Box::new(breach)))
}
