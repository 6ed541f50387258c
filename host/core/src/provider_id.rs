//! The providers, by name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Who carries a job out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderId {
    /// An Ollama server: the method's choices are baked into a model's prompt.
    Ollama,
    /// A service that speaks OpenAI's fine-tuning protocol: its platform, or another.
    OpenAi,
    /// The trainer that is embedded in tunesmith.
    Local,
}

impl ProviderId {
    /// All providers, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Ollama, Self::OpenAi, Self::Local];

    /// The name that job files and the ledger use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A provider's name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a provider: use ollama, openai or local", crate::text::quoted(.0))]
pub struct UnknownProvider(pub String);

impl FromStr for ProviderId {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == name)
            .ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for provider in ProviderId::ALL {
            assert_eq!(provider.to_string().parse(), Ok(provider));
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.as_str());
        }
        assert_eq!(
            "Open\u{202e}AI".parse::<ProviderId>().unwrap_err().to_string(),
            "`Open\\u{202e}AI` is not a provider: use ollama, openai or local"
        );
    }
}
