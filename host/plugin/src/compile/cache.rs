//! The store of compiled code: a private directory, bounded in size, whose entries
//! are checked before they are run.
//!
//! It is ours rather than wasmtime's `Cache` because there a miss makes the asking
//! process compile; here only the compile worker compiles foreign bytes.

use crate::carrier;
use crate::sandbox::Flavor;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tunesmith_core::digest::{self, Digest};
use tunesmith_core::fs::{Access, DRAFT_PREFIX, Draft, Durability, create_private};
use wasmtime::component::Component;

/// How old an entry's time of use may be before a use renews it. An hour: evicting
/// needs no finer order, and reading then hardly ever writes.
const USE_GRAIN: Duration = Duration::from_secs(60 * 60);

/// Counts the ways in which this version of the program has made a component of a file.
const ENCODING: u32 = 2;

/// What is noted beside an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    length: u64,
    crc32: u32,
}

pub(crate) struct CodeStore {
    dir: PathBuf,
    most: u64,
    /// Bytes of its entries as far as this process knows; none before the first look.
    /// Other processes add to it as well, each of which looks for itself.
    total: Mutex<Option<u64>>,
    /// The directory itself, where the asked one could not be used.
    _temporary: Option<TempDir>,
}

/// Why the asked directory is not used.
#[derive(Debug, Clone)]
pub(crate) struct Unusable {
    pub(crate) dir: PathBuf,
    pub(crate) reason: String,
}

/// The name of an entry: the file's digest and the engine's compatibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(digest: Digest, flavor: Flavor, engine: &wasmtime::Engine) -> Self {
        #[derive(Default)]
        struct Sha(digest::Hasher);
        impl Hasher for Sha {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
            fn finish(&self) -> u64 {
                let digest = self.0.clone().finish();
                digest.as_bytes()[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
            }
        }
        let mut hasher = Sha::default();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        // The encoder is ours, so that its version belongs to the key as well.
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        flavor.as_str().hash(&mut hasher);
        ENCODING.hash(&mut hasher);
        carrier::CARRIER.hash(&mut hasher);
        Self(format!("{digest}-{:016x}", hasher.finish()))
    }
}

impl CodeStore {
    /// Opens the store in a directory, or in a temporary one for the time of this
    /// process where the directory cannot be used safely.
    pub(crate) fn open(dir: Option<&Path>, most: u64) -> io::Result<(Self, Option<Unusable>)> {
        let unusable = match dir {
            None => None,
            Some(dir) => match private_directory(dir) {
                Ok(()) => {
                    return Ok((
                        Self { dir: dir.into(), most, total: Mutex::default(), _temporary: None },
                        None,
                    ));
                }
                Err(reason) => Some(Unusable { dir: dir.into(), reason }),
            },
        };
        let temporary = tempfile::Builder::new().prefix("tunesmith-").tempdir()?;
        let store =
            Self { dir: temporary.path().into(), most, total: Mutex::default(), _temporary: Some(temporary) };
        Ok((store, unusable))
    }

    /// Loads an entry, if it is there and intact.
    pub(crate) fn load(&self, key: &Key, engine: &wasmtime::Engine) -> Option<Component> {
        let path = self.path(key);
        if !self.intact(key, &path) {
            return None;
        }
        let component = deserialize(engine, &path).ok()?;
        renew(&path);
        Some(component)
    }

