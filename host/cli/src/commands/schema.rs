//! `tunesmith schema`: the JSON Schema of a job file.

use crate::{Output, Workbench, registry};
use tunesmith_core::failure::{Code, Failure};

/// Print the JSON Schema of a job file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    registry: registry::PluginArgs,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let registry = args.registry.load(workbench, output)?;
    let snapshot = registry.snapshot();
    let methods: Vec<_> = snapshot.methods().map(|plugin| plugin.descriptor()).collect();
    let schema = serde_json::to_string_pretty(&tunesmith_engine::schema::job(&methods))
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    output.text(&format!("{schema}\n"));
    Ok(())
}
