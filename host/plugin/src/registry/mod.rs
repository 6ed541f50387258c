//! The registry: all working plugins, swapped as a whole.
//!
//! Start-up and reload are one path: [`Registry::begin`] a scan of a file, read it,
//! hash it, and for new content a preflight, off the way of readers; then
//! [`Registry::finish`] in one swap. [`Registry::rescan`] does so for all files, the
//! [watch](Watch) for those that changed. A rejected file never displaces a
//! working generation.

mod change;
mod compare;
mod descriptor;
mod files;
mod health;
mod loader;
mod options;
mod parallel;
mod plugin;
mod preflight;
mod snapshot;
mod watch;

use crate::compile::{Cancel, Compiler};
use crate::file;
use crate::rejection::{Reason, Rejection};
use crate::sandbox::Engine;
use change::Feed;
pub use change::{Change, ChangeKind, Widening};
use files::{Files, Listing, MOST_FILES, Scan, ScanResult};
use health::Health;
pub use health::{STRIKES, WITHIN};
pub use loader::Loader;
pub use options::{BuiltIn, Golden, LoadEvent, RegistryError, RegistryOptions};
use parallel::in_parallel;
pub use plugin::{Plugin, Source};
use preflight::Candidate;
pub use snapshot::Snapshot;
use snapshot::{Inputs, assemble};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tunesmith_core::digest::Digest;
pub use watch::{Watch, WatchOptions};

pub struct Registry {
    options: RegistryOptions,
    compiler: Arc<Compiler>,
    built_ins: BTreeMap<String, Arc<Plugin>>,
    /// Held for as long as it takes to note something, never during a preflight.
    files: Mutex<Files>,
    /// Held during a rescan: there is one at a time.
    rescans: Mutex<()>,
    current: RwLock<Arc<Snapshot>>,
    /// The health of the generations that are held somewhere or are quarantined: content
    /// that comes back is the same plugin.
    healths: Mutex<BTreeMap<Digest, Arc<Health>>>,
    feed: Arc<Feed>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("current", &self.snapshot()).finish_non_exhaustive()
    }
}

impl Registry {
    /// Loads the built-in methods and the directory's files.
    ///
    /// # Errors
    ///
    /// When a built-in does not work, or the directory cannot be listed. A file that
    /// does not work is no error but one of [`Snapshot::rejections`].
    pub fn load(options: RegistryOptions) -> Result<Self, RegistryError> {
        let (compiler, unusable) =
            Compiler::new(Arc::clone(&options.engine), options.cache.as_deref(), options.worker.clone())
                .map_err(RegistryError::Cache)?;
        if let Some(unusable) = unusable {
            (options.on_event)(&LoadEvent::CacheUnusable { dir: unusable.dir, reason: unusable.reason });
        }
        let mut registry = Self {
            options,
            compiler: Arc::new(compiler),
            built_ins: BTreeMap::new(),
            files: Mutex::new(Files { next_generation: 1, ..Files::default() }),
            rescans: Mutex::default(),
            current: RwLock::default(),
            healths: Mutex::default(),
            feed: Arc::default(),
        };
        registry.built_ins = registry.load_built_ins()?;
        registry.rescan()?;
        Ok(registry)
    }

    /// The engine that its plugins run in, with the limits.
    pub fn engine(&self) -> &Engine {
        &self.options.engine
    }

    /// The plugins of this moment. Never waits for a reload.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What changes from now on, in order. Any number may listen; each has to receive its
    /// changes, which otherwise pile up.
    pub fn changes(&self) -> Receiver<Arc<Change>> {
        self.feed.subscribe()
    }

    /// The directory of plugin files.
    pub fn directory(&self) -> Option<&Path> {
        self.options.directory.as_deref()
    }

