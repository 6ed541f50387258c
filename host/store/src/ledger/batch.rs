//! What one look at a service, or one step of training, brings.

use super::artifact::NewArtifact;
use super::checkpoint::Checkpoint;
use super::event::NewEvent;
use super::metric::MetricPoint;

/// What came in with one look at the service, or one step of training.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Events, oldest first. What was recorded before, by remote id, is skipped.
    pub events: Vec<NewEvent>,
    /// Figures by step, oldest first; see [`MetricPoint`].
    pub metrics: Vec<MetricPoint>,
    /// Checkpoints; what was recorded before is skipped.
    pub checkpoints: Vec<Checkpoint>,
    /// Artifacts that were written; one of the same name is replaced.
    pub artifacts: Vec<NewArtifact>,
    /// Steps done and in all.
    pub progress: Option<(u64, u64)>,
}

/// How much of a batch was new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    pub events: usize,
    /// Steps with new or changed figures.
    pub metrics: usize,
    pub checkpoints: usize,
}
