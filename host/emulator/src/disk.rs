//! The emulator's state on disk: whole files or none, and one emulator a directory.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use tunesmith_core::fs::{Access, Draft, Durability, create_private, folder_of, replace, sync_folder};

/// The lock of the one emulator that has a state directory.
const LOCK: &str = "emulator.lock";

/// Where that emulator listens.
const ADDRESSES: &str = "emulator.json";

/// Where the emulator of a state directory listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    /// The address of the emulated Ollama.
    pub ollama_url: String,
    /// The base URL of the service with OpenAI's protocol, with its `/v1`.
    pub openai_url: String,
}

impl Running {
    /// The emulator that has this state directory now; none where no emulator has it or
    /// one is still starting.
    pub fn of(state: &Path) -> Option<Self> {
        let lock = File::options().read(true).open(state.join(LOCK)).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_json(&state.join(ADDRESSES)).ok(),
            Ok(()) => {
                // As when the directory is dropped.
                let _ = lock.unlock();
                None
            }
            Err(TryLockError::Error(_)) => None,
        }
    }
}

/// The state directory, held by this process alone until dropped.
#[derive(Debug)]
pub(super) struct StateDir {
    root: PathBuf,
    lock: File,
}

/// Why a state directory could not be taken.
pub(super) enum Taken {
    InUse(Option<Running>),
    Io(io::Error),
}

impl From<io::Error> for Taken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // If either fails, the next emulator removes the file and the process's end frees
        // the lock. Closing the file alone would leave it locked while a child that is
        // just being started shares it.
        let _ = fs::remove_file(self.root.join(ADDRESSES));
        let _ = self.lock.unlock();
    }
}

impl StateDir {
    /// Creates the directory where needed, takes its lock, and removes what a killed
    /// emulator left half-written.
    pub(super) fn open(root: &Path) -> Result<Self, Taken> {
        // What is uploaded to an emulator is as private as anything.
        create_private(root)?;
        let root = root.canonicalize()?;
        let lock =
            File::options().create(true).truncate(false).write(true).read(true).open(root.join(LOCK))?;
        match lock.try_lock() {
            // A killed emulator's addresses must not be taken for this one's.
            Ok(()) => remove(&root.join(ADDRESSES))?,
            Err(TryLockError::WouldBlock) => {
                return Err(Taken::InUse(read_json(&root.join(ADDRESSES)).ok()));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let incoming = root.join("incoming");
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&incoming)?,
        }
        Ok(Self { root, lock })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where uploads are written until they are whole. On the same file system as
    /// everything else, so that a rename is enough.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(super) fn announce(&self, running: &Running) -> io::Result<()> {
        write_json(&self.root.join(ADDRESSES), running)
    }
}

/// Writes a file durably into a folder that may not exist yet.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    replace(path, bytes, Access::Private, Durability::Synced)
}

/// Gives a written file its name, durably.
pub(super) fn keep(draft: Draft, path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    draft.replace(path, Durability::Synced)
}

/// Removes a file durably. One that is not there is not an error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_whole(path, &serde_json::to_vec(value).map_err(io::Error::other)?)
}

/// Reads every `*.json` of a directory; a directory that is not there is empty.
pub(super) fn read_all<T: serde::de::DeserializeOwned>(directory: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(read_json(&path)?);
        }
    }
    Ok(found)
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_directory_is_free_despite_inherited_lock() {
        let root = tempfile::tempdir().unwrap();
        let first = StateDir::open(root.path()).ok().unwrap();
        let of_the_child = first.lock.try_clone().unwrap();
        assert!(matches!(StateDir::open(root.path()), Err(Taken::InUse(_))));
        drop(first);
        assert!(StateDir::open(root.path()).is_ok());
        drop(of_the_child);
    }
}
