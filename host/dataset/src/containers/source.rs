//! Opens a dataset file, which must be regular; unpacks it if it is compressed, and
//! detects changes.

use super::compress::{Compression, MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO, UnpackError, unpacked_limit};
use crate::error::DatasetError;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tunesmith_core::digest::Digest;

/// Identifies one state of a file.
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
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    identity: Identity,
    compression: Option<Compression>,
    temporary: Option<PathBuf>,
    max_unpacked: u64,
    unpacked: OnceLock<(File, u64)>,
}

impl Source {
    /// Opens a regular file. A symbolic link is followed. What is compressed will be
    /// unpacked in `temporary`.
    pub fn open(path: &Path, temporary: Option<&Path>) -> Result<Self, DatasetError> {
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
        let mut start = [0; 8];
        let count = read_up_to(&mut FileReader { file: &file, at: 0 }, &mut start).map_err(failed)?;
        let start = &start[..count];
        if let Some((what, fix)) = foreign(start) {
            return Err(DatasetError::Unreadable {
                path: path.to_owned(),
                what: what.into(),
                fix: fix.into(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            identity,
            compression: Compression::of(start),
            temporary: temporary.map(Path::to_owned),
            max_unpacked: MAX_UNPACKED_BYTES,
            unpacked: OnceLock::new(),
        })
    }

    /// Limits the unpacked size to this many bytes.
    pub fn with_unpacked_limit(self, most: Option<u64>) -> Self {
        Self { max_unpacked: most.unwrap_or(MAX_UNPACKED_BYTES), ..self }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is compressed.
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Fails if the file is not as it was when it was opened.
    pub fn unchanged(&self) -> Result<(), DatasetError> {
        let metadata = self.file.metadata().map_err(|source| self.failed(source))?;
        if identity(&metadata) == self.identity { Ok(()) } else { Err(self.changed()) }
    }

    /// The file without compression, and its size.
    fn plain(&self) -> Result<(&File, u64), DatasetError> {
        let Some(compression) = self.compression else { return Ok((&self.file, self.identity.bytes)) };
        if let Some((file, bytes)) = self.unpacked.get() {
            return Ok((file, *bytes));
        }
        let limit = unpacked_limit(self.identity.bytes).min(self.max_unpacked);
        let packed = FileReader { file: &self.file, at: 0 };
        let file = compression
            .unpack(packed, limit, self.temporary.as_deref())
            .map_err(|error| self.not_unpacked(compression, error))?;
        self.unchanged()?;
        let bytes = file.metadata().map_err(|source| self.failed(source))?.len();
        let (file, bytes) = self.unpacked.get_or_init(|| (file, bytes));
        Ok((file, *bytes))
    }

    fn not_unpacked(&self, compression: Compression, error: UnpackError) -> DatasetError {
        let path = self.path.clone();
        match error {
            UnpackError::Read(error) => DatasetError::Unreadable {
                path,
                what: format!("is not a complete {} file: {error}", compression.name()),
                fix: "compress it again, or pass it uncompressed".to_owned(),
            },
            UnpackError::Write(source) => DatasetError::Spool { path, source },
            UnpackError::TooLarge { limit } => DatasetError::TooLarge {
                path,
                what: format!(
                    "unpacks to more than {limit} bytes (limit: {MAX_UNPACKED_RATIO} times its size, or less if \
                     configured)"
                ),
            },
        }
    }

    /// Its size in bytes without compression.
    pub fn plain_bytes(&self) -> Result<u64, DatasetError> {
        Ok(self.plain()?.1)
    }

    /// Reads uncompressed bytes from an offset, independently of other readers.
    pub fn reader_at(&self, offset: u64) -> Result<FileReader<'_>, DatasetError> {
        Ok(FileReader { file: self.plain()?.0, at: offset })
    }

    /// Reads exactly these bytes, without compression.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DatasetError> {
        self.plain()?.0.read_exact_at(buffer, offset).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.changed(),
            _ => self.failed(source),
        })
    }

    /// The SHA-256 of the file as it is on disk, in hexadecimal.
    pub fn digest(&self) -> Result<String, DatasetError> {
        let mut reader = FileReader { file: &self.file, at: 0 };
        let digest = Digest::of_reader(&mut reader).map_err(|source| self.failed(source))?;
        self.unchanged()?;
        if reader.at == self.identity.bytes { Ok(digest.to_string()) } else { Err(self.changed()) }
    }

    /// The file, for reading from its start.
    pub fn into_file(self) -> File {
        self.file
    }

    /// An error while reading.
    pub fn failed(&self, source: io::Error) -> DatasetError {
        DatasetError::Read { path: self.path.clone(), source }
    }

    /// The error for a file that changed.
    pub fn changed(&self) -> DatasetError {
        DatasetError::Changed { path: self.path.clone() }
    }
}

/// Opens a regular file with this SHA-256 (in hexadecimal).
///
/// # Errors
/// The file cannot be read or has another digest.
pub fn open_exactly(path: &Path, sha256: &str) -> Result<std::fs::File, DatasetError> {
    let source = Source::open(path, None)?;
    if source.digest()? != sha256 {
        return Err(source.changed());
    }
    Ok(source.into_file())
}

/// Names files of other kinds by their first bytes.
fn foreign(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const UNPACK: &str = "unpack it, or compress it with gzip or zstd";
    match start {
        [b'P', b'A', b'R', b'1', ..] => Some((
            "is a Parquet file",
            "convert it to JSONL first, for example with pandas: read_parquet(…).to_json(…, orient=\"records\", lines=True)",
        )),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some((
            "is an Arrow file",
            "convert it to JSONL first, for example with datasets: Dataset.to_json(…)",
        )),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Some(("is text in UTF-16", "save it as UTF-8, for example with `iconv -f utf-16 -t utf-8`"))
        }
        [b'P', b'K', 3, 4, ..] => Some(("is a ZIP archive or an office document", UNPACK)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(("is compressed by xz", UNPACK)),
        [b'B', b'Z', b'h', ..] => Some(("is compressed by bzip2", UNPACK)),
        [b'%', b'P', b'D', b'F', ..] => Some(("is a PDF document", "use a file of rows, such as JSONL")),
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => {
            Some(("is an SQLite database", "export a table to CSV or JSON first"))
        }
        _ => None,
    }
}

/// Reads until the buffer is full or the stream ends.
pub(crate) fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
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

/// Reads a file in order, with a position of its own.
#[derive(Debug)]
pub(crate) struct FileReader<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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
