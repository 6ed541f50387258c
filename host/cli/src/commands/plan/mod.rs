//! `tunesmith plan`: what a job would do; touches nothing.

mod watch;

use crate::inputs::{dataset, dataset_path, price_table, setting};
use crate::view::plan as text;
use crate::watch::Paths;
use crate::{Operator, Output, registry};
use serde_json::json;
use std::path::{Path, PathBuf};
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_core::time::{Date, today};
use tunesmith_engine::plan::{self, Context, Planned};
use tunesmith_engine::spec::{Overrides, Spec};
use tunesmith_engine::verify::{self, Verified};
use tunesmith_engine::{artifacts, lock};
use tunesmith_plugin_host::Registry;
use tunesmith_provider::prices::PriceTable;

/// Show what a job would do: config, warnings, cost; touches nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job file
    job: PathBuf,

    /// Plan for this provider in place of the job's: ollama, openai or local
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<ProviderId>,

    /// Change a setting for this run; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, serde_json::Value)>,

    /// Use this file for a job that names its dataset by id
    #[arg(long = "dataset", value_name = "ID=PATH", value_parser = dataset)]
    datasets: Vec<(String, PathBuf)>,

    /// Write the artifacts into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Use this price table in place of the built-in one
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// Show the whole Modelfile or request, however long
    #[arg(long)]
    full: bool,

    /// Write JOB.lock: the plugins and host settings that the plan was made with
    #[arg(long, conflicts_with = "locked")]
    lock: bool,

    /// Refuse other plugins and host settings than JOB.lock says
    #[arg(long)]
    locked: bool,

    /// Plan anew and compare with this stored plan: plan.json, or the output of --json
    #[arg(long, value_name = "PLAN", conflicts_with = "out")]
    verify: Option<PathBuf>,

    /// Print one JSON object; with --watch, one a line
    #[arg(long)]
    pub json: bool,

    /// Plan again whenever the job, its dataset or a plugin changes, and show what that
    /// changed, until Ctrl-C
    #[arg(long, conflicts_with_all = ["lock", "verify"])]
    watch: bool,

    /// Look at the plugin directory from time to time in place of waiting to be told: for
    /// network and container mounts
    #[arg(long, requires = "watch")]
    poll: bool,

    /// The day of planning, which decides the notes on closing dates
    #[arg(long, value_name = "YYYY-MM-DD", hide = true)]
    today: Option<Date>,

    #[command(flatten)]
    registry: registry::PluginArgs,
}

/// Runs the command.
pub fn run(args: &Args, operator: &Operator, output: &mut Output) -> Result<(), Failure> {
    if args.watch {
        return watch::run(args, operator, output);
    }
    let inputs = Inputs::of(args, operator, &mut Paths::default())?;
    let registry = args.registry.load(operator, output)?;
    let Attempt { planned, written } = attempt(args, operator, &inputs, &registry, output)?;
    if let Some(stored) = &args.verify {
        return verified(&verify::verify(stored, &planned)?, stored, args.json, output);
    }
    if args.json {
        output.json(&json!({
            "plan": planned.plan,
            "digest": planned.digest,
            "sidecar": planned.sidecar,
            "written": written,
        }));
    } else {
        output.text(&text::plan(&planned, &written, args.full));
    }
    Ok(())
}

/// What a plan is made from, besides methods.
struct Inputs {
    spec: Spec,
    dataset: PathBuf,
    validation: Option<PathBuf>,
    prices: PriceTable,
}

impl Inputs {
    /// Reads job and prices. `files` gets those that decide the plan, as far as they are
    /// known when something is wrong.
    fn of(args: &Args, operator: &Operator, files: &mut Paths) -> Result<Self, Failure> {
        files.follow(&args.job);
        if let Some(prices) = &args.prices {
            files.follow(prices);
        }
        let overrides =
            Overrides { provider: args.provider, place: "--set".into(), settings: args.set.clone() };
        let spec = Spec::load(&args.job, &overrides)?;
        let dataset = dataset_path(&spec, &args.job, &args.datasets, operator)?;
        files.follow(&dataset);
        let validation = spec.validation_path(&args.job);
        if let Some(validation) = &validation {
            files.follow(validation);
        }
        let prices = price_table(args.prices.as_deref())?;
        Ok(Self { spec, dataset, validation, prices })
    }
}

/// A plan, and the files that it was written to.
struct Attempt {
    planned: Planned,
    written: Vec<PathBuf>,
}

/// Plans once, by the methods of this moment.
fn attempt(
    args: &Args,
    operator: &Operator,
    inputs: &Inputs,
    registry: &Registry,
    output: &Output,
) -> Result<Attempt, Failure> {
    let Inputs { spec, dataset, validation, prices } = inputs;
    let snapshot = registry.snapshot();
    let plugin = registry::method(&snapshot, spec)?;
    let transform = registry::transform(spec, &snapshot)?;
    let engine = registry.engine();
    let parts = lock::Parts { plugin, transform, limits: engine.limits(), prices };
    if args.locked {
        lock::require(&args.job, &parts)?;
    }
    let today = args.today.unwrap_or_else(today);
    let context = Context::new(plugin, today, prices)
        .policy(&operator.config().policy)
        .transform(transform)
        .validation(validation.as_deref())
        .cache(Some(operator.cache()))
        .progress(crate::inputs::progress(output));
    let planned = plan::plan(spec, dataset, context)?;
    let mut written = match &args.out {
        None => Vec::new(),
        Some(folder) => artifacts::write(folder, &planned.plan.config.artifacts(&planned.bytes))
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?,
    };
    if args.lock {
        written.push(lock::write(&args.job, &parts)?);
    }
    Ok(Attempt { planned, written })
}

/// Shows what came of comparing; a plan that differs is a failure.
fn verified(verified: &Verified, stored: &Path, json: bool, output: &mut Output) -> Result<(), Failure> {
    if json {
        output.json(verified);
    } else {
        output.text(&text::verified(verified, &stored.display().to_string()));
    }
    if verified.same { Ok(()) } else { Err(Failure::silent(Kind::Failed)) }
}
