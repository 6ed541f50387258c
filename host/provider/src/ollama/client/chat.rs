//! A first word with a new model: nothing is checked when a model is created, so that
//! it loads and answers shows only now.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use crate::ollama::names::ModelName;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tunesmith_core::text::excerpt;

/// The first wait between two tries; each further one is half as long again.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// An answer of one token is kept up to this many characters, whatever came.
const LONGEST_ANSWER: usize = 200;

/// A model that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What it said: one token, which can be empty.
    pub answer: String,
    /// Tokens of system prompt, examples and question by the model's own count, where the
    /// server tells it. A part that the server remembers may be left out of it.
    pub prompt_tokens: Option<u64>,
    /// How often it was asked.
    pub tries: u32,
}

impl Client {
    /// Asks a model for one token. While the server is busy or cannot be reached it is
    /// asked again, for up to `patience`; `waiting` hears of each failure before that.
    ///
    /// System prompt and examples must fit the context: Ollama would leave out examples
    /// without a word, so it is told not to.
    ///
    /// # Errors
    ///
    /// The last failure when patience ends, and at once one that does not pass:
    /// [`ErrorKind::Context`], [`ErrorKind::Memory`], a model that does not load.
    pub async fn probe(
        &self,
        name: &ModelName,
        patience: Duration,
        mut waiting: impl FnMut(&ApiError) + Send,
    ) -> Result<Probe, ApiError> {
        let until = Instant::now() + patience;
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut error = match self.ask(name).await {
                Ok((answer, prompt_tokens)) => return Ok(Probe { answer, prompt_tokens, tries }),
                Err(error) => error.about(name.as_str()),
            };
            error.attempts = tries;
            let passes = matches!(
                error.kind,
                ErrorKind::Busy | ErrorKind::Refused | ErrorKind::Unreachable | ErrorKind::Dropped
            );
            if !passes || Instant::now() + wait > until {
                return Err(error);
            }
            waiting(&error);
            sleep(wait).await;
            wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
        }
    }

    async fn ask(&self, name: &ModelName) -> Result<(String, Option<u64>), ApiError> {
        let operation = Operation::Chat;
        let body = json!({
            "model": name, "stream": false, "truncate": false,
            "messages": [{ "role": "user", "content": "Hello" }],
            "options": { "num_predict": 1 },
        });
        let request = self.request(Method::POST, &["api", "chat"], Some(&body));
        let response = self.begin(operation, request).await?;
        let answer = self.object(operation, response).await?;
        let is_done = answer.get("done").and_then(Value::as_bool).unwrap_or(false);
        let text = answer.get("message").and_then(|message| {
            let text = |name: &str| message.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            // A model that thinks first spends its token on that.
            text("content").or_else(|| text("thinking")).or(Some(""))
        });
        let Some(text) = text.filter(|_| is_done) else {
            return Err(self.malformed(operation, "it has no message, or is not done"));
        };
        let tokens = answer.get("prompt_eval_count").and_then(Value::as_u64).filter(|tokens| *tokens > 0);
        Ok((excerpt(text, LONGEST_ANSWER), tokens))
    }
}
