//! Emulated time: how fast jobs go through their lives, kept across restarts.
//!
//! Emulated seconds only decide how far a job has come; the timestamps that clients
//! see stay real, so that they can be compared with a client's own.

use super::disk;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tunesmith_core::time::Timestamp;

/// How emulated time passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// This many emulated seconds for each real one.
    Times(f64),
    /// Only by [`Emulator::tick`](super::Emulator::tick) or `POST /_emulator/tick`.
    Manual,
}

impl Pace {
    /// Emulated seconds to a second of the timestamps that clients see.
    pub(super) fn rate(self) -> f64 {
        match self {
            Self::Times(factor) => factor,
            Self::Manual => 1.0,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Anchor {
    real: f64,
    emulated: f64,
    pace: Pace,
}

impl Anchor {
    fn at(self, real: f64) -> f64 {
        match self.pace {
            Pace::Times(factor) => self.emulated + (real - self.real).max(0.0) * factor,
            Pace::Manual => self.emulated,
        }
    }
}

#[derive(Debug)]
pub(super) struct Clock {
    path: PathBuf,
    anchor: Mutex<Anchor>,
}

impl Clock {
    /// Carries on from where the last emulator of this state directory would be now.
    pub(super) fn open(root: &Path, pace: Pace) -> io::Result<Self> {
        let path = root.join("clock.json");
        let emulated = match disk::read_json::<Anchor>(&path) {
            Ok(last) => last.at(unix_now()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0.0,
            Err(error) => return Err(error),
        };
        let anchor = Anchor { real: unix_now(), emulated, pace };
        disk::write_json(&path, &anchor)?;
        Ok(Self { path, anchor: Mutex::new(anchor) })
    }

    pub(super) fn pace(&self) -> Pace {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner).pace
    }

    /// Emulated seconds since the state directory was first used.
    pub(super) fn now(&self) -> f64 {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner).at(unix_now())
    }

    /// Moves emulated time forward, whatever the pace.
    pub(super) fn tick(&self, seconds: f64) -> io::Result<f64> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let real = unix_now();
        let next = Anchor { real, emulated: anchor.at(real) + seconds, pace: anchor.pace };
        disk::write_json(&self.path, &next)?;
        *anchor = next;
        Ok(next.emulated)
    }
}

/// Seconds since 1970.
pub(super) fn unix_now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

/// A time as Ollama writes it: RFC 3339, UTC, with nanoseconds.
pub(super) fn rfc3339(time: Timestamp) -> String {
    format!("{time:.9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nanoseconds() {
        assert_eq!(rfc3339(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn manual_time_moves_by_ticks_and_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::open(dir.path(), Pace::Manual).unwrap();
        assert_eq!(clock.now(), 0.0);
        clock.tick(90.0).unwrap();
        assert_eq!(clock.now(), 90.0);
        assert_eq!(Clock::open(dir.path(), Pace::Manual).unwrap().now(), 90.0);
    }

    #[test]
    fn time_passes_while_no_emulator_runs() {
        let anchor = Anchor { real: 100.0, emulated: 7.0, pace: Pace::Times(10.0) };
        assert_eq!(anchor.at(101.5), 22.0);
        assert_eq!(anchor.at(99.0), 7.0);
    }
}
