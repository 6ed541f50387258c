//! The registry: all working plugins, swapped as a whole.
//!
//! Start-up and reload are one path: [`Registry::begin`] a look at a file, read it,
//! hash it, and for new content a preflight, off the way of readers; then
//! [`Registry::finish`] in one swap. [`Registry::rescan`] does so for all files, the
//! [watch](super::Watch) for those that changed. A rejected file never displaces a
//! working generation.

mod files;
mod snapshot;

pub use snapshot::Snapshot;
use tunesmith_core::digest::Digest;

pub(super) use files::{Found, Listing, Look, is_plugin};

use super::change::{self, Change, Feed};
use super::compile::Compiler;
use super::health::Health;
use super::preflight::{self, Candidate};
use super::process::Cancel;
use super::rejection::Reason;
use super::{Engine, Plugin, Rejection, Source, file};
use files::Files;
use snapshot::{Parts, assemble};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use thiserror::Error;
use tunesmith_core::failure::{Advice, Code, Failure};

/// Files of a plugin directory that are looked at. 256: each takes some milliseconds
/// at start-up and, compiled, some megabytes.
const MOST_FILES: usize = 256;

/// Plugins that are checked at a time. 4: the checks are short and the compile
/// worker, which is not, runs once at a time anyway.
pub(super) const AT_ONCE: usize = 4;

/// Runs the golden cases that a plugin's file ships beside it. The error says in a line
/// how many failed and what the first one found.
pub type Golden = Arc<dyn Fn(&Plugin, &Path) -> Result<(), String> + Send + Sync>;

/// A method that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its id, which it has to describe itself by.
    pub id: &'static str,
    /// Its component, or core module with component type.
    pub wasm: &'static [u8],
}

/// What a registry is made from.
pub struct Options {
    /// The engine, with the limits.
    pub engine: Arc<Engine>,
    /// The methods that are part of the program.
    pub built_ins: Vec<BuiltIn>,
    /// A directory of plugin files.
    pub directory: Option<PathBuf>,
    /// Whether that directory may be missing, which then counts as empty.
    pub directory_may_be_missing: bool,
    /// Whether a file may have a built-in method's id, and takes its place.
    pub override_built_ins: bool,
    /// A directory for compiled code, private to the user, outside of any plugin
    /// directory; it is made if it does not exist. Without it code is compiled anew
    /// by each process.
    pub cache: Option<PathBuf>,
    /// The program that compiles foreign files when started with
    /// [`super::worker::ARGUMENT`]: `tunesmith` itself.
    pub worker: PathBuf,
    /// Runs the golden cases that files ship, as the last step of the preflight; without
    /// it nobody does.
    pub golden: Option<Golden>,
    /// Is told what the user may be waiting for; called from several threads.
    pub on_event: Arc<dyn Fn(&Event) + Send + Sync>,
}

/// Something that the user may want to know while plugins are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Built-in methods are compiled: the first run of this version.
    CompilingBuiltIns {
        /// How many.
        count: usize,
    },
    /// A file is compiled, which may take a while.
    Compiling {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The directory for compiled code cannot be used; a temporary one takes its
    /// place, so that every run compiles anew.
    CacheUnusable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Why there is no registry, or no new snapshot of it.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// A built-in method does not work: a fault of this program.
    #[error("built-in method `{id}` {reason}")]
    BuiltIn {
        /// The method.
        id: &'static str,
        /// Why.
        reason: Box<Reason>,
    },
    /// The plugin directory cannot be listed.
    #[error("plugin directory {} cannot be read: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no room for compiled code, not even a temporary one.
    #[error("no directory for compiled code: {0}")]
    Cache(std::io::Error),
}

