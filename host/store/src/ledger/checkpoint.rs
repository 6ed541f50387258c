//! Checkpoints: states of the model that were kept during training.

use std::collections::BTreeMap;

/// A state of the model that was kept during training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Where it is; a job has one checkpoint at a place.
    pub kept: Kept,
    /// After which step.
    pub step: u64,
    /// Figures by name, such as `valid_loss`.
    pub figures: BTreeMap<String, f64>,
    pub made_ms: i64,
}

/// Where a checkpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// At the service.
    Remote {
        /// The service's id of it.
        id: String,
        /// The name by which it can be used as a model.
        model: String,
    },
    /// On this disk, written by a training run in this process.
    File {
        /// The file or directory.
        path: String,
    },
}

impl Kept {
    /// What a person calls it: the model's name, or the file's path.
    pub fn name(&self) -> &str {
        match self {
            Self::Remote { model, .. } => model,
            Self::File { path } => path,
        }
    }
}
