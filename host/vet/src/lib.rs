//! Vets a job, its dataset and its plugins before anyone runs them.
//!
//! None of the three is trusted. Plugin code runs only in the sandbox, under tighter
//! limits than elsewhere; no service is contacted; nothing is written outside the cache;
//! and findings are safe to print. [`Rule`] lists the checks.

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

use finding::Findings;
pub use finding::{Finding, Verdict};
pub use report::{DatasetFacts, PlanFacts, PluginFacts, ReceiptFacts, Report};
pub use rules::{Rule, Severity};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::time::Date;
use tunesmith_engine::policy::Policy;
use tunesmith_plugin_host::{BuiltIn, Limits, LoadEvent};
use tunesmith_provider::prices::PriceTable;

/// Fuel of one call. 1e8: twenty times what the heaviest measured plan takes, and a
/// tenth of a second of work at most.
const FUEL: u64 = 100_000_000;

/// Wall clock of one call. 500 ms: an honest call takes milliseconds, even in Python.
const DEADLINE: Duration = Duration::from_millis(500);

/// Wall clock of all calls together: a plugin that stays just within each deadline is
/// stopped as well. 1.2 s: leaves the rest of two seconds for the dataset.
const ALL_CALLS: Duration = Duration::from_millis(1_200);

/// The same for a job with a transform, which is called for every batch of rows.
const ALL_CALLS_WITH_TRANSFORM: Duration = Duration::from_secs(20);

/// A job to vet, and the configuration to vet it with.
pub struct Request<'a> {
    pub job: &'a Path,
    /// Plugin files that the job may use besides the built-in methods.
    pub plugins: &'a [PathBuf],
    /// The folder that datasets must be in; by default that of the job file.
    pub dataset_root: Option<&'a Path>,
    /// The operator's directory of datasets that jobs name by id.
    pub datasets: &'a Path,
    /// What the operator allows.
    pub policy: &'a Policy,
    pub prices: &'a PriceTable,
    /// Today's date, which decides notes on closing dates.
    pub today: Date,
    /// The operator's limits, which are lowered further.
    pub limits: Limits,
    /// The cache folder. Nothing is written elsewhere.
    pub cache: &'a Path,
    pub built_ins: Vec<BuiltIn>,
    /// The program that compiles foreign files.
    pub worker: PathBuf,
    /// Called with events that explain a wait.
    pub on_event: Arc<dyn Fn(&LoadEvent) + Send + Sync>,
}

/// Vets a job. Whatever is wrong with the job, its dataset or its plugins is a finding.
///
/// # Errors
/// The cache cannot be used, or a built-in method does not work.
pub fn vet(request: &Request<'_>) -> Result<Report, Failure> {
    let code = request.cache.join("code");
    tunesmith_plugin_host::private_directory(&code).map_err(|reason| {
        let message = format!("the cache {} cannot be used: {reason}", code.display());
        Failure::new(Code::Invalid, message).advise(Advice::SetCacheDirectory)
    })?;
    let mut judge = Judge { request, limits: limits(&request.limits), findings: Findings::default() };
    let spec = judge.job();
    if spec.as_ref().is_some_and(|spec| spec.transform.is_some()) {
        judge.limits.total = Some(ALL_CALLS_WITH_TRANSFORM);
    }
    let plugins = judge.plugins(spec.as_ref())?;
    let mut report = Report::of(request.job, plugins.facts());
    if let Some(spec) = &spec {
        judge.names(spec);
        let dataset = judge.dataset(spec);
        let method = judge.method(spec, &plugins);
        if let (Some(dataset), Some(method)) = (&dataset, &method) {
            judge.plan(spec, dataset, method, &mut report)?;
        }
        report.dataset = dataset.map(|dataset| dataset.facts());
    }
    (report.verdict, report.findings) = judge.findings.finish();
    Ok(report)
}

/// A request, the limits for its plugins, and the findings so far.
struct Judge<'r> {
    request: &'r Request<'r>,
    limits: Limits,
    findings: Findings,
}

/// The operator's limits, lowered for vetting.
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
