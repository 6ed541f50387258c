//! The answer to a call: result, notes and receipt.

use crate::tier::Tier;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tunesmith_core::contract::{Note, Refusal};
use tunesmith_core::digest::Digest;

/// The answer of a plugin that stayed within its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// The result, or why the method does not want the job.
    pub result: Result<T, Refusal>,
    /// Notes for the user, in order.
    pub notes: Vec<Note>,
    /// What was called and what it cost.
    pub receipt: Receipt,
}

/// What was called and what it cost. All but [`Receipt::measured`] is the same on
/// every run with the same inputs, and belongs to the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub plugin: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: Digest,
    /// The version of the contract that it is built for.
    pub contract: String,
    pub tier: Tier,
    /// The function that was called, such as `ollama.configure`.
    pub call: String,
    /// Fuel that the call took; absent where it is not metered (`transform`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fuel: Option<u64>,
    /// What differs from run to run; for the sidecar, not for the plan.
    #[serde(skip)]
    pub measured: Measured,
}

/// Measurements of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Wall time of the guest call: instantiation, run and drop, without the wait
    /// for a place.
    pub wall: Duration,
    /// The most linear memory that it had, in bytes.
    pub peak_memory: u64,
    /// Bytes of text passed to the plugin: job, rows, tasks.
    pub bytes_in: u64,
    /// Bytes of text that the plugin passed back: result and notes.
    pub bytes_out: u64,
    /// Calls to the host.
    pub host_calls: u32,
    /// Rows that the plugin was shown.
    pub rows: u64,
}
