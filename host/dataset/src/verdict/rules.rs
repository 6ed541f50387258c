//! What a provider requires of a dataset.

use serde::{Deserialize, Serialize};

/// The provider whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// OpenAI, and services with its protocol.
    OpenAi,
    /// Ollama: rows become examples in a prompt.
    Ollama,
    /// The embedded trainer.
    Local,
    /// No provider: only rules that hold for all of them.
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

/// The fewest rows that OpenAI accepts (its fine-tuning guide).
pub const OPENAI_MIN_ROWS: u64 = 10;

/// Fine-tuning with fewer rows rarely helps (the same guide: 50 to 100).
pub const FEW_ROWS: u64 = 50;

/// The most images per row that OpenAI accepts (its vision fine-tuning guide).
pub const OPENAI_MAX_IMAGES: usize = 10;

/// The rules that a dataset is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rules {
    pub target: Target,
    /// The most tokens of a row before the provider cuts off its end; `None` if unknown.
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

    /// The same rules for a file that is converted first.
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
