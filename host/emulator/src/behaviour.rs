//! How the services behave: versions, speeds, refusals and the odd shapes of replies.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The models that an emulator has unless told otherwise.
pub const DEFAULT_MODELS: &[&str] = &[
    "llama2",
    "llama3",
    "llama3.1",
    "llama3.1:8b",
    "llama3.2",
    "llama3.2:1b",
    "llama3.2:3b",
    "mistral",
    "gemma2",
    "gemma3",
    "phi3",
    "qwen2.5",
    "tinyllama",
];

/// In the list of what a pull finds: every model that can be named.
pub const ANY_MODEL: &str = "*";

/// How both services behave. Can be changed while they run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    pub ollama: OllamaBehaviour,
    pub openai: OpenAiBehaviour,
}

/// The generations of Ollama's create, which differ in what they do with adapters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generation {
    /// 0.33: converts safetensors models and adapters to GGUF, and quantizes.
    V033,
    /// 0.34: takes one GGUF adapter; converts and quantizes nothing.
    #[default]
    V034,
    /// Later development: refuses adapters altogether.
    NoAdapters,
}

impl Generation {
    /// What `/api/version` says. A development build calls itself 0.0.0.
    pub fn version(self) -> &'static str {
        match self {
            Self::V033 => "0.33.0",
            Self::V034 => "0.34.1",
            Self::NoAdapters => "0.0.0",
        }
    }
}

/// How the emulated Ollama behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OllamaBehaviour {
    /// Which generation it is.
    pub generation: Generation,
    /// The models that a pull finds (`*`: any); it contacts no registry.
    pub registry: Vec<String>,
    /// A pause before each status line, in milliseconds, as work would take.
    pub step_ms: u64,
}

impl Default for OllamaBehaviour {
    fn default() -> Self {
        Self {
            generation: Generation::default(),
            registry: DEFAULT_MODELS.iter().map(|name| (*name).to_owned()).collect(),
            step_ms: 0,
        }
    }
}

/// How the platform refuses to create jobs for organisations that it is closed to.
/// The service's own body is not known; only the status can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    Forbidden,
    NotFound,
}

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests that a window takes.
    pub requests: u32,
    /// The length of a window, in milliseconds.
    pub window_ms: u64,
}

/// How jobs that are created from now on end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// Succeed, unless the training file is invalid.
    #[default]
    Natural,
    /// Fail in `validating_files`, with this error.
    FailValidation { code: String, message: String },
    /// Fail while running, after this step, with this error.
    FailAtStep {
        /// The last step that is done.
        step: u64,
        code: String,
        message: String,
    },
    /// Never end: they stop before their last step.
    Stall,
}

/// Replies in shapes that real services and compatible ones have been seen to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Odd {
    /// `"error": {}` in a job without one.
    ErrorEmpty,
    /// `"error": {"code": null, "message": null, "param": null}` in a job without one.
    ErrorNulls,
    /// No `hyperparameters`, as reinforcement jobs have none.
    NoHyperparameters,
    /// `"hyperparameters": null`, as for DPO.
    NullHyperparameters,
    /// `method` without its hyperparameters.
    BareMethod,
    /// A running job's status is `pausing`, which no schema lists.
    UnknownStatus,
    /// Events have `"data": {"error_code": …}` and types outside the schema.
    EventData,
    /// Lists have no `has_more`.
    NoHasMore,
    /// The list of jobs leaves out error, hyperparameters and seed.
    BareListItems,
    /// The list of jobs ignores its metadata filter.
    IgnoresMetadataFilter,
    /// Jobs have no `metadata`.
    NoMetadata,
    /// Result files are plain CSV instead of base64.
    PlainResults,
    /// Errors are plain text instead of JSON.
    TextErrors,
    /// Models have no `shutdown_date`.
    NoShutdownDate,
}

/// How the service with OpenAI's protocol behaves. Times are in emulated seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAiBehaviour {
    /// Refuse to create jobs, as the platform does to organisations it is closed to.
    pub closed: Option<Closed>,
    /// Refuse to create jobs and chats with `insufficient_quota`.
    pub quota_exceeded: bool,
    /// Refuse requests beyond a rate.
    pub rate_limit: Option<RateLimit>,
    /// The models that can be tuned, with the day on which they go, if any.
    pub base_models: BTreeMap<String, Option<String>>,
    /// How long a file is `uploaded` before it is `processed`.
    pub file_processing_seconds: f64,
    /// How long a job is `validating_files`, at least.
    pub validating_seconds: f64,
    /// How long a job is `queued`.
    pub queued_seconds: f64,
    /// How long a step takes.
    pub step_seconds: f64,
    /// How long a job runs at most, however many steps it has.
    pub max_running_seconds: f64,
    /// How long after a job's success its model is still a 404.
    pub model_delay_seconds: f64,
    /// How long after its creation a job is missing from the list of jobs.
    pub list_delay_seconds: f64,
    /// How jobs that are created from now on end.
    pub outcome: Outcome,
    pub odd: BTreeSet<Odd>,
}

impl Default for OpenAiBehaviour {
    fn default() -> Self {
        // As reported in November 2026. Those that go in January 2027 carry no date here,
        // so that a first run does not depend on the day; tests set one.
        let base_models = [
            ("gpt-3.5-turbo-0125", Some("2026-10-23")),
            ("gpt-4.1-2025-04-14", None),
            ("gpt-4.1-mini-2025-04-14", None),
            ("gpt-4.1-nano-2025-04-14", Some("2026-10-23")),
            ("gpt-4o-2024-08-06", None),
            ("gpt-4o-mini-2024-07-18", None),
            ("o4-mini-2025-04-16", Some("2026-10-23")),
        ]
        .map(|(name, date)| (name.to_owned(), date.map(str::to_owned)));
        Self {
            closed: None,
            quota_exceeded: false,
            rate_limit: None,
            base_models: base_models.into(),
            file_processing_seconds: 0.0,
            validating_seconds: 20.0,
            queued_seconds: 20.0,
            step_seconds: 4.0,
            max_running_seconds: 180.0,
            model_delay_seconds: 10.0,
            list_delay_seconds: 0.0,
            outcome: Outcome::Natural,
            odd: BTreeSet::new(),
        }
    }
}

impl OpenAiBehaviour {
    pub(super) fn is_odd(&self, odd: Odd) -> bool {
        self.odd.contains(&odd)
    }
}
