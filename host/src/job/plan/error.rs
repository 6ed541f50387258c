//! Why a job cannot be planned, with what to do about it.

use crate::contract::Refusal;
use crate::dataset::{DatasetError, Severity, Verdict};
use crate::error::{Error, Kind};
use crate::job::settings::SettingError;
use crate::plugin::CallError;
use crate::policy::Breach;
use crate::provider::text::{excerpt, visible};
use crate::provider::{Provider, Violations};
use std::fmt;
use std::path::PathBuf;

/// A refusal is a sentence or two; a plugin that says more is cut.
const LONGEST_REFUSAL: usize = 600;

/// At most this many errors of a dataset are shown by a plan; `dataset check` shows
/// the rest.
const SHOWN_ERRORS: usize = 8;

/// Why a job cannot be planned.
#[derive(Debug)]
pub enum PlanError {
    /// The method has no ability for the provider.
    NotSupported {
        /// The method.
        method: String,
        /// The provider.
        provider: Provider,
    },
    /// The job asks for a transform.
    Transform {
        /// The plugin.
        plugin: String,
    },
    /// Settings are wrong.
    Settings(Vec<SettingError>),
    /// The base model's name cannot be used.
    BaseModel {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The dataset cannot be read.
    Dataset(DatasetError),
    /// The dataset has errors.
    DatasetErrors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        verdict: Box<Verdict>,
    },
    /// The dataset is not in the form that OpenAI takes.
    Unconverted {
        /// The file.
        path: PathBuf,
    },
    /// The plugin was stopped.
    Call(Box<CallError>),
    /// The method does not want the job.
    Refused {
        /// The method.
        method: String,
        /// Why.
        refusal: Refusal,
    },
    /// What the plugin returned breaks the rules.
    Lie {
        /// The method.
        method: String,
        /// The SHA-256 of its file.
        sha256: String,
        /// The rules.
        violations: Box<Violations>,
    },
    /// The operator's policy does not allow it.
    Policy(Box<Breach>),
    /// The plan cannot be written as JSON.
    Encoding(serde_json::Error),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported { method, provider } => {
                write!(f, "method {method} does not support {provider}")
            }
            Self::Transform { plugin } => write!(f, "transform {plugin:?} cannot be run by `plan`"),
            Self::Settings(errors) => {
                for (at, error) in errors.iter().enumerate() {
                    let line = if at == 0 { "" } else { "\n       " };
                    write!(f, "{line}{error}")?;
                }
                Ok(())
            }
            Self::BaseModel { name, reason } => write!(f, "baseModel {:?}: {reason}", visible(name)),
            Self::Dataset(error) => error.fmt(f),
            Self::DatasetErrors { path, verdict } => {
                let count = verdict.errors();
                let s = if count == 1 { "" } else { "s" };
                write!(f, "the dataset {} has {count} error{s}", path.display())?;
                let errors = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
                for finding in errors.take(SHOWN_ERRORS) {
                    f.write_str("\n         ")?;
                    if let Some(line) = finding.line {
                        write!(f, "line {line}: ")?;
                    }
                    if !finding.field.is_empty() {
                        write!(f, "{}: ", visible(&finding.field))?;
                    }
                    write!(f, "{}", visible(&finding.reason))?;
                }
                let hidden = count.saturating_sub(SHOWN_ERRORS as u64);
                if hidden > 0 { write!(f, "\n         and {hidden} more") } else { Ok(()) }
            }
            Self::Unconverted { path } => {
                write!(
                    f,
                    "the dataset {} is not plain OpenAI chat JSONL, which is what OpenAI takes",
                    path.display()
                )
            }
            Self::Call(error) => error.fmt(f),
            Self::Refused { method, refusal } => {
                write!(f, "method {method} does not take this job: ")?;
                match refusal {
                    Refusal::InvalidSetting { name, reason } => {
                        write!(f, "{}: {}", visible(name), excerpt(reason, LONGEST_REFUSAL))
                    }
                    Refusal::UnsuitableDataset(text) | Refusal::Unsupported(text) | Refusal::Other(text) => {
                        f.write_str(&excerpt(text, LONGEST_REFUSAL))
                    }
                }
            }
            Self::Lie { method, violations, .. } => {
                write!(f, "plugin {method:?} returned a config that breaks the rules:")?;
                for violation in &violations.list {
                    write!(f, "\n         {violation}")?;
                }
                if violations.more > 0 {
                    write!(f, "\n         and {} more", violations.more)
                } else {
                    Ok(())
                }
            }
            Self::Policy(breach) => breach.fmt(f),
            Self::Encoding(error) => write!(f, "the plan cannot be written: {error}"),
        }
    }
}

impl std::error::Error for PlanError {}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        let message = error.to_string();
        match error {
            PlanError::NotSupported { method, .. } => Self::new(Kind::Usage, message)
                .hint(format!("`tunesmith methods show {method}` names the providers that it supports")),
            PlanError::Transform { .. } => Self::new(Kind::Usage, message)
                .hint("this version plans without transforms: leave `transform` out of the job"),
            PlanError::Settings(errors) => {
                let hints = errors
                    .into_iter()
                    .filter_map(|error| error.hint.map(|hint| format!("{}: {hint}", error.name)));
                hints.fold(Self::new(Kind::Invalid, message), Self::hint)
            }
            PlanError::BaseModel { .. } => Self::new(Kind::Invalid, message),
            PlanError::Dataset(error) => error.into(),
            PlanError::DatasetErrors { path, verdict } => {
                let fixes = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
                let mut error = Self::new(Kind::Invalid, message);
                if let Some(first) = fixes.map(|finding| &finding.fix).find(|fix| !fix.is_empty()) {
                    error = error.hint(first.clone());
                }
                error.hint(format!("`tunesmith dataset check {}` shows them all", path.display()))
            }
            PlanError::Unconverted { path } => Self::new(Kind::Invalid, message).hint(format!(
                "`tunesmith dataset convert {} --to openai --out FILE.jsonl` writes it, and the job can name that file",
                path.display()
            )),
            PlanError::Call(error) => (*error).into(),
            PlanError::Refused { refusal, .. } => match refusal {
                Refusal::Unsupported(_) => Self::new(Kind::Usage, message),
                _ => Self::new(Kind::Invalid, message),
            },
            PlanError::Lie { sha256, .. } => Self::new(Kind::Plugin, message)
                .hint(format!("nothing was done with it; tell the plugin's author (sha256:{sha256})")),
            PlanError::Policy(breach) => Self::new(Kind::Refused, message).hint(breach.hint()),
            PlanError::Encoding(_) => Self::new(Kind::Internal, message),
        }
    }
}
