//! Faults on demand, and counts of what was asked and what took effect.

use super::routes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Faults that may be armed at once; a test that needs more has a loop gone wild.
pub(super) const MAX_FAULTS: usize = 1_000;

/// The longest delay that a fault may cause, in milliseconds: a test that waits
/// longer tests nothing more.
const MAX_DELAY_MS: u64 = 600_000;

/// What goes wrong with which call of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method and path, as in `routes`: `POST /api/create`,
    /// `GET /v1/fine_tuning/jobs/{id}`.
    pub route: String,
    /// The first call that fails, counted from 1 from when the fault was armed.
    #[serde(default = "one")]
    pub call: u32,
    /// How many calls in a row fail.
    #[serde(default = "one")]
    pub times: u32,
    /// What happens to them.
    pub action: Action,
}

fn one() -> u32 {
    1
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The connection closes before anything was done.
    DropBefore,
    /// Everything is done, then the connection closes without a reply.
    DropAfter,
    /// The call is handled after a while.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Nothing is done and this is the reply.
    Status {
        status: u16,
        /// The body: a text as it is, anything else as JSON.
        #[serde(default)]
        body: Value,
        /// Headers of the reply.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// OpenAI's 429 `rate_limit_exceeded`; nothing is done.
    RateLimited {
        /// The value of `Retry-After`, where one is sent: seconds or a date.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// OpenAI's 429 `insufficient_quota`; nothing is done.
    QuotaExceeded,
    /// The reply ends too early, after so many lines or bytes, with the connection.
    Truncate {
        /// Whole lines that are still sent.
        #[serde(default)]
        lines: Option<u64>,
        /// Bytes that are still sent.
        #[serde(default)]
        bytes: Option<u64>,
        /// Whether the work goes on to its end all the same. Otherwise it sees its
        /// client go.
        #[serde(default)]
        finish: bool,
    },
    /// The reply comes slowly: a pause before each of its pieces (a line, for a
    /// stream of lines).
    Slow {
        /// The pause, in milliseconds.
        ms: u64,
    },
    /// Every SHA-256 in the reply has its last digit changed; an uploaded blob is
    /// said to differ from its digest, and is not kept.
    WrongDigest,
}

impl Fault {
    /// A fault of the next call of a route.
    pub fn next(route: impl Into<String>, action: Action) -> Self {
        Self { route: route.into(), call: 1, times: 1, action }
    }

    /// The same, for the `call`th call from now.
    #[must_use]
    pub fn at_call(mut self, call: u32) -> Self {
        self.call = call;
        self
    }

    /// The same, for so many calls in a row.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

/// Why a fault cannot be armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no such route.
    #[error("there is no route {route:?}; the routes are: {}", routes::all().collect::<Vec<_>>().join(", "))]
    UnknownRoute { route: String },
    /// Calls are counted from 1, and a fault lasts for at least one.
    #[error("call and times start at 1")]
    Zero,
    /// A reply cannot have this status.
    #[error("{status} is not a status that a reply can end with; give 200 to 599")]
    Status { status: u16 },
    /// A header that cannot be sent.
    #[error("the header {name:?} cannot be sent as it is")]
    Header { name: String },
    /// The delay is too long.
    #[error("{ms} ms is too long; a fault may delay by {MAX_DELAY_MS} ms at most")]
    Delay { ms: u64 },
    /// Neither or both of `lines` and `bytes`.
    #[error("truncate needs lines or bytes, and not both")]
    Truncate,
    #[error("{MAX_FAULTS} faults are armed already; clear them with DELETE /_emulator/faults")]
    TooMany,
}

impl Fault {
    fn check(&self) -> Result<(), FaultError> {
        if !routes::all().any(|route| route == self.route) {
            return Err(FaultError::UnknownRoute { route: self.route.clone() });
        }
        if self.call == 0 || self.times == 0 {
            return Err(FaultError::Zero);
        }
        match &self.action {
            Action::Delay { ms } | Action::Slow { ms } if *ms > MAX_DELAY_MS => {
                Err(FaultError::Delay { ms: *ms })
            }
            Action::Status { status, .. } if !(200..600).contains(status) => {
                Err(FaultError::Status { status: *status })
            }
            Action::Status { headers, .. } => {
                match headers.iter().find(|(name, value)| {
                    hyper::header::HeaderName::try_from(name.as_str()).is_err()
                        || hyper::header::HeaderValue::try_from(value.as_str()).is_err()
                }) {
                    Some((name, _)) => Err(FaultError::Header { name: name.clone() }),
                    None => Ok(()),
                }
            }
            Action::Truncate { lines, bytes, .. } if lines.is_some() == bytes.is_some() => {
                Err(FaultError::Truncate)
            }
            _ => Ok(()),
        }
    }
}

/// An armed fault, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Armed {
    #[serde(flatten)]
    pub fault: Fault,
    /// Calls of its route since it was armed.
    pub seen: u32,
    /// Calls that it hit.
    pub fired: u32,
}

/// The faults that are armed.
#[derive(Debug, Default)]
pub struct Faults {
    armed: Mutex<Vec<Armed>>,
}

impl Faults {
    /// # Errors
    /// Where it could never fire or is out of bounds.
    pub fn arm(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check()?;
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        armed.push(Armed { fault, seen: 0, fired: 0 });
        Ok(())
    }

    pub fn clear(&self) {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All that are armed, also those that have fired.
    pub fn armed(&self) -> Vec<Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a call of a route, and says what is to go wrong with it, in the order
    /// in which the faults were armed.
    pub(super) fn on_call(&self, route: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        for one in armed.iter_mut().filter(|one| one.fault.route == route) {
            one.seen = one.seen.saturating_add(1);
            if one.seen >= one.fault.call && one.seen - one.fault.call < one.fault.times {
                one.fired += 1;
                actions.push(one.fault.action.clone());
            }
        }
        actions
    }
}

/// What was asked of the emulator and what took effect since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls by route, whatever came of them.
    pub requests: BTreeMap<String, u64>,
    /// Changes by route: of `POST /v1/fine_tuning/jobs`, the jobs that were made,
    /// whether or not the reply arrived.
    pub effects: BTreeMap<String, u64>,
}

impl Counts {
    /// Changes that a route made.
    pub fn effects_of(&self, route: &str) -> u64 {
        self.effects.get(route).copied().unwrap_or(0)
    }

    /// Calls of a route.
    pub fn requests_of(&self, route: &str) -> u64 {
        self.requests.get(route).copied().unwrap_or(0)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Counts>);

impl Counters {
    pub(super) fn request(&self, route: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry(route.to_owned()).or_default() += 1;
    }

    pub(super) fn effect(&self, route: &'static str) {
        debug_assert!(routes::all().any(|known| known == route), "{route}");
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.effects.entry(route.to_owned()).or_default() += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_calls_and_no_others() {
        let faults = Faults::default();
        faults.arm(Fault::next("POST /api/create", Action::DropAfter).at_call(2).times(2)).unwrap();
        let hit: Vec<bool> = (0..5).map(|_| !faults.on_call("POST /api/create").is_empty()).collect();
        assert_eq!(hit, [false, true, true, false, false]);
        assert!(faults.on_call("POST /api/chat").is_empty());
        assert_eq!((faults.armed()[0].seen, faults.armed()[0].fired), (5, 2));
    }

    #[test]
    fn a_fault_that_could_never_fire_is_refused() {
        let faults = Faults::default();
        for (fault, part) in [
            (Fault::next("POST /api/creat", Action::DropAfter), "there is no route \"POST /api/creat\""),
            (Fault::next("POST /api/create", Action::DropAfter).at_call(0), "start at 1"),
            (
                Fault::next("POST /api/create", Action::Truncate { lines: None, bytes: None, finish: false }),
                "lines or bytes",
            ),
            (Fault::next("POST /api/create", Action::Delay { ms: u64::MAX }), "too long"),
            (
                Fault::next(
                    "POST /api/create",
                    Action::Status { status: 99, body: Value::Null, headers: BTreeMap::new() },
                ),
                "99 is not a status",
            ),
        ] {
            let message = faults.arm(fault).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
