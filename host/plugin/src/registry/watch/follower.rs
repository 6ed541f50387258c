//! The thread that follows the plugin directory.

use super::hint::{Hint, hints};
use super::{HEARTBEAT, WatchOptions};
use crate::compile::Cancel;
use crate::display::printable;
use crate::file::Stamp;
use crate::registry::change::{Change, ChangeKind};
use crate::registry::files::{Scan, ScanResult};
use crate::registry::parallel::AT_ONCE;
use crate::registry::{Registry, RegistryError};
use crate::rejection::Reason;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same where the system says that the writer is done: it closed the file, or
/// renamed it into place. 10 ms: the names that follow, where several files change
/// together, are gathered into one look.
const SETTLE_WHEN_DONE: Duration = Duration::from_millis(10);

/// The same where the system reports nothing at all. 250 ms: still next to nothing, and a
/// person who saves a file does not wait long.
const POLL: Duration = Duration::from_millis(250);

/// How long after a write another one might have the same time stamp. 2 s: the coarsest
/// clock of a file system in use, that of FAT.
const CLOCK: Duration = Duration::from_secs(2);

/// Messages to the watching thread.
pub(crate) enum Message {
    Hint(Hint),
    /// A look ended; whether it has to be repeated.
    Scanned {
        path: PathBuf,
        number: u64,
        again: bool,
    },
    Stop,
}

/// A file that is about to be scanned.
struct Pending {
    stamp: Option<Stamp>,
    /// When it was last written to, as far as is known.
    since: Instant,
    /// Whether the writer is done.
    done: bool,
}

/// A file that is being scanned.
struct Running {
    number: u64,
    stamp: Option<Stamp>,
    cancel: Cancel,
}

/// State of the watching thread.
pub(crate) struct Follower {
    registry: Arc<Registry>,
    directory: PathBuf,
    options: WatchOptions,
    sender: Sender<Message>,
    /// The system's notifications, while there are any.
    system: Option<RecommendedWatcher>,
    /// Whether the system's notifications do not work.
    polls: bool,
    /// The directory that is followed, since another may get its name.
    identity: Option<Stamp>,
    /// Whether it was there and is gone.
    lost: bool,
    /// Each file's stamp at its last scan.
    seen: BTreeMap<PathBuf, Option<Stamp>>,
    pending: BTreeMap<PathBuf, Pending>,
    running: BTreeMap<PathBuf, Running>,
    /// Files whose next write might not show, and when they are scanned again.
    doubtful: BTreeMap<PathBuf, Instant>,
    next_compare: Instant,
    /// When the grace of a file that is gone is over.
    next_end: Option<Instant>,
}

impl Follower {
    pub(crate) fn new(
        registry: Arc<Registry>,
        directory: PathBuf,
        options: WatchOptions,
        sender: Sender<Message>,
    ) -> Self {
        let polls = options.poll.is_some();
        Self {
            registry,
            directory,
            options,
            sender,
            system: None,
            polls,
            identity: None,
            lost: false,
            seen: BTreeMap::new(),
            pending: BTreeMap::new(),
            running: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            next_compare: Instant::now(),
            next_end: None,
        }
    }

