//! The store: what the rest of the program calls. It asks the ledger's rules what to
//! write, and the backend to write it.

mod apply;
mod check;
mod create;
mod jobs;
mod made;
mod owner;
mod plugins;
mod records;
mod requests;

pub use check::Problem;
pub use owner::Beating;
pub(crate) use owner::Identity;

use crate::Error;
use crate::backend::{Backend, Transaction};
use crate::clock::{Clock, SystemClock};
use crate::redact::Redactor;
use crate::sqlite::Sqlite;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Gives the time.
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
    inner: Arc<Inner>,
}

/// What clones of a store share.
struct Inner {
    path: PathBuf,
    backend: Box<dyn Backend>,
    clock: Arc<dyn Clock>,
    redactor: Redactor,
    me: Identity,
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
        let me = Identity::new()?;
        let (sqlite, path) = Sqlite::open(directory, &me.token).await?;
        Ok(Self::on(Box::new(sqlite), path, me, options))
    }

    /// A store on this backend, which knows `me`.
    pub(crate) fn on(backend: Box<dyn Backend>, path: PathBuf, me: Identity, options: Options) -> Self {
        let (clock, redactor) = (options.clock, options.redactor);
        Self { inner: Arc::new(Inner { path, backend, clock, redactor, me }) }
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How many transactions this process has committed with a flush to the disk.
    pub fn synced_transactions(&self) -> u64 {
        self.backend().synced()
    }

    /// Closes the connections. Claims that are still held stay with this process until
    /// it ends; release them first.
    pub async fn close(&self) {
        self.backend().close().await;
    }

    /// A cheap way to notice that anything in the store changed, from any process.
    pub fn watch(&self) -> Watch {
        Watch { store: self.clone(), seen: None }
    }

    fn backend(&self) -> &dyn Backend {
        &*self.inner.backend
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

/// A transaction's results once it is committed; whatever fails undoes it. A failed
/// rollback undoes it as well, with the connection, so the first error is the one to report.
async fn ended<T>(tx: Box<dyn Transaction>, result: Result<T, Error>) -> Result<T, Error> {
    match result {
        Ok(done) => tx.commit().await.map(|()| done),
        Err(error) => {
            let _ = tx.rollback().await;
            Err(error)
        }
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
        let version = self.store.backend().version().await?;
        Ok(self.seen.replace(version) != Some(version))
    }
}
