//! Lists: all pages, within bounds, each entry once.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::transport::Call;
use super::types::Entry;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Entries asked for at a time: what every service grants.
const PAGE: &str = "100";

/// A list has at most this many pages: a hundred thousand entries, beyond any
/// account's.
const MOST_PAGES: usize = 1000;

/// A list is at most this large in all: half a KB for each of its entries.
const LARGEST_LIST: usize = 64 << 20;

impl Client {
    /// All entries of a list, in the service's order, without repeats. After each page
    /// `look` may end the reading.
    ///
    /// A service that hands out the same page again and says that more is to come is
    /// an error: what is missing cannot be known.
    pub(super) async fn list<T: Entry>(
        &self,
        operation: Operation,
        path: &[&str],
        filter: &[(&str, &str)],
        mut look: impl FnMut(&[T]) -> ControlFlow<()>,
    ) -> Result<Vec<T>, ApiError> {
        let mut entries: Vec<T> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut after: Option<String> = None;
        let mut bytes = 0;
        for _ in 0..MOST_PAGES {
            let mut query = filter.to_vec();
            query.push(("limit", PAGE));
            if let Some(after) = &after {
                query.push(("after", after));
            }
            let body = self.send(&Call { query: &query, ..Call::get(operation, path) }).await?;
            bytes += body.len();
            if bytes > LARGEST_LIST {
                return Err(self.endless(operation, format!("more than {LARGEST_LIST} bytes")));
            }
            let mut page = self.parse(operation, &body)?;
            let more = page.flag("has_more").unwrap_or(false);
            let cursor = page.text("last_id");
            let Some(items) = page.objects("data") else {
                return Err(self.malformed(operation, "it has no list `data`"));
            };
            let empty = items.is_empty();
            let read: Vec<T> = items.into_iter().filter_map(T::read).collect();
            let cursor = read.last().map(|last| last.id().to_owned()).or(cursor);
            let before = entries.len();
            entries.extend(read.into_iter().filter(|entry| seen.insert(entry.id().to_owned())));
            let new = entries.get(before..).unwrap_or_default();
            let nothing_new = new.is_empty();
            if look(new).is_break() || !more || empty {
                return Ok(entries);
            }
            // Nothing new, or no way to ask for the next: it would go on for ever.
            if nothing_new || cursor.is_none() || cursor == after {
                return Err(self.endless(operation, "it repeats a page and says that more is to come"));
            }
            after = cursor;
        }
        Err(self.endless(operation, format!("more than {MOST_PAGES} pages")))
    }

    fn endless(&self, operation: Operation, cause: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::EndlessList).because(cause);
        error.status = Some(200);
        error
    }
}

/// Reads every page.
pub(super) fn all<T>(_: &[T]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
