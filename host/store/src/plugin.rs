//! The history of the plugin directory, so that another shell can show it.

use super::connection::Sync;
use super::owner::{beat, sweep};
use super::presence::{self, Presence};
use super::{Error, Page, Store, page_size};
use sqlx::Row as _;
use std::collections::BTreeMap;

/// The history keeps this many entries: months of ordinary use, and a build loop that
/// reloads every few seconds does not fill the disk.
const ENTRIES_KEPT: i64 = 10_000;

/// Something that happened to a plugin.
#[derive(Debug, Clone, Default)]
pub struct NewPluginEvent {
    /// When.
    pub at_ms: i64,
    /// The plugin's id, or the file's name where it has none.
    pub plugin: String,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// The file's name.
    pub file: Option<String>,
    /// What happened, in a word: `loaded`, `rejected`, `removed` …
    pub action: String,
    /// What a person should know of it.
    pub message: String,
    /// The generation that it is about, as the process that tells it numbers them.
    pub generation: Option<u64>,
    /// The plugin's tier.
    pub tier: Option<String>,
    /// The directory that is followed.
    pub directory: Option<String>,
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginEvent {
    /// Its place in the history.
    pub seq: i64,
    /// When.
    pub at_ms: i64,
    /// The plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// The file's name.
    pub file: Option<String>,
    /// What happened.
    pub action: String,
    /// What a person should know of it.
    pub message: String,
    /// The generation that it is about, as the process that tells it numbers them.
    pub generation: Option<u64>,
    /// The plugin's tier.
    pub tier: Option<String>,
    /// The directory that is followed.
    pub directory: Option<String>,
    /// The process that it happened in.
    pub pid: u32,
    /// Whether that process is still there.
    pub alive: bool,
}

impl Store {
    /// Adds to the plugin history; the oldest entries beyond 10,000 go. As long as this
    /// process has the store open, they say that it is alive.
    pub async fn append_plugin_history(&self, entries: &[NewPluginEvent]) -> Result<(), Error> {
        let me = &self.inner.owner;
        let is_new = me.appear()?;
        let mut tx = self.inner.write(Sync::Batch).await?;
        beat(&mut tx, self, self.now_ms()).await?;
        if is_new {
            sweep(&mut tx, me).await?;
        }
        for entry in entries {
            tx.execute(
                sqlx::query(
                    "INSERT INTO plugin_history (at_ms, plugin, version, sha256, file, action, message,
                         generation, tier, directory, pid, owner)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(entry.at_ms)
                .bind(&entry.plugin)
                .bind(entry.version.clone())
                .bind(entry.sha256.clone())
                .bind(entry.file.clone())
                .bind(&entry.action)
                .bind(self.redactor().text(&entry.message))
                .bind(entry.generation.and_then(|generation| i64::try_from(generation).ok()))
                .bind(entry.tier.clone())
                .bind(entry.directory.clone())
                .bind(i64::from(std::process::id()))
                .bind(&me.token),
            )
            .await?;
        }
        tx.execute(
            sqlx::query("DELETE FROM plugin_history WHERE seq <= (SELECT max(seq) FROM plugin_history) - ?")
                .bind(ENTRIES_KEPT),
        )
        .await?;
        tx.commit().await
    }

    /// The plugin history, newest first; of one plugin, or of all.
    pub async fn plugin_history(
        &self,
        plugin: Option<&str>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page<PluginEvent>, Error> {
        let size = page_size(limit);
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query(
                    "SELECT * FROM plugin_history WHERE (?1 IS NULL OR plugin = ?1)
                     AND (?2 IS NULL OR seq < ?2) ORDER BY seq DESC LIMIT ?3",
                )
                .bind(plugin)
                .bind(after)
                .bind(size + 1),
            )
            .await?;
        let mut entries = Vec::with_capacity(rows.len());
        let mut present: BTreeMap<String, bool> = BTreeMap::new();
        for row in rows {
            let owner: String = row.try_get("owner")?;
            let alive = *present.entry(owner).or_insert_with_key(|owner| {
                *owner == self.inner.owner.token
                    || presence::look(&self.inner.owner.directory, owner) == Presence::Alive
            });
            entries.push(PluginEvent {
                seq: row.try_get("seq")?,
                at_ms: row.try_get("at_ms")?,
                plugin: row.try_get("plugin")?,
                version: row.try_get("version")?,
                sha256: row.try_get("sha256")?,
                file: row.try_get("file")?,
                action: row.try_get("action")?,
                message: row.try_get("message")?,
                generation: row
                    .try_get::<Option<i64>, _>("generation")?
                    .and_then(|generation| u64::try_from(generation).ok()),
                tier: row.try_get("tier")?,
                directory: row.try_get("directory")?,
                pid: u32::try_from(row.try_get::<i64, _>("pid")?).unwrap_or_default(),
                alive,
            });
        }
        Ok(Page::of(entries, size, |entry: &PluginEvent| entry.seq))
    }
}