    pub(crate) fn run(mut self, receiver: &Receiver<Message>) {
        self.registry.prepare();
        loop {
            let wait = self.due().saturating_duration_since(Instant::now());
            let mut next = match receiver.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            };
            while let Some(message) = next {
                match message {
                    Message::Stop => return self.stop(),
                    Message::Hint(hint) => self.hinted(hint),
                    Message::Scanned { path, number, again } => self.scanned(&path, number, again),
                }
                next = receiver.try_recv().ok();
            }
            let now = Instant::now();
            if now >= self.next_compare || self.next_end.is_some_and(|end| now >= end) {
                self.compare(now);
            }
            self.doubt(now);
            self.start_settled(now);
        }
    }

    /// When there is something to do next.
    fn due(&self) -> Instant {
        let pending = match self.running.len() < AT_ONCE {
            true => self.pending.values().map(|pending| pending.since + self.settle(pending)).min(),
            // The end of one comes as a message.
            false => None,
        };
        let doubtful = self.doubtful.values().min().copied();
        [pending, doubtful, self.next_end].into_iter().flatten().fold(self.next_compare, Instant::min)
    }

    fn settle(&self, pending: &Pending) -> Duration {
        if pending.done { self.options.settle.min(SETTLE_WHEN_DONE) } else { self.options.settle }
    }

    fn stop(self) {
        for running in self.running.values() {
            running.cancel.set();
        }
        self.registry.dismiss();
    }

    fn hinted(&mut self, hint: Hint) {
        let now = Instant::now();
        self.next_compare = now;
        if let Hint::Written(path, done) = hint {
            // The watch may be of a directory that has another name by now.
            let path = self.directory.join(path.file_name().unwrap_or_default());
            let stamp = Stamp::of(&path);
            self.pending.insert(path, Pending { stamp, since: now, done });
        }
    }

    fn scanned(&mut self, path: &Path, number: u64, again: bool) {
        if self.running.get(path).is_none_or(|running| running.number != number) {
            return;
        }
        let stamp = self.running.remove(path).and_then(|running| running.stamp);
        if again {
            let since = Instant::now();
            self.pending.entry(path.to_owned()).or_insert_with(|| Pending { stamp, since, done: false });
        }
        // From this thread, since it ends with the one that started it.
        self.registry.prepare();
    }

    /// Compares the directory with the last scan.
    fn compare(&mut self, now: Instant) {
        self.next_compare = now
            + match self.options.poll {
                Some(poll) => poll,
                None if self.polls || self.lost => self.options.heartbeat.min(POLL),
                None => self.options.heartbeat,
            };
        let found = Stamp::of(&self.directory);
        let same = |known: &Stamp| found.is_some_and(|found| found.is_same_file(known));
        if !self.identity.as_ref().is_some_and(same) {
            self.system = None;
            self.identity = found;
            match found {
                Some(_) => self.attach(),
                None => return self.lose(),
            }
        }
        let listing = match self.registry.listing() {
            Ok(listing) => listing,
            Err(RegistryError::Directory { source, .. }) => {
                // Gone between the two looks, or not to be read; the next comparing tells.
                if source.kind() == std::io::ErrorKind::NotFound {
                    self.identity = None;
                }
                return;
            }
            Err(_) => return,
        };
        // From after the listing on, so that no grace is shorter than it says.
        let now = Instant::now();
        self.next_end = self.registry.note_listing(&listing, now, self.options.grace);
        self.seen.retain(|path, _| listing.has(path));
        self.pending.retain(|path, _| listing.has(path));
        self.doubtful.retain(|path, _| listing.has(path));
        for path in listing.files {
            let stamp = Stamp::of(&path);
            if let Some(running) = self.running.get(&path)
                && running.stamp != stamp
            {
                // What it would find is out of date.
                running.cancel.set();
            }
            match self.pending.get_mut(&path) {
                Some(pending) if pending.stamp != stamp => {
                    *pending = Pending { stamp, since: now, done: false };
                }
                Some(_) => {}
                None if self.seen.get(&path) != Some(&stamp) => {
                    self.pending.insert(path, Pending { stamp, since: now, done: false });
                }
                None => {}
            }
        }
    }

    /// The directory is there: subscribes to changes in it.
    fn attach(&mut self) {
        if std::mem::take(&mut self.lost) {
            self.registry.announce(Change::of_directory(&self.directory, ChangeKind::DirectoryBack));
        }
        if self.options.poll.is_some() {
            return;
        }
        let sender = Mutex::new(self.sender.clone());
        let handler = move |event: notify::Result<notify::Event>| {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            for hint in hints(event) {
                // Nobody listens any more when the watch ends.
                let _ = sender.send(Message::Hint(hint));
            }
        };
        let watched = notify::recommended_watcher(handler).and_then(|mut system| {
            system.watch(&self.directory, RecursiveMode::NonRecursive)?;
            Ok(system)
        });
        match watched {
            Ok(system) => {
                self.system = Some(system);
                self.polls = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.polls, true) {
                    let reason = printable(&error.to_string(), 256);
                    self.registry
                        .announce(Change::of_directory(&self.directory, ChangeKind::Polling { reason }));
                }
            }
        }
    }

    /// The directory is gone. What was loaded from it stays.
    fn lose(&mut self) {
        if self.registry.has_files() && !std::mem::replace(&mut self.lost, true) {
            self.registry.announce(Change::of_directory(&self.directory, ChangeKind::DirectoryGone));
        }
        self.next_compare = Instant::now() + self.options.heartbeat.min(POLL);
        self.next_end = None;
        self.pending.clear();
    }

    /// Plans another look at files whose last write may not have been the last one.
    fn doubt(&mut self, now: Instant) {
        let (pending, since) = (&mut self.pending, now);
        self.doubtful.retain(|path, when| {
            if *when > now {
                return true;
            }
            let stamp = Stamp::of(path);
            pending.entry(path.clone()).or_insert(Pending { stamp, since, done: true });
            false
        });
    }

    /// Starts a scan of each file that has not been written to for a while.
    fn start_settled(&mut self, now: Instant) {
        let settled: Vec<PathBuf> = self
            .pending
            .iter()
            .filter(|(_, pending)| now >= pending.since + self.settle(pending))
            .map(|(path, _)| path.clone())
            .collect();
        for path in settled {
            let stamp = Stamp::of(&path);
            if let Some(pending) = self.pending.get_mut(&path)
                && pending.stamp != stamp
            {
                *pending = Pending { stamp, since: now, done: false };
                continue;
            }
            if let Some(running) = self.running.get(&path) {
                running.cancel.set();
            } else if self.running.len() >= AT_ONCE {
                continue;
            }
            self.pending.remove(&path);
            self.start(path, stamp);
        }
    }

    fn start(&mut self, path: PathBuf, stamp: Option<Stamp>) {
        let scan = self.registry.begin(&path);
        let cancel = Cancel::default();
        let running = Running { number: scan.number, stamp, cancel: cancel.clone() };
        let thread_scan =
            ScanThread { registry: Arc::clone(&self.registry), scan, cancel, sender: self.sender.clone() };
        let thread = std::thread::Builder::new().name("plugin reload".into());
        if thread.spawn(move || thread_scan.run()).is_err() {
            // Another try when there may be room for a thread.
            let since = Instant::now() + HEARTBEAT;
            self.pending.insert(path, Pending { stamp, since, done: true });
            return;
        }
        if stamp.is_some_and(|stamp| stamp.is_younger_than(CLOCK)) {
            self.doubtful.insert(path.clone(), Instant::now() + CLOCK);
        }
        self.seen.insert(path.clone(), stamp);
        self.running.insert(path, running);
    }
}

/// A scan, on its own thread.
struct ScanThread {
    registry: Arc<Registry>,
    scan: Scan,
    cancel: Cancel,
    sender: Sender<Message>,
}

impl ScanThread {
    fn run(self) {
        let Self { registry, scan, cancel, sender } = self;
        let found = registry.scan(&scan, &cancel);
        let again = cancel.is_set() || matches!(found, ScanResult::Rejected(_, Reason::Changing));
        if !again {
            registry.finish(&scan, found);
        }
        let number = scan.number;
        // Nobody listens any more when the watch ended meanwhile.
        let _ = sender.send(Message::Scanned { path: scan.path, number, again });
    }
}
