//! Whether an owner is still alive: each keeps a lock on a file of its own, which the
//! system frees when the process ends, however it ends.
//!
//! A process id would not do: it is reused, and means nothing to a process in another
//! container that shares the directory.

use crate::Error;
use crate::backend::Presence;
use crate::ledger::claim::Liveness;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The lock files of a store's directory, and this process's own lock.
pub struct LockFiles {
    directory: PathBuf,
    me: String,
    /// The lock, once there is something to own. Its file stays when the lock is freed and
    /// while jobs name this owner, so that others can see at once that it is gone.
    lock: Mutex<Option<Lock>>,
}

impl LockFiles {
    pub fn new(directory: &Path, me: &str) -> Self {
        Self { directory: directory.to_owned(), me: me.to_owned(), lock: Mutex::new(None) }
    }
}

impl Presence for LockFiles {
    fn appear(&self) -> Result<bool, Error> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return Ok(false);
        }
        *lock = Some(take(&path(&self.directory, &self.me))?);
        Ok(true)
    }

    fn look(&self, owner: &str) -> Liveness {
        look(&path(&self.directory, owner))
    }

    fn sweep(&self, is_needed: &dyn Fn(&str) -> bool) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix("owner-")?.strip_suffix(".lock"));
            if let Some(owner) = owner
                && owner != self.me
                && !is_needed(owner)
                && self.look(owner) == Liveness::Dead
            {
                // Left for the next sweep if it fails.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn path(directory: &Path, owner: &str) -> PathBuf {
    directory.join(format!("owner-{owner}.lock"))
}

/// A lock that is held until it is dropped or the process ends.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a child that is just being started shares it until
        // it runs its own program, and would keep the lock held. It is freed with the
        // process all the same if this fails.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn take(path: &Path) -> Result<Lock, Error> {
    let failed = |error: std::io::Error| Error::ReadOnly { path: path.into(), detail: error.to_string() };
    let file = File::create_new(path).map_err(failed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    Ok(Lock(file))
}

fn look(path: &Path) -> Liveness {
    let Ok(file) = File::open(path) else { return Liveness::Unknown };
    // Shared, so that several who look at once do not take each other for the owner.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Liveness::Dead,
        Err(rustix::io::Errno::WOULDBLOCK) => Liveness::Alive,
        Err(_) => Liveness::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_lock_is_free_while_a_child_starts() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(directory.path(), "a");
        let lock = take(&path).unwrap();
        let of_the_child = lock.0.try_clone().unwrap();
        assert_eq!(look(&path), Liveness::Alive);
        drop(lock);
        assert_eq!(look(&path), Liveness::Dead);
        drop(of_the_child);
    }
}
