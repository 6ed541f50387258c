//! `tunesmith plugin`: what authors and operators of methods work with.

mod call;
mod check;
mod dev;
mod file;
mod inspect;
mod list;
mod new;
pub(super) mod test;

use crate::Output;
use crate::options::OperatorArgs;
use tunesmith_core::failure::Failure;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a project for a new method: rust, js or python
    New(new::Args),
    /// Check a plugin: limits, hostile inputs, determinism, documentation
    Check(check::Args),
    /// Hold a plugin against its golden cases
    Test(test::Args),
    /// Show what a plugin is, what it offers and what it may reach
    Inspect(inspect::Args),
    /// Call one function of a plugin and show the answer with its receipt
    Call(call::Args),
    /// Build, check, test and reload a project whenever it is saved
    Dev(dev::Args),
    /// List the plugins: generation, digest, tier, source, and what was last rejected
    List(list::Args),
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::New(args) => args.json,
            Self::Check(args) => args.json,
            Self::Test(args) => args.json,
            Self::Inspect(args) => args.json,
            Self::Call(args) => args.json,
            Self::Dev(args) => args.json,
            Self::List(args) => args.json,
        }
    }
}

/// Runs the command. Making a project needs no configuration, so that a broken one does
/// not stand in its way.
pub fn run(command: &Command, operator: &OperatorArgs, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::New(args) => new::run(args, output),
        Command::Check(args) => check::run(args, &operator.load(output)?, output),
        Command::Test(args) => test::run(args, &operator.load(output)?, output),
        Command::Inspect(args) => inspect::run(args, &operator.load(output)?, output),
        Command::Call(args) => call::run(args, &operator.load(output)?, output),
        Command::Dev(args) => dev::run(args, &operator.load(output)?, output),
        Command::List(args) => list::run(args, &operator.load(output)?, output),
    }
}
