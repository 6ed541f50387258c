//! `tunesmith plugin`: what authors and operators of methods work with.

mod list;
pub(super) mod record;

use super::{Operator, Output};
use crate::error::Error;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the plugins: generation, digest, tier, source, and what was last rejected
    List(list::Args),
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(command: &Command, operator: &Operator, output: &mut Output) -> Result<(), Error> {
    match command {
        Command::List(args) => list::run(args, operator, output),
    }
}
