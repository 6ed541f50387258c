//! The plan: a job, checked and turned into a config by its method, before anything
//! is touched.
//!
//! A [`Plan`] depends only on the job, the bytes of dataset, plugin and price table,
//! and this version of the host; it is what [`Planned::digest`] covers. What depends
//! on the day or on the machine is the [`Sidecar`].

mod error;
mod obey;
mod prepare;

use super::settings;
use super::spec::{DatasetRef, Spec};
use crate::policy::Policy;
pub use error::{BatchError, PlanError};
pub use obey::breaches;
pub use prepare::{TransformFacts, TransformRun, batch};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tunesmith_core::ProviderId;
use tunesmith_core::contract::{JobSetting, Note, Value};
use tunesmith_core::digest::Digest;
use tunesmith_core::time::Date;
use tunesmith_dataset::{Counting, Rules, Verdict};
use tunesmith_plugin_host::{Measured, Plugin, Receipt, Tier};
pub use tunesmith_provider::local::plan::LocalPlan;
pub use tunesmith_provider::ollama::plan::{ModelfileArtifact, OllamaPlan};
pub use tunesmith_provider::openai::plan::{OpenAiPlan, TrainingFile};
use tunesmith_provider::plan::{self as provider_plan, Part};
pub use tunesmith_provider::plan::{PreparedFile, Uploads};
use tunesmith_provider::prices::PriceTable;
pub use tunesmith_provider::provider_plan::ProviderPlan;
use tunesmith_provider::{AnyProvider, Warning, WarningCode};

/// The form of a plan; a reader refuses one that it does not know.
pub const FORMAT: u32 = 1;

/// The seed of a job that gives none: any fixed number does, so that the same job
/// gives the same plan.
pub const DEFAULT_SEED: u32 = 42;

/// The deterministic part of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The form of this object.
    pub format: u32,
    /// The version of tunesmith.
    pub tunesmith: Cow<'static, str>,
    /// The job.
    pub job: JobFacts,
    /// The method.
    pub method: MethodFacts,
    /// The dataset, as methods see it.
    pub dataset: DatasetFacts,
    /// What a transform made of it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<TransformFacts>,
    /// Every setting that the method saw, and who chose it.
    pub settings: Vec<JobSetting>,
    /// Decides every choice that looks random.
    pub seed: u32,
    /// What the provider would be asked.
    pub config: ProviderPlan,
    /// What the method told the user while it ran.
    pub notes: Vec<Note>,
    /// What the user should know before going on.
    pub warnings: Vec<Warning>,
    /// What the plugin call cost in fuel.
    pub receipt: Receipt,
}

/// The job, in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobFacts {
    /// Its name.
    pub name: String,
    /// The base model.
    pub base_model: String,
    /// The provider.
    pub provider: ProviderId,
}

/// The method, in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodFacts {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its title.
    pub title: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// What it may reach.
    pub tier: Tier,
    /// The contract that it is built for.
    pub contract: String,
    /// Whether it is part of tunesmith.
    pub built_in: bool,
}

/// The dataset, in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetFacts {
    /// As the job refers to it.
    pub name: String,
    /// SHA-256 of the file that the job names.
    pub sha256: String,
    /// Bytes of that file, without compression.
    pub bytes: u64,
    /// Its rows; after a transform, those that came of it.
    pub rows: u64,
    /// Rows that methods can see.
    pub typed_rows: u64,
    /// System prompts.
    pub tasks: usize,
    /// Its tokens.
    pub tokens: Counting,
}

/// What depends on the day or on the machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// What the plugin call took here.
    pub measured: Measured,
    /// What is about to close, as of the day of planning.
    pub closing: Vec<String>,
    /// The day of planning.
    pub today: Date,
    /// What the transform took here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<TransformRun>,
}

/// A plan and what comes with it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The deterministic part.
    pub plan: Plan,
    /// Its bytes, as they are stored and digested.
    pub bytes: String,
    /// SHA-256 of those bytes, as `sha256:…`.
    pub digest: String,
    /// The rest.
    pub sidecar: Sidecar,
    /// Where the files to upload lie on this machine.
    uploads: Option<Uploads>,
}

/// What a plan is made from, besides the job.
#[derive(Clone)]
pub struct Context<'a> {
    plugin: &'a Plugin,
    transform: Option<&'a Plugin>,
    validation: Option<&'a Path>,
    today: Date,
    prices: &'a PriceTable,
    cache: Option<&'a Path>,
    temporary: Option<&'a Path>,
    progress: Option<tunesmith_dataset::OnProgress>,
    cancel: Option<Arc<AtomicBool>>,
    policy: Option<&'a Policy>,
}

