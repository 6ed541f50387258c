//! What a plan warns of: nothing is wrong, but the user should know.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A warning of a plan, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about, for programs.
    pub code: WarningCode,
    /// What a person reads: lower case, without a full stop.
    pub message: String,
}

/// The kinds of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningCode {
    /// A setting that the provider does not use.
    SettingIgnored,
    /// The context window was assumed.
    ContextAssumed,
    /// The method asked for nothing that changes the model.
    NothingBaked,
    /// So many examples that each answer takes noticeably longer.
    ManyExamples,
    /// Examples carry system prompts of their own.
    SystemPrompts,
    /// Too few rows to expect an improvement.
    FewRows,
    /// Rows longer than the model can learn from.
    RowsTruncated,
    /// The model is not in this version's tables.
    ModelNotKnown,
    /// The artifact could not be written without changing the text.
    ArtifactWithheld,
    /// Something about the dataset.
    Dataset,
}

impl Warning {
    /// A warning.
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
