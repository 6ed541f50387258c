//! From a job file to a plan that can be carried out, more than once with the same
//! result.

use super::Args;
use crate::inputs;
use crate::operator::Operator;
use crate::{Output, registry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::time::{Date, today};
use tunesmith_dataset::OnProgress;
use tunesmith_engine::execute::Submission;
use tunesmith_engine::lock;
use tunesmith_engine::plan::{self, Context};
use tunesmith_engine::spec::{Overrides, Spec};
use tunesmith_plugin_host::{Change, Registry, Snapshot, Watch, WatchOptions};
use tunesmith_provider::prices::PriceTable;

/// Plans jobs as the command line says.
pub(super) struct Preparer {
    overrides: Overrides,
    datasets: Vec<(String, PathBuf)>,
    prices: PriceTable,
    registry: Arc<Registry>,
    operator: Operator,
    today: Date,
    replace: bool,
    pull: bool,
    locked: bool,
    progress: Option<OnProgress>,
}

/// A planned job.
pub(super) struct Prepared {
    pub(super) submission: Submission,
    /// The plugins that it was planned with.
    pub(super) plugins: Arc<Snapshot>,
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
    pub(super) fn new(args: &Args, operator: &Operator, output: &mut Output) -> Result<Self, Failure> {
        Ok(Self {
            overrides: Overrides {
                provider: args.provider,
                place: "--set".into(),
                settings: args.set.clone(),
            },
            datasets: args.datasets.clone(),
            prices: inputs::price_table(args.prices.as_deref())?,
            registry: Arc::new(args.registry.load(operator, output)?),
            operator: operator.clone(),
            today: args.today.unwrap_or_else(today),
            replace: args.replace,
            pull: args.pull,
            locked: args.locked,
            progress: inputs::progress(output),
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
        let spec = Spec::load(file, &self.overrides)?;
        let dataset_path = inputs::dataset_path(&spec, file, &self.datasets, &self.operator)?;
        let plugin = registry::method(&plugins, &spec)?;
        let transform = registry::transform(&spec, &plugins)?;
        if self.locked {
            let limits = self.registry.engine().limits();
            lock::require(file, &lock::Parts { plugin, transform, limits, prices: &self.prices })?;
        }
        let validation = spec.validation_path(file);
        let context = Context::new(plugin, self.today, &self.prices)
            .policy(&self.operator.config().policy)
            .transform(transform)
            .validation(validation.as_deref())
            .cache(Some(self.operator.cache()))
            .progress(self.progress.clone());
        let planned = plan::plan(&spec, &dataset_path, context)?;
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let submission = Submission {
            // It was read strictly before; this is what the store keeps for people.
            spec: serde_json::from_str(&text).unwrap_or_default(),
            job_file: Some(file.to_owned()),
            planned: Arc::new(planned),
            dataset_path,
            replace: self.replace,
            pull: self.pull,
        };
        Ok(Prepared { submission, plugins })
    }
}
