//! SQLite's errors in the store's terms.

use crate::Error;
use std::path::Path;

/// Reading a column failed: the row is not what this program's schema says.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault { detail: format!("a row is not as expected: {error}") }
    }
}

/// The low byte of an SQLite result code says what happened; the rest, where.
/// <https://www.sqlite.org/rescode.html>
mod code {
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const READONLY: i32 = 8;
    pub const IOERR: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const NOTADB: i32 = 26;
}

/// The database's error in the store's terms.
pub fn translated(path: &Path, error: sqlx::Error) -> Error {
    let path = path.to_path_buf();
    let Some(database) = error.as_database_error() else {
        return Error::Fault { detail: error.to_string() };
    };
    let detail = database.message().to_owned();
    let primary = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0) & 0xff;
    match primary {
        code::BUSY | code::LOCKED => Error::Busy { path, seconds: 0 },
        code::READONLY | code::CANTOPEN => Error::ReadOnly { path, detail },
        // SQLite cannot say that there was no room for its shared memory; the disk can.
        code::IOERR if is_full(&path) => Error::Full { path },
        code::IOERR => Error::Io { path, detail },
        code::CORRUPT => Error::Damaged { path, detail },
        code::FULL => Error::Full { path },
        code::NOTADB => Error::NotAStore { path, why: "it is not an SQLite database".into() },
        _ => Error::Fault { detail: error.to_string() },
    }
}

/// Below this much free space a store cannot be opened: shared memory takes 32 KiB, and a
/// change some pages of log.
const NO_SPACE: u64 = 128 << 10;

fn is_full(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    rustix::fs::statvfs(directory).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < NO_SPACE)
}
