//! The history of the plugin directory.

use super::Store;
use crate::Error;
use crate::backend::Durability;
use crate::ledger::claim::Liveness;
use crate::ledger::plugin::ENTRIES_KEPT;
use crate::ledger::{NewPluginEvent, Page, PluginEvent};
use std::collections::BTreeMap;

impl Store {
    /// Adds to the plugin history; the oldest entries beyond 10,000 go. As long as this
    /// process has the store open, they say that it is alive.
    pub async fn append_plugin_history(&self, entries: &[NewPluginEvent]) -> Result<(), Error> {
        let me = &self.inner.me;
        let mut tx = self.backend().begin(Durability::Batched).await?;
        self.appear(&mut *tx, self.now_ms()).await?;
        for entry in entries {
            let entry = NewPluginEvent { message: self.redactor().text(&entry.message), ..entry.clone() };
            tx.append_plugin_event(&me.token, me.pid, &entry).await?;
        }
        tx.trim_plugin_history(ENTRIES_KEPT).await?;
        tx.commit().await
    }

    /// The plugin history, newest first; of one plugin, or of all.
    pub async fn plugin_history(
        &self,
        plugin: Option<&str>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page<PluginEvent>, Error> {
        let rows = Page::<PluginEvent>::rows(limit);
        let mut entries = self.backend().read().await?.plugin_history(plugin, after, rows).await?;
        let mut present: BTreeMap<String, bool> = BTreeMap::new();
        for entry in &mut entries {
            entry.alive = *present.entry(entry.owner.clone()).or_insert_with_key(|owner| {
                *owner == self.inner.me.token || self.backend().presence().look(owner) == Liveness::Alive
            });
        }
        Ok(Page::of(entries, limit, |entry| entry.seq))
    }
}
