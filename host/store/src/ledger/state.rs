//! The states of a job and the moves between them.

use super::named::named;
use std::fmt;

named! {
    /// Where a job stands.
    State, "state" {
        /// Planned; nothing has touched the world.
        Planned = "planned",
        /// Files are being uploaded to the service, or a base model is being pulled.
        Uploading = "uploading",
        /// The create is about to be sent, or was sent and is not answered.
        Creating = "creating",
        /// A create was perhaps sent, and looking has not found what became of it.
        Unknown = "unknown",
        /// The service has the job and has not begun.
        Submitted = "submitted",
        /// The model is being trained.
        Running = "running",
        /// The service keeps the job, stopped.
        Paused = "paused",
        /// Training is done; the model has not yet answered.
        Verifying = "verifying",
        /// The model answered.
        Succeeded = "succeeded",
        /// It did not work; `reason` says why.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

impl State {
    /// The states that this one may change to. Whether a job may take the move depends
    /// on what is recorded of it as well.
    pub fn next(self) -> &'static [Self] {
        use State::*;
        match self {
            // To running: a job that trains in this process, where nothing is created.
            Planned => &[Uploading, Creating, Running, Failed, Cancelled],
            Uploading => &[Creating, Running, Failed, Cancelled],
            // Ollama has no job at the service: the create ends in the model.
            Creating => &[Unknown, Submitted, Verifying, Failed, Cancelled],
            // Found (adopted), or known not to be there, or given up by the user.
            Unknown => &[Creating, Submitted, Verifying, Failed, Cancelled],
            Submitted => &[Running, Paused, Verifying, Failed, Cancelled],
            // Back to submitted: resumed or re-queued from elsewhere between two looks.
            Running => &[Submitted, Paused, Verifying, Failed, Cancelled],
            Paused => &[Submitted, Running, Verifying, Failed, Cancelled],
            Verifying => &[Succeeded, Failed, Cancelled],
            Succeeded => &[],
            // A retry is a new attempt; a model that came late is only verified again.
            Failed => &[Planned, Verifying],
            Cancelled => &[Planned],
        }
    }

    /// Whether the job is over. A retry can reopen failed and cancelled ones.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Names, separated by commas.
pub(crate) fn listed(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_moves() {
        let table: Vec<_> =
            State::ALL.iter().map(|state| format!("{state:<10} -> {}", listed(state.next()))).collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        planned    -> uploading, creating, running, failed, cancelled
        uploading  -> creating, running, failed, cancelled
        creating   -> unknown, submitted, verifying, failed, cancelled
        unknown    -> creating, submitted, verifying, failed, cancelled
        submitted  -> running, paused, verifying, failed, cancelled
        running    -> submitted, paused, verifying, failed, cancelled
        paused     -> submitted, running, verifying, failed, cancelled
        verifying  -> succeeded, failed, cancelled
        succeeded  -> 
        failed     -> planned, verifying
        cancelled  -> planned
        ");
    }
}
