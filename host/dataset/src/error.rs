//! Why a dataset could not be read at all. Errors in its rows are in the
//! [`Verdict`](crate::Verdict).

use std::io;
use std::path::PathBuf;
use tunesmith_core::error::{Error, Kind};

/// Why a dataset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Opening or reading failed.
    #[error("cannot read dataset {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not a regular file.
    #[error("dataset {} is {what}, not a regular file", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    /// The file changed while it was being read, or since.
    #[error("dataset {} changed while it was being read", path.display())]
    Changed { path: PathBuf },
    /// The file has no bytes, or none but white space.
    #[error("dataset {} is empty", path.display())]
    Empty { path: PathBuf },
    /// The file is in an encoding or of a kind that is not read.
    #[error("dataset {} {what}", path.display())]
    Unreadable {
        path: PathBuf,
        /// What it is, as the rest of a sentence.
        what: String,
        fix: String,
    },
    /// Room for unpacking or spooling it was missing.
    #[error("cannot write a temporary copy of dataset {}: {source}", path.display())]
    Spool { path: PathBuf, source: io::Error },
    /// A limit on the whole file.
    #[error("dataset {} {what}", path.display())]
    TooLarge {
        path: PathBuf,
        /// Which limit, as the rest of a sentence.
        what: String,
    },
    /// The caller asked to stop.
    #[error("interrupted while reading dataset {}", path.display())]
    Interrupted { path: PathBuf },
}

impl From<DatasetError> for Error {
    fn from(error: DatasetError) -> Self {
        let kind = match &error {
            DatasetError::Interrupted { .. } => Kind::Interrupted,
            DatasetError::Changed { .. } | DatasetError::Spool { .. } => Kind::Failed,
            _ => Kind::Invalid,
        };
        let hint = match &error {
            DatasetError::Read { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some("check the path; a job's dataset is relative to the job file".into())
                }
                io::ErrorKind::PermissionDenied => Some("make the file readable for this user".into()),
                _ => None,
            },
            DatasetError::NotAFile { .. } => {
                Some("give a file, or `-` to read from standard input".to_owned())
            }
            DatasetError::Changed { .. } => Some("run again when nothing writes to it".into()),
            DatasetError::Empty { .. } => Some("give a file with one JSON object per line".into()),
            DatasetError::Unreadable { fix, .. } => Some(fix.clone()),
            DatasetError::Spool { .. } => Some("make room, or set TMPDIR to a directory with room".into()),
            DatasetError::TooLarge { .. } => Some("split it into several files".into()),
            DatasetError::Interrupted { .. } => None,
        };
        let message = error.to_string();
        match hint {
            Some(hint) => Error::new(kind, message).hint(hint),
            None => Error::new(kind, message),
        }
    }
}
