//! The `tunesmith` command line: one command a file.

mod dataset;
mod emulate;
mod methods;
mod output;
mod plan;
mod plugin;
mod registry;
mod schema;
mod style;

pub use output::Output;

use crate::error::Kind;
use clap::{ColorChoice, Parser, Subcommand};
use std::process::ExitCode;

/// Tune models with method plugins, contained and in the open.
#[derive(Debug, Parser)]
#[command(name = "tunesmith", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done · 1 the work failed · 2 usage, or not possible on this provider · \
3 invalid input · 4 refused by policy · 5 a plugin failed or exceeded a limit · \
6 provider unreachable or refused · 70 internal error · 130 interrupted"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// When to colour: auto looks at the terminal and NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what a job would do: config, warnings, cost; touches nothing
    Plan(plan::Args),
    /// List the methods, or show one with its settings
    #[command(subcommand)]
    Methods(methods::Command),
    /// Make, check, test and look at method plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Check, look at, convert and split datasets
    #[command(subcommand)]
    Dataset(dataset::Command),
    /// Print the JSON Schema of a job file
    Schema(schema::Args),
    /// Run stand-ins for Ollama and OpenAI on this machine, for trying things out
    Emulate(emulate::Args),
}

impl Command {
    /// Whether the caller is a program, so that errors are written for one too.
    fn wants_json(&self) -> bool {
        match self {
            Self::Plan(args) => args.json,
            Self::Methods(command) => command.json(),
            Self::Plugin(command) => command.json(),
            Self::Dataset(command) => command.json(),
            Self::Schema(_) => false,
            Self::Emulate(_) => false,
        }
    }
}

/// Runs the program with the process's arguments and streams.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Kind::Usage.exit_code() } else { 0 };
            // Nothing to be done if even the usage cannot be written.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let mut output = Output::new(cli.color);
    let json = cli.command.wants_json();
    let result = match cli.command {
        Command::Plan(args) => plan::run(&args, &mut output),
        Command::Methods(command) => methods::run(&command, &mut output),
        Command::Plugin(command) => plugin::run(&command, &mut output),
        Command::Dataset(command) => dataset::run(&command, registry::cache_base().as_deref(), &mut output),
        Command::Schema(args) => schema::run(&args, &mut output),
        Command::Emulate(args) => emulate::run(&args),
    };
    match result.and_then(|()| output.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error, json);
            ExitCode::from(error.kind.exit_code())
        }
    }
}
