//! Judging a job, its dataset and its plugins before anyone runs them.
//!
//! Nobody vouches for any of the three. Plugin code runs only in the sandbox, under
//! tighter limits than elsewhere; nothing is contacted; nothing is written outside the
//! cache; and what is found is safe to show. [`Rule`] lists what is looked for.

mod config;
mod confine;
mod data;
mod finding;
mod job;
mod planning;
mod plugins;
mod report;
mod rules;
mod screen;

pub use finding::{Finding, Verdict};
pub use report::{DatasetFacts, Evaluation, PlanFacts, PluginFacts, ReceiptFacts};
pub use rules::{Rule, Severity};

use finding::Findings;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tunesmith_core::error::{Error, Kind};
use tunesmith_engine::policy::Policy;
use tunesmith_plugin_host::{BuiltIn, Limits, LoadEvent};
use tunesmith_provider::Date;
use tunesmith_provider::openai::PriceTable;

/// Fuel of one call. 1e8: twenty times what the heaviest measured plan takes, and a
/// tenth of a second of work at most.
const FUEL: u64 = 100_000_000;

/// Wall clock of one call. 500 ms: an honest one takes milliseconds, also in Python.
const DEADLINE: Duration = Duration::from_millis(500);

/// Wall clock of all calls together, so that a plugin that keeps just within each
/// deadline is stopped as well. 1.2 s: leaves the rest of two seconds to the dataset.
const ALL_CALLS: Duration = Duration::from_millis(1_200);

/// The same for a job with a transform, which is called once for every 256 rows.
const ALL_CALLS_WITH_TRANSFORM: Duration = Duration::from_secs(20);

/// What is to be judged, and by what.
pub struct Request<'a> {
    /// The job file.
    pub job: &'a Path,
    /// Plugin files that the job may use besides the built-in methods.
    pub plugins: &'a [PathBuf],
    /// The folder that datasets may lie in; otherwise that of the job file.
    pub dataset_root: Option<&'a Path>,
    /// The operator's directory of datasets that jobs name by id.
    pub datasets: &'a Path,
    /// What the operator allows.
    pub policy: &'a Policy,
    /// Training prices.
    pub prices: &'a PriceTable,
    /// The day, which decides notes on closing dates.
    pub today: Date,
    /// The operator's limits; evaluate lowers them further.
    pub limits: Limits,
    /// Where everything is kept that can be made again. Nothing is written elsewhere.
    pub cache: &'a Path,
    /// The built-in methods.
    pub built_ins: Vec<BuiltIn>,
    /// The program that compiles foreign files.
    pub worker: PathBuf,
    /// Is told what the user may be waiting for.
    pub on_event: Arc<dyn Fn(&LoadEvent) + Send + Sync>,
}

/// Judges a job.
///
/// # Errors
/// Only what is the operator's or this program's own: the cache cannot be used, or a
/// built-in method does not work. Whatever is wrong with what is judged is a finding.
pub fn evaluate(request: &Request<'_>) -> Result<Evaluation, Error> {
    let code = request.cache.join("code");
    tunesmith_plugin_host::private_directory(&code).map_err(|reason| {
        let message = format!("the cache {} cannot be used: {reason}", code.display());
        Error::new(Kind::Invalid, message)
            .hint("evaluate writes nowhere else; set TUNESMITH_CACHE_DIR to a private folder")
    })?;
    let mut judge = Judge { request, limits: limits(&request.limits), findings: Findings::default() };
    let spec = judge.job();
    if spec.as_ref().is_some_and(|spec| spec.transform.is_some()) {
        judge.limits.total = Some(ALL_CALLS_WITH_TRANSFORM);
    }
    let plugins = judge.plugins(spec.as_ref())?;
    let mut evaluation = Evaluation::of(request.job, plugins.facts());
    if let Some(spec) = &spec {
        judge.names(spec);
        let dataset = judge.dataset(spec);
        let method = judge.method(spec, &plugins);
        if let (Some(dataset), Some(method)) = (&dataset, &method) {
            judge.plan(spec, dataset, method, &mut evaluation)?;
        }
        evaluation.dataset = dataset.map(|dataset| dataset.facts());
    }
    (evaluation.verdict, evaluation.findings) = judge.findings.finish();
    Ok(evaluation)
}

/// What is judged, what a plugin may use meanwhile, and what was found so far.
struct Judge<'r> {
    request: &'r Request<'r>,
    limits: Limits,
    findings: Findings,
}

/// The operator's limits, lowered to what judging takes.
fn limits(operator: &Limits) -> Limits {
    Limits {
        fuel: operator.fuel.min(FUEL),
        describe_deadline: operator.describe_deadline.min(DEADLINE),
        plan_deadline: operator.plan_deadline.min(DEADLINE),
        transform_deadline: operator.transform_deadline.min(DEADLINE),
        total: Some(ALL_CALLS),
        ..operator.clone()
    }
}
