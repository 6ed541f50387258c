//! Watching the plugin directory: changes take effect while the program runs.
//!
//! The system's notifications are hints: they say when to look and, at best, at what.
//! Changes are found by comparing the directory with the last scan. So a
//! lost or overflowing event, a link whose target is written to, a file system that
//! reports nothing, and a directory that is removed and made again cost some time and
//! nothing else.

mod follower;
mod hint;

use super::Registry;
use follower::{Follower, Message};
use hint::Hint;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a file must not have been written to before it is scanned. 50 ms: longer
/// than the pauses of a linker or a copy, shorter than a person notices.
const SETTLE: Duration = Duration::from_millis(50);

/// How long a plugin whose file is gone stays in use. 1 s: tools that remove a file and write
/// it anew take less.
const GRACE: Duration = Duration::from_secs(1);

/// How often everything is compared without a hint. 1 s: some hundred calls to the
/// system, for what it does not report.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How a directory is followed.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// How long a file must not have been written to before it is scanned; shorter where
    /// the system reports that the writer is done.
    pub settle: Duration,
    /// How long a plugin whose file is gone stays in use, in case it comes back.
    pub grace: Duration,
    /// How often everything is compared, whatever the system reports.
    pub heartbeat: Duration,
    /// Poll at this interval instead of using notifications: for file systems that report
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
    /// take effect, and [`Registry::changes`] reports them. It begins with a scan of all
    /// files. A registry without a directory has nothing to follow.
    ///
    /// It cannot fail: where the system reports no changes, the directory is checked
    /// periodically, which is reported as a change. A directory that is missing is
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
