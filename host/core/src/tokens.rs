//! Counting tokens: by OpenAI's tokenizers where they apply, otherwise by a
//! cautious estimate.

use crate::contract::{Example, Message};
use serde::{Deserialize, Serialize};

/// Tokens that every message costs besides its texts, in OpenAI's chat format
/// (its cookbook on preparing chat data).
pub const PER_MESSAGE: u64 = 3;

/// Tokens that every conversation costs besides its messages (same source).
pub const PER_CONVERSATION: u64 = 3;

/// A way to count tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenizer {
    /// `o200k_base`: gpt-4o, gpt-4.1 and later.
    O200k,
    /// `cl100k_base`: gpt-3.5-turbo and gpt-4.
    Cl100k,
    /// For models whose tokenizer is not at hand: one token for three ASCII bytes
    /// and for two other bytes, which is more than common tokenizers need for
    /// ordinary text, so that a budget kept by it is kept in truth.
    Cautious,
}

impl Tokenizer {
    /// How a plan names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
            Self::Cautious => "cautious estimate",
        }
    }

    /// Whether counts are exact for the models that it is used for.
    pub fn is_exact(self) -> bool {
        !matches!(self, Self::Cautious)
    }

    /// Tokens of a text.
    pub fn count(self, text: &str) -> u64 {
        match self {
            Self::O200k => tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len() as u64,
            Self::Cl100k => tiktoken_rs::cl100k_base_singleton().encode_ordinary(text).len() as u64,
            Self::Cautious => {
                let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
                let other = text.len() as u64 - ascii;
                ascii.div_ceil(3) + other.div_ceil(2)
            }
        }
    }

    /// Tokens of a message in OpenAI's chat format: its texts, its role (one token)
    /// and [`PER_MESSAGE`].
    pub fn count_message(self, message: &Message) -> u64 {
        PER_MESSAGE + 1 + self.count(&message.content)
    }

    /// Tokens of a conversation: its messages and [`PER_CONVERSATION`].
    pub fn count_example(self, example: &Example) -> u64 {
        PER_CONVERSATION + example.messages.iter().map(|message| self.count_message(message)).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_known_counts() {
        assert_eq!(Tokenizer::O200k.count("hello world"), 2);
        assert_eq!(Tokenizer::Cl100k.count("hello world"), 2);
        assert_eq!(Tokenizer::O200k.count(""), 0);
    }

    #[test]
    fn the_cautious_estimate_is_not_below_the_real_count() {
        for text in [
            "How do I reset my password? I have tried twice.",
            "fn main() { println!(\"{}\", 1); }",
            "注文をキャンセルしたいのですが",
            "naïve café, déjà vu",
        ] {
            assert!(Tokenizer::Cautious.count(text) >= Tokenizer::O200k.count(text), "{text}");
        }
    }
}
