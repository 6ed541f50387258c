//! Reading a plugin file that is not trusted, and noticing changes to it.

use crate::rejection::Reason;
use crate::sandbox::Limits;
use rustix::fs::OFlags;
use std::fs::{File, FileType, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tunesmith_core::digest::Digest;

/// A file's bytes, read once, and their digest.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

/// File metadata, without its content. Two equal ones mean the same
/// content, unless it was written to in place within one tick of the file system's
/// clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds; the second pair also reveals writers who set the first
    /// one back, as `cp -p` does.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file or directory, through links; none where there is nothing.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }

    /// Whether both are of one file or directory, changed or not.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether the file was written to so shortly before now that a later write might
    /// not show.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        let seconds = u64::try_from(self.modified.0).unwrap_or(0);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        SystemTime::now().duration_since(modified).is_ok_and(|passed| passed < age)
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads a regular file within the size limit. Pipes, devices and directories are
/// refused without waiting on them, and a file that is too big without reading it.
pub(crate) fn read(path: &Path, limits: &Limits) -> Result<Content, Reason> {
    let unreadable = |error: std::io::Error| {
        Reason::Unreadable(if error.kind() == std::io::ErrorKind::NotFound {
            "no such file, or a broken link".into()
        } else {
            error.to_string()
        })
    };
    // Before opening, which has effects on some devices; the open file is checked
    // again, since the path may name another one by then.
    regular(std::fs::metadata(path).map_err(unreadable)?.file_type())?;
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    regular(metadata.file_type())?;
    let limit = limits.file;
    let too_big = |size| Reason::TooBig { size, limit };
    if metadata.len() > limit {
        return Err(too_big(metadata.len()));
    }
    let bytes = read_at_most(&file, metadata.len(), limit).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(too_big(bytes.len() as u64));
    }
    // Half of one content and half of the next would be nobody's.
    let after = file.metadata().map_err(unreadable)?;
    if written(&after) != written(&metadata) || bytes.len() as u64 != after.len() {
        return Err(Reason::Changing);
    }
    let digest = Digest::of(&bytes);
    Ok(Content { bytes, digest })
}

/// What a write to an open file changes; its name, its links and its permissions, which
/// leave the content alone, may change meanwhile.
fn written(metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Reads up to one byte more than the limit: the file may grow meanwhile.
fn read_at_most(file: &File, expected: u64, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn regular(kind: FileType) -> Result<(), Reason> {
    Err(Reason::NotAFile(if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}
