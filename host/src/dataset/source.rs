//! Opens a dataset's file, and only a regular file, and notices when it changes.

use super::error::DatasetError;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// An open dataset file.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: File,
    identity: Identity,
}

impl Source {
    /// Opens a regular file. A symbolic link is followed.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let failed = |source| DatasetError::Read { path: path.to_owned(), source };
        // Without NONBLOCK, opening a pipe would wait for a writer.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let kind = metadata.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else if kind.is_fifo() {
                "a pipe"
            } else if kind.is_socket() {
                "a socket"
            } else {
                "a device"
            };
            return Err(DatasetError::NotAFile { path: path.to_owned(), what });
        }
        let identity = identity(&metadata);
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes when it was opened.
    pub fn bytes(&self) -> u64 {
        self.identity.bytes
    }

    /// Fails if the file is not as it was when it was opened.
    pub fn unchanged(&self) -> Result<(), DatasetError> {
        let metadata = self.file.metadata().map_err(|source| self.failed(source))?;
        if identity(&metadata) == self.identity {
            Ok(())
        } else {
            Err(DatasetError::Changed { path: self.path.clone() })
        }
    }

    /// Reads from the start on, independently of other readers.
    pub fn reader(&self) -> SourceReader<'_> {
        self.reader_at(0)
    }

    /// Reads from a byte on.
    pub fn reader_at(&self, offset: u64) -> SourceReader<'_> {
        SourceReader { file: &self.file, at: offset }
    }

    /// Reads exactly these bytes.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DatasetError> {
        use std::os::unix::fs::FileExt;
        self.file.read_exact_at(buffer, offset).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => DatasetError::Changed { path: self.path.clone() },
            _ => self.failed(source),
        })
    }

    /// An error while reading.
    pub fn failed(&self, source: io::Error) -> DatasetError {
        DatasetError::Read { path: self.path.clone(), source }
    }
}

fn identity(metadata: &std::fs::Metadata) -> Identity {
    Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        seconds: metadata.mtime(),
        nanoseconds: metadata.mtime_nsec(),
    }
}

/// Reads a [`Source`] in order.
#[derive(Debug)]
pub(super) struct SourceReader<'a> {
    file: &'a File,
    at: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        loop {
            match self.file.read_at(buffer, self.at) {
                Ok(bytes) => {
                    self.at += bytes as u64;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Digests what is read through it.
pub(super) struct Digesting<R> {
    inner: R,
    digest: Sha256,
    bytes: u64,
}

impl<R: Read> Digesting<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, digest: Sha256::new(), bytes: 0 }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of what was read, in hexadecimal, and how many bytes it was.
    pub fn finish(self) -> (String, u64) {
        (hex(&self.digest.finalize()), self.bytes)
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.digest.update(&buffer[..bytes]);
        self.bytes += bytes as u64;
        Ok(bytes)
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
