//! What is done to the world on behalf of a job.

use super::named::named;
use super::state::State;

named! {
    /// Something done to the world on behalf of a job.
    Operation, "operation" {
        /// A base model is pulled.
        Pull = "pull",
        /// A file or blob is uploaded.
        Upload = "upload",
        /// The remote job or model is created: never sent twice.
        Create = "create",
        /// The remote job is cancelled.
        Cancel = "cancel",
        /// The remote job is paused.
        Pause = "pause",
        /// The remote job is resumed.
        Resume = "resume",
        /// An uploaded file is deleted.
        DeleteFile = "delete-file",
        /// A model is deleted.
        DeleteModel = "delete-model",
    }
}

impl Operation {
    /// Whether a job in this state may do it.
    pub fn allowed_in(self, state: State) -> bool {
        use State::*;
        match self {
            Self::Pull | Self::Upload => matches!(state, Uploading),
            Self::Create => matches!(state, Creating),
            Self::Cancel => matches!(state, Creating | Unknown | Submitted | Running | Paused | Verifying),
            Self::Pause => matches!(state, Submitted | Running),
            Self::Resume => matches!(state, Paused),
            // Cleaning up comes at any time.
            Self::DeleteFile | Self::DeleteModel => true,
        }
    }
}
