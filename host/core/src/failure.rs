//! What a failure is to whoever asked for the work: a stable code, a message, a place, and
//! typed advice. Only the outermost layer turns advice into words, commands and flags.

mod advice;
mod code;

pub use advice::{Advice, Doubt, Service};
pub use code::{Code, Kind};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why something did not get done, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What scripts can rely on; it also decides the exit code.
    pub code: Code,
    /// What went wrong, in lower case, without a full stop.
    pub message: String,
    /// What to do next, the most useful first.
    pub advice: Vec<Advice>,
    /// Which place in a file is wrong, where one is known.
    pub place: Option<Place>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Counts from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Counts from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), advice: Vec::new(), place: None }
    }

    /// Only an exit code: what was printed before explains it.
    pub fn silent(kind: Kind) -> Self {
        Self::new(kind.into(), "")
    }

    /// Whether there is nothing to print.
    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// Decides the exit code.
    pub fn kind(&self) -> Kind {
        self.code.kind()
    }

    /// Adds what to do next.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<Advice>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// Adds every piece of advice.
    #[must_use]
    pub fn advise_all(mut self, advice: impl IntoIterator<Item = Advice>) -> Self {
        self.advice.extend(advice);
        self
    }

    /// Names the place in a file that is wrong.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