    /// Scans the directory again and swaps in the result. Files whose
    /// content is unchanged cost a read and a hash; those that are gone go at once.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed; the snapshot then stays.
    pub fn rescan(&self) -> Result<Arc<Snapshot>, RegistryError> {
        let _alone = self.rescans.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = self.listing()?;
        let scans: Vec<Scan> = {
            let mut files = self.files();
            files.known.retain(|path, _| listing.has(path));
            files.known.values_mut().for_each(|known| known.gone_since = None);
            listing.files.iter().map(|path| files.begin(path)).collect()
        };
        let never = Cancel::default();
        let found = in_parallel(&scans, |scan| self.scan(scan, &never));
        let mut files = self.files();
        files.surplus = listing.surplus;
        for (scan, found) in scans.iter().zip(found) {
            self.note(&mut files, scan, found);
        }
        Ok(self.publish(&mut files))
    }

    /// The directory's plugin files.
    pub(crate) fn listing(&self) -> Result<Listing, RegistryError> {
        let Some(directory) = &self.options.directory else { return Ok(Listing::empty()) };
        match Listing::of(directory) {
            // What was loaded from it stays until it is there to be looked at again.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && self.options.directory_may_be_missing
                    && self.files().known.is_empty() =>
            {
                Ok(Listing::empty())
            }
            listed => listed.map_err(|source| RegistryError::Directory { path: directory.clone(), source }),
        }
    }

    /// Notes which files are there. Those that are not stay for the grace, in case they
    /// come back; returns when the next one's is over.
    pub(crate) fn note_listing(&self, listing: &Listing, now: Instant, grace: Duration) -> Option<Instant> {
        let mut files = self.files();
        let mut changed = files.surplus != listing.surplus;
        files.surplus.clone_from(&listing.surplus);
        let mut next = None;
        files.known.retain(|path, known| {
            if listing.has(path) {
                changed |= known.gone_since.take().is_some();
                return true;
            }
            let since = *known.gone_since.get_or_insert_with(|| {
                changed = true;
                now
            });
            let end = since + grace;
            let stays = now < end && known.newest.is_some();
            if stays {
                next = Some(next.map_or(end, |next: Instant| next.min(end)));
            } else {
                changed = true;
            }
            stays
        });
        if changed {
            self.publish(&mut files);
        }
        next
    }

    /// Whether anything is known of any file.
    pub(crate) fn has_files(&self) -> bool {
        !self.files().known.is_empty()
    }

    /// Begins a scan of a file; results of earlier scans no longer count.
    pub(crate) fn begin(&self, path: &Path) -> Scan {
        self.files().begin(path)
    }

    /// Reads a file and, if its content is new, checks it.
    pub(crate) fn scan(&self, scan: &Scan, cancel: &Cancel) -> ScanResult {
        let path = &scan.path;
        let content = match file::read(path, self.options.engine.limits()) {
            Ok(content) => content,
            Err(reason) => return ScanResult::Rejected(None, reason),
        };
        let digest = content.digest;
        if scan.latest == Some(digest) {
            return ScanResult::Unchanged;
        }
        if scan.working == Some(digest) {
            return ScanResult::Restored(digest);
        }
        let source = Source::File(path.clone());
        let candidate = Candidate { bytes: &content.bytes, digest, source, cancel: cancel.clone() };
        let compiling = || {
            (self.options.on_event)(&LoadEvent::Compiling {
                path: path.clone(),
                size: content.bytes.len() as u64,
            });
        };
        let checked = preflight::run(&self.compiler, candidate, &compiling).and_then(|plugin| {
            match &self.options.golden {
                Some(golden) => golden(&plugin, path).map_err(Reason::Golden).map(|()| plugin),
                None => Ok(plugin),
            }
        });
        match checked {
            Ok(plugin) => ScanResult::Passed(digest, Box::new(plugin)),
            Err(reason) => ScanResult::Rejected(Some(digest), reason),
        }
    }

    /// Ends a scan: its result takes effect in one swap, unless a later scan began.
    pub(crate) fn finish(&self, scan: &Scan, found: ScanResult) {
        let mut files = self.files();
        if self.note(&mut files, scan, found) {
            self.publish(&mut files);
        }
    }

