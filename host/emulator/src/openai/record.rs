//! A job as it is stored, and what follows from it whatever the time: its schedule,
//! the names of its models, its metrics.

use super::training_file::{JobError, Method, Summary};
use crate::behaviour::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What is asked of a job while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ask {
    Pause,
    Resume,
    Cancel,
}

/// How long a job's phases take, in emulated seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Timing {
    pub(super) validating: f64,
    pub(super) queued: f64,
    pub(super) step: f64,
    pub(super) max_running: f64,
    pub(super) model_delay: f64,
    pub(super) list_delay: f64,
}

/// What the validation found, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub(super) at: f64,
    pub(super) found: Result<Summary, JobError>,
}

/// A job as it is stored. All times but `created_at` are emulated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JobRecord {
    pub(super) id: String,
    /// Counts all jobs, to sort by.
    pub(super) number: u64,
    /// Seconds since 1970.
    pub(super) created_at: i64,
    pub(super) created: f64,
    /// Emulated seconds to a second of the timestamps that are shown.
    pub(super) rate: f64,
    pub(super) model: String,
    pub(super) training_file: String,
    pub(super) validation_file: Option<String>,
    pub(super) method: Method,
    pub(super) hyperparameters: Map<String, Value>,
    pub(super) suffix: Option<String>,
    pub(super) seed: u64,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) integrations: Option<Value>,
    pub(super) timing: Timing,
    pub(super) outcome: Outcome,
    pub(super) result_file: String,
    pub(super) verdict: Option<Verdict>,
    pub(super) asked: Vec<(f64, Ask)>,
    pub(super) model_deleted: bool,
    pub(super) result_deleted: bool,
}

/// The hyperparameters as they come out, and what follows from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    pub(super) n_epochs: u64,
    pub(super) batch_size: u64,
    pub(super) learning_rate_multiplier: f64,
    pub(super) steps: u64,
    pub(super) trained_tokens: u64,
}

impl JobRecord {
    /// The real time of an emulated one.
    pub(super) fn shown(&self, at: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
        let since = ((at - self.created) / self.rate).max(0.0) as i64;
        self.created_at + since
    }

    /// The schedule for what the training file holds.
    pub(super) fn schedule(&self, file: Summary) -> Schedule {
        let given = |name: &str| self.hyperparameters.get(name).filter(|value| value.is_number());
        let whole = |name: &str| given(name).and_then(Value::as_u64);
        // The epochs that OpenAI's cookbook gives for "auto".
        let auto_epochs = match file.examples {
            examples if examples * 3 < 100 => (100 / examples.max(1)).min(25),
            examples if examples * 3 > 25_000 => (25_000 / examples).max(1),
            _ => 3,
        };
        let n_epochs = whole("n_epochs").unwrap_or(auto_epochs);
        // About 0.2 % of the examples, as the service has been seen to choose.
        let batch_size = whole("batch_size").unwrap_or((file.examples / 500).clamp(1, 256));
        let learning_rate_multiplier =
            given("learning_rate_multiplier").and_then(Value::as_f64).unwrap_or(1.8);
        let steps = n_epochs * file.examples.div_ceil(batch_size);
        let trained_tokens = n_epochs * file.tokens;
        Schedule { n_epochs, batch_size, learning_rate_multiplier, steps, trained_tokens }
    }

    /// The name of the model, or of a checkpoint before the last.
    pub(super) fn model_name(&self, owner: &str, checkpoint: Option<u64>) -> String {
        let own: String = self.id.chars().rev().take(8).collect::<String>().to_ascii_lowercase();
        let suffix = self.suffix.as_deref().unwrap_or_default();
        let step = checkpoint.map(|step| format!(":ckpt-step-{step}")).unwrap_or_default();
        // A tuned model that is tuned again keeps the name of its base alone.
        let base = self.model.strip_prefix("ft:").and_then(|name| name.split(':').next());
        format!("ft:{}:{owner}:{suffix}:{own}{step}", base.unwrap_or(&self.model))
    }
}

impl JobRecord {
    /// The metrics of a step: a loss that falls, the same for the same job each time.
    pub(super) fn metrics(&self, step: u64, steps: u64, full: bool) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "counts of steps")]
        let progress = step as f64 / steps.max(1) as f64;
        let jitter = self.jitter(step);
        let loss = round(0.35 + 1.9 * (-3.0 * progress).exp() * (1.0 + 0.08 * jitter));
        let accuracy = round((1.0 - loss / 3.2).clamp(0.0, 1.0));
        let mut metrics = json!({
            "step": step,
            "total_steps": steps,
            "train_loss": loss,
            "train_mean_token_accuracy": accuracy,
        });
        if self.validation_file.is_some() {
            metrics["valid_loss"] = json!(round(loss * 1.08));
            metrics["valid_mean_token_accuracy"] = json!(round(accuracy * 0.97));
            if full {
                metrics["full_valid_loss"] = json!(round(loss * 1.06));
                metrics["full_valid_mean_token_accuracy"] = json!(round(accuracy * 0.98));
            }
        }
        metrics
    }

    /// Between -1 and 1, by the seed and the step.
    fn jitter(&self, step: u64) -> f64 {
        let mixed =
            (self.seed ^ step.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let unit = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        unit * 2.0 - 1.0
    }
}

fn round(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
