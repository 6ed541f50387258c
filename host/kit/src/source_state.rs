//! The state of a project's sources, to detect changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files of a project that are watched. 10,000: a project has dozens; one with more has
/// its dependencies in an unknown folder, and only part of it is watched.
const MOST_FILES: usize = 10_000;

/// Folders with generated or downloaded files; folders that start with a dot are skipped,
/// too.
const MADE: [&str; 5] = ["target", "dist", "build", "node_modules", "__pycache__"];

/// Names, lengths and times of a project's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl SourceState {
    /// The current state of a folder. Unreadable files count as missing.
    pub fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut left = vec![folder.to_owned()];
        while let Some(next) = left.pop() {
            for entry in fs::read_dir(next).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    if !name.starts_with('.') && !MADE.contains(&&*name) {
                        left.push(entry.path());
                    }
                } else if is_source(&name)
                    && let Ok(metadata) = fs::metadata(entry.path())
                {
                    files.insert(entry.path(), (metadata.len(), metadata.modified().ok()));
                }
                if files.len() >= MOST_FILES {
                    return Self(files);
                }
            }
        }
        Self(files)
    }
}

/// Whether a file is a source: not an editor's backup, not built, and not a lock file that
/// the build itself writes.
fn is_source(name: &str) -> bool {
    !name.starts_with(['.', '#'])
        && !name.ends_with(['~'])
        && ![".swp", ".tmp", ".wasm", ".lock"].iter().any(|ending| name.ends_with(ending))
        && name != "package-lock.json"
        && name != "4913" // Vim's probe of a folder.
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn sources_count_and_what_tools_make_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("src/lib.rs", "a");
        let before = SourceState::of(folder.path());
        for made in
            ["target/x.rs", "node_modules/y.js", ".venv/z.py", "src/.lib.rs.swp", "src/lib.rs~", "Cargo.lock"]
        {
            put(made, "made");
        }
        assert_eq!(SourceState::of(folder.path()), before);
        put("cases/one/case.json", "{}");
        let added = SourceState::of(folder.path());
        assert_ne!(added, before);
        put("src/lib.rs", "longer");
        let edited = SourceState::of(folder.path());
        assert_ne!(edited, added);
        fs::remove_file(folder.path().join("src/lib.rs")).unwrap();
        assert_ne!(SourceState::of(folder.path()), edited);
    }
}
