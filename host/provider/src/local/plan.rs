//! Plans for training on this machine: a recipe, and what it would take.

use crate::local::{self, Estimate, Load, NoEstimate, TrainingRecipe};
use crate::plan::{Made, Part, PlanError};
use serde::{Deserialize, Serialize};
use tunesmith_core::contract::DatasetView;

/// How the weights would be trained, and what that takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalPlan {
    /// What is made, in one sentence.
    pub outcome: String,
    /// The recipe.
    pub recipe: TrainingRecipe,
    /// Parameters and memory, computed for this model, batch and sequence length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Why there is no estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_estimate: Option<String>,
}

/// Plans a job.
///
/// # Errors
/// The base model cannot be used, or the method did not give a valid answer.
pub fn plan(part: Part<'_>) -> Result<Made<LocalPlan>, PlanError> {
    let plugin = part.plugin;
    let view = std::sync::Arc::clone(part.view);
    let (config, notes, receipt) = part.answer(plugin.training(part.job, view))?;
    let recipe =
        local::check(&config, &part.job.settings).map_err(|violations| part.broken_rules(violations))?;
    let load = Load::of(&recipe, part.view.overview().longest_row_tokens);
    let (estimate, no_estimate) = match local::estimate(&recipe, part.base_model, load) {
        Ok(estimate) => (Some(estimate), None),
        Err(reason @ NoEstimate::Shape(_)) => (None, Some(reason.to_string())),
        // The user or the method named a layer that the model does not have.
        Err(reason @ NoEstimate::Module { .. }) => {
            return Err(PlanError::BaseModel {
                name: part.base_model.to_owned(),
                reason: reason.to_string(),
            });
        }
    };
    let outcome = format!(
        "a training recipe ({}), not yet a model: this version of tunesmith shows recipes and has no trainer to \
         carry them out",
        recipe.technique
    );
    let plan = LocalPlan { outcome, recipe, estimate, no_estimate };
    Ok(Made { plan, notes, warnings: Vec::new(), receipt, closing: Vec::new(), uploads: None })
}
