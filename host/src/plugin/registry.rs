//! The registry: all working plugins, swapped as a whole.
//!
//! Start-up and reload are one path, [`Registry::rescan`]: list, read, hash, and for
//! what changed a preflight, off the way of readers; then one swap. A rejected file
//! never displaces a working generation.

use super::compile::Compiler;
use super::preflight::{self, Candidate};
use super::rejection::Reason;
use super::{Digest, Engine, Plugin, Rejection, Source, file};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use thiserror::Error;

/// Files of a plugin directory that are looked at. 256: each takes some milliseconds
/// at start-up and, compiled, some megabytes.
const MOST_FILES: usize = 256;

/// Plugins that are checked at a time. 4: the checks are short and the compile
/// worker, which is not, runs once at a time anyway.
const AT_ONCE: usize = 4;

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
    /// Whether a file may have a built-in method's id, and takes its place.
    pub override_built_ins: bool,
    /// A directory for compiled code, private to the user, outside of any plugin
    /// directory; it is made if it does not exist. Without it code is compiled anew
    /// by each process.
    pub cache: Option<PathBuf>,
    /// The program that compiles foreign files when started with
    /// [`super::worker::ARGUMENT`]: `tunesmith` itself.
    pub worker: PathBuf,
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

impl From<RegistryError> for crate::error::Error {
    fn from(error: RegistryError) -> Self {
        use crate::error::Kind;
        let message = error.to_string();
        match error {
            RegistryError::BuiltIn { .. } => Self::new(Kind::Internal, message),
            RegistryError::Directory { .. } => {
                Self::new(Kind::Usage, message).hint("name an existing directory of .wasm files")
            }
            RegistryError::Cache(_) => {
                Self::new(Kind::Failed, message).hint("make room in the temporary directory, or set TMPDIR")
            }
        }
    }
}

/// All plugins at one moment. It does not change; a reload makes a new one.
#[derive(Debug, Default)]
pub struct Snapshot {
    methods: BTreeMap<String, Arc<Plugin>>,
    rejections: Vec<Rejection>,
}

impl Snapshot {
    /// The plugin with an id.
    pub fn get(&self, id: &str) -> Option<&Arc<Plugin>> {
        self.methods.get(id)
    }

    /// All plugins, sorted by id.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.methods.values()
    }

    /// The files that are not used, or whose newest content is not, sorted by path.
    pub fn rejections(&self) -> &[Rejection] {
        &self.rejections
    }
}

/// What is known of a file.
#[derive(Default)]
struct Known {
    /// The content last looked at, and why it was rejected if it was.
    latest: Option<Digest>,
    rejected: Option<Reason>,
    /// The newest generation that passed.
    working: Option<Arc<Plugin>>,
}

/// The registry.
pub struct Registry {
    options: Options,
    compiler: Arc<Compiler>,
    built_ins: BTreeMap<String, Arc<Plugin>>,
    /// Held during a rescan: there is one at a time.
    files: Mutex<BTreeMap<PathBuf, Known>>,
    current: RwLock<Arc<Snapshot>>,
    next_generation: AtomicU64,
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
            files: Mutex::default(),
            current: RwLock::default(),
            next_generation: AtomicU64::new(1),
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

