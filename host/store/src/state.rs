//! The states of a job, the moves between them, and the effects that each allows.

use super::Error;
use std::fmt;

/// Defines an enum whose values are stored and shown by name.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as stored, shown and typed.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::Error::Invalid {
                        what: $what,
                        why: format!("{text:?} is none of {}", [$($text),*].join(", ")),
                    }),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use named;

named! {
    /// Where a job stands.
    State, "state" {
        /// Planned; nothing has touched the world.
        Planned = "planned",
        /// Files are being brought to the service (or a base model pulled).
        Uploading = "uploading",
        /// The create is about to be sent, or was sent and is not answered.
        Creating = "creating",
        /// A create was perhaps sent, and looking has not found what became of it.
        Unknown = "unknown",
        /// The service has the job and has not begun.
        Submitted = "submitted",
        /// The service is training.
        Running = "running",
        /// The service keeps the job, stopped.
        Paused = "paused",
        /// The service says it is done; the model has not yet answered.
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
    /// The states that this one may change to.
    pub fn next(self) -> &'static [Self] {
        use State::*;
        match self {
            Planned => &[Uploading, Creating, Failed, Cancelled],
            Uploading => &[Creating, Failed, Cancelled],
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

    /// What must hold for a job to be in this state.
    pub(super) fn check(self, facts: Facts) -> Result<(), &'static str> {
        use State::*;
        if facts.create_open && !matches!(self, Creating | Unknown) {
            return Err("a create was perhaps sent and is not settled: record its result first");
        }
        match self {
            Planned | Uploading | Creating if facts.created => {
                Err("the service already has this attempt's job or model")
            }
            Unknown if !facts.create_open => Err("no create is unsettled, so nothing is unknown"),
            Submitted | Running | Paused | Verifying | Succeeded if !facts.created => {
                Err("no create of this attempt has succeeded: record its result first")
            }
            Succeeded if !facts.verified => Err("no model of this attempt is verified"),
            _ => Ok(()),
        }
    }
}

/// What the store knows of a job's current attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// A create intent has no result.
    pub create_open: bool,
    /// A create succeeded or was adopted.
    pub created: bool,
    /// A model answered.
    pub verified: bool,
}

named! {
    /// Something done to the world on behalf of a job.
    Operation, "operation" {
        /// A base model is pulled.
        Pull = "pull",
        /// A file or blob is uploaded.
        Upload = "upload",
        /// The remote job or model is created: never sent twice.
        Create = "create",
        /// The remote job is cancelled.
        Cancel = "cancel",
        /// The remote job is paused.
        Pause = "pause",
        /// The remote job is resumed.
        Resume = "resume",
        /// An uploaded file is deleted.
        DeleteFile = "delete-file",
        /// A model is deleted.
        DeleteModel = "delete-model",
    }
}

impl Operation {
    /// Whether a job in this state may do it.
    pub fn allowed_in(self, state: State) -> bool {
        use State::*;
        match self {
            Self::Pull | Self::Upload => matches!(state, Uploading),
            Self::Create => matches!(state, Creating),
            Self::Cancel => matches!(state, Creating | Unknown | Submitted | Running | Paused | Verifying),
            Self::Pause => matches!(state, Submitted | Running),
            Self::Resume => matches!(state, Paused),
            // Cleaning up comes at any time.
            Self::DeleteFile | Self::DeleteModel => true,
        }
    }
}

/// A list of names as a sentence has it.
pub(super) fn listed(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Refuses a move that the machine does not have.
pub(super) fn check_move(job: &super::JobId, from: State, to: State) -> Result<(), Error> {
    if from.next().contains(&to) {
        return Ok(());
    }
    Err(Error::IllegalMove { job: job.clone(), from, to })
}
