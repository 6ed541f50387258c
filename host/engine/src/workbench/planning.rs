//! The one way from a job file to a plan.

use super::Workbench;
use crate::execute::Submission;
use crate::lock;
use crate::plan::{self, Context, Planned};
use crate::spec::{DatasetRef, Overrides, Spec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::nearest::nearest;
use tunesmith_core::time::Date;
use tunesmith_dataset::OnProgress;
use tunesmith_plugin_host::{Plugin, Snapshot};
use tunesmith_provider::prices::PriceTable;

/// How jobs are planned.
pub struct PlanOptions {
    /// What is changed in a job.
    pub overrides: Overrides,
    /// Files for jobs that name their dataset by id, before the datasets directory.
    pub datasets: Vec<(String, PathBuf)>,
    /// Training prices.
    pub prices: PriceTable,
    /// The day of planning.
    pub today: Date,
    /// What happens with the job's lock.
    pub lock: LockUse,
    /// Hears how far reading the dataset is.
    pub progress: Option<OnProgress>,
}

/// What happens with the lock beside a job file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockUse {
    /// Nothing.
    Ignore,
    /// The plan must be made with what it says.
    Require,
    /// It is written, once there is a plan.
    Write,
}

/// The files of a job.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The path of the job file.
    pub job: PathBuf,
    /// What it says.
    pub spec: Spec,
    /// The path of the dataset.
    pub dataset: PathBuf,
    /// The path of the validation file.
    pub validation: Option<PathBuf>,
}

/// A planned job.
#[derive(Debug)]
pub struct Prepared {
    /// The job, as the executor takes it.
    pub submission: Submission,
    /// The plugins that it was planned with.
    pub plugins: Arc<Snapshot>,
    /// The lock that was written.
    pub lock: Option<PathBuf>,
}

impl Prepared {
    /// The plan.
    pub fn planned(&self) -> &Planned {
        &self.submission.planned
    }
}

impl Workbench {
    /// Reads the job file, the only time, and finds out where its data lies.
    ///
    /// # Errors
    /// The job file cannot be used, or names a dataset that is not known.
    pub fn read(&self, job: &Path, options: &PlanOptions) -> Result<Inputs, Failure> {
        let spec = Spec::load(job, &options.overrides)?;
        let dataset = match &spec.dataset {
            DatasetRef::Path(path) => job.parent().unwrap_or(Path::new("")).join(path),
            DatasetRef::Id(id) => self.dataset(id, &options.datasets)?,
        };
        let validation = spec.validation_path(job);
        Ok(Inputs { job: job.to_owned(), spec, dataset, validation })
    }

    /// Plans a job with these plugins. Blocks while the dataset is read.
    ///
    /// # Errors
    /// The methods are not there, the lock says something else, or the job cannot be
    /// planned ([`plan::PlanError`]).
    pub fn plan(
        &self,
        inputs: Inputs,
        options: &PlanOptions,
        plugins: Arc<Snapshot>,
    ) -> Result<Prepared, Failure> {
        let Inputs { job, spec, dataset, validation } = inputs;
        let plugin = find(&plugins, &spec.method).map_err(at(&spec.method_place, "method"))?;
        let transform = match &spec.transform {
            None => None,
            Some(asked) => Some(&**find(&plugins, &asked.method).map_err(at(&asked.place, "transform"))?),
        };
        let parts = lock::Parts { plugin, transform, limits: &self.limits(), prices: &options.prices };
        if options.lock == LockUse::Require {
            lock::require(&job, &parts)?;
        }
        let context = Context::new(plugin, options.today, &options.prices)
            .policy(&self.config().policy)
            .transform(transform)
            .validation(validation.as_deref())
            .cache(Some(self.cache()))
            .progress(options.progress.clone());
        let planned = Arc::new(plan::plan(&spec, &dataset, context)?);
        let lock = match options.lock {
            LockUse::Write => Some(lock::write(&job, &parts)?),
            LockUse::Ignore | LockUse::Require => None,
        };
        let submission = Submission {
            spec: spec.source,
            job_file: Some(job),
            planned,
            dataset_path: dataset,
            replace: false,
            pull: false,
        };
        Ok(Prepared { submission, plugins, lock })
    }

    /// The dataset that jobs name by this id: a given one, or the one in the datasets
    /// directory.
    fn dataset(&self, id: &str, given: &[(String, PathBuf)]) -> Result<PathBuf, Failure> {
        if let Some((_, path)) = given.iter().find(|(known, _)| known == id) {
            return Ok(path.clone());
        }
        let path = self.datasets().join(format!("{id}.jsonl"));
        if path.is_file() {
            return Ok(path);
        }
        let error = Failure::new(Code::Invalid, format!("dataset {id:?} is not known"));
        Err(match nearest(given.iter().map(|(known, _)| known.as_str()), id) {
            Some(near) => error.advise(format!("did you mean {near:?}?")),
            None => error.advise(Advice::PlaceDataset { id: id.to_owned(), path }),
        })
    }
}

/// The method with this id.
///
/// # Errors
/// There is none.
pub fn find<'a>(plugins: &'a Snapshot, id: &str) -> Result<&'a Arc<Plugin>, Failure> {
    plugins.get(id).ok_or_else(|| unknown(id, plugins.methods().map(|plugin| plugin.id())))
}

fn unknown<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.collect();
    let message = format!("no method {}", tunesmith_core::text::quoted(id));
    Failure::new(Code::MethodUnknown, message).advise(match nearest(known.iter().copied(), id) {
        Some(near) => format!("did you mean {near:?}?").into(),
        None => Advice::UseMethod { methods: known.into_iter().map(str::to_owned).collect() },
    })
}

/// Puts the place of a field before a message.
fn at(place: &str, field: &str) -> impl FnOnce(Failure) -> Failure {
    let start = format!("{place}: {field}");
    move |error| Failure { message: format!("{start}: {}", error.message), ..error }
}

/// The price table of a file, or the built-in one.
///
/// # Errors
/// The file cannot be read, or is no price table.
pub fn price_table(path: Option<&Path>) -> Result<PriceTable, Failure> {
    let Some(path) = path else { return Ok(PriceTable::built_in()) };
    let invalid = |reason: &dyn std::fmt::Display| {
        Failure::new(Code::PriceTableInvalid, format!("the price table {}: {reason}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| invalid(&error))?;
    PriceTable::parse(&text).map_err(|error| invalid(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_method_is_refused_with_advice() {
        let error = unknown("lroa", ["lora", "full"].into_iter());
        assert_eq!(error.code, Code::MethodUnknown);
        assert_eq!(error.advice, ["did you mean \"lora\"?".into()]);
        let error = unknown("zzzzzz", ["lora", "full"].into_iter());
        assert_eq!(error.advice, [Advice::UseMethod { methods: vec!["lora".into(), "full".into()] }]);
    }
}
