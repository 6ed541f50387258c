//! The models that jobs made.

use super::id::JobId;
use tunesmith_core::ProviderId;

/// A model to record.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its name at the service.
    pub name: String,
    /// What really happened, in the outcome's words, such as `prompt-baked`.
    pub made: String,
    /// Its digest, where the service has one.
    pub digest: Option<String>,
}

/// A model that a job made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Its place in the order of making.
    pub number: i64,
    /// Its name at the service.
    pub name: String,
    pub provider: ProviderId,
    pub service: String,
    /// The job that made it; it may have been removed since.
    pub job: JobId,
    pub job_name: String,
    pub attempt: u32,
    pub method: String,
    pub base_model: String,
    /// What really happened; see [`NewModel::made`].
    pub made: String,
    pub digest: Option<String>,
    /// It exists on the emulator only.
    pub emulated: bool,
    pub made_ms: i64,
    /// When it first answered.
    pub verified_ms: Option<i64>,
    /// When a later model took its name.
    pub superseded_ms: Option<i64>,
    /// When it was deleted at the service.
    pub removed_ms: Option<i64>,
}

/// Which models to list. The default is those that exist, as far as is known.
#[derive(Debug, Clone, Default)]
pub struct ModelFilter {
    pub provider: Option<ProviderId>,
    pub job: Option<JobId>,
    /// Also those that were superseded or removed.
    pub gone: bool,
}
