//! `tunesmith plan`: what a job would do; touches nothing.

mod watch;

use crate::inputs::PlanArgs;
use crate::view::plan as text;
use crate::{Output, Workbench, registry};
use serde_json::json;
use std::path::{Path, PathBuf};
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_engine::artifacts;
use tunesmith_engine::plan::Planned;
use tunesmith_engine::verify::{self, Verified};
use tunesmith_engine::workbench::{LockUse, PlanOptions};

/// Show what a job would do: config, warnings, cost; touches nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job file
    job: PathBuf,

    /// Plan for this provider in place of the job's: ollama, openai or local
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<ProviderId>,

    #[command(flatten)]
    planning: PlanArgs,

    /// Write the artifacts into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

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

    #[command(flatten)]
    registry: registry::PluginArgs,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    if args.watch {
        return watch::run(args, workbench, output);
    }
    let options = args.options(output)?;
    let inputs = workbench.read(&args.job, &options)?;
    let registry = args.registry.load(workbench, output)?;
    let prepared = workbench.plan(inputs, &options, registry.snapshot())?;
    let planned = prepared.planned();
    let mut written = args.write(planned)?;
    written.extend(prepared.lock.clone());
    if let Some(stored) = &args.verify {
        return verified(&verify::verify(stored, planned)?, stored, args.json, output);
    }
    if args.json {
        output.json(&json!({
            "plan": planned.plan,
            "digest": planned.digest,
            "sidecar": planned.sidecar,
            "written": written,
        }));
    } else {
        output.text(&text::plan(planned, &written, args.full));
    }
    Ok(())
}

impl Args {
    fn options(&self, output: &Output) -> Result<PlanOptions, Failure> {
        let lock = match (self.lock, self.locked) {
            (true, _) => LockUse::Write,
            (_, true) => LockUse::Require,
            _ => LockUse::Ignore,
        };
        self.planning.options(self.provider, lock, output)
    }

    /// Writes the artifacts where they are wanted; the files.
    fn write(&self, planned: &Planned) -> Result<Vec<PathBuf>, Failure> {
        let Some(folder) = &self.out else { return Ok(Vec::new()) };
        artifacts::write(folder, &planned.plan.config.artifacts(&planned.bytes))
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))
    }
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
