//! What there is to tell while a job goes on.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tunesmith_store::{JobId, Level, State};

/// Hears of a job's progress. Called from the tasks that do the work: it must be quick.
pub type OnProgress = Arc<dyn Fn(&JobId, &Progress) + Send + Sync>;

/// Which bytes are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transfer {
    /// A training file, to the service.
    Upload,
    /// A base model, to the server.
    Pull,
}

/// A piece of progress.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Progress {
    /// The job moved in its state machine.
    State {
        /// Where it stood.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<State>,
        /// Where it stands.
        to: State,
        /// Why, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What is being done.
    Phase {
        /// In a word or two.
        phase: String,
        /// More.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Bytes of a transfer.
    Bytes {
        /// Which.
        what: Transfer,
        /// So many.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Steps of training.
    Steps {
        /// Done.
        step: u64,
        /// In all.
        total: u64,
        /// An estimate of the rest.
        #[serde(skip_serializing_if = "Option::is_none")]
        eta_seconds: Option<u64>,
    },
    /// Figures of a step.
    Metrics {
        /// The step.
        step: u64,
        /// By name, such as `train_loss`.
        figures: BTreeMap<String, f64>,
    },
    /// What the service or tunesmith reports.
    Message {
        /// How much it matters.
        level: Level,
        /// In words.
        text: String,
        /// When.
        at_ms: i64,
    },
    /// A failure that may pass; it is tried again.
    Waiting {
        /// Which.
        text: String,
    },
}
