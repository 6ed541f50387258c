//! The files of the plugin directory: which there are, and what is known of each.

use super::plugin::Plugin;
use crate::rejection::Reason;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tunesmith_core::digest::Digest;

/// Files of a plugin directory that are loaded. 256: each takes some milliseconds
/// at start-up and, compiled, some megabytes.
pub(crate) const MOST_FILES: usize = 256;

/// What is known of a file.
#[derive(Default)]
pub(crate) struct FileState {
    /// The newest look at it; what an older one finds does not count any more.
    pub(crate) scan: u64,
    /// The content last scanned, and why it was rejected if it was.
    pub(crate) latest: Option<Digest>,
    pub(crate) rejected: Option<Reason>,
    /// The newest generation that passed.
    pub(crate) newest: Option<Arc<Plugin>>,
    /// The generation that serves: the newest, or an older one where the newest does
    /// not get its id.
    pub(crate) serving: Option<Arc<Plugin>>,
    /// Since when it is not in the directory any more.
    pub(crate) gone_since: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Files {
    pub(crate) known: BTreeMap<PathBuf, FileState>,
    /// Those beyond the limit.
    pub(crate) surplus: Vec<PathBuf>,
    pub(crate) next_scan: u64,
    pub(crate) next_generation: u64,
}

impl Files {
    /// Begins a scan of a file.
    pub(crate) fn begin(&mut self, path: &Path) -> Scan {
        self.next_scan += 1;
        let number = self.next_scan;
        let known = self.known.entry(path.to_owned()).or_default();
        known.scan = number;
        Scan {
            path: path.to_owned(),
            number,
            latest: known.latest,
            working: known.newest.as_ref().map(|plugin| plugin.digest()),
        }
    }
}

/// The plugin files of a directory.
pub(crate) struct Listing {
    /// Those within the limit, sorted by name.
    pub(crate) files: Vec<PathBuf>,
    /// Those beyond the limit.
    pub(crate) surplus: Vec<PathBuf>,
}

impl Listing {
    /// Lists `*.wasm`, without dotfiles.
    pub(crate) fn of(directory: &Path) -> std::io::Result<Self> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if is_plugin(&path) {
                files.push(path);
            }
        }
        files.sort();
        let surplus = files.split_off(files.len().min(MOST_FILES));
        Ok(Self { files, surplus })
    }

    /// A directory without plugin files.
    pub(crate) fn empty() -> Self {
        Self { files: Vec::new(), surplus: Vec::new() }
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.binary_search_by(|file| file.as_path().cmp(path)).is_ok()
    }
}

/// Whether a file of the directory is a plugin's, by its name.
pub(crate) fn is_plugin(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "wasm")
}

/// A look at a file, from its beginning to its end.
pub(crate) struct Scan {
    pub(crate) path: PathBuf,
    /// Larger for later looks.
    pub(crate) number: u64,
    /// The contents that are known: the one last scanned, and the one in use.
    pub(crate) latest: Option<Digest>,
    pub(crate) working: Option<Digest>,
}

/// The result of a scan.
pub(crate) enum ScanResult {
    /// The content of the last scan.
    Unchanged,
    /// The content of the newest generation that passed, after another.
    Restored(Digest),
    /// New content that passed; it has no generation yet.
    Passed(Digest, Box<Plugin>),
    /// New content that did not.
    Rejected(Option<Digest>, Reason),
}
