//! Opening: the directory and its permissions, the version gate, and migrations.

use super::connection::{Patience, connect, options, run};
use super::error::translated;
use crate::Error;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Marks the file as ours in SQLite's header ("TnSm").
const APPLICATION_ID: i64 = 0x546e_536d;

/// Each brings the store one version forward. A released one never changes; the store's
/// version is the number of those applied.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001_first.sql"), include_str!("migrations/0002_local_training.sql")];

/// The newest version that this program knows.
pub(super) fn known_version() -> i64 {
    MIGRATIONS.len() as i64
}

/// Opens the store's file, making it and its directory where they are missing.
pub(super) async fn open(path: &Path, directory: &Path) -> Result<SqliteConnection, Error> {
    prepare_directory(directory)?;
    if path.exists() {
        gate(path).await?;
    }
    let mut connection = connect(path, options(path).create_if_missing(true)).await?;
    // Before anything is written: the log files take their mode from this one.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| Error::ReadOnly { path: path.to_path_buf(), detail: error.to_string() })?;
    bring_forward(path, &mut connection, MIGRATIONS).await?;
    Ok(connection)
}

fn prepare_directory(directory: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory { path: directory.to_path_buf(), source };
    if !directory.exists() {
        tunesmith_core::fs::create_private(directory).map_err(failed)?;
    }
    let metadata = std::fs::metadata(directory).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::NotADirectory.into()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(Error::OpenToOthers { path: directory.to_path_buf(), mode });
    }
    Ok(())
}

/// Looks at an existing file without changing it: is it ours, and not of a later version?
async fn gate(path: &Path) -> Result<(), Error> {
    // Immutable: SQLite reads the file alone, with no lock and no log file beside it.
    let glance =
        async { check(path, connect(path, options(path).immutable(true).read_only(true)).await?).await };
    let sound = match glance.await {
        Err(error @ Error::Newer { .. }) => return Err(error),
        other => other.is_ok(),
    };
    // Another process may be making the store just now, or one died before the log, which
    // may hold a migration, reached the file. A look with locks, at both, tells.
    let log = path.with_extension("db-wal");
    if !sound || std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        check(path, connect(path, options(path).read_only(true)).await?).await?;
    }
    Ok(())
}

async fn check(path: &Path, mut connection: SqliteConnection) -> Result<(), Error> {
    let header = header(path, &mut connection).await;
    // Read-only, so a failure to close changes nothing.
    let _ = connection.close().await;
    header?.check(path)
}

struct Header {
    application_id: i64,
    version: i64,
    tables: i64,
}

impl Header {
    /// A file without tables is a store that is about to be made.
    fn is_fresh(&self) -> bool {
        self.application_id == 0 && self.version == 0 && self.tables == 0
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        if self.is_fresh() {
            return Ok(());
        }
        if self.application_id != APPLICATION_ID {
            return Err(Error::NotAStore {
                path: path.to_path_buf(),
                why: "it is another program's SQLite database".into(),
            });
        }
        if self.version > known_version() {
            return Err(Error::Newer {
                path: path.to_path_buf(),
                found: self.version,
                known: known_version(),
            });
        }
        Ok(())
    }
}

async fn header(path: &Path, connection: &mut SqliteConnection) -> Result<Header, Error> {
    let row = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id) AS application_id,
                (SELECT user_version FROM pragma_user_version) AS version,
                (SELECT count(*) FROM sqlite_schema) AS tables",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| translated(path, error))?;
    Ok(Header {
        application_id: row.try_get("application_id")?,
        version: row.try_get("version")?,
        tables: row.try_get("tables")?,
    })
}

/// Applies the migrations that the store does not have, all or none.
pub(super) async fn bring_forward(
    path: &Path,
    connection: &mut SqliteConnection,
    migrations: &[&'static str],
) -> Result<(), Error> {
    let newest = migrations.len() as i64;
    let mode = sqlx::query("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| translated(path, error))?;
    if mode.try_get::<String, _>(0)? != "wal" {
        // SQLite does not wait for this lock by itself.
        let patience = Patience::new();
        while let Err(error) = run(connection, path, "PRAGMA journal_mode = WAL").await {
            patience.after(error).await?;
        }
    }
    if header(path, connection).await?.version >= newest {
        return Ok(());
    }
    run(connection, path, "BEGIN IMMEDIATE").await?;
    // Another process may have been faster, or be of a later version.
    let found = header(path, connection).await?;
    found.check(path)?;
    let first = usize::try_from(found.version).unwrap_or(0);
    for migration in migrations.iter().skip(first) {
        run(connection, path, migration).await?;
    }
    let stamp = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {newest};");
    sqlx::raw_sql(sqlx::AssertSqlSafe(stamp))
        .execute(&mut *connection)
        .await
        .map_err(|error| translated(path, error))?;
    run(connection, path, "COMMIT").await?;
    // Into the file itself, where an older program's gate reads the version first. A
    // reader may hold this up; then the gate finds the version in the log.
    run(connection, path, "PRAGMA wal_checkpoint(TRUNCATE)").await
}
