//! Writes files completely or not at all: to a temporary file next to the target, synced,
//! then renamed. An existing file is only replaced if the caller asks for it.

use flate2::write::GzEncoder;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tunesmith_core::digest::Digesting;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::fs::{Access, Draft, Durability, create_private, folder_of};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file already exists.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Failed { path: PathBuf, source: io::Error },
}

impl WriteError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Exists(_) => Code::OutputExists,
            Self::Failed { .. } => Code::OutputFailed,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Exists(_) => Some(Advice::ReplaceFile),
            Self::Failed { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("create the directory first".into()),
                io::ErrorKind::StorageFull => Some("make room; nothing was written".into()),
                _ => None,
            },
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Written {
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
}

/// Where a result is written.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// To this path; compressed with gzip if it ends in `.gz`.
    File {
        path: &'a Path,
        /// Whether to replace an existing file.
        replace: bool,
    },
    /// Into this folder, named by the digest of its bytes, readable only by this user. The
    /// folder is created if missing.
    ByDigest(&'a Path),
}

/// A file that is being written. Nothing remains if it is dropped unfinished.
pub(crate) struct Output {
    place: OwnedDestination,
    writer: Writer,
}

enum OwnedDestination {
    File { path: PathBuf, replace: bool },
    ByDigest(PathBuf),
}

impl OwnedDestination {
    /// The path for error messages.
    fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::ByDigest(path) => path,
        }
    }
}

enum Writer {
    Plain(Sink),
    Gzip(Box<GzEncoder<Sink>>),
}

type Sink = BufWriter<Digesting<Draft>>;

impl Output {
    pub fn create(to: Destination<'_>) -> Result<Self, WriteError> {
        match to {
            Destination::File { path, replace } => Self::create_at(path, replace),
            Destination::ByDigest(folder) => {
                let failed = |source| WriteError::Failed { path: folder.to_owned(), source };
                create_private(folder).map_err(failed)?;
                let draft = Draft::new(folder, Access::Private).map_err(failed)?;
                Ok(Self {
                    place: OwnedDestination::ByDigest(folder.to_owned()),
                    writer: Writer::Plain(sink(draft)),
                })
            }
        }
    }

    fn create_at(path: &Path, replace: bool) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Failed { path: path.to_owned(), source };
        if !replace && path.symlink_metadata().is_ok() {
            return Err(WriteError::Exists(path.to_owned()));
        }
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let sink = sink(Draft::new(folder_of(path), Access::Shared).map_err(failed)?);
        let writer = if path.extension().is_some_and(|extension| extension == "gz") {
            // No time and no name in the header: the same rows give the same bytes.
            Writer::Gzip(Box::new(GzEncoder::new(sink, flate2::Compression::default())))
        } else {
            Writer::Plain(sink)
        };
        Ok(Self { place: OwnedDestination::File { path: path.to_owned(), replace }, writer })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = match &mut self.writer {
            Writer::Plain(sink) => sink.write_all(bytes),
            Writer::Gzip(encoder) => encoder.write_all(bytes),
        };
        written.map_err(|source| WriteError::Failed { path: self.place.path().to_owned(), source })
    }

    /// Renames the file to its final path.
    pub fn finish(self) -> Result<Written, WriteError> {
        let Self { place, writer } = self;
        let failed = |source| WriteError::Failed { path: place.path().to_owned(), source };
        let sink = match writer {
            Writer::Plain(sink) => sink,
            Writer::Gzip(encoder) => encoder.finish().map_err(failed)?,
        };
        let (draft, digest, bytes) = sink.into_inner().map_err(|error| failed(error.into_error()))?.finish();
        let digest = digest.to_string();
        let (path, replace) = match &place {
            OwnedDestination::File { path, replace } => (path.clone(), *replace),
            OwnedDestination::ByDigest(folder) => (folder.join(format!("{digest}.jsonl")), true),
        };
        if replace {
            draft.replace(&path, Durability::Synced).map_err(failed)?;
        } else {
            draft.create(&path, Durability::Synced).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => WriteError::Exists(path.clone()),
                _ => failed(error),
            })?;
        }
        Ok(Written { bytes, digest, path })
    }
}

fn sink(draft: Draft) -> Sink {
    BufWriter::with_capacity(256 << 10, Digesting::new(draft))
}
