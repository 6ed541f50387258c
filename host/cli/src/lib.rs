//! The `tunesmith` command line: arguments in, one command run, an exit code out.

mod commands;
mod detach;
mod inputs;
mod interrupt;
mod logging;
mod options;
mod record;
mod registry;
mod save;
mod services;
pub mod view;
mod watch;

use commands::{
    completions, config, dataset, doctor, emulate, evaluate, files, jobs, methods, models, plan, plugin, run,
    schema,
};
pub use view::output::Output;

use clap::{ColorChoice, CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_engine::workbench::Workbench;

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

    #[command(flatten)]
    operator: options::OperatorArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry jobs out: plan, confirm, make the model, and check that it answers
    Run(run::Args),
    /// Show what a job would do: config, warnings, cost; touches nothing
    Plan(plan::Args),
    /// List the methods, or show one with its settings
    #[command(subcommand)]
    Methods(methods::Command),
    /// Make, check, test, list and look at method plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Check, look at, convert, split and transform datasets
    #[command(subcommand)]
    Dataset(dataset::Command),
    /// Judge a job, its dataset and its plugins before anyone runs them
    Evaluate(evaluate::Args),
    /// Print the JSON Schema of a job file
    Schema(schema::Args),
    /// Emulate Ollama and OpenAI on this machine
    Emulate(emulate::Args),
    /// List, show and steer jobs
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// List or delete the files that jobs uploaded to OpenAI
    #[command(subcommand)]
    Files(files::Command),
    /// List the models that jobs made
    #[command(subcommand)]
    Models(models::Command),
    /// Check that everything jobs need is in order, and say what to do
    Doctor(doctor::Args),
    /// Show or make the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Carry on recorded jobs in the background; for tunesmith's own use
    #[command(hide = true)]
    Runner(run::runner::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

impl Command {
    /// Whether the caller is a program, so that errors are written for one too.
    fn wants_json(&self) -> bool {
        match self {
            Self::Run(args) => args.json,
            Self::Runner(_) => false,
            Self::Plan(args) => args.json,
            Self::Methods(command) => command.json(),
            Self::Plugin(command) => command.json(),
            Self::Dataset(command) => command.json(),
            Self::Evaluate(args) => args.json,
            Self::Schema(_) => false,
            Self::Emulate(args) => args.json,
            Self::Jobs(command) => command.json(),
            Self::Files(command) => command.json(),
            Self::Models(command) => command.json(),
            Self::Doctor(args) => args.json,
            Self::Config(command) => command.json(),
            Self::Completions(_) => false,
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
    logging::start(&mut output);
    let json = cli.command.wants_json();
    match dispatch(&cli, &mut output).and_then(|()| output.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error, json);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn dispatch(cli: &Cli, output: &mut Output) -> Result<(), Failure> {
    let workbench = |output: &mut Output| cli.operator.load(output);
    match &cli.command {
        Command::Run(args) => run::run(args, &cli.operator, &workbench(output)?, output),
        Command::Runner(args) => run::runner::run(args, &workbench(output)?, output),
        Command::Plan(args) => plan::run(args, &workbench(output)?, output),
        Command::Methods(command) => methods::run(command, &workbench(output)?, output),
        Command::Plugin(command) => plugin::run(command, &cli.operator, output),
        Command::Dataset(command) => dataset::run(command, &workbench(output)?, output),
        Command::Evaluate(args) => evaluate::run(args, &workbench(output)?, output),
        Command::Schema(args) => schema::run(args, &workbench(output)?, output),
        Command::Emulate(args) => emulate::run(args),
        Command::Jobs(command) => jobs::run(command, &workbench(output)?, &cli.operator, output),
        Command::Files(command) => files::run(command, &workbench(output)?, output),
        Command::Models(command) => models::run(command, &workbench(output)?, output),
        Command::Doctor(args) => doctor::run(args, &cli.operator, output),
        Command::Config(command) => config::run(command, &cli.operator, output),
        Command::Completions(args) => {
            completions::run(args, &mut Cli::command(), output);
            Ok(())
        }
    }
}

/// A runtime for one command.
///
/// # Errors
/// The system refuses what it needs.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(Code::Failed, format!("cannot wait for services: {error}"))
            .advise("the system may be out of file descriptors or threads")
    })
}