    /// Looks at the directory again and swaps in what came of it. Files whose
    /// content is unchanged cost a read and a hash.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed; the snapshot then stays.
    pub fn rescan(&self) -> Result<Arc<Snapshot>, RegistryError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = match &self.options.directory {
            Some(directory) => list(directory)
                .map_err(|source| RegistryError::Directory { path: directory.clone(), source })?,
            None => Vec::new(),
        };
        files.retain(|path, _| listed.contains(path));
        let (looked_at, surplus) = listed.split_at(listed.len().min(MOST_FILES));
        let numbers = self.next_generation.fetch_add(looked_at.len() as u64, Ordering::Relaxed);
        let looks: Vec<_> = looked_at
            .iter()
            .zip(numbers..)
            .map(|(path, number)| (path, number, files.get(path).and_then(|known| known.latest)))
            .collect();
        let found = in_parallel(&looks, |(path, number, latest)| self.look(path, *number, *latest));
        for (path, found) in looked_at.iter().zip(found) {
            let known = files.entry(path.clone()).or_default();
            match found {
                Look::Unchanged => {}
                Look::Works(digest, plugin) => {
                    known.latest = Some(digest);
                    known.rejected = None;
                    known.working = Some(Arc::new(*plugin));
                }
                Look::Rejected(digest, reason) => {
                    known.latest = digest;
                    known.rejected = Some(reason);
                }
            }
        }
        let snapshot = Arc::new(self.assemble(&files, surplus));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&snapshot);
        Ok(snapshot)
    }

    fn load_built_ins(&self) -> Result<BTreeMap<String, Arc<Plugin>>, RegistryError> {
        let built_ins: Vec<_> =
            self.options.built_ins.iter().map(|built_in| (*built_in, Digest::of(built_in.wasm))).collect();
        let count = built_ins.iter().filter(|(_, digest)| !self.compiler.has(*digest)).count();
        if count > 0 {
            (self.options.on_event)(&Event::CompilingBuiltIns { count });
        }
        let first = self.next_generation.fetch_add(built_ins.len() as u64, Ordering::Relaxed);
        let numbered: Vec<_> = built_ins.into_iter().zip(first..).collect();
        let loaded = in_parallel(&numbered, |((built_in, digest), generation)| {
            let candidate = Candidate {
                bytes: built_in.wasm,
                digest: *digest,
                source: Source::BuiltIn,
                generation: *generation,
            };
            preflight::run(&self.compiler, candidate, &|| {})
        });
        let mut methods = BTreeMap::new();
        for (((built_in, _), _), loaded) in numbered.iter().zip(loaded) {
            let id = built_in.id;
            let failed = |reason| RegistryError::BuiltIn { id, reason: Box::new(reason) };
            let plugin = loaded.map_err(failed)?;
            if plugin.id() != id {
                return Err(failed(Reason::Descriptor(format!("its id is `{}`", plugin.id()))));
            }
            methods.insert(id.to_owned(), Arc::new(plugin));
        }
        Ok(methods)
    }

    /// Reads a file and, if its content is not the latest known, checks it.
    fn look(&self, path: &Path, generation: u64, latest: Option<Digest>) -> Look {
        let content = match file::read(path, self.options.engine.limits()) {
            Ok(content) => content,
            Err(reason) => return Look::Rejected(None, reason),
        };
        let digest = content.digest;
        if latest == Some(digest) {
            return Look::Unchanged;
        }
        let candidate =
            Candidate { bytes: &content.bytes, digest, source: Source::File(path.into()), generation };
        let compiling = || {
            (self.options.on_event)(&Event::Compiling {
                path: path.into(),
                size: content.bytes.len() as u64,
            });
        };
        match preflight::run(&self.compiler, candidate, &compiling) {
            Ok(plugin) => Look::Works(digest, Box::new(plugin)),
            Err(reason) => Look::Rejected(Some(digest), reason),
        }
    }

    /// Decides who has which id.
    fn assemble(&self, files: &BTreeMap<PathBuf, Known>, surplus: &[PathBuf]) -> Snapshot {
        let before = self.snapshot();
        let mut methods = self.built_ins.clone();
        let mut rejections = Vec::new();
        let is_incumbent = |plugin: &Plugin| {
            before.get(plugin.id()).is_some_and(|serving| serving.source() == plugin.source())
        };
        // Incumbents choose first; within each group the order is that of the names.
        let mut candidates: Vec<(&PathBuf, &Arc<Plugin>)> = files
            .iter()
            .filter_map(|(path, known)| known.working.as_ref().map(|plugin| (path, plugin)))
            .collect();
        candidates.sort_by_key(|(_, plugin)| !is_incumbent(plugin));
        for (path, plugin) in candidates {
            let id = plugin.id();
            let reason = match methods.entry(id.to_owned()) {
                Entry::Vacant(free) => {
                    free.insert(Arc::clone(plugin));
                    continue;
                }
                Entry::Occupied(mut taken) => match taken.get().source() {
                    Source::BuiltIn if self.options.override_built_ins => {
                        taken.insert(Arc::clone(plugin));
                        continue;
                    }
                    Source::BuiltIn => Reason::IdBuiltIn { id: id.into() },
                    Source::File(by) => Reason::IdTaken { id: id.into(), by: by.clone() },
                },
            };
            let digest = Some(plugin.digest());
            rejections.push(Rejection { path: path.clone(), digest, reason, still_serving: None });
        }
        for (path, known) in files {
            if let Some(reason) = &known.rejected {
                let still_serving = known
                    .working
                    .as_ref()
                    .filter(|plugin| {
                        methods.get(plugin.id()).is_some_and(|serving| Arc::ptr_eq(serving, plugin))
                    })
                    .map(|plugin| plugin.generation());
                let (path, digest) = (path.clone(), known.latest);
                rejections.push(Rejection { path, digest, reason: reason.clone(), still_serving });
            }
        }
        rejections.extend(surplus.iter().map(|path| Rejection {
            path: path.clone(),
            digest: None,
            reason: Reason::TooManyFiles(MOST_FILES),
            still_serving: None,
        }));
        rejections.sort_by(|a, b| a.path.cmp(&b.path));
        Snapshot { methods, rejections }
    }
}

/// What came of looking at a file.
enum Look {
    Unchanged,
    Works(Digest, Box<Plugin>),
    Rejected(Option<Digest>, Reason),
}

/// The directory's plugin files, sorted by name: `*.wasm`, without dotfiles.
fn list(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "wasm") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
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
