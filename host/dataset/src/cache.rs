//! Caches the result of reading a dataset by the digest of its bytes: opening the same
//! file again costs only the digest.

use crate::counting::Tokens;
use crate::options::ReadOptions;
use crate::scan::index::Index;
use crate::shapes::format::Recognized;
use crate::verdict::Verdict;
use crate::verdict::row::Sums;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use tunesmith_core::digest::Digest;
use tunesmith_core::fs::{Access, Draft, Durability, create_private};

/// Results in the cache; the oldest are deleted first. The largest have 15 MB.
const KEPT_RESULTS: usize = 32;

/// Change it when the cached data, or how it is computed, changes within one version of
/// the program.
const LAYOUT: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(crate) struct Cached<'a> {
    pub bytes: u64,
    pub recognized: Cow<'a, Recognized>,
    pub index: Cow<'a, Index>,
    pub sums: Cow<'a, Sums>,
    pub verdict: Cow<'a, Verdict>,
    pub tokens: Cow<'a, Tokens>,
}

/// The path of the result for these bytes and options.
pub(crate) fn path(directory: &Path, digest: &str, text_file: bool, options: &ReadOptions) -> PathBuf {
    let key = format!(
        "{} {LAYOUT} {:?} {:?} {} {:?} {text_file}",
        env!("CARGO_PKG_VERSION"),
        options.rules,
        options.tokenizer,
        options.exact,
        options.format,
    );
    directory.join(format!("{digest}-{:.12}.dataset", Digest::of(key)))
}

/// A cached result; `None` if it is missing or damaged.
pub(crate) fn load(path: &Path) -> Option<Cached<'static>> {
    let bytes = std::fs::read(path).ok()?;
    let (check, content) = bytes.split_at_checked(32)?;
    if Digest::of(content).as_bytes() != check {
        return None;
    }
    postcard::from_bytes(content).ok()
}

/// Stores a result. A failure costs only time, so it is not an error.
pub(crate) fn store(path: &Path, cached: &Cached<'_>) {
    let Some(directory) = path.parent() else { return };
    let Ok(content) = postcard::to_allocvec(cached) else { return };
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        create_private(directory)?;
        let mut draft = Draft::new(directory, Access::Private)?;
        draft.write_all(Digest::of(&content).as_bytes())?;
        draft.write_all(&content)?;
        draft.replace(path, Durability::Cached)
    };
    if write().is_ok() {
        delete_oldest(directory);
    }
}

fn delete_oldest(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut results: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "dataset"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    results.sort();
    let surplus = results.len().saturating_sub(KEPT_RESULTS);
    for (_, path) in results.into_iter().take(surplus) {
        // Another process may have been faster.
        let _ = std::fs::remove_file(path);
    }
}
