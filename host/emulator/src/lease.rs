//! Who uses an emulator that was started on demand.
//!
//! Each user shares a lock, and the emulator ends once it gets that lock for itself.
//! The system frees the locks of killed processes, so an emulator outlives every user
//! and never all of them.

use crate::Error;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use tunesmith_core::fs::create_private;

/// Keeps an emulator that was started on demand running until dropped.
#[derive(Debug)]
pub struct Lease(File);

impl Lease {
    /// Takes a lease on the emulator of a state directory, which is created where it is
    /// missing. None while an emulator is ending: try again.
    ///
    /// # Errors
    /// [`Error::State`]: the directory cannot be used.
    pub fn take(state: &Path) -> Result<Option<Self>, Error> {
        let unusable = |source| Error::State { path: state.to_owned(), source };
        create_private(state).map_err(unusable)?;
        let lock = open(state).map_err(unusable)?;
        match lock.try_lock_shared() {
            Ok(()) => Ok(Some(Self(lock))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing the file alone would leave it locked while a child that is just being
        // started shares it.
        let _ = self.0.unlock();
    }
}

/// While it lives, nobody gets a lease.
#[derive(Debug)]
pub struct Unused(#[expect(dead_code, reason = "holds the lock")] File);

impl Unused {
    /// Blocks until nobody holds a lease.
    ///
    /// # Errors
    /// The lock cannot be had.
    pub fn wait(state: &Path) -> io::Result<Self> {
        let lock = open(state)?;
        lock.lock()?;
        Ok(Self(lock))
    }
}

fn open(state: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(state.join("users.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulator_waits_for_its_last_user() {
        let state = tempfile::tempdir().unwrap();
        let (first, second) = (Lease::take(state.path()).unwrap(), Lease::take(state.path()).unwrap());
        assert!(first.is_some() && second.is_some());
        let path = state.path().to_owned();
        let waiting = std::thread::spawn(move || Unused::wait(&path).unwrap());
        drop(first);
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(second);
        let unused = waiting.join().unwrap();
        assert!(Lease::take(state.path()).unwrap().is_none());
        drop(unused);
        assert!(Lease::take(state.path()).unwrap().is_some());
    }
}
