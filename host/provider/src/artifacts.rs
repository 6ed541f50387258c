//! Writing a plan's artifacts: all of them whole, or none changed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tunesmith_core::failure::Code;
use tunesmith_core::fs::{self, Access, Draft, Durability};

/// A file that a plan leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, without a folder.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// Why artifacts were not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct WriteError {
    /// What was being written.
    pub path: String,
    /// Why it failed.
    pub source: io::Error,
}

impl WriteError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        Code::OutputFailed
    }
}

/// Writes artifacts into a folder, which is made if it does not exist. Each is
/// written beside its name and synced first; only when all are safe on disk do they
/// take their names, so that a full disk or a kill leaves what was there before.
///
/// # Errors
/// The first file that could not be written.
pub fn write(folder: &Path, artifacts: &[Artifact]) -> Result<Vec<PathBuf>, WriteError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| WriteError { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut ready = Vec::with_capacity(artifacts.len());
    for artifact in artifacts {
        let path = folder.join(&artifact.name);
        let draft = draft(folder, artifact.content.as_bytes()).map_err(failed(&path))?;
        ready.push((draft, path));
    }
    let mut written = Vec::with_capacity(ready.len());
    for (draft, path) in ready {
        // Already synced, and the names are below, all at once.
        draft.replace(&path, Durability::Cached).map_err(failed(&path))?;
        written.push(path);
    }
    // The names themselves are safe only once the folder is.
    fs::sync_folder(folder).map_err(failed(folder))?;
    Ok(written)
}

fn draft(folder: &Path, content: &[u8]) -> io::Result<Draft> {
    let mut draft = Draft::new(folder, Access::Shared)?;
    draft.write_all(content)?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, content: &str) -> Artifact {
        Artifact { name: name.into(), content: content.into() }
    }

    #[test]
    fn artifacts_replace_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("new/out");
        write(&inner, &[artifact("a", "1")]).unwrap();
        write(&inner, &[artifact("a", "2"), artifact("b", "3")]).unwrap();
        assert_eq!(std::fs::read_to_string(inner.join("a")).unwrap(), "2");
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 2);
    }

    #[test]
    fn a_failure_leaves_earlier_work_and_no_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[artifact("a", "1")]).unwrap();
        // The second cannot be written: its name holds a folder that does not exist.
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/in-the-way"), "").unwrap();
        let error = write(folder.path(), &[artifact("b", "2"), artifact("a", "2")]).unwrap_err();
        assert!(error.path.ends_with('b'), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join("a")).unwrap(), "1");
        let hidden = std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'))
            .count();
        assert_eq!(hidden, 0);
    }
}
