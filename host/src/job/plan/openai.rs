//! Plans for OpenAI and compatible services: a tuning job over an uploaded file.

use super::{Config, Made, Part, PlanError};
use crate::dataset::{Container, Format, Rules, Target};
use crate::job::artifacts::Artifact;
use crate::provider::openai::{self, CostEstimate, JobRequest, Tally, Tuning, models};
use crate::provider::{Warning, WarningCode};
use crate::tokens::Tokenizer;
use serde::Serialize;

/// What the service would be asked, and what that amounts to and costs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenAiPlan {
    /// What is made, in one sentence.
    pub outcome: String,
    /// The request to `/fine_tuning/jobs`.
    pub request: JobRequest,
    /// The method's choices.
    pub tuning: Tuning,
    /// What the dataset becomes.
    pub training_file: TrainingFile,
    /// What it costs.
    pub cost: CostEstimate,
}

/// What the training file becomes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingFile {
    /// The name under which it is uploaded. It carries the digest of the content, so
    /// that the same file is found again instead of being uploaded twice.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Whether it is the dataset byte for byte.
    pub unchanged: bool,
}

impl OpenAiPlan {
    /// The files that it leaves behind.
    pub fn artifacts(&self) -> Vec<Artifact> {
        serde_json::to_string_pretty(&self.request)
            .map(|request| Artifact { name: "job.json".into(), content: format!("{request}\n") })
            .into_iter()
            .collect()
    }
}

/// What the dataset is checked against, and by which tokenizer it is counted.
pub(super) fn dataset_rules(model: &str) -> (Rules, Tokenizer) {
    let limit = models::lookup(model).map(|known| known.most_example_tokens);
    (Rules::new(Target::OpenAi, limit), models::tokenizer(model).tokenizer)
}

pub(super) fn plan(part: Part<'_>) -> Result<Made, PlanError> {
    let plugin = part.context.plugin;
    let model = &part.spec.base_model;
    models::check_name(model)
        .map_err(|fault| PlanError::BaseModel { name: model.clone(), reason: fault.to_string() })?;
    let dataset = part.dataset;
    let known = dataset.recognised();
    let uploads_as_is = known.format == Format::OpenAi
        && known.container == Container::Jsonl
        && dataset.compression().is_none();
    if !uploads_as_is {
        return Err(PlanError::Unconverted { path: dataset.path().to_owned() });
    }
    let view = std::sync::Arc::clone(part.view);
    let (config, notes, receipt) = part.answer(plugin.openai(part.job, view))?;
    let tuning = openai::check(&config, &part.job.settings).map_err(|violations| part.lie(violations))?;
    let tokenizer = models::tokenizer(model).tokenizer;
    let limit = models::lookup(model).map(|known| known.most_example_tokens);
    let billed = dataset.billed(tokenizer, limit).map_err(PlanError::Dataset)?;
    let tally = Tally { examples: dataset.rows(), tokens: billed.tokens, truncated: billed.truncated, limit };
    let mut cost = openai::estimate(model, tally, tuning.hyperparameters.n_epochs, part.context.prices);
    let counting = dataset.count(tokenizer).map_err(PlanError::Dataset)?;
    if !counting.exact {
        let percent = (counting.error * 100.0).max(0.1);
        cost.notes.insert(
            0,
            format!("the tokens are an estimate from a sample of the rows, within {percent:.1} %"),
        );
    }
    let mut warnings = Vec::new();
    if models::lookup(model).is_none() {
        warnings.push(Warning::new(WarningCode::ModelNotKnown, models::not_known(model)));
    }
    let today = part.context.today;
    let closing = models::closing_notes(model, today).into_iter().map(|note| note.text).collect();
    let outcome = tuning.becomes(plugin.id());
    let request = JobRequest::new(model.clone(), &tuning);
    let digest = dataset.digest();
    let training_file = TrainingFile {
        name: format!("train-{}.jsonl", digest.get(..16).unwrap_or(digest)),
        bytes: dataset.bytes(),
        rows: dataset.rows(),
        unchanged: true,
    };
    let config = OpenAiPlan { outcome, request, tuning, training_file, cost };
    Ok(Made { config: Config::OpenAi(config), notes, warnings, receipt, closing })
}
