//! Connections: one that writes, a few that read, and how a transaction is committed.

use super::error::translated;
use crate::Error;
use crate::backend::Durability;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, Sqlite, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// SQLite waits this long for another process's transaction. Ours take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite's waiters are not queued, so one may be unlucky several times over. Beyond this
/// something hangs, and the user is told.
const BUSY_PATIENCE: Duration = Duration::from_secs(120);

/// Between attempts where SQLite gives up without waiting (switching the journal mode).
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Readers do not wait for the writer in WAL mode; a few are enough for a process.
const READERS: u32 = 4;

/// A statement with its arguments.
type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// The connections of an open store.
pub struct Connections {
    path: PathBuf,
    synced: AtomicU64,
    writer: Arc<Mutex<Option<Writer>>>,
    readers: SqlitePool,
    watcher: Mutex<Option<SqliteConnection>>,
}

struct Writer {
    connection: SqliteConnection,
    durability: Durability,
}

/// How every connection is opened.
pub fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // A flush that the drive itself only promises is none (macOS; no effect elsewhere).
        .pragma("fullfsync", "1")
        .pragma("checkpoint_fullfsync", "1")
        // Statements hold no user data beyond arguments, which are never logged.
        .disable_statement_logging()
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full)
}

impl Connections {
    pub fn new(path: PathBuf, writer: SqliteConnection) -> Self {
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_PATIENCE)
            .connect_lazy_with(options(&path).pragma("query_only", "1"));
        let writer = Writer { connection: writer, durability: Durability::Synced };
        Self {
            path,
            synced: AtomicU64::new(0),
            writer: Arc::new(Mutex::new(Some(writer))),
            readers,
            watcher: Mutex::new(None),
        }
    }

    /// How many transactions were committed with a flush to the disk.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }

    /// A connection for reading. Each statement sees the latest commit.
    pub async fn read(self: &Arc<Self>) -> Result<Session<PoolConnection<Sqlite>>, Error> {
        let patience = Patience::new();
        let connection = loop {
            match self.readers.acquire().await {
                Ok(connection) => break connection,
                Err(sqlx::Error::PoolTimedOut) => {
                    let seconds = BUSY_PATIENCE.as_secs();
                    return Err(Error::Busy { path: self.path.clone(), seconds });
                }
                Err(error) => patience.after(translated(&self.path, error)).await?,
            }
        };
        Ok(Session { connection, connections: Arc::clone(self) })
    }

    /// Begins a transaction that may write. It is undone unless committed, also if the
    /// caller's future is dropped half-way.
    pub async fn begin(self: &Arc<Self>, durability: Durability) -> Result<Session<Begun>, Error> {
        let mut place = Arc::clone(&self.writer).lock_owned().await;
        let patience = Patience::new();
        let mut writer = match place.take() {
            Some(writer) => writer,
            None => {
                let connection = connect(&self.path, options(&self.path)).await?;
                Writer { connection, durability: Durability::Synced }
            }
        };
        if writer.durability != durability {
            let pragma = match durability {
                Durability::Synced => "PRAGMA synchronous = FULL",
                Durability::Batched => "PRAGMA synchronous = NORMAL",
            };
            run(&mut writer.connection, &self.path, pragma).await?;
            writer.durability = durability;
        }
        // IMMEDIATE: taking the lock first means never having to give up half-way.
        while let Err(error) = run(&mut writer.connection, &self.path, "BEGIN IMMEDIATE").await {
            patience.after(error).await?;
        }
        Ok(Session { connection: Begun { writer, place }, connections: Arc::clone(self) })
    }

    /// A number that changes whenever another connection commits.
    pub async fn data_version(&self) -> Result<i64, Error> {
        let mut place = self.watcher.lock().await;
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => connect(&self.path, options(&self.path).pragma("query_only", "1")).await?,
        };
        let row = sqlx::query("PRAGMA data_version")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| translated(&self.path, error))?;
        *place = Some(connection);
        Ok(row.try_get(0)?)
    }

    pub async fn close(&self) {
        self.readers.close().await;
        let watcher = self.watcher.lock().await.take();
        let writer = self.writer.lock().await.take().map(|writer| writer.connection);
        for connection in [watcher, writer].into_iter().flatten() {
            // A connection that fails to close is dropped all the same.
            let _ = connection.close().await;
        }
    }
}

/// Decides whether what failed because of another process's lock is tried again.
pub struct Patience(Instant);

impl Patience {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Waits a little if trying again makes sense, and otherwise returns the error.
    pub async fn after(&self, error: Error) -> Result<(), Error> {
        match error {
            Error::Busy { .. } if self.0.elapsed() < BUSY_PATIENCE => {
                tokio::time::sleep(BUSY_PAUSE).await;
                Ok(())
            }
            Error::Busy { path, .. } => Err(Error::Busy { path, seconds: self.0.elapsed().as_secs() }),
            other => Err(other),
        }
    }
}

/// Opens a connection.
pub async fn connect(path: &Path, options: SqliteConnectOptions) -> Result<SqliteConnection, Error> {
    let patience = Patience::new();
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) => patience.after(translated(path, error)).await?,
        }
    }
}

/// Runs statements that return nothing of interest.
pub async fn run(connection: &mut SqliteConnection, path: &Path, sql: &'static str) -> Result<(), Error> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(|error| translated(path, error))
}

/// A connection whose errors are the store's.
pub struct Session<C> {
    connection: C,
    connections: Arc<Connections>,
}

/// A connection that is in a transaction. Dropping it closes it, which undoes the
/// transaction whatever state it was in; the next one opens another.
pub struct Begun {
    writer: Writer,
    place: OwnedMutexGuard<Option<Writer>>,
}

impl Deref for Begun {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.writer.connection
    }
}

impl DerefMut for Begun {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.writer.connection
    }
}

impl<C: DerefMut<Target = SqliteConnection>> Session<C> {
    fn failed(&self, error: sqlx::Error) -> Error {
        translated(&self.connections.path, error)
    }

    /// Runs a statement; the number of rows it changed.
    pub async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, Error> {
        let done = statement.execute(&mut *self.connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.failed(error))
    }

    /// The first row, if there is one.
    pub async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<SqliteRow>, Error> {
        statement.fetch_optional(&mut *self.connection).await.map_err(|error| self.failed(error))
    }

    /// The row that must be there.
    pub async fn one(&mut self, statement: Statement<'_>) -> Result<SqliteRow, Error> {
        self.optional(statement).await?.ok_or_else(|| Error::Damaged {
            path: self.connections.path.clone(),
            detail: "a row that must exist does not".into(),
        })
    }

    /// All rows.
    pub async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<SqliteRow>, Error> {
        statement.fetch_all(&mut *self.connection).await.map_err(|error| self.failed(error))
    }
}

impl Session<Begun> {
    /// Makes the transaction durable.
    pub async fn commit(mut self) -> Result<(), Error> {
        run(&mut self.connection, &self.connections.path, "COMMIT").await?;
        if self.connection.writer.durability == Durability::Synced {
            self.connections.synced.fetch_add(1, Ordering::Relaxed);
        }
        self.put_back();
        Ok(())
    }

    /// Undoes the transaction and keeps the connection.
    pub async fn rollback(mut self) -> Result<(), Error> {
        run(&mut self.connection, &self.connections.path, "ROLLBACK").await?;
        self.put_back();
        Ok(())
    }

    fn put_back(self) {
        let Begun { writer, mut place } = self.connection;
        *place = Some(writer);
    }
}
