//! Reading a plugin file that nobody vouches for.

use super::rejection::Reason;
use super::{Digest, Limits};
use rustix::fs::OFlags;
use std::fs::{File, FileType, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A file's bytes, read once, and their digest.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
}

/// Reads a regular file within the size limit. Pipes, devices and directories are
/// refused without waiting on them, and a file that is too big without reading it.
pub(super) fn read(path: &Path, limits: &Limits) -> Result<Content, Reason> {
    let unreadable = |error: std::io::Error| {
        Reason::Unreadable(if error.kind() == std::io::ErrorKind::NotFound {
            "it is gone, or a link to a file that is not there".into()
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
    let bytes = read_at_most(file, metadata.len(), limit).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(too_big(bytes.len() as u64));
    }
    let digest = Digest::of(&bytes);
    Ok(Content { bytes, digest })
}

/// Reads up to one byte more than the limit: the file may grow meanwhile.
fn read_at_most(file: File, expected: u64, limit: u64) -> std::io::Result<Vec<u8>> {
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
