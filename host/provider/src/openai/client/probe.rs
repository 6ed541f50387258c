//! A first word with a tuned model. For some minutes after a job has succeeded its
//! model may be missing or slow, so this is done with patience.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::policy::Policy;
use super::transport::Call;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first wait between two tries; each further one is half as long again.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A model that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// What it said: one token, which can be empty.
    pub answer: String,
    /// The model that the service says answered.
    pub model: Option<String>,
    /// How often it was asked.
    pub tries: u32,
}

impl Client {
    /// Asks a model for one token, again and again for up to `patience` while the
    /// failure is one that passes. `waiting` hears of each failure before the next try.
    ///
    /// # Errors
    ///
    /// The last failure when patience ends, and at once one that does not pass, such as
    /// a wrong key or an empty account.
    pub async fn probe(
        &self,
        model: &str,
        patience: Duration,
        mut waiting: impl FnMut(&ApiError),
    ) -> Result<Probe, ApiError> {
        let until = Instant::now() + patience;
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        let mut limit_name = "max_tokens";
        loop {
            tries += 1;
            let mut error = match self.ask(model, limit_name).await {
                Ok((answer, model)) => return Ok(Probe { answer, model, tries }),
                Err(error) => error,
            };
            error.attempts = tries;
            // Newer models know only the longer name.
            if error.kind == ErrorKind::Invalid && error.param.as_deref() == Some(limit_name) && tries == 1 {
                limit_name = "max_completion_tokens";
                continue;
            }
            let passes = matches!(
                error.kind,
                ErrorKind::UnknownModel
                    | ErrorKind::NotFound
                    | ErrorKind::RateLimited
                    | ErrorKind::Conflict
                    | ErrorKind::Server
                    | ErrorKind::Timeout
                    | ErrorKind::Dropped
                    | ErrorKind::Refused
                    | ErrorKind::Unreachable
            );
            let next = error.retry_after.map_or(wait, |asked| asked.max(wait));
            if !passes || Instant::now() + next > until {
                return Err(error);
            }
            waiting(&error);
            sleep(next).await;
            wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
        }
    }

    async fn ask(&self, model: &str, limit_name: &str) -> Result<(String, Option<String>), ApiError> {
        let operation = Operation::Chat;
        let mut body = json!({ "model": model, "messages": [{"role": "user", "content": "Hello"}] });
        if let Some(fields) = body.as_object_mut() {
            fields.insert(limit_name.to_owned(), Value::from(1));
        }
        let mut fields =
            self.object(&Call::post(operation, &["chat", "completions"], Policy::Never).json(&body)).await?;
        let model = fields.text("model");
        let first = fields.objects("choices").and_then(|choices| choices.into_iter().next());
        let Some(mut first) = first else { return Err(self.malformed(operation, "it has no choices")) };
        let answer =
            first.object("message").and_then(|mut message| message.text("content")).unwrap_or_default();
        Ok((answer, model))
    }
}
