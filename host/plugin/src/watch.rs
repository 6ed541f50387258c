//! Following the plugin directory: what changes there takes effect while everything
//! goes on.
//!
//! The system's notifications are hints: they say when to look and, at best, at what.
//! What changed is told by comparing the directory with what was last looked at. So a
//! lost or overflowing event, a link whose target is written to, a file system that
//! tells nothing, and a directory that is removed and made again cost some time and
//! nothing else.

use super::change::{Change, What};
use super::file::Stamp;
use super::process::Cancel;
use super::registry::{AT_ONCE, Found, Look, Registry, RegistryError, is_plugin};
use super::{Reason, words::printable};
use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long nobody may have written to a file before it is looked at. 50 ms: longer
/// than the pauses of a linker or a copy, shorter than a person notices.
const SETTLE: Duration = Duration::from_millis(50);

/// The same where the system says that the writer is done: it closed the file, or
/// renamed it into place. 10 ms: the names that follow, where several files change
/// together, are gathered into one look.
const SETTLE_WHEN_DONE: Duration = Duration::from_millis(10);

/// How long a file that is gone goes on serving. 1 s: tools that remove a file and write
/// it anew take less.
const GRACE: Duration = Duration::from_secs(1);

/// How often everything is compared without a hint. 1 s: some hundred calls to the
/// system, for what it does not tell.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The same where the system tells nothing at all. 250 ms: still next to nothing, and a
/// person who saves a file does not wait long.
const POLL: Duration = Duration::from_millis(250);

/// How long after a write another one might have the same time stamp. 2 s: the coarsest
/// clock of a file system in use, that of FAT.
const CLOCK: Duration = Duration::from_secs(2);

/// How a directory is followed.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// How long nobody may have written to a file before it is looked at; shorter where
    /// the system says that the writer is done.
    pub settle: Duration,
    /// How long a plugin whose file is gone goes on serving, in case it comes back.
    pub grace: Duration,
    /// How often everything is compared, whatever the system tells.
    pub heartbeat: Duration,
    /// Look so often in place of the system's notifications: for file systems that tell
    /// nothing, such as network and container mounts.
    pub poll: Option<Duration>,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { settle: SETTLE, grace: GRACE, heartbeat: HEARTBEAT, poll: None }
    }
}

/// Follows the directory until it is dropped.
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Compares everything now, as after events that were lost.
    pub fn look(&self) {
        let _ = self.sender.send(Message::Hint(Hint::Anything));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Registry {
    /// Follows the directory until the handle is dropped: new, changed and removed files
    /// take effect, and [`Registry::changes`] tells so. It begins with a look at all
    /// files. A registry without a directory has nothing to follow.
    ///
    /// It cannot fail: where the system does not tell of changes, the directory is looked
    /// at from time to time, which is told as a change. A directory that is missing is
    /// waited for.
    pub fn watch(self: &Arc<Self>, options: WatchOptions) -> Watch {
        let (sender, receiver) = channel();
        let thread = self.directory().map(Path::to_owned).and_then(|directory| {
            let (registry, own) = (Arc::clone(self), sender.clone());
            let follow = move || Follower::new(registry, directory, options, own).run(&receiver);
            // Without it there is no watch; a program that can start no thread cannot call
            // a plugin either, and says so then.
            std::thread::Builder::new().name("plugin watch".into()).spawn(follow).ok()
        });
        Watch { sender, thread }
    }
}

/// What the thread that follows is told.
enum Message {
    Hint(Hint),
    /// A look ended; whether it has to be repeated.
    Looked {
        path: PathBuf,
        number: u64,
        again: bool,
    },
    Stop,
}

/// What the system says happened.
#[derive(Debug, PartialEq, Eq)]
enum Hint {
    /// Something was written to this file; whether the writer is done.
    Written(PathBuf, bool),
    /// Something, somewhere.
    Anything,
}

/// What an event of the system means; none where it changes nothing.
fn hints(event: notify::Result<Event>) -> Vec<Hint> {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        // Events were lost, or the watch was.
        Ok(_) | Err(_) => return vec![Hint::Anything],
    };
    let done = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => true,
        // Looking itself opens and reads.
        EventKind::Access(_) => return vec![],
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        // Gone, renamed away, another mode or owner: comparing tells.
        _ => return vec![Hint::Anything],
    };
    event
        .paths
        .into_iter()
        // Drafts beside the plugins need no look. On some systems the path is the
        // directory's.
        .filter_map(|path| match is_plugin(&path) {
            true => Some(Hint::Written(path, done)),
            false => (path.extension().is_none()).then_some(Hint::Anything),
        })
        .collect()
}

