//! From a job file to a plan that can be carried out, more than once with the same
//! result.

use super::Args;
use crate::{Output, Workbench};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_engine::workbench::{LockUse, PlanOptions, Prepared};
use tunesmith_plugin_host::{Change, Registry, Snapshot, Watch, WatchOptions};

/// Plans jobs as the command line says.
pub(super) struct Preparer {
    options: PlanOptions,
    registry: Arc<Registry>,
    workbench: Workbench,
    replace: bool,
    pull: bool,
}

/// Follows the plugin directory until it is dropped.
pub(super) struct Following {
    changes: Receiver<Arc<Change>>,
    _watch: Watch,
}

impl Following {
    /// What has happened since it was asked last.
    pub(super) fn changes(&self) -> impl Iterator<Item = Arc<Change>> {
        self.changes.try_iter()
    }
}

impl Preparer {
    /// Loads what all plans need.
    pub(super) fn new(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<Self, Failure> {
        let lock = if args.locked { LockUse::Require } else { LockUse::Ignore };
        Ok(Self {
            options: args.planning.options(args.provider, lock, output)?,
            registry: Arc::new(args.registry.load(workbench, output)?),
            workbench: workbench.clone(),
            replace: args.replace,
            pull: args.pull,
        })
    }

    /// Takes up what is saved in the plugin directory from now on: a job is planned with
    /// the plugins as they are when its turn comes.
    pub(super) fn follow(&self) -> Following {
        let changes = self.registry.changes();
        Following { changes, _watch: self.registry.watch(WatchOptions::default()) }
    }

    /// Plans a job, off the threads that wait for services: with these plugins, or with
    /// the present ones.
    pub(super) async fn prepare(
        this: &Arc<Self>,
        file: &Path,
        plugins: Option<Arc<Snapshot>>,
    ) -> Result<Prepared, Failure> {
        let (this, file) = (Arc::clone(this), file.to_owned());
        let planning = tokio::task::spawn_blocking(move || {
            let plugins = plugins.unwrap_or_else(|| this.registry.snapshot());
            this.plan(&file, plugins)
        });
        let ended = |error| Failure::new(Code::Internal, format!("planning ended early: {error}"));
        planning.await.map_err(ended)?
    }

    fn plan(&self, file: &Path, plugins: Arc<Snapshot>) -> Result<Prepared, Failure> {
        let inputs = self.workbench.read(file, &self.options)?;
        let mut prepared = self.workbench.plan(inputs, &self.options, plugins)?;
        prepared.submission.replace = self.replace;
        prepared.submission.pull = self.pull;
        Ok(prepared)
    }
}
