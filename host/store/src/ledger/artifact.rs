//! Files that a job wrote for the user.

/// A file that was written for the user.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Its name among the job's, such as `Modelfile-lora-k3f9ab`.
    pub name: String,
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A recorded artifact; the fields are those of [`NewArtifact`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    pub name: String,
    pub path: String,
    pub sha256: String,
    pub bytes: u64,
    /// When it was recorded.
    pub made_ms: i64,
}