/// A file that is about to be looked at.
struct Pending {
    stamp: Option<Stamp>,
    /// When it was last written to, as far as is known.
    since: Instant,
    /// Whether the writer is done.
    done: bool,
}

/// A file that is being looked at.
struct Running {
    number: u64,
    stamp: Option<Stamp>,
    cancel: Cancel,
}

/// What the thread that follows keeps.
struct Follower {
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
    /// What each file was like when it was last looked at.
    seen: BTreeMap<PathBuf, Option<Stamp>>,
    pending: BTreeMap<PathBuf, Pending>,
    running: BTreeMap<PathBuf, Running>,
    /// Files whose next write might not show, and when they are looked at once more.
    doubtful: BTreeMap<PathBuf, Instant>,
    next_compare: Instant,
    /// When the grace of a file that is gone is over.
    next_end: Option<Instant>,
}

impl Follower {
    fn new(
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

    fn run(mut self, receiver: &Receiver<Message>) {
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
                    Message::Looked { path, number, again } => self.looked(&path, number, again),
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

    fn looked(&mut self, path: &Path, number: u64, again: bool) {
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

    /// Compares the directory with what was last looked at.
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

    /// The directory is there: asks the system to tell of changes in it.
    fn attach(&mut self) {
        if std::mem::take(&mut self.lost) {
            self.registry.tell(Change::of_directory(&self.directory, What::DirectoryBack));
        }
        if self.options.poll.is_some() {
            return;
        }
        let sender = Mutex::new(self.sender.clone());
        let handler = move |event: notify::Result<Event>| {
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
                    self.registry.tell(Change::of_directory(&self.directory, What::Polling { reason }));
                }
            }
        }
    }

    /// The directory is gone. What was loaded from it stays.
    fn lose(&mut self) {
        if self.registry.has_files() && !std::mem::replace(&mut self.lost, true) {
            self.registry.tell(Change::of_directory(&self.directory, What::DirectoryGone));
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

    /// Starts a look at each file that nobody has written to for a while.
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
        let look = self.registry.begin(&path);
        let cancel = Cancel::default();
        let running = Running { number: look.number, stamp, cancel: cancel.clone() };
        let looking =
            Looking { registry: Arc::clone(&self.registry), look, cancel, sender: self.sender.clone() };
        let thread = std::thread::Builder::new().name("plugin reload".into());
        if thread.spawn(move || looking.run()).is_err() {
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

/// A look, on a thread of its own.
struct Looking {
    registry: Arc<Registry>,
    look: Look,
    cancel: Cancel,
    sender: Sender<Message>,
}

impl Looking {
    fn run(self) {
        let Self { registry, look, cancel, sender } = self;
        let found = registry.look(&look, &cancel);
        let again = cancel.is_set() || matches!(found, Found::Rejected(_, Reason::Changing));
        if !again {
            registry.finish(&look, found);
        }
        let number = look.number;
        // Nobody listens any more when the watch ended meanwhile.
        let _ = sender.send(Message::Looked { path: look.path, number, again });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind};

    fn said(kind: EventKind, name: &str) -> Vec<Hint> {
        hints(Ok(Event::new(kind).add_path(Path::new("/plugins").join(name))))
    }

    fn written(name: &str, done: bool) -> Vec<Hint> {
        vec![Hint::Written(Path::new("/plugins").join(name), done)]
    }

    #[test]
    fn a_closed_or_renamed_file_is_done_and_one_being_written_is_not() {
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(said(closed, "a.wasm"), written("a.wasm", true));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(said(renamed, "a.wasm"), written("a.wasm", true));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(said(data, "a.wasm"), written("a.wasm", false));
        assert_eq!(said(EventKind::Create(CreateKind::File), "a.wasm"), written("a.wasm", false));
    }

    #[test]
    fn reading_and_drafts_are_no_reason_to_look() {
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert_eq!(said(opened, "a.wasm"), []);
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        for draft in [".a.wasm", "a.wasm.part", "a.rlib"] {
            assert_eq!(said(closed, draft), [], "{draft}");
        }
    }

    #[test]
    fn overflow_and_everything_unclear_is_a_reason_to_compare_all() {
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(hints(Ok(overflow)), [Hint::Anything]);
        assert_eq!(hints(Err(notify::Error::generic("lost"))), [Hint::Anything]);
        assert_eq!(said(EventKind::Remove(RemoveKind::File), "a.wasm"), [Hint::Anything]);
        let mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        assert_eq!(said(mode, "a.wasm"), [Hint::Anything]);
        // FSEvents may name the directory alone.
        assert_eq!(said(EventKind::Create(CreateKind::Any), ""), [Hint::Anything]);
    }
}