impl RegistryError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::BuiltIn { .. } => Code::Internal,
            Self::Directory { .. } => Code::PluginDirectoryUnreadable,
            Self::Cache(_) => Code::NoSpace,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::BuiltIn { .. } => None,
            Self::Directory { .. } => Some("name an existing directory of .wasm files".into()),
            Self::Cache(_) => Some(Advice::FreeTemporarySpace),
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// The registry.
pub struct Registry {
    options: Options,
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
    pub fn load(options: Options) -> Result<Self, RegistryError> {
        let (compiler, unusable) =
            Compiler::new(Arc::clone(&options.engine), options.cache.as_deref(), options.worker.clone())
                .map_err(RegistryError::Cache)?;
        if let Some(unusable) = unusable {
            (options.on_event)(&Event::CacheUnusable { dir: unusable.dir, reason: unusable.reason });
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

    /// What changes from now on, in order. Any number may listen; each has to take what
    /// it is told, which otherwise piles up.
    pub fn changes(&self) -> Receiver<Arc<Change>> {
        self.feed.subscribe()
    }

    /// The directory of plugin files.
    pub fn directory(&self) -> Option<&Path> {
        self.options.directory.as_deref()
    }

    /// Looks at the directory again and swaps in what came of it. Files whose
    /// content is unchanged cost a read and a hash; those that are gone go at once.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed; the snapshot then stays.
    pub fn rescan(&self) -> Result<Arc<Snapshot>, RegistryError> {
        let _alone = self.rescans.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = self.listing()?;
        let looks: Vec<Look> = {
            let mut files = self.files();
            files.known.retain(|path, _| listing.has(path));
            files.known.values_mut().for_each(|known| known.gone_since = None);
            listing.files.iter().map(|path| files.begin(path)).collect()
        };
        let never = Cancel::default();
        let found = in_parallel(&looks, |look| self.look(look, &never));
        let mut files = self.files();
        files.surplus = listing.surplus;
        for (look, found) in looks.iter().zip(found) {
            self.note(&mut files, look, found);
        }
        Ok(self.publish(&mut files))
    }

    /// The directory's plugin files.
    pub(super) fn listing(&self) -> Result<Listing, RegistryError> {
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
    pub(super) fn note_listing(&self, listing: &Listing, now: Instant, grace: Duration) -> Option<Instant> {
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
    pub(super) fn has_files(&self) -> bool {
        !self.files().known.is_empty()
    }

    /// Begins a look at a file; what an earlier one finds does not count any more.
    pub(super) fn begin(&self, path: &Path) -> Look {
        self.files().begin(path)
    }

    /// Reads a file and, if its content is new, checks it.
    pub(super) fn look(&self, look: &Look, cancel: &Cancel) -> Found {
        let path = &look.path;
        let content = match file::read(path, self.options.engine.limits()) {
            Ok(content) => content,
            Err(reason) => return Found::Rejected(None, reason),
        };
        let digest = content.digest;
        if look.latest == Some(digest) {
            return Found::Same;
        }
        if look.working == Some(digest) {
            return Found::Again(digest);
        }
        let source = Source::File(path.clone());
        let candidate = Candidate { bytes: &content.bytes, digest, source, cancel: cancel.clone() };
        let compiling = || {
            (self.options.on_event)(&Event::Compiling {
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
            Ok(plugin) => Found::Works(digest, Box::new(plugin)),
            Err(reason) => Found::Rejected(Some(digest), reason),
        }
    }

    /// Ends a look: what it found takes effect in one swap, unless a later look began.
    pub(super) fn finish(&self, look: &Look, found: Found) {
        let mut files = self.files();
        if self.note(&mut files, look, found) {
            self.publish(&mut files);
        }
    }

    /// Starts a compile worker that waits, so that the next file need not wait for it.
    pub(super) fn prepare(&self) {
        self.compiler.prepare();
    }

    /// Ends it.
    pub(super) fn dismiss(&self) {
        self.compiler.dismiss();
    }

    pub(super) fn tell(&self, change: Change) {
        self.feed.send(change);
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a look found; whether that may change anything.
    fn note(&self, files: &mut Files, look: &Look, found: Found) -> bool {
        let generation = files.next_generation;
        let Some(known) = files.known.get_mut(&look.path).filter(|known| known.look == look.number) else {
            return false;
        };
        match found {
            Found::Same => return false,
            Found::Again(digest) => {
                known.latest = Some(digest);
                known.rejected = None;
            }
            Found::Works(digest, plugin) => {
                known.latest = Some(digest);
                known.rejected = None;
                known.newest = Some(self.adopt(*plugin, generation));
                files.next_generation += 1;
            }
            Found::Rejected(digest, reason) => {
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

    /// Puts together what serves now, swaps it in, and tells what changed. The lock on
    /// the files keeps swaps and what is told of them in one order.
    fn publish(&self, files: &mut Files) -> Arc<Snapshot> {
        let before = self.snapshot();
        let passed_over = files.surplus.iter().map(|path| Rejection {
            path: path.clone(),
            digest: None,
            reason: Reason::TooManyFiles(MOST_FILES),
            still_serving: None,
        });
        let parts = Parts {
            before: &before,
            built_ins: &self.built_ins,
            override_built_ins: self.options.override_built_ins,
            passed_over: passed_over.collect(),
        };
        let after = Arc::new(assemble(parts, &mut files.known));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);
        for change in change::between(&before, &after) {
            self.feed.send(change);
        }
        after
    }

    fn load_built_ins(&self) -> Result<BTreeMap<String, Arc<Plugin>>, RegistryError> {
        let built_ins: Vec<_> =
            self.options.built_ins.iter().map(|built_in| (*built_in, Digest::of(built_in.wasm))).collect();
        let count = built_ins.iter().filter(|(_, digest)| !self.compiler.has(*digest)).count();
        if count > 0 {
            (self.options.on_event)(&Event::CompilingBuiltIns { count });
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
                return Err(failed(Reason::Descriptor(format!("its id is `{}`", plugin.id()))));
            }
            methods.insert(id.to_owned(), self.adopt(plugin, files.next_generation));
            files.next_generation += 1;
        }
        Ok(methods)
    }
}

/// Maps items on a few threads, keeping their order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(place) else { return done };
                done.push((place, work(item)));
            }
        };
        let threads: Vec<_> = (1..AT_ONCE.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let mut results = worker();
        for thread in threads {
            match thread.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
