//! Reading a small file that others wrote: regular, within a limit, and text.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Why a file cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// It could not be read.
    Read(io::Error),
    /// It is a directory, a device or a pipe.
    NotAFile,
    /// It has more bytes than the limit.
    TooLarge,
    /// It is not UTF-8; the offset of the first bad byte.
    NotUtf8(usize),
}

/// The text of a regular file of at most `most` bytes, without a byte order mark.
/// Pipes and devices are refused without waiting for them.
pub fn text(path: &Path, most: u64) -> Result<String, Fault> {
    // Without NONBLOCK, opening a pipe that nobody writes to would hang.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(Fault::Read)?;
    text_of(file, most)
}

/// The same of a file that is open.
pub fn text_of(file: File, most: u64) -> Result<String, Fault> {
    if !file.metadata().map_err(Fault::Read)?.is_file() {
        return Err(Fault::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Fault::Read)?;
    if bytes.len() as u64 > most {
        return Err(Fault::TooLarge);
    }
    // Editors on some systems begin a file with a byte order mark, which JSON does not know.
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| Fault::NotUtf8(error.utf8_error().valid_up_to()))
}
