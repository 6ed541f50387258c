//! Holds a plan against the operator's policy, each part as early as it is known.

use super::{Config, Context, PlanError, Spec};
use crate::policy::{Breach, Checked, Policy};
use std::path::Path;
use tunesmith_dataset::Dataset;
use tunesmith_provider::ollama::ParameterValue;

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

/// What the provider would be asked.
pub(super) fn config(context: &Context<'_>, config: &Config) -> Result<(), PlanError> {
    let first = context.policy.and_then(|policy| breaches(policy, config).into_iter().next());
    first.map_or(Ok(()), |breach| Err(PlanError::Policy(Box::new(breach))))
}

/// Everything in a config that the policy does not allow.
pub fn breaches(policy: &Policy, config: &Config) -> Vec<Breach> {
    let checks = match config {
        Config::Ollama(config) => vec![
            policy.context_window(config.baked.context_window.tokens),
            match config.baked.parameters.get("num_predict") {
                Some(ParameterValue::Integer(tokens)) => policy.answer(*tokens),
                _ => Ok(()),
            },
        ],
        Config::OpenAi(config) => vec![policy.cost(&config.cost.cost)],
        Config::Local(_) => Vec::new(),
    };
    checks.into_iter().filter_map(Result::err).collect()
}

fn ask(context: &Context<'_>, question: impl FnOnce(&Policy) -> Checked) -> Result<(), PlanError> {
    context.policy.map_or(Ok(()), question).map_err(|breach| PlanError::Policy(Box::new(breach)))
}
