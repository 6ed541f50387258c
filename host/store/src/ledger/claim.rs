//! Claims: one process at a time writes a job, and a dead owner's jobs are free.

use super::id::JobId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often an owner shows that it lives. A beat is one small write for all jobs of a
/// process.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Without a sign of life for this long, an owner whose presence cannot be seen is taken
/// for dead: six beats missed, more than a busy machine or a slow disk explains.
pub const STALE_AFTER_MS: i64 = 30_000;

/// An owner that is seen to be there is alive, and may have been stopped or have slept
/// with the machine: after waking it beats within seconds. It loses its jobs only when it
/// has been silent for this long, because taking over from one that is about to send is
/// the one way to do a thing twice.
pub const HUNG_AFTER_MS: i64 = 300_000;

/// What can be seen of an owner, apart from its beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It is there.
    Alive,
    /// It ended.
    Dead,
    /// Nothing of it can be seen from here.
    Unknown,
}

impl Liveness {
    /// Whether an owner of which this is seen, and whose last beat is so old, has lost its
    /// jobs.
    pub fn frees_jobs(self, age_ms: i64) -> bool {
        match self {
            Self::Dead => true,
            Self::Unknown => age_ms >= STALE_AFTER_MS,
            Self::Alive => age_ms >= HUNG_AFTER_MS,
        }
    }
}

/// The right to write a job. Dropped without [`Store::release`](crate::Store::release),
/// it is given back with the next heartbeat.
#[derive(Debug)]
pub struct Claim {
    job: JobId,
    token: String,
    dropped: DroppedClaims,
}

impl Claim {
    pub(crate) fn new(job: JobId, token: String, dropped: DroppedClaims) -> Self {
        Self { job, token, dropped }
    }

    /// The job that it is for.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// What fences out everyone else.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let entry = (self.job.clone(), std::mem::take(&mut self.token));
        self.dropped.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

/// The jobs and tokens of claims that were dropped, released or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct DroppedClaims(Arc<Mutex<Vec<(JobId, String)>>>);

impl DroppedClaims {
    pub(crate) fn take(&self) -> Vec<(JobId, String)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
