//! Whether an owner is still alive: each keeps a lock on a file of its own, which the
//! system frees when the process ends, however it ends.
//!
//! A process id would not do: it is reused, and means nothing to a process in another
//! container that shares the directory.

use super::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What can be told of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It holds its lock.
    Alive,
    /// Its lock is free: it ended.
    Dead,
    /// There is no lock to look at.
    Unknown,
}

/// The lock of an owner.
pub(super) fn path(directory: &Path, token: &str) -> PathBuf {
    directory.join(format!("owner-{token}.lock"))
}

/// This process's own lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a child that is just being started shares it until
        // it runs its own program, and would keep the lock held. It is freed with the
        // process all the same if this fails.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Takes this process's own lock.
pub(super) fn take(directory: &Path, token: &str) -> Result<Lock, Error> {
    let path = path(directory, token);
    let failed = |error: std::io::Error| Error::ReadOnly { path: path.clone(), detail: error.to_string() };
    let file = File::create_new(&path).map_err(failed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    Ok(Lock(file))
}

/// Looks whether the owner is alive.
pub(super) fn look(directory: &Path, token: &str) -> Presence {
    let Ok(file) = File::open(path(directory, token)) else { return Presence::Unknown };
    // Shared, so that several who look at once do not take each other for the owner.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Presence::Dead,
        Err(rustix::io::Errno::WOULDBLOCK) => Presence::Alive,
        Err(_) => Presence::Unknown,
    }
}

/// Removes the lock files of owners that ended and that own nothing, as `owns` says.
pub(super) fn sweep(directory: &Path, owns: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let token = name.to_str().and_then(|name| name.strip_prefix("owner-")?.strip_suffix(".lock"));
        if let Some(token) = token
            && !owns(token)
            && look(directory, token) == Presence::Dead
        {
            // Left for the next sweep if it fails.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_dropped_is_free_though_a_starting_child_still_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let lock = take(directory.path(), "a").unwrap();
        let of_the_child = lock.0.try_clone().unwrap();
        assert_eq!(look(directory.path(), "a"), Presence::Alive);
        drop(lock);
        assert_eq!(look(directory.path(), "a"), Presence::Dead);
        drop(of_the_child);
    }
}
