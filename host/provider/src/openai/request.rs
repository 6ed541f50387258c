//! The typed request to OpenAI's `/fine_tuning/jobs`.

use super::check::{Objective, Tuning};
use super::hyperparameters::Hyperparameters;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The key under which a job carries the id of the run that created it, so that it
/// is found again after an ambiguous reply.
pub const RUN_ID_KEY: &str = "tunesmith_run";

/// A value that is only known once the job runs. In JSON the value, or
/// [`AtRun::PLACEHOLDER`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AtRun {
    /// Not known yet.
    Unknown,
    /// Known.
    Known(String),
}

impl AtRun {
    /// What stands in a plan in place of the value. OpenAI's ids have no brackets.
    pub const PLACEHOLDER: &'static str = "<known at run>";
}

impl From<String> for AtRun {
    fn from(text: String) -> Self {
        if text == Self::PLACEHOLDER { Self::Unknown } else { Self::Known(text) }
    }
}

impl From<AtRun> for String {
    fn from(value: AtRun) -> Self {
        match value {
            AtRun::Unknown => AtRun::PLACEHOLDER.to_owned(),
            AtRun::Known(text) => text,
        }
    }
}

/// A request that creates a fine-tuning job. In JSON it is what OpenAI expects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// The base model.
    pub model: String,
    /// The id of the uploaded training file.
    pub training_file: AtRun,
    /// The id of the uploaded validation file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_file: Option<AtRun>,
    /// Objective and hyperparameters.
    pub method: Method,
    /// Part of the tuned model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Makes training repeatable, as far as OpenAI can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Carries the id of the run.
    pub metadata: BTreeMap<String, AtRun>,
}

/// The `method` of a request: its type, and the hyperparameters under the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Method {
    /// To answer as the examples do.
    Supervised {
        /// How.
        supervised: Hyper,
    },
    /// To prefer one answer over another.
    Dpo {
        /// How.
        dpo: Hyper,
    },
}

/// Wraps hyperparameters as OpenAI has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hyper {
    /// The hyperparameters.
    pub hyperparameters: Hyperparameters,
}

impl JobRequest {
    /// The request for a checked config; the training file and the run's id are not
    /// known yet.
    pub fn new(model: impl Into<String>, tuning: &Tuning) -> Self {
        let hyper = Hyper { hyperparameters: tuning.hyperparameters };
        Self {
            model: model.into(),
            training_file: AtRun::Unknown,
            validation_file: None,
            method: match tuning.objective {
                Objective::Supervised => Method::Supervised { supervised: hyper },
                Objective::Dpo => Method::Dpo { dpo: hyper },
            },
            suffix: tuning.suffix.clone(),
            seed: tuning.seed,
            metadata: BTreeMap::from([(RUN_ID_KEY.to_owned(), AtRun::Unknown)]),
        }
    }

    /// The request as it can be sent.
    #[must_use]
    pub fn ready(mut self, training_file: impl Into<String>, run_id: impl Into<String>) -> Self {
        self.training_file = AtRun::Known(training_file.into());
        self.metadata.insert(RUN_ID_KEY.to_owned(), AtRun::Known(run_id.into()));
        self
    }

    /// The same with the id of the uploaded validation file.
    #[must_use]
    pub fn with_validation(mut self, validation_file: impl Into<String>) -> Self {
        self.validation_file = Some(AtRun::Known(validation_file.into()));
        self
    }

    /// Whether nothing is unknown any more.
    pub fn is_ready(&self) -> bool {
        !std::iter::once(&self.training_file)
            .chain(&self.validation_file)
            .chain(self.metadata.values())
            .any(|value| *value == AtRun::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::hyperparameters::Auto;

    #[test]
    fn the_json_that_openai_expects() {
        let tuning = Tuning {
            objective: Objective::Supervised,
            suffix: Some("lora".into()),
            hyperparameters: Hyperparameters {
                learning_rate_multiplier: Auto::Value(0.5),
                n_epochs: Auto::Value(3),
                ..Hyperparameters::default()
            },
            seed: Some(42),
            notes: vec![],
        };
        let planned = JobRequest::new("gpt-4o-mini-2024-07-18", &tuning);
        insta::assert_json_snapshot!(planned);
        assert!(!planned.is_ready());
        let text = serde_json::to_string(&planned).unwrap();
        assert_eq!(serde_json::from_str::<JobRequest>(&text).unwrap(), planned);
        let ready = planned.ready("file-abc", "run-1");
        assert!(ready.is_ready());
        let json = serde_json::to_value(&ready).unwrap();
        assert_eq!(json["training_file"], "file-abc");
        assert_eq!(json["metadata"][RUN_ID_KEY], "run-1");
    }

    #[test]
    fn preferences_go_under_their_own_name() {
        let tuning = Tuning {
            objective: Objective::Dpo,
            suffix: None,
            hyperparameters: Hyperparameters { beta: Some(Auto::Value(0.1)), ..Hyperparameters::default() },
            seed: None,
            notes: vec![],
        };
        let json = serde_json::to_value(JobRequest::new("gpt-4o", &tuning)).unwrap();
        assert_eq!(json["method"]["type"], "dpo");
        assert_eq!(json["method"]["dpo"]["hyperparameters"]["beta"], 0.1);
        assert!(json.get("suffix").is_none() && json.get("seed").is_none());
    }
}
