//! What came of judging, as it is shown and as `--json` prints it. Every text that
//! somebody else wrote is on one line and holds nothing that a terminal obeys.

use super::finding::{Finding, Verdict};
use serde::Serialize;
use std::path::Path;
use tunesmith_core::text::excerpt;
use tunesmith_engine::plan::{Config, Planned, TransformFacts, TransformRun};
use tunesmith_plugin_host::{Ability, Measured, Plugin, Receipt, Rejection, Tier};
use tunesmith_provider::Provider;

/// The form of an evaluation; it changes when a field goes or changes its meaning.
const FORMAT: u32 = 1;

/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// Characters of a sentence.
const LONGEST_SENTENCE: usize = 500;

/// What came of judging.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The form of this object.
    pub format: u32,
    /// The version of tunesmith.
    pub tunesmith: &'static str,
    /// What follows from the findings.
    pub verdict: Verdict,
    pub job: String,
    /// What was found, the most serious first.
    pub findings: Vec<Finding>,
    /// The plugin files that were given.
    pub plugins: Vec<PluginFacts>,
    /// The dataset, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetFacts>,
    /// The plan, where one could be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanFacts>,
    /// What the calls to plugins cost.
    pub receipts: Vec<ReceiptFacts>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFacts {
    pub file: String,
    /// Whether it passed the preflight.
    pub accepted: bool,
    /// SHA-256 of its content, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its version, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of the contract that it is built for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// What it may reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What it can do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub abilities: Vec<Ability>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetFacts {
    /// As the job refers to it.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its bytes, without compression.
    pub bytes: u64,
    pub rows: u64,
    /// How many of them, from the first on, were screened for what texts may hide.
    pub screened: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanFacts {
    /// Its digest: the same job planned by `plan` has the same.
    pub digest: String,
    pub name: String,
    pub provider: Provider,
    pub base_model: String,
    pub method: String,
    /// What would be made, in one sentence.
    pub outcome: String,
    /// What it would cost, where that is a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What `plan` warns of.
    pub warnings: Vec<String>,
}

/// What a call cost.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptFacts {
    pub plugin: String,
    /// SHA-256 of its file.
    pub sha256: String,
    pub call: String,
    /// Fuel; absent where it is not metered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    pub measured: Measured,
}

fn name(text: &str) -> String {
    excerpt(text, LONGEST_NAME)
}

fn sentence(text: &str) -> String {
    excerpt(text, LONGEST_SENTENCE)
}

impl Evaluation {
    pub(super) fn of(job: &Path, plugins: Vec<PluginFacts>) -> Self {
        Self {
            format: FORMAT,
            tunesmith: env!("CARGO_PKG_VERSION"),
            verdict: Verdict::Unjudged,
            job: name(&job.display().to_string()),
            findings: Vec::new(),
            plugins,
            dataset: None,
            plan: None,
            receipts: Vec::new(),
        }
    }
}

impl PluginFacts {
    pub(super) fn of(file: &str, plugin: &Plugin) -> Self {
        Self {
            file: name(file),
            accepted: true,
            sha256: Some(plugin.digest().to_string()),
            id: Some(name(plugin.id())),
            version: Some(name(&plugin.descriptor().version)),
            contract: Some(name(plugin.contract())),
            tier: Some(plugin.tier()),
            abilities: plugin.abilities().to_vec(),
        }
    }

    pub(super) fn rejected(file: &str, rejection: &Rejection) -> Self {
        Self {
            file: name(file),
            accepted: false,
            sha256: rejection.digest.map(|digest| digest.to_string()),
            id: None,
            version: None,
            contract: None,
            tier: None,
            abilities: Vec::new(),
        }
    }
}

impl DatasetFacts {
    pub(super) fn new(shown: &str, sha256: &str, bytes: u64, rows: u64, screened: u64) -> Self {
        Self { name: name(shown), sha256: sha256.to_owned(), bytes, rows, screened }
    }
}

impl PlanFacts {
    pub(super) fn of(planned: &Planned) -> Self {
        let plan = &planned.plan;
        let (outcome, cost) = match &plan.config {
            Config::Ollama(config) => (&config.outcome, None),
            Config::OpenAi(config) => (&config.outcome, Some(sentence(&config.cost.summary()))),
            Config::Local(config) => (&config.outcome, None),
        };
        Self {
            digest: planned.digest.clone(),
            name: name(&plan.job.name),
            provider: plan.job.provider,
            base_model: name(&plan.job.base_model),
            method: name(&plan.method.id),
            outcome: sentence(outcome),
            cost,
            warnings: plan.warnings.iter().map(|warning| sentence(&warning.message)).collect(),
        }
    }
}

impl ReceiptFacts {
    /// All batches of a transform together; nothing, where its result was in the cache.
    pub(super) fn of_transform(facts: &TransformFacts, run: &TransformRun) -> Self {
        Self {
            plugin: name(&facts.method.id),
            sha256: facts.method.sha256.clone(),
            call: "transform.apply".to_owned(),
            fuel: None,
            measured: Measured {
                wall: run.wall,
                peak_memory: run.peak_memory,
                rows: facts.rows,
                ..Measured::default()
            },
        }
    }

    pub(super) fn of(receipt: &Receipt) -> Self {
        Self {
            plugin: name(&receipt.plugin),
            sha256: receipt.sha256.to_string(),
            call: receipt.call.clone(),
            fuel: receipt.fuel,
            measured: receipt.measured,
        }
    }
}
