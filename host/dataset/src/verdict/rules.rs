//! What a provider asks of a dataset. Rules hold for the provider in question, not
//! in general.

use serde::{Deserialize, Serialize};

/// Whose rules they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// OpenAI, and services that copy its interface.
    OpenAi,
    /// Ollama: rows become examples in a prompt.
    Ollama,
    /// The embedded trainer.
    Local,
    /// No provider chosen: what holds for every one.
    Any,
}

impl Target {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI",
            Self::Ollama => "Ollama",
            Self::Local => "local training",
            Self::Any => "any provider",
        }
    }
}

/// The fewest rows that OpenAI takes (its fine-tuning guide).
pub const OPENAI_MIN_ROWS: u64 = 10;

/// Below this many rows a tuned model seldom improves (the same guide: 50 to 100).
pub const FEW_ROWS: u64 = 50;

/// The most images in an example that OpenAI takes (its vision fine-tuning guide).
pub const OPENAI_MAX_IMAGES: usize = 10;

/// The rules that a dataset is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rules {
    /// Whose rules.
    pub target: Target,
    /// The most tokens of a row before the provider cuts it at the end; none where
    /// it is not known.
    pub row_tokens: Option<u32>,
    /// Whether the rows are converted before the provider gets them, so that their
    /// format and the file's encoding need not be the provider's.
    pub converted: bool,
}

impl Rules {
    /// The rules of a provider, for a model that takes rows of `row_tokens`.
    pub fn new(target: Target, row_tokens: Option<u32>) -> Self {
        Self { target, row_tokens, converted: false }
    }

    /// The same for a file that will be converted.
    #[must_use]
    pub fn before_conversion(self) -> Self {
        Self { converted: true, ..self }
    }

    /// Whether the file itself is uploaded to OpenAI.
    pub(crate) fn is_uploaded(&self) -> bool {
        self.is_openai() && !self.converted
    }

    /// Whether rows are uploaded to OpenAI.
    pub(crate) fn is_openai(&self) -> bool {
        self.target == Target::OpenAi
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Target::Any, None)
    }
}
