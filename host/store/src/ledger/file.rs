//! Files that were uploaded to a service.

use super::id::JobId;

/// A file that is now at the service.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The service's id of it.
    pub remote_id: String,
    /// Its name there.
    pub file_name: String,
    /// What it is for, such as `fine-tune`.
    pub purpose: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When the service deletes it by itself.
    pub expires_ms: Option<i64>,
}

/// An uploaded file; the fields it shares with [`NewUpload`] are the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadedFile {
    /// Its place in the order of uploading.
    pub number: i64,
    pub service: String,
    pub remote_id: String,
    pub file_name: String,
    pub purpose: String,
    pub sha256: String,
    pub bytes: u64,
    /// The job that first uploaded it; it may have been removed since.
    pub job: JobId,
    /// It is on the emulator.
    pub emulated: bool,
    pub added_ms: i64,
    pub expires_ms: Option<i64>,
    pub removed_ms: Option<i64>,
}

/// Which content is wanted at which service.
#[derive(Debug, Clone, Copy)]
pub struct FileContent<'a> {
    pub service: &'a str,
    /// On the emulator.
    pub emulated: bool,
    pub purpose: &'a str,
    /// SHA-256 of the bytes.
    pub sha256: &'a str,
    /// How many bytes it has.
    pub bytes: u64,
}
