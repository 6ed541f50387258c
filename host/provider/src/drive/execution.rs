//! What is stored with a job for carrying it out, beside its plan: what the user agreed
//! to, and where on this machine its files lie.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileToUpload {
    /// Where it lies on this machine.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// The executor's own part of what is stored with a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// The job file, for people.
    pub job_file: Option<PathBuf>,
    /// An existing model of the name may be replaced.
    pub replace: bool,
    /// A missing base model may be pulled.
    pub pull: bool,
    /// For providers that take uploads.
    pub training: Option<FileToUpload>,
    /// For providers that take uploads, where the job names one.
    pub validation: Option<FileToUpload>,
}
