//! Writes files completely or not at all: to a temporary file next to the target, synced,
//! then renamed. An existing file is only replaced if the caller asks for it.

use crate::containers::source::hex;
use crate::convert::spool::private_directory;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Advice, Code, Failure};

/// How the names of unfinished files begin.
const PART: &str = ".tunesmith-";

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

type Sink = BufWriter<Digested>;

struct Digested {
    file: tempfile::NamedTempFile,
    digest: Sha256,
    bytes: u64,
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output {
    pub fn create(to: Destination<'_>) -> Result<Self, WriteError> {
        match to {
            Destination::File { path, replace } => Self::create_at(path, replace),
            Destination::ByDigest(folder) => {
                let failed = |source| WriteError::Failed { path: folder.to_owned(), source };
                private_directory(folder).map_err(failed)?;
                let file = tempfile::Builder::new().prefix(PART).tempfile_in(folder).map_err(failed)?;
                Ok(Self {
                    place: OwnedDestination::ByDigest(folder.to_owned()),
                    writer: Writer::Plain(sink(file)),
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
        let directory = directory(path);
        let file = tempfile::Builder::new()
            .prefix(PART)
            .permissions(permissions())
            .tempfile_in(directory)
            .map_err(failed)?;
        let sink = sink(file);
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
        let Digested { file, digest, bytes } =
            sink.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        let digest = hex(&digest.finalize());
        let (path, replace) = match &place {
            OwnedDestination::File { path, replace } => (path.clone(), *replace),
            OwnedDestination::ByDigest(folder) => (folder.join(format!("{digest}.jsonl")), true),
        };
        if replace {
            file.persist(&path).map_err(|error| failed(error.error))?;
        } else {
            file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => WriteError::Exists(path.clone()),
                _ => failed(error.error),
            })?;
        }
        // The name, too, must survive a crash.
        File::open(directory(&path)).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(Written { bytes, digest, path })
    }
}

fn sink(file: tempfile::NamedTempFile) -> Sink {
    BufWriter::with_capacity(256 << 10, Digested { file, digest: Sha256::new(), bytes: 0 })
}

/// The directory of a path.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The mode of an ordinary new file, before the user's umask.
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
