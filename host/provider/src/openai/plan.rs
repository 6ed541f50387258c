//! Plans for services that speak OpenAI's protocol: training over an uploaded file.

use crate::openai::{self, AtRun, CostEstimate, JobRequest, Objective, Tally, Tuning, models};
use crate::plan::{Made, Part, PlanError, PreparedFile, Ready, Uploads};
use crate::{Warning, WarningCode};
use serde::{Deserialize, Serialize};

/// What the service would be asked, and what that amounts to and costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What the validation file becomes, where the job names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_file: Option<TrainingFile>,
    /// What it costs.
    pub cost: CostEstimate,
}

/// What the training file becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingFile {
    /// The name under which it is uploaded. It carries the digest of the content, so
    /// that the same file is found again instead of being uploaded twice.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Whether it is the dataset byte for byte.
    pub unchanged: bool,
}

impl TrainingFile {
    fn of(ready: &Ready, what: &str, transformed: bool) -> Self {
        let sha256 = ready.dataset.digest();
        Self {
            name: format!("{what}-{}.jsonl", sha256.get(..16).unwrap_or(sha256)),
            sha256: sha256.to_owned(),
            bytes: ready.dataset.bytes(),
            rows: ready.dataset.rows(),
            unchanged: ready.as_given && !transformed,
        }
    }

    fn prepared(&self, ready: &Ready) -> PreparedFile {
        PreparedFile {
            path: ready.dataset.path().to_owned(),
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
        }
    }
}

/// Plans a job.
///
/// # Errors
/// The base model cannot be used, or the method did not give a valid answer.
pub fn plan(part: Part<'_>) -> Result<Made<OpenAiPlan>, PlanError> {
    let plugin = part.plugin;
    let model = part.base_model;
    let dataset = &part.ready.dataset;
    let view = std::sync::Arc::clone(part.view);
    let (mut config, notes, receipt) = part.answer(plugin.openai(part.job, view))?;
    let mut warnings = Vec::new();
    if part.ready.format.is_preference() {
        // The rows decide: OpenAI takes preference pairs for this objective alone.
        config.objective = Objective::Dpo.as_str().to_owned();
    } else if config.objective == Objective::Dpo.as_str() {
        return Err(PlanError::NotPreference { method: plugin.id().to_owned() });
    }
    let tuning =
        openai::check(&config, &part.job.settings).map_err(|violations| part.broken_rules(violations))?;
    let tokenizer = models::tokenizer(model).tokenizer;
    let limit = models::lookup(model).map(|known| known.most_example_tokens);
    let billed = dataset.billed(tokenizer, limit).map_err(PlanError::Dataset)?;
    let tally = Tally { examples: dataset.rows(), tokens: billed.tokens, truncated: billed.truncated, limit };
    let mut cost = openai::estimate(model, tally, tuning.hyperparameters.n_epochs, part.prices);
    let counting = dataset.count(tokenizer).map_err(PlanError::Dataset)?;
    if !counting.exact {
        let percent = (counting.error * 100.0).max(0.1);
        cost.notes.insert(
            0,
            format!("the tokens are an estimate from a sample of the rows, within {percent:.1} %"),
        );
    }
    if models::lookup(model).is_none() {
        warnings.push(Warning::new(WarningCode::ModelNotKnown, models::not_known(model)));
    }
    let today = part.today;
    let closing = models::closing_notes(model, today).into_iter().map(|note| note.text).collect();
    let outcome = tuning.becomes(plugin.id());
    let mut request = JobRequest::new(model.to_owned(), &tuning);
    let transformed = part.transformed;
    let training_file = TrainingFile::of(part.ready, "train", transformed);
    let validation = part.validation.map(|ready| {
        request.validation_file = Some(AtRun::Unknown);
        let file = TrainingFile::of(ready, "validation", transformed);
        let prepared = file.prepared(ready);
        (file, prepared)
    });
    let (validation_file, validation) = validation.unzip();
    let uploads = Some(Uploads { training: training_file.prepared(part.ready), validation });
    let plan = OpenAiPlan { outcome, request, tuning, training_file, validation_file, cost };
    Ok(Made { plan, notes, warnings, receipt, closing, uploads })
}
