//! Plans for OpenAI and compatible services: a tuning job over an uploaded file.

use super::prepare::{self, PreparedFile, Ready, Transforming, Uploads};
use super::{Config, Context, Made, Part, PlanError};
use crate::artifacts::Artifact;
use crate::spec::Spec;
use serde::Serialize;
use std::path::Path;
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::{FindingKind, ReadOptions, Rules, Target};
use tunesmith_provider::openai::{self, AtRun, CostEstimate, JobRequest, Objective, Tally, Tuning, models};
use tunesmith_provider::{Warning, WarningCode};

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
    /// What the validation file becomes, where the job names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_file: Option<TrainingFile>,
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

/// Fails where no model can have this name.
pub(super) fn base(model: &str) -> Result<(), PlanError> {
    models::check_name(model)
        .map_err(|fault| PlanError::BaseModel { name: model.to_owned(), reason: fault.to_string() })
}

/// Makes the validation file ready, as the training file was made, with which it must
/// share no rows.
pub(super) fn validation(
    spec: &Spec,
    path: &Path,
    context: &Context<'_>,
    transform: Option<&Transforming<'_>>,
    seed: u32,
    training: &Ready,
    options: &ReadOptions,
) -> Result<Ready, PlanError> {
    let source = prepare::source(spec, path, context, transform, seed)?;
    // How few rows are too few is said of training files alone.
    let ready = prepare::uploadable(&source.path, context, options, &[FindingKind::FewRows])?;
    if ready.dataset.recognized().format != training.dataset.recognized().format {
        return Err(PlanError::OtherFormat { path: path.to_owned() });
    }
    let mut compared = training.dataset.clone();
    compared.compare(ready.dataset.path(), options).map_err(PlanError::Dataset)?;
    prepare::no_errors(&compared, &[])?;
    Ok(ready)
}

pub(super) fn plan(part: Part<'_>) -> Result<Made, PlanError> {
    let plugin = part.context.plugin;
    let model = &part.spec.base_model;
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
    if models::lookup(model).is_none() {
        warnings.push(Warning::new(WarningCode::ModelNotKnown, models::not_known(model)));
    }
    let today = part.context.today;
    let closing = models::closing_notes(model, today).into_iter().map(|note| note.text).collect();
    let outcome = tuning.becomes(plugin.id());
    let mut request = JobRequest::new(model.clone(), &tuning);
    let transformed = part.spec.transform.is_some();
    let training_file = TrainingFile::of(part.ready, "train", transformed);
    let validation = part.validation.map(|ready| {
        request.validation_file = Some(AtRun::Unknown);
        let file = TrainingFile::of(ready, "validation", transformed);
        let prepared = file.prepared(ready);
        (file, prepared)
    });
    let (validation_file, validation) = validation.unzip();
    let uploads = Some(Uploads { training: training_file.prepared(part.ready), validation });
    let config = OpenAiPlan { outcome, request, tuning, training_file, validation_file, cost };
    Ok(Made { config: Config::OpenAi(config), notes, warnings, receipt, closing, uploads })
}
