//! What a plugin can do.

use serde::{Deserialize, Serialize};

/// What a plugin can do besides describing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    Ollama,
    OpenAi,
    /// Give a training recipe.
    Training,
    Transform,
}

impl Ability {
    /// The name of the interface in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
            Self::Training => "training",
            Self::Transform => "transform",
        }
    }
}
