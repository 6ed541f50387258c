//! The ledger in an SQLite database: a file in a directory that several processes of one
//! host share. All SQL is here; its statements use `$n` and, where there is one, the form
//! that PostgreSQL has too.

mod connection;
mod error;
mod open;
mod presence;
mod read;
mod record;
mod rows;
mod write;

#[cfg(test)]
mod tests;

use crate::Error;
use crate::backend::{Backend, Durability, Presence, Read, Transaction};
use async_trait::async_trait;
use connection::Connections;
use presence::LockFiles;
use sqlx::Row as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The store's file in its directory.
pub const FILE_NAME: &str = "tunesmith.db";

/// A ledger in an SQLite database.
pub struct Sqlite {
    connections: Arc<Connections>,
    presence: LockFiles,
}

impl Sqlite {
    /// Opens the database in this directory for the owner of this token; see
    /// [`Store::open`](crate::Store::open). Returns its file too.
    pub async fn open(directory: &Path, me: &str) -> Result<(Self, PathBuf), Error> {
        let path = directory.join(FILE_NAME);
        let writer = open::open(&path, directory).await?;
        let connections = Arc::new(Connections::new(path.clone(), writer));
        Ok((Self { connections, presence: LockFiles::new(directory, me) }, path))
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn read(&self) -> Result<Box<dyn Read>, Error> {
        Ok(Box::new(self.connections.read().await?))
    }

    async fn begin(&self, durability: Durability) -> Result<Box<dyn Transaction>, Error> {
        Ok(Box::new(self.connections.begin(durability).await?))
    }

    async fn version(&self) -> Result<i64, Error> {
        self.connections.data_version().await
    }

    async fn faults(&self) -> Result<Vec<String>, Error> {
        let mut session = self.connections.read().await?;
        let mut faults = Vec::new();
        for row in session.all(sqlx::query("PRAGMA integrity_check")).await? {
            faults.push(row.try_get::<String, _>(0)?);
        }
        faults.retain(|fault| fault != "ok");
        for row in session.all(sqlx::query("PRAGMA foreign_key_check")).await? {
            faults.push(format!("a row of {} belongs to nothing", row.try_get::<&str, _>(0)?));
        }
        Ok(faults)
    }

    fn presence(&self) -> &dyn Presence {
        &self.presence
    }

    fn synced(&self) -> u64 {
        self.connections.synced()
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
