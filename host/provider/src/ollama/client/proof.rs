//! That a base model was left as it was, by digests.

use super::Client;
use super::error::ApiError;
use super::models::Base;
use crate::ollama::names::ModelName;
use serde::{Deserialize, Serialize};

/// Digits of a digest that are shown: enough to tell models apart at a glance.
const SHOWN_DIGITS: usize = 12;

/// Digests before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The base model.
    pub base: ModelName,
    /// The digest of its manifest before.
    pub digest_before: String,
    /// The digest of its manifest now; none if it is gone.
    pub digest_after: Option<String>,
    /// The digest of its weights before, where the server showed it.
    pub base_weights: Option<String>,
    /// The digest of the weights of what was made, where the server shows it.
    pub made_weights: Option<String>,
}

impl Proof {
    /// Whether the base is the very model that it was.
    pub fn is_base_untouched(&self) -> bool {
        !self.digest_before.is_empty() && self.digest_after.as_deref() == Some(self.digest_before.as_str())
    }

    /// Whether what was made has the same weights, bit by bit; `None` where the server
    /// does not show them.
    pub fn shares_weights(&self) -> Option<bool> {
        Some(self.base_weights.as_ref()? == self.made_weights.as_ref()?)
    }

    /// What it proves, in a sentence.
    pub fn sentence(&self) -> String {
        let base = &self.base;
        let mut sentence = match &self.digest_after {
            _ if self.is_base_untouched() => {
                format!("base {base} is untouched (digest {} before and after)", short(&self.digest_before))
            }
            Some(after) => format!(
                "base {base} was changed meanwhile, by someone else: digest {} before, {} now",
                short(&self.digest_before),
                short(after)
            ),
            None => format!("base {base} was removed meanwhile, by someone else"),
        };
        match self.shares_weights() {
            Some(true) => {
                let weights = self.base_weights.as_deref().unwrap_or_default();
                sentence.push_str(&format!("; the same weights, bit by bit ({})", short(weights)));
            }
            Some(false) => sentence.push_str("; other weights than the base had"),
            None => sentence.push_str("; the server does not show the weights' digests"),
        }
        sentence
    }
}

fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..SHOWN_DIGITS).unwrap_or(digits)
}

impl Client {
    /// Compares the base with what it was, and what was made with the base.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn prove(&self, before: &Base, made: &ModelName) -> Result<Proof, ApiError> {
        let after = self.find(&before.name).await?;
        let shown = self.show(made).await?;
        Ok(Proof {
            base: before.name.clone(),
            digest_before: before.digest.clone(),
            digest_after: after.map(|tag| tag.digest),
            base_weights: before.weights.clone(),
            made_weights: shown.and_then(|shown| shown.weights),
        })
    }
}
