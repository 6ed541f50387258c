//! A generation's health: one that fails again and again is not called any more.

use crate::sandbox::{CallError, Quarantine, Stopped};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that quarantine a generation. 5: a single odd job is not enough,
/// and a plugin that never answers burns at most five budgets.
pub const STRIKES: usize = 5;

/// The time within which they have to fall. A minute: five full planning deadlines,
/// and failures further apart delay nobody.
pub const WITHIN: Duration = Duration::from_secs(60);

/// What is remembered of a generation's calls.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// When the latest failures were, oldest first; an answer clears them.
    failures: Mutex<Vec<Instant>>,
    quarantine: OnceLock<Quarantine>,
}

impl Health {
    /// The quarantine, if it has come to that.
    pub(crate) fn quarantine(&self) -> Option<&Quarantine> {
        self.quarantine.get()
    }

    /// Notes how a call ended; returns the quarantine if this call brought it about.
    pub(crate) fn note<T>(&self, outcome: &Result<T, CallError>) -> Option<&Quarantine> {
        self.note_at(outcome, Instant::now())
    }

    fn note_at<T>(&self, outcome: &Result<T, CallError>, now: Instant) -> Option<&Quarantine> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match outcome {
            Err(error) if is_a_strike(&error.stopped) => error,
            // A fault of the host's says nothing of the plugin.
            Err(_) => return None,
            Ok(_) => {
                failures.clear();
                return None;
            }
        };
        failures.retain(|failure| now.duration_since(*failure) < WITHIN);
        failures.push(now);
        if failures.len() < STRIKES || self.quarantine.get().is_some() {
            return None;
        }
        let quarantine = Quarantine { failures: failures.len(), within: WITHIN, last: error.predicate() };
        self.quarantine.set(quarantine).ok()?;
        self.quarantine.get()
    }
}

/// Whether a failure is the plugin's own.
fn is_a_strike(stopped: &Stopped) -> bool {
    !matches!(
        stopped,
        Stopped::Host(_) | Stopped::NotSupported | Stopped::NoSlot { .. } | Stopped::Quarantined(_)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    fn failed(stopped: Stopped) -> Result<(), CallError> {
        Err(CallError {
            plugin: "x".into(),
            call: "ollama.configure",
            stopped,
            output: String::new(),
            receipt: None,
        })
    }

    fn trap() -> Result<(), CallError> {
        failed(Stopped::Trapped("divided an integer by zero".into()))
    }

    #[test]
    fn failures_in_a_row_quarantine() {
        let health = Health::default();
        for _ in 1..STRIKES {
            assert_eq!(health.note(&trap()), None);
        }
        insta::assert_snapshot!(health.note(&trap()).unwrap(), @"failed 5 times in a row within 60 s; the last time it failed in ollama.configure: divided an integer by zero");
        assert_eq!(health.note(&trap()), None, "it is said once");
        assert!(health.quarantine().is_some());
    }

    #[test]
    fn answers_and_time_reset_the_count() {
        let health = Health::default();
        let start = Instant::now();
        for call in 0..3 * STRIKES as u32 {
            let outcome = if call % STRIKES as u32 == 0 { Ok(()) } else { trap() };
            assert_eq!(health.note_at(&outcome, start), None);
        }
        health.note_at(&Ok(()), start);
        for call in 0..3 * STRIKES as u32 {
            assert_eq!(health.note_at(&trap(), start + call * WITHIN / 4), None);
        }
    }

    #[test]
    fn host_faults_do_not_count() {
        let health = Health::default();
        for _ in 0..3 * STRIKES {
            for stopped in [Stopped::Host("no thread".into()), Stopped::NotSupported] {
                assert_eq!(health.note(&failed(stopped)), None);
            }
        }
    }
}
