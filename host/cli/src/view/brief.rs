//! A plan in brief: what will happen, and what it costs.

use crate::view::style::{FAINT, HEADING, WARNING, grouped};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tunesmith_core::ProviderId;
use tunesmith_core::text::visible;
use tunesmith_engine::execute::{Checked, Submission};
use tunesmith_engine::plan::Plan;
use tunesmith_provider::facts;
use tunesmith_provider::openai::CostEstimate;

/// What is shown of a plan, without the plan.
#[derive(Debug, Clone)]
pub(crate) struct Brief {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) provider: ProviderId,
    pub(crate) digest: String,
    /// The name of the model that it makes, where that is decided here.
    pub(crate) model: Option<String>,
    method: String,
    base_model: String,
    dataset: String,
    outcome: String,
    cost: Option<Value>,
    cost_line: Option<String>,
    upload: Option<String>,
    warnings: Vec<String>,
    closing: Vec<String>,
}

impl Brief {
    pub(crate) fn of(file: &Path, submission: &Submission) -> Self {
        let planned = &submission.planned;
        let plan: &Plan = &planned.plan;
        let data = &plan.dataset;
        let uploads = planned.uploads();
        let upload = uploads
            .map(|files| format!("{} bytes as {}", grouped(files.training.bytes), files.training.name));
        let cost = plan.config.cost();
        Self {
            file: file.to_owned(),
            name: plan.job.name.clone(),
            provider: plan.job.provider,
            digest: planned.digest.clone(),
            model: plan.config.model().map(str::to_owned),
            method: format!("{} {}", plan.method.id, plan.method.version),
            base_model: plan.job.base_model.clone(),
            dataset: format!(
                "{} · {} rows, about {} tokens",
                data.name,
                grouped(data.rows),
                grouped(data.tokens.total)
            ),
            outcome: plan.config.outcome().to_owned(),
            cost: cost.and_then(|cost| serde_json::to_value(cost).ok()),
            cost_line: cost.map(CostEstimate::summary),
            upload,
            warnings: plan.warnings.iter().map(|warning| warning.message.clone()).collect(),
            closing: planned.sidecar.closing.clone(),
        }
    }

    /// For programs.
    pub(crate) fn json(&self, checked: &Checked) -> Value {
        let mut json = json!({
            "event": "planned",
            "file": self.file,
            "name": self.name,
            "provider": self.provider,
            "method": self.method,
            "baseModel": self.base_model,
            "digest": self.digest,
            "outcome": self.outcome,
            "emulated": checked.emulated,
            "notes": checked.notes,
            "warnings": self.warnings,
        });
        if let (Some(fields), Some(cost)) = (json.as_object_mut(), &self.cost) {
            fields.insert("cost".to_owned(), cost.clone());
        }
        json
    }

    /// For people; `full` for a job alone.
    pub(crate) fn text(&self, checked: &Checked, full: bool) -> String {
        let mut text = String::new();
        let name = visible(&self.name);
        let provider = facts::of(self.provider).title;
        let emulated = if checked.emulated { " (emulated)" } else { "" };
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "{HEADING}{name}{HEADING:#} · {} on {provider}{emulated}", visible(&self.method));
        let mut fact = |name: &str, value: &str| {
            let _ = writeln!(text, "  {FAINT}{name:<12}{FAINT:#} {}", visible(value));
        };
        fact("makes", &self.outcome);
        if full {
            fact("base model", &self.base_model);
            fact("dataset", &self.dataset);
        }
        if let Some(upload) = &self.upload {
            fact("uploads", upload);
        }
        if let Some(cost) = self.cost_line.as_deref() {
            let cost = if checked.emulated {
                format!("nothing here; at {provider} {cost}")
            } else {
                cost.to_owned()
            };
            fact("costs", &cost);
        }
        let closing = self.closing.iter().filter(|_| full && !checked.emulated);
        for warning in self.warnings.iter().chain(closing).chain(&checked.notes).filter(|_| full) {
            let _ = writeln!(text, "  {WARNING}!{WARNING:#} {}", visible(warning));
        }
        text
    }
}