    /// Whether an entry is there, unchecked; for telling the user what is to come.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.seal(key).exists()
    }

    /// A file beside the entries, for compiled code on its way into the store.
    pub(crate) fn draft(&self) -> io::Result<Draft> {
        let make = || Draft::new(&self.dir, Access::Private);
        match make() {
            // Somebody cleared the cache while this process ran.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_directory(&self.dir).map_err(io::Error::other)?;
                make()
            }
            made => made,
        }
    }

    /// Makes a draft an entry, and loads it.
    pub(crate) fn keep(
        &self,
        key: &Key,
        draft: Draft,
        engine: &wasmtime::Engine,
    ) -> wasmtime::Result<Component> {
        let (length, crc32) = sum(draft.path())?;
        let path = self.path(key);
        // The seal goes last, and the old one first: an entry without one is a miss, as is
        // one whose bytes the disk lost with the power, which saves waiting for the disk.
        let _ = fs::remove_file(self.seal(key));
        draft.replace(&path, Durability::Cached)?;
        let component = deserialize(engine, &path)?;
        let mut seal = self.draft()?;
        seal.write_all(&serde_json::to_vec(&Seal { length, crc32 }).map_err(io::Error::other)?)?;
        seal.replace(&self.seal(key), Durability::Cached)?;
        self.grew_by(length, &path);
        Ok(component)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.cwasm", key.0))
    }

    fn seal(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.seal", key.0))
    }

    /// Whether an entry is as it was written: length and checksum. This detects
    /// damage, such as a disk that was full; nobody else can write here.
    fn intact(&self, key: &Key, path: &Path) -> bool {
        let Ok(seal) = fs::read(self.seal(key)) else { return false };
        let Ok(seal) = serde_json::from_slice::<Seal>(&seal) else { return false };
        let own = fs::symlink_metadata(path).is_ok_and(|found| {
            found.is_file() && found.uid() == geteuid().as_raw() && found.len() == seal.length
        });
        own && sum(path).is_ok_and(|found| found == (seal.length, seal.crc32))
    }

    /// Keeps the store within its bound. Looking at all entries takes a while in a large
    /// store, so it is done at a process's first entry and when the bound may be reached.
    fn grew_by(&self, length: u64, newest: &Path) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        *total = match *total {
            Some(before) if before + length <= self.most => Some(before + length),
            _ => Some(self.evict(newest)),
        };
    }

    /// Removes the entries used longest ago until the rest fits, sparing the newest,
    /// and drafts that a killed process left behind. Returns what is left, in bytes.
    fn evict(&self, newest: &Path) -> u64 {
        let Ok(entries) = fs::read_dir(&self.dir) else { return 0 };
        let now = SystemTime::now();
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let path = entry.path();
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(DRAFT_PREFIX) {
                if now.duration_since(used).is_ok_and(|age| age > USE_GRAIN) {
                    let _ = fs::remove_file(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "cwasm") {
                found.push((used, metadata.len(), path));
            }
        }
        let mut total: u64 = found.iter().map(|(_, length, _)| length).sum();
        if total <= self.most {
            return total;
        }
        // An eighth of room, so that a full store is not looked through at every entry.
        let fits = self.most - self.most / 8;
        found.sort();
        for (_, length, path) in found {
            if total <= fits {
                break;
            }
            if path != newest {
                let _ = fs::remove_file(path.with_extension("seal"));
                let _ = fs::remove_file(&path);
                total -= length;
            }
        }
        total
    }
}

/// Makes a directory private, or says why it is not.
///
/// # Errors
/// It cannot be made or written to, is a link, belongs to another user, or others may
/// use it; in words.
pub fn private_directory(dir: &Path) -> Result<(), String> {
    create_private(dir).map_err(|error| error.to_string())?;
    let metadata = fs::symlink_metadata(dir).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is a link, not a directory".into());
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err("it belongs to another user".into());
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!("other users can access it (mode {:03o}, not 700)", metadata.mode() & 0o777));
    }
    // A read-only file system shows only when it is written to.
    Draft::new(dir, Access::Private).map_err(|error| error.to_string())?;
    Ok(())
}

/// Length and CRC-32 of a file.
fn sum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((length, hasher.finalize()));
        }
        length += read as u64;
        hasher.update(&buffer[..read]);
    }
}

/// Notes that an entry was used, coarsely; a failure only makes eviction less apt.
fn renew(path: &Path) {
    let Ok(used) = fs::metadata(path).and_then(|metadata| metadata.modified()) else { return };
    let now = SystemTime::now();
    if now.duration_since(used).is_ok_and(|age| age > USE_GRAIN)
        && let Ok(file) = File::options().append(true).open(path)
    {
        let _ = file.set_modified(now);
    }
}

/// Maps compiled code.
fn deserialize(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file is code that runs in this process, so it has to be wasmtime's
    // own output, unchanged while it is mapped. It lies in a directory that belongs
    // to this user and that nobody else can write to (`private`, or a temporary
    // directory made with mode 0700); the only writers there are this program and
    // its compile worker, which put wasmtime's output into a draft and rename it, so
    // that a mapped file is replaced but never written to; and `intact`, or `keep`
    // just after writing, has compared it with its checksum. wasmtime itself refuses
    // output of another version or configuration.
    #[allow(unsafe_code, reason = "wasmtime offers no safe way to load compiled code")]
    unsafe {
        Component::deserialize_file(engine, path)
    }
}
