//! Why a dataset could not be read at all. Errors in its rows are in the
//! [`Verdict`](crate::Verdict).

use std::io;
use std::path::PathBuf;
use tunesmith_core::failure::{Advice, Code, Failure};

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

impl DatasetError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Read { .. } | Self::NotAFile { .. } | Self::Unreadable { .. } => Code::DatasetUnreadable,
            Self::Changed { .. } => Code::DatasetChanged,
            Self::Empty { .. } => Code::DatasetEmpty,
            Self::Spool { .. } => Code::NoSpace,
            Self::TooLarge { .. } => Code::DatasetTooLarge,
            Self::Interrupted { .. } => Code::Interrupted,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        Some(match self {
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    "check the path; a job's dataset is relative to the job file".into()
                }
                io::ErrorKind::PermissionDenied => "make the file readable for this user".into(),
                _ => return None,
            },
            Self::NotAFile { .. } => "give a file, or `-` to read from standard input".into(),
            Self::Changed { .. } => "run again when nothing writes to it".into(),
            Self::Empty { .. } => "give a file with one JSON object per line".into(),
            Self::Unreadable { fix, .. } => fix.as_str().into(),
            Self::Spool { .. } => Advice::FreeTemporarySpace,
            Self::TooLarge { .. } => "split it into several files".into(),
            Self::Interrupted { .. } => return None,
        })
    }
}

impl From<DatasetError> for Failure {
    fn from(error: DatasetError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}