    /// Starts a compile worker that waits, so that the next file need not wait for it.
    pub(crate) fn prepare(&self) {
        self.compiler.prepare();
    }

    pub(crate) fn dismiss(&self) {
        self.compiler.dismiss();
    }

    pub(crate) fn announce(&self, change: Change) {
        self.feed.send(change);
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the result of a scan; returns whether it may change anything.
    fn note(&self, files: &mut Files, scan: &Scan, found: ScanResult) -> bool {
        let generation = files.next_generation;
        let Some(known) = files.known.get_mut(&scan.path).filter(|known| known.scan == scan.number) else {
            return false;
        };
        match found {
            ScanResult::Unchanged => return false,
            ScanResult::Restored(digest) => {
                known.latest = Some(digest);
                known.rejected = None;
            }
            ScanResult::Passed(digest, plugin) => {
                known.latest = Some(digest);
                known.rejected = None;
                known.newest = Some(self.adopt(*plugin, generation));
                files.next_generation += 1;
            }
            ScanResult::Rejected(digest, reason) => {
                known.latest = digest;
                known.rejected = Some(reason);
            }
        }
        true
    }

    /// Makes a plugin that passed a generation of this registry.
    fn adopt(&self, mut plugin: Plugin, generation: u64) -> Arc<Plugin> {
        let mut healths = self.healths.lock().unwrap_or_else(PoisonError::into_inner);
        healths.retain(|_, health| Arc::strong_count(health) > 1 || health.quarantine().is_some());
        while healths.len() > 2 * MOST_FILES {
            healths.pop_first();
        }
        plugin.generation = generation;
        plugin.health = Arc::clone(healths.entry(plugin.digest()).or_default());
        plugin.feed = Arc::clone(&self.feed);
        plugin.cancel = Cancel::default();
        Arc::new(plugin)
    }

    /// Assembles a snapshot, swaps it in, and reports changes. The lock on
    /// the files keeps swaps and their reports in one order.
    fn publish(&self, files: &mut Files) -> Arc<Snapshot> {
        let before = self.snapshot();
        let skipped = files.surplus.iter().map(|path| Rejection {
            path: path.clone(),
            digest: None,
            reason: Reason::TooManyFiles(MOST_FILES),
            still_serving: None,
        });
        let parts = Inputs {
            before: &before,
            built_ins: &self.built_ins,
            override_built_ins: self.options.override_built_ins,
            skipped: skipped.collect(),
        };
        let after = Arc::new(assemble(parts, &mut files.known));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);
        for change in compare::changes_between(&before, &after) {
            self.feed.send(change);
        }
        after
    }

    fn load_built_ins(&self) -> Result<BTreeMap<String, Arc<Plugin>>, RegistryError> {
        let built_ins: Vec<_> =
            self.options.built_ins.iter().map(|built_in| (*built_in, Digest::of(built_in.wasm))).collect();
        let count = built_ins.iter().filter(|(_, digest)| !self.compiler.has(*digest)).count();
        if count > 0 {
            (self.options.on_event)(&LoadEvent::CompilingBuiltIns { count });
        }
        let loaded = in_parallel(&built_ins, |(built_in, digest)| {
            let candidate = Candidate {
                bytes: built_in.wasm,
                digest: *digest,
                source: Source::BuiltIn,
                cancel: Cancel::default(),
            };
            preflight::run(&self.compiler, candidate, &|| {})
        });
        let mut files = self.files();
        let mut methods = BTreeMap::new();
        for ((built_in, _), loaded) in built_ins.iter().zip(loaded) {
            let id = built_in.id;
            let failed = |reason| RegistryError::BuiltIn { id, reason: Box::new(reason) };
            let plugin = loaded.map_err(failed)?;
            if plugin.id() != id {
                return Err(failed(Reason::Descriptor(format!("id is `{}`", plugin.id()))));
            }
            methods.insert(id.to_owned(), self.adopt(plugin, files.next_generation));
            files.next_generation += 1;
        }
        Ok(methods)
    }
}
