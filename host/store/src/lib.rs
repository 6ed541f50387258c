//! The durable store: jobs and their state machine, in a directory that several
//! processes share.
//!
//! # What is promised
//! - A job is always in one of the [`State`]s, reached by a legal move, and each move
//!   is in one transaction with its event, its intents and their results. A process may
//!   be killed at any point: [`Store::situation`] tells the next one what was perhaps
//!   sent, under which run id, what was adopted and what was verified.
//! - An [intent](Change::intend) is on the disk before the call that returns it returns.
//!   While a create is unsettled, a second one cannot be recorded.
//! - A job has one owner. Each write carries the owner's [`Claim`]; who lost it gets
//!   [`Error::ClaimLost`] and nothing is written.
//! - No key or other secret has a place here, and free texts pass a [`Redactor`].
//!
//! # What is synced
//! Everything that records an intent, a result, a state, a request or a claim on a job is
//! committed with `synchronous=FULL`, so it survives power loss: the transaction's log is
//! flushed before the call returns. [`Store::synced_transactions`] counts them for a
//! process, [`Job::synced`] for a job. What can be fetched again or only tells of life is
//! committed with `NORMAL`: events and metrics of a service ([`Store::append`]), notes on
//! an intent, heartbeats, plugin history. Such a transaction survives the death of the
//! process, and power loss may take the last of them (never a part of one).
//!
//! SQL stays behind this module: its public types say nothing of SQLite.

mod artifact;
mod change;
mod check;
mod clock;
mod connection;
mod create;
mod error;
mod event;
mod file;
mod id;
mod intent;
mod job;
mod metric;
mod model;
mod open;
mod owner;
mod plugin;
mod presence;
mod redact;
mod request;
mod state;

#[cfg(test)]
mod tests;

pub use artifact::{Artifact, Checkpoint, NewArtifact};
pub use change::{Applied, Change};
pub use check::Problem;
pub use clock::{Clock, ManualClock, SystemClock};
pub use create::{NewDataset, NewJob, NewPlan};
pub use error::Error;
pub use event::{Batch, Event, EventKind, Level, NewEvent, Recorded};
pub use file::{FileContent, NewUpload, UploadedFile};
pub use id::JobId;
pub use intent::{Intent, IntentId, Outcome, Situation};
pub use job::{Attempt, Job, JobFilter, Owner, Page, Plan};
pub use metric::MetricPoint;
pub use model::{Model, ModelFilter, NewModel};
pub use owner::{BEAT_EVERY, Beating, Claim, HUNG_AFTER_MS, STALE_AFTER_MS};
pub use plugin::{NewPluginEvent, PluginEvent};
pub use redact::{LONGEST_TEXT, Redactor};
pub use request::{Answer, Ask, Request, RequestId};
pub use state::{Operation, State};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The store's file in its directory.
pub const FILE_NAME: &str = "tunesmith.db";

/// The most rows that one page holds, whatever the caller asks: a page is read into
/// memory as a whole.
pub const LONGEST_PAGE: u32 = 1000;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The secrets that this process knows, to keep them out of stored texts.
    pub redactor: Redactor,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), redactor: Redactor::default() }
    }
}

/// An open store. Clones share connections and the identity of the owner.
#[derive(Clone)]
pub struct Store {
    inner: Arc<connection::Inner>,
}

impl Store {
    /// Opens the store in this directory, making both where they are missing (the
    /// directory with mode 0700), and bringing an older store up to date.
    ///
    /// # Errors
    /// [`Error::Newer`] and [`Error::NotAStore`] leave the file untouched;
    /// [`Error::OpenToOthers`] for a directory that group or others may write;
    /// [`Error::Directory`], [`Error::ReadOnly`], [`Error::Full`], [`Error::Damaged`].
    pub async fn open(directory: &Path, options: Options) -> Result<Self, Error> {
        Ok(Self { inner: open::open(directory, options).await? })
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How many transactions this process has committed with a flush to the disk.
    pub fn synced_transactions(&self) -> u64 {
        self.inner.synced.load(Ordering::Relaxed)
    }

    /// Closes the connections. Claims that are still held stay with this process until
    /// it ends; release them first.
    pub async fn close(&self) {
        self.inner.close().await;
    }

    /// A cheap way to notice that anything in the store changed, from any process.
    pub fn watch(&self) -> Watch {
        Watch { store: self.clone(), seen: None }
    }

    fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    fn redactor(&self) -> &Redactor {
        &self.inner.redactor
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// Notices changes of the store; see [`Store::watch`].
#[derive(Debug)]
pub struct Watch {
    store: Store,
    seen: Option<i64>,
}

impl Watch {
    /// Whether anything was written since the last call; true the first time. Costs one
    /// look at shared memory, so it suits polling.
    pub async fn changed(&mut self) -> Result<bool, Error> {
        let version = self.store.inner.data_version().await?;
        Ok(self.seen.replace(version) != Some(version))
    }
}

/// Rows to fetch for a page: one more than it holds tells whether another follows.
fn page_size(limit: u32) -> i64 {
    i64::from(limit.clamp(1, LONGEST_PAGE))
}
