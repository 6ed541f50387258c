//! The report, as it is printed and as its JSON has it. Untrusted text in it is on one
//! line and without control or invisible characters.

use super::finding::{Finding, Verdict};
use serde::Serialize;
use std::path::Path;
use tunesmith_core::ProviderId;
use tunesmith_core::text::excerpt;
use tunesmith_engine::plan::{Planned, TransformFacts, TransformRun};
use tunesmith_plugin_host::{Ability, Measured, Plugin, Receipt, Rejection, Tier};

/// The version of the report; it changes when a field is removed or changes its meaning.
const FORMAT: u32 = 1;

/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// Characters of a sentence.
const LONGEST_SENTENCE: usize = 500;

/// The result of vetting a job.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this format.
    pub format: u32,
    /// The version of tunesmith.
    pub tunesmith: &'static str,
    /// The result of the findings.
    pub verdict: Verdict,
    pub job: String,
    /// The findings, most serious first.
    pub findings: Vec<Finding>,
    /// The plugin files that were given.
    pub plugins: Vec<PluginFacts>,
    /// The dataset, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetFacts>,
    /// The plan, if one could be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanFacts>,
    /// The resources that calls to plugins used.
    pub receipts: Vec<ReceiptFacts>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFacts {
    pub file: String,
    /// Whether it passed the preflight.
    pub accepted: bool,
    /// SHA-256 of its content, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version that it states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The contract version that it is built for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The tier of its imports.
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
    /// The number of rows that were screened, from the first on.
    pub screened: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanFacts {
    /// Its digest: the same job planned by `plan` has the same.
    pub digest: String,
    pub name: String,
    /// The provider.
    pub provider: ProviderId,
    /// The base model.
    pub base_model: String,
    pub method: String,
    /// What the job would create, in one sentence.
    pub outcome: String,
    /// The estimated cost, if the provider charges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The plan's warnings.
    pub warnings: Vec<String>,
}

/// The resources that a call used.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptFacts {
    pub plugin: String,
    /// SHA-256 of its file.
    pub sha256: String,
    pub call: String,
    /// Fuel; `None` if it is not metered.
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

impl Report {
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
        let cost = plan.config.cost().map(|cost| sentence(&cost.summary()));
        Self {
            digest: planned.digest.clone(),
            name: name(&plan.job.name),
            provider: plan.job.provider,
            base_model: name(&plan.job.base_model),
            method: name(&plan.method.id),
            outcome: sentence(plan.config.outcome()),
            cost,
            warnings: plan.warnings.iter().map(|warning| sentence(&warning.message)).collect(),
        }
    }
}

impl ReceiptFacts {
    /// All batches of a transform together; zero if its result was cached.
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
