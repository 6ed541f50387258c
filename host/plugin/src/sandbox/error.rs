//! Why a call to a plugin did not give an answer.

use super::answer::Receipt;
use crate::display::{count, size, time};
use std::fmt;
use std::time::Duration;
use tunesmith_core::failure::{Advice, Code, Failure};

/// A call that was stopped: by a limit, by a trap, or because its result was not
/// acceptable. A refusal is not an error but an [`crate::Answer`].
#[derive(Debug, Clone, PartialEq)]
pub struct CallError {
    /// The plugin's id, or its file where the id is not known yet.
    pub plugin: String,
    /// The function, such as `ollama.configure`.
    pub call: &'static str,
    pub stopped: Stopped,
    /// The last of what a std plugin printed; empty if it printed nothing.
    pub output: String,
    /// What it cost until then; absent where it did not run or has not come back.
    pub receipt: Option<Box<Receipt>>,
}

/// What stopped a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Linear memory.
    Memory {
        /// The limit in bytes.
        limit: u64,
        /// What it would have had in all.
        asked: u64,
    },
    Fuel {
        limit: u64,
    },
    Deadline {
        limit: Duration,
    },
    /// Wall clock of all calls together.
    Total {
        limit: Duration,
    },
    /// Bytes copied to the host in one crossing.
    HostCallBytes {
        /// The limit in bytes.
        limit: u64,
    },
    /// Calls to the host.
    HostCalls {
        limit: u32,
    },
    /// Live handles.
    Handles {
        limit: usize,
    },
    /// The stack of WebAssembly frames.
    Stack {
        /// The limit in bytes.
        limit: usize,
    },
    TableElements {
        limit: usize,
        /// What it would have had in all.
        asked: usize,
    },
    /// Core instances, tables or memories.
    Instances,
    /// Notes through `diagnostics`.
    Diagnostics {
        limit: u32,
    },
    /// Standard output and error.
    Output {
        /// The limit in bytes.
        limit: usize,
    },
    /// More of something in the result than there may be.
    ResultSize {
        /// What there is too much of, in the plural.
        what: &'static str,
        limit: u64,
        /// How much the result has.
        found: u64,
    },
    /// A result that breaks a rule.
    BadResult(String),
    /// No place to run became free.
    NoSlot {
        /// How long the call waited.
        waited: Duration,
        /// How many places there are.
        most: usize,
        /// Whether they are the plugin's own, or those of all together.
        of_plugin: bool,
    },
    /// It panicked, with this message.
    Panicked(String),
    /// It trapped; in words.
    Trapped(String),
    /// It called `exit`.
    Exited(i32),
    /// It exports another shape than the contract's; in words.
    Shape(String),
    /// It does not have this ability.
    NotSupported,
    /// It failed so often that it is not called any more.
    Quarantined(Quarantine),
    /// A fault of the host's own.
    Host(String),
}

/// Why a generation is not called any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// How many calls failed in a row.
    pub failures: usize,
    /// Within which time.
    pub within: Duration,
    /// The last failure, in words.
    pub last: String,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed {} times in a row within {}; the last time it {}",
            self.failures,
            time(self.within),
            self.last
        )
    }
}

impl Stopped {
    /// A short name of the limit or rule, for records and tests.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "memory",
            Self::Fuel { .. } => "fuel",
            Self::Deadline { .. } => "deadline",
            Self::Total { .. } => "total-time",
            Self::HostCallBytes { .. } => "host-call-bytes",
            Self::HostCalls { .. } => "host-calls",
            Self::Handles { .. } => "handles",
            Self::Stack { .. } => "stack",
            Self::TableElements { .. } => "table-elements",
            Self::Instances => "instances",
            Self::Diagnostics { .. } => "diagnostics",
            Self::Output { .. } => "output",
            Self::ResultSize { .. } => "result-size",
            Self::BadResult(_) => "bad-result",
            Self::NoSlot { .. } => "no-place",
            Self::Panicked(_) => "panic",
            Self::Trapped(_) => "trap",
            Self::Exited(_) => "exit",
            Self::Shape(_) => "shape",
            Self::NotSupported => "not-supported",
            Self::Quarantined(_) => "quarantined",
            Self::Host(_) => "host",
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin \"{}\" {}", self.plugin, self.predicate())
    }
}

/// What the plugin did, without its name.
struct Predicate<'a>(&'a CallError);

impl CallError {
    /// What the plugin did, without its name: `failed in ollama.configure: …`.
    pub(crate) fn predicate(&self) -> String {
        Predicate(self).to_string()
    }
}

