//! `tunesmith schema`: the JSON Schema of a job file.

use crate::{Operator, Output, registry};
use tunesmith_core::error::Error;

/// Print the JSON Schema of a job file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    registry: registry::PluginArgs,
}

/// Runs the command.
pub fn run(args: &Args, operator: &Operator, output: &mut Output) -> Result<(), Error> {
    let registry = args.registry.load(operator, output)?;
    let snapshot = registry.snapshot();
    let methods: Vec<_> = snapshot.methods().map(|plugin| plugin.descriptor()).collect();
    let schema = serde_json::to_string_pretty(&tunesmith_engine::schema::job(&methods))
        .map_err(|error| Error::new(tunesmith_core::error::Kind::Internal, error.to_string()))?;
    output.text(&format!("{schema}\n"));
    Ok(())
}
