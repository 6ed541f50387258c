//! What SQLite's backend does beyond the suite that all must pass.

mod opening;
mod presence;
mod processes;
mod secrets;

use crate::conformance::{NOW_MS, Place};
use crate::{Error, ManualClock, Options, Redactor, Store};
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;

mod suite {
    crate::conformance!(super::Fixture::new());
}

/// A directory for a store, and the time there.
struct Fixture {
    directory: PathBuf,
    clock: Arc<ManualClock>,
    _held: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let directory = held.path().join("state");
        Self { directory, clock: Arc::new(ManualClock::at(NOW_MS)), _held: held }
    }

    fn options(&self) -> Options {
        Options { clock: self.clock.clone(), redactor: Redactor::default() }
    }

    async fn open(&self) -> Store {
        Store::open(&self.directory, self.options()).await.unwrap()
    }
}

#[async_trait]
impl Place for Fixture {
    async fn open(&self, options: Options) -> Result<Store, Error> {
        Store::open(&self.directory, options).await
    }
}