impl fmt::Display for Predicate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallError { call, stopped, .. } = self.0;
        match stopped {
            Stopped::Memory { limit, asked } => {
                write!(
                    f,
                    "exceeded its memory limit of {} (asked for {}) in {call}",
                    size(*limit),
                    size(*asked)
                )
            }
            Stopped::Fuel { limit } => {
                write!(
                    f,
                    "exceeded its fuel limit of {} (about as many instructions) in {call}",
                    count(*limit)
                )
            }
            Stopped::Deadline { limit } => {
                write!(f, "exceeded its time limit of {} in {call}", time(*limit))
            }
            Stopped::Total { limit } => {
                write!(f, "exceeded the total limit of {} for all plugin calls in {call}", time(*limit))
            }
            Stopped::HostCallBytes { limit } => {
                write!(f, "exceeded its limit of {} for one result or note in {call}", size(*limit))
            }
            Stopped::HostCalls { limit } => {
                write!(f, "exceeded its limit of {} calls to the host in {call}", count(u64::from(*limit)))
            }
            Stopped::Handles { limit } => {
                write!(f, "exceeded its limit of {} open handles in {call}", count(*limit as u64))
            }
            Stopped::Stack { limit } => write!(
                f,
                "exceeded its stack limit of {} in {call}: recursion is too deep",
                size(*limit as u64)
            ),
            Stopped::TableElements { limit, asked } => write!(
                f,
                "exceeded its limit of {} table elements (asked for {}) in {call}",
                count(*limit as u64),
                count(*asked as u64)
            ),
            Stopped::Instances => {
                write!(f, "exceeded its limit of core instances, tables or memories in {call}")
            }
            Stopped::Diagnostics { limit } => {
                write!(f, "exceeded its limit of {} diagnostic notes in {call}", count(u64::from(*limit)))
            }
            Stopped::Output { limit } => {
                write!(f, "exceeded its output limit of {} in {call}", size(*limit as u64))
            }
            Stopped::ResultSize { what, limit, found } => {
                write!(f, "returned {} {what} in {call}; the limit is {}", count(*found), count(*limit))
            }
            Stopped::BadResult(what) => write!(f, "broke the contract in {call}: returned {what}"),
            Stopped::NoSlot { waited, most, of_plugin } => write!(
                f,
                "could not run {call}: no free slot after {} (limit: {}{} at a time)",
                time(*waited),
                if *most == 1 { "1 call".into() } else { format!("{} calls", count(*most as u64)) },
                if *of_plugin { " of one plugin" } else { "" },
            ),
            // Rust's own text is `panicked at PLACE:` and the message on a line of its own.
            Stopped::Panicked(text) => match text.strip_prefix("panicked at ") {
                Some(rest) => write!(f, "panicked in {call}, at {}", rest.replacen(":\n", ": ", 1)),
                None => write!(f, "panicked in {call}: {text}"),
            },
            Stopped::Trapped(words) => write!(f, "failed in {call}: {words}"),
            Stopped::Exited(code) => {
                write!(f, "exited with code {code} in {call}; a plugin must return a refusal instead")
            }
            Stopped::Shape(words) => write!(f, "does not match the contract in {call}: {words}"),
            Stopped::NotSupported => write!(f, "does not support {call}"),
            Stopped::Quarantined(quarantine) => {
                write!(f, "is quarantined and was not called for {call}: it {quarantine}")
            }
            Stopped::Host(words) => write!(f, "could not be called for {call}: {words}"),
        }
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self.stopped {
            Stopped::Memory { .. }
            | Stopped::Fuel { .. }
            | Stopped::Deadline { .. }
            | Stopped::Total { .. }
            | Stopped::HostCallBytes { .. }
            | Stopped::HostCalls { .. }
            | Stopped::Handles { .. }
            | Stopped::Stack { .. }
            | Stopped::TableElements { .. }
            | Stopped::Instances
            | Stopped::Diagnostics { .. }
            | Stopped::Output { .. }
            | Stopped::ResultSize { .. } => Code::PluginLimit,
            Stopped::BadResult(_) => Code::PluginBrokeRules,
            Stopped::NoSlot { .. } => Code::PluginBusy,
            Stopped::Panicked(_) | Stopped::Trapped(_) | Stopped::Exited(_) => Code::PluginCrashed,
            Stopped::Shape(_) => Code::PluginContract,
            Stopped::NotSupported => Code::MethodUnsupported,
            Stopped::Quarantined(_) => Code::PluginQuarantined,
            Stopped::Host(_) => Code::Internal,
        }
    }

    /// What to do next, or what the plugin printed.
    pub fn advice(&self) -> Option<Advice> {
        if let Stopped::Quarantined(_) = self.stopped {
            return Some("put a corrected file in its place; a new run gives it another chance".into());
        }
        (!self.output.is_empty()).then(|| format!("the plugin printed:\n{}", self.output).into())
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}
