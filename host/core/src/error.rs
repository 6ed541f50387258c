//! What an error is to the user: a kind with its exit code, a cause and a hint.

use std::fmt;

/// The kinds of failure, each with the exit code that scripts can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The work itself failed.
    Failed,
    /// Wrong usage, or not possible on this provider.
    Usage,
    /// A job, dataset or setting that is not valid.
    Invalid,
    /// Refused by the operator's policy.
    Refused,
    /// A plugin failed or exceeded a limit.
    Plugin,
    /// A provider could not be reached, or refused.
    Provider,
    /// A fault of tunesmith's own.
    Internal,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Refused => 4,
            Self::Plugin => 5,
            Self::Provider => 6,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }
}

/// An error as the user reads it: what went wrong and where, and what to do next.
#[derive(Debug)]
pub struct Error {
    /// Which exit code it means.
    pub kind: Kind,
    /// What went wrong and where, in lower case, without a full stop.
    pub message: String,
    /// What to do next, each a line of its own.
    pub hints: Vec<String>,
}

impl Error {
    /// An error without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// Only an exit code: the result, which was shown, says all there is to say.
    pub fn silent(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    /// Whether there is nothing to show.
    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
