//! Why a provider has no plan for a job, with what to do about it.

use crate::Violations;
use std::fmt;
use tunesmith_core::contract::Refusal;
use tunesmith_core::failure::{Advice, Code};
use tunesmith_core::text::{excerpt, visible};
use tunesmith_dataset::DatasetError;
use tunesmith_plugin_host::CallError;

/// A refusal is a sentence or two; a plugin that says more is cut.
pub const LONGEST_REFUSAL: usize = 600;

/// Why a provider has no plan for a job.
#[derive(Debug)]
pub enum PlanError {
    /// The base model's name cannot be used.
    BaseModel { name: String, reason: String },
    /// The method wants preference pairs, which the dataset has not.
    NotPreference { method: String },
    /// The dataset cannot be read.
    Dataset(DatasetError),
    /// The plugin was stopped.
    Call(Box<CallError>),
    /// The method does not want the job.
    Refused { method: String, refusal: Refusal },
    /// What the plugin returned breaks the rules.
    BrokenRules {
        method: String,
        /// Of the plugin's file.
        sha256: String,
        violations: Box<Violations>,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseModel { name, reason } => write!(f, "baseModel {:?}: {reason}", visible(name)),
            Self::NotPreference { method } => write!(
                f,
                "method {} wants the objective dpo, but the dataset's rows are no preference pairs",
                visible(method)
            ),
            Self::Dataset(error) => error.fmt(f),
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
            Self::BrokenRules { method, violations, .. } => {
                write!(f, "plugin {method:?} returned a config that breaks the rules:")?;
                for violation in &violations.list {
                    write!(f, "\n         {violation}")?;
                }
                match violations.more {
                    0 => Ok(()),
                    more => write!(f, "\n         and {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for PlanError {}

impl PlanError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::BaseModel { .. } => Code::BaseModelInvalid,
            Self::NotPreference { .. } => Code::NotPreferencePairs,
            Self::Dataset(error) => error.code(),
            Self::Call(error) => error.code(),
            Self::Refused { refusal: Refusal::Unsupported(_), .. } => Code::MethodUnsupported,
            Self::Refused { .. } => Code::MethodRefused,
            Self::BrokenRules { .. } => Code::PluginBrokeRules,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::BaseModel { .. } | Self::Refused { .. } => None,
            Self::NotPreference { .. } => {
                Some("give rows with \"chosen\" and \"rejected\", or choose another method".into())
            }
            Self::Dataset(error) => error.advice(),
            Self::Call(error) => error.advice(),
            Self::BrokenRules { sha256, .. } => Some(report_to_author(Some(sha256))),
        }
    }
}

/// To tell the author of a plugin, named by the digest of its file where that is known.
pub fn report_to_author(sha256: Option<&str>) -> Advice {
    let digest = sha256.map(|sha256| format!(" (sha256:{sha256})")).unwrap_or_default();
    format!("nothing was done with it; tell the plugin's author{digest}").into()
}