impl<'a> Context<'a> {
    /// Plans by this method with these training prices; the day of planning decides
    /// only the sidecar.
    pub fn new(plugin: &'a Plugin, today: Date, prices: &'a PriceTable) -> Self {
        Self {
            plugin,
            transform: None,
            validation: None,
            today,
            prices,
            cache: None,
            temporary: None,
            progress: None,
            cancel: None,
            policy: None,
        }
    }

    /// With the plugin that the job's `transform` names.
    #[must_use]
    pub fn transform(self, transform: Option<&'a Plugin>) -> Self {
        Self { transform, ..self }
    }

    /// With the path of the job's validation file.
    #[must_use]
    pub fn validation(self, validation: Option<&'a Path>) -> Self {
        Self { validation, ..self }
    }

    /// With a folder for what can be made again: readings of datasets, and files that
    /// are transformed or converted. Without it nothing is kept, and a job that needs
    /// such a file is refused.
    #[must_use]
    pub fn cache(self, cache: Option<&'a Path>) -> Self {
        Self { cache, ..self }
    }

    /// With a folder for temporary files in place of the system's.
    #[must_use]
    pub fn temporary(self, temporary: Option<&'a Path>) -> Self {
        Self { temporary, ..self }
    }

    /// With somebody who watches how far reading the dataset is.
    #[must_use]
    pub fn progress(self, progress: Option<tunesmith_dataset::OnProgress>) -> Self {
        Self { progress, ..self }
    }

    /// With a flag that stops reading the dataset.
    #[must_use]
    pub fn cancel(self, cancel: Option<Arc<AtomicBool>>) -> Self {
        Self { cancel, ..self }
    }

    /// With what the operator allows; without it everything is allowed.
    #[must_use]
    pub fn policy(self, policy: &'a Policy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    fn options(&self, rules: Rules) -> tunesmith_dataset::ReadOptions {
        tunesmith_dataset::ReadOptions {
            rules,
            cache: self.cache.map(|cache| cache.join("datasets")),
            temporary: self.temporary.map(Path::to_owned),
            progress: self.progress.clone(),
            cancel: self.cancel.clone(),
            ..tunesmith_dataset::ReadOptions::default()
        }
    }

    /// Where transformed and converted files are kept.
    fn kept_files(&self) -> Result<std::path::PathBuf, PlanError> {
        self.cache.map(|cache| cache.join("datasets").join("prepared")).ok_or(PlanError::NoCache)
    }
}

