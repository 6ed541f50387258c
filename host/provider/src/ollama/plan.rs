//! Plans for Ollama: a model with a system prompt, examples and parameters baked in.

use crate::ollama::modelfile::{Heading, Withheld};
use crate::ollama::{self, Baked, CreateRequest, ModelName, modelfile, names};
use crate::plan::{Made, Part, PlanError};
use crate::{Warning, WarningCode};
use serde::{Deserialize, Serialize};

/// What an Ollama server would be asked, and what that amounts to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OllamaPlan {
    /// What is made, in one sentence.
    pub outcome: String,
    /// The request to `/api/create`.
    pub request: CreateRequest,
    /// Where the request comes from: rows, budget, context window.
    pub baked: Baked,
    /// The same as a Modelfile, for people and for `ollama create`.
    pub modelfile: ModelfileArtifact,
}

/// The Modelfile, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelfileArtifact {
    /// Its file name.
    pub name: String,
    /// Its text, read back and compared before anyone sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why its grammar cannot express this model; the request can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
}

/// Plans a job.
///
/// # Errors
/// The base model cannot be used, or the method did not give a valid answer.
pub fn plan(part: Part<'_>) -> Result<Made<OllamaPlan>, PlanError> {
    let plugin = part.plugin;
    let base = ModelName::parse(part.base_model).map_err(|fault| PlanError::BaseModel {
        name: part.base_model.to_owned(),
        reason: fault.to_string(),
    })?;
    let view = std::sync::Arc::clone(part.view);
    let (config, notes, receipt) = part.answer(plugin.ollama(part.job, view))?;
    let row = |id: u32| part.ready.dataset.example(id).ok().flatten();
    let baked = ollama::check(&config, &part.job.settings, &row)
        .map_err(|violations| part.broken_rules(violations))?;
    let name = names::destination(part.name, plugin.id(), &base);
    let request = CreateRequest::new(name, base, &baked).map_err(|fault| PlanError::BaseModel {
        name: part.base_model.to_owned(),
        reason: fault.to_string(),
    })?;
    let mut warnings = baked.warnings.clone();
    let mut artifact =
        ModelfileArtifact { name: names::modelfile_name(part.name, plugin.id()), text: None, withheld: None };
    let heading = Heading { job: part.name, method: plugin.id(), file_name: &artifact.name };
    match modelfile::render_checked(&request, &baked, heading) {
        Ok(text) => artifact.text = Some(text),
        Err(reason) => {
            warnings.push(Warning::new(WarningCode::ArtifactWithheld, reason.to_string()));
            artifact.withheld = Some(reason);
        }
    }
    let outcome = outcome(&baked, &request);
    let plan = OllamaPlan { outcome, request, baked, modelfile: artifact };
    Ok(Made { plan, notes, warnings, receipt, closing: Vec::new(), uploads: None })
}

/// What is made, in honest words.
fn outcome(baked: &Baked, request: &CreateRequest) -> String {
    let mut parts = Vec::new();
    if baked.system.is_some() {
        parts.push("a system prompt".to_owned());
    }
    match baked.shots.len() {
        0 => {}
        1 => parts.push("1 example".to_owned()),
        count => parts.push(format!("{count} examples")),
    }
    match request.parameters.iter().count() {
        0 => {}
        1 => parts.push("1 parameter".to_owned()),
        count => parts.push(format!("{count} parameters")),
    }
    let what = match parts.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    };
    format!(
        "prompt-baked, not trained: Ollama cannot train, so {} is {} with {what} baked in; its weights stay as they are",
        request.model.as_str(),
        request.from.as_str(),
    )
}