/// Plans a job.
///
/// # Errors
/// Whatever is wrong with settings, dataset, base model, plugin, or with what the
/// plugin returned; and what the policy does not allow, before the plugin is called
/// wherever that can be told by then.
pub fn plan(spec: &Spec, dataset_path: &Path, context: Context<'_>) -> Result<Planned, PlanError> {
    let context = &context;
    let plugin = context.plugin;
    let provider = AnyProvider(spec.provider);
    let facts = provider.facts();
    obey::job(context, spec)?;
    if !plugin.can(facts.ability) {
        return Err(PlanError::NotSupported { method: plugin.id().to_owned(), provider: facts.id });
    }
    let settings = settings::check(&spec.settings, plugin.descriptor()).map_err(PlanError::Settings)?;
    let transform = prepare::transforming(spec, context)?;
    // Before the dataset is read, which may take a while.
    let named = provider.base_model(&spec.base_model);
    named.map_err(|fault| provider_plan::PlanError::BaseModel {
        name: spec.base_model.clone(),
        reason: fault.reason,
    })?;
    obey::file(context, dataset_path)?;
    if let Some(path) = context.validation {
        obey::file(context, path)?;
    }
    let seed = seed(&settings);
    let source = prepare::source(spec, dataset_path, context, transform.as_ref(), seed)?;
    let (rules, tokenizer) = provider.rules(&spec.base_model);
    let options = tunesmith_dataset::ReadOptions { tokenizer, ..context.options(rules) };
    let ready = if facts.uploads {
        prepare::uploadable(&source.path, context, &options, &[])?
    } else {
        prepare::ready(&source.path, &options)?
    };
    let validation = match (&spec.validation, context.validation) {
        (Some(_), Some(path)) if facts.uploads => {
            Some(prepare::validation(spec, path, context, transform.as_ref(), seed, &ready, &options)?)
        }
        (Some(_), None) if facts.uploads => return Err(PlanError::NoValidation),
        _ => None,
    };
    let dataset = &ready.dataset;
    obey::dataset(context, dataset)?;
    let job = spec.method_job(settings, seed);
    let view = Arc::new(dataset.view(tokenizer, seed).map_err(PlanError::Dataset)?);
    let part = Part {
        plugin,
        name: &spec.name,
        base_model: &spec.base_model,
        transformed: spec.transform.is_some(),
        job: &job,
        ready: &ready,
        validation: validation.as_ref(),
        view: &view,
        today: context.today,
        prices: context.prices,
    };
    let made = provider.plan(part);
    // A file that changed meanwhile explains any other failure better than itself.
    view.failure().map_or(Ok(()), Err).map_err(PlanError::Dataset)?;
    let made = made?;
    obey::demands(context, &made.plan)?;
    let mut warnings = tunesmith_provider::settings::warnings(facts.id, &job.settings);
    warnings.extend(made.warnings);
    warnings.extend(dataset_warnings(dataset.verdict()));
    warnings.extend(prepare::warnings(spec, &ready, &source));
    let (sha256, bytes) = source.original.unwrap_or_else(|| ready.given.clone());
    let (transform, transform_run) = source.transform.unzip();
    let plan = Plan {
        format: FORMAT,
        tunesmith: env!("CARGO_PKG_VERSION").into(),
        job: JobFacts { name: spec.name.clone(), base_model: spec.base_model.clone(), provider: facts.id },
        method: MethodFacts::of(plugin),
        dataset: DatasetFacts {
            name: match &spec.dataset {
                DatasetRef::Path(path) | DatasetRef::Id(path) => path.clone(),
            },
            sha256,
            bytes,
            rows: dataset.rows(),
            typed_rows: dataset.typed_rows(),
            tasks: dataset.task_count(),
            tokens: dataset.count(tokenizer).map_err(PlanError::Dataset)?,
        },
        transform,
        settings: job.settings,
        seed,
        config: made.plan,
        notes: made.notes,
        warnings,
        receipt: made.receipt,
    };
    dataset.unchanged().map_err(PlanError::Dataset)?;
    let sidecar = Sidecar {
        measured: plan.receipt.measured,
        closing: made.closing,
        today: context.today,
        transform: transform_run,
    };
    let bytes = serde_json::to_string_pretty(&plan).map_err(PlanError::Encoding)?;
    let digest = Digest::of(&bytes).prefixed();
    Ok(Planned { plan, bytes, digest, sidecar, uploads: made.uploads })
}

impl MethodFacts {
    fn of(plugin: &Plugin) -> Self {
        Self {
            id: plugin.id().to_owned(),
            version: plugin.descriptor().version.clone(),
            title: plugin.descriptor().title.clone(),
            sha256: plugin.digest().to_string(),
            tier: plugin.tier(),
            contract: plugin.contract().to_owned(),
            built_in: *plugin.source() == tunesmith_plugin_host::Source::BuiltIn,
        }
    }
}

impl Planned {
    /// The files to upload, where they lie on this machine; none for a provider that
    /// takes none.
    pub fn uploads(&self) -> Option<&Uploads> {
        self.uploads.as_ref()
    }
}

/// The seed of a job: the common setting `seed`, otherwise [`DEFAULT_SEED`].
pub fn seed(settings: &[JobSetting]) -> u32 {
    settings
        .iter()
        .find(|setting| setting.name == "seed")
        .and_then(|setting| match setting.value {
            Value::Integer(seed) => u32::try_from(seed).ok(),
            _ => None,
        })
        .unwrap_or(DEFAULT_SEED)
}

/// One line for each kind of warning, so that a plan stays readable; the places are
/// for `dataset check`.
fn dataset_warnings(verdict: &Verdict) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for count in verdict.counts.iter().filter(|count| count.severity == tunesmith_dataset::Severity::Warning)
    {
        let Some(first) = verdict.findings.iter().find(|finding| {
            finding.kind == count.kind && finding.severity == tunesmith_dataset::Severity::Warning
        }) else {
            continue;
        };
        let place = first.line.map_or(String::new(), |line| format!("line {line}: "));
        let more =
            if count.count > 1 { format!(" (and {} more like it)", count.count - 1) } else { String::new() };
        let message = format!("dataset: {place}{}{more}", first.reason);
        warnings.push(Warning::new(WarningCode::Dataset, message));
    }
    warnings
}
