//! `tunesmith dataset`: check, look at, convert, split and transform datasets.

use crate::view::advice;
use crate::view::dataset as text;
use crate::{Output, Workbench, registry};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tunesmith_core::ProviderId;
use tunesmith_core::contract::{Conversations, DatasetView as _, MethodJob, Selection};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::{
    self, ConvertOptions, Dataset, Destination, Format, ReadOptions, Rules, Severity, SplitOptions, Target,
    TransformOptions, UntypedRows, Verdict,
};
use tunesmith_engine::plan::{DEFAULT_SEED, PlanError, batch};
use tunesmith_engine::settings;
use tunesmith_engine::spec::GivenSetting;
use tunesmith_engine::workbench::find;
use tunesmith_plugin_host::Ability;
use tunesmith_provider::facts;

/// The default number of rows in `sample`.
const SAMPLED: u32 = 3;

/// Check, inspect, convert, split and transform datasets.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a dataset: every problem with its line, reason and fix
    Check(CheckArgs),
    /// Show figures about a dataset
    Stats(StatsArgs),
    /// Convert a dataset to another format, or repair it
    Convert(ConvertArgs),
    /// Show rows as the model will see them
    Sample(SampleArgs),
    /// Split a dataset into a training and a validation file with no shared rows
    Split(SplitArgs),
    /// Run a method's transform over a dataset
    Transform(TransformArgs),
}

/// Arguments of every dataset command.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// The dataset file, or - for standard input
    file: PathBuf,

    /// The format of rows [default: recognized from the content]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,

    /// Use N threads
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of commands that check or count.
#[derive(Debug, clap::Args)]
pub struct For {
    /// Apply the rules of this provider: openai, ollama or local
    #[arg(long, value_name = "PROVIDER", value_parser = target)]
    provider: Option<Target>,

    /// Warn about rows with more tokens than this
    #[arg(long, value_name = "TOKENS")]
    row_tokens: Option<u32>,

    /// Count tokens by o200k (gpt-4o and later), cl100k (gpt-3.5) or cautious
    #[arg(long, value_name = "NAME", value_parser = tokenizer)]
    tokenizer: Option<Tokenizer>,

    /// Count the tokens of every row instead of estimating
    #[arg(long)]
    exact: bool,
}

/// See [`Command::Check`].
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    for_: For,
    /// Report rows that are also in this validation file
    #[arg(long, value_name = "FILE")]
    validation: Option<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
}

/// See [`Command::Stats`].
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    for_: For,
}

/// See [`Command::Convert`].
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    input: Input,
    /// The format to write [default: the same]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    to: Option<Format>,
    /// The file to write, one row per line; compressed if it ends in .gz
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Repair rows where that changes no meaning, and list the repairs
    #[arg(long)]
    fix: bool,
    /// Drop rows with errors, and list them
    #[arg(long)]
    drop_invalid: bool,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

/// See [`Command::Sample`].
#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    #[command(flatten)]
    input: Input,
    /// Show N rows
    #[arg(long, short = 'n', value_name = "N", default_value_t = SAMPLED)]
    rows: u32,
    /// Choose other rows
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Show this row, by its number from 0
    #[arg(long, value_name = "N", conflicts_with_all = ["rows", "seed"])]
    row: Option<u32>,
}

/// See [`Command::Split`].
#[derive(Debug, clap::Args)]
pub struct SplitArgs {
    #[command(flatten)]
    input: Input,
    /// The share of rows for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    validation: f64,
    /// Choose other rows
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// The files to write
    #[arg(long, num_args = 2, value_names = ["TRAIN", "VALIDATION"], required = true)]
    out: Vec<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    force: bool,
}

/// See [`Command::Transform`].
#[derive(Debug, clap::Args)]
pub struct TransformArgs {
    #[command(flatten)]
    input: Input,
    /// The method that transforms
    #[arg(long, value_name = "METHOD")]
    by: String,
    /// The file to write, one row per line; compressed if it ends in .gz
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Change a setting of the method; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = crate::inputs::setting)]
    set: Vec<(String, serde_json::Value)>,
    /// Handling of rows that the transform cannot see: refuse, pass or drop
    #[arg(long, value_name = "WHAT", default_value = "refuse", value_parser = untyped)]
    untyped_rows: UntypedRows,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    registry: registry::PluginArgs,
}

fn untyped(name: &str) -> Result<UntypedRows, String> {
    match name {
        "refuse" => Ok(UntypedRows::Refuse),
        "pass" => Ok(UntypedRows::Pass),
        "drop" => Ok(UntypedRows::Drop),
        _ => Err("expected refuse, pass or drop".to_owned()),
    }
}

fn format(name: &str) -> Result<Format, String> {
    name.parse()
}

fn target(name: &str) -> Result<Target, String> {
    let provider = name.parse::<ProviderId>();
    let names = || ProviderId::ALL.map(ProviderId::as_str).join(", ");
    provider
        .map(|provider| facts::of(provider).target)
        .map_err(|_| format!("unknown provider; expected one of {}", names()))
}

fn tokenizer(name: &str) -> Result<Tokenizer, String> {
    match name {
        "o200k" | "o200k_base" => Ok(Tokenizer::O200k),
        "cl100k" | "cl100k_base" => Ok(Tokenizer::Cl100k),
        "cautious" => Ok(Tokenizer::Cautious),
        _ => Err("unknown tokenizer; expected o200k, cl100k or cautious".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number between 0 and 1, such as 0.1".to_owned()),
    }
}

impl Command {
    /// Whether to print JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Check(args) => args.input.json,
            Self::Stats(args) => args.input.json,
            Self::Convert(args) => args.input.json,
            Self::Sample(args) => args.input.json,
            Self::Split(args) => args.input.json,
            Self::Transform(args) => args.input.json,
        }
    }
}

/// Runs the command. Results and standard input are stored in the operator's cache.
pub fn run(command: &Command, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let cache = Some(workbench.cache());
    match command {
        Command::Check(args) => check(args, cache, output),
        Command::Stats(args) => stats(args, cache, output),
        Command::Convert(args) => convert(args, cache, output),
        Command::Sample(args) => sample(args, cache, output),
        Command::Split(args) => split(args, cache, output),
        Command::Transform(args) => transform(args, workbench, output),
    }
}

impl Input {
    /// The file; standard input is stored in one.
    fn path(&self, cache: Option<&Path>) -> Result<PathBuf, Failure> {
        if self.file != Path::new("-") && self.file != Path::new("/dev/stdin") {
            return Ok(self.file.clone());
        }
        let directory = cache.map_or_else(std::env::temp_dir, Path::to_owned).join("datasets");
        Ok(tunesmith_dataset::spool(std::io::stdin().lock(), &directory)?)
    }

    fn options(&self, cache: Option<&Path>, output: &Output) -> ReadOptions {
        ReadOptions {
            format: self.format,
            threads: self.threads,
            cache: cache.map(|cache| cache.join("datasets")),
            progress: crate::inputs::progress(output),
            ..ReadOptions::default()
        }
    }
}

impl For {
    fn apply(&self, options: &mut ReadOptions) {
        options.rules = Rules::new(self.provider.unwrap_or(Target::Any), self.row_tokens);
        let usual = match self.provider {
            Some(Target::OpenAi) => Tokenizer::O200k,
            _ => Tokenizer::Cautious,
        };
        options.tokenizer = self.tokenizer.unwrap_or(usual);
        options.exact = self.exact;
    }
}
fn check(args: &CheckArgs, cache: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let path = args.input.path(cache)?;
    let mut options = args.input.options(cache, output);
    args.for_.apply(&mut options);
    let mut dataset = Dataset::open(&path, &options)?;
    let shared = match &args.validation {
        None => None,
        Some(validation) => Some(dataset.compare(validation, &options)?),
    };
    if args.input.json {
        let mut verdict = json!(dataset.verdict());
        let fixes = dataset.verdict().findings.iter().map(|finding| &finding.fix);
        advice::spell_fixes(&mut verdict["findings"], fixes);
        output.json(&json!({
            "path": args.input.file,
            "digest": dataset.digest(),
            "recognized": dataset.recognized(),
            "rows": dataset.rows(),
            "verdict": verdict,
            "sharedRows": shared,
        }));
    } else {
        output.text(&text::verdict(&args.input.file, &dataset));
    }
    // A program has the verdict already, and one object is promised.
    judge(dataset.verdict(), args.strict)
        .map_err(|error| if args.input.json { Failure::silent(error.kind()) } else { error })
}

/// Fails if the dataset cannot be used.
fn judge(verdict: &Verdict, strict: bool) -> Result<(), Failure> {
    let (errors, warnings) = (verdict.errors(), verdict.warnings());
    if errors > 0 {
        return Err(Failure::new(
            Code::DatasetInvalid,
            format!("the dataset has {}", text::counted(errors, "error")),
        ));
    }
    if strict && warnings > 0 {
        return Err(Failure::new(
            Code::DatasetInvalid,
            format!("the dataset has {}", text::counted(warnings, "warning")),
        ));
    }
    Ok(())
}

fn stats(args: &StatsArgs, cache: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let path = args.input.path(cache)?;
    let mut options = args.input.options(cache, output);
    args.for_.apply(&mut options);
    let dataset = Dataset::open(&path, &options)?;
    let figures = dataset.figures(options.tokenizer)?;
    if args.input.json {
        let mut verdict = json!(dataset.verdict());
        let fixes = dataset.verdict().findings.iter().map(|finding| &finding.fix);
        advice::spell_fixes(&mut verdict["findings"], fixes);
        output.json(&json!({
            "path": args.input.file,
            "digest": dataset.digest(),
            "recognized": dataset.recognized(),
            "figures": figures,
        }));
    } else {
        output.text(&text::figures(&args.input.file, &dataset, &figures));
        let errors = dataset.verdict().findings.iter().filter(|f| f.severity == Severity::Error).count();
        if errors > 0 {
            output.warning("some rows have errors; see \"tunesmith dataset check\"");
        }
    }
    Ok(())
}

fn convert(args: &ConvertArgs, cache: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let path = args.input.path(cache)?;
    let options = args.input.options(None, output);
    let conversion = ConvertOptions { to: args.to, fix: args.fix, drop_invalid: args.drop_invalid };
    let destination = Destination::File { path: &args.out, replace: args.force };
    let converted = tunesmith_dataset::convert(&path, &options, &conversion, destination)?;
    if args.input.json {
        output.json(&converted);
    } else {
        output.text(&text::converted(&converted));
    }
    Ok(())
}

fn sample(args: &SampleArgs, cache: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let path = args.input.path(cache)?;
    let options = args.input.options(cache, output);
    let dataset = Dataset::open(&path, &options)?;
    let view = dataset.view(Tokenizer::Cautious, args.seed)?;
    let rows = match args.row {
        None => view.sample(&Selection { count: args.rows, ..Selection::default() }),
        Some(id) => {
            let example = dataset.example(id)?.ok_or_else(|| {
                let rows = dataset.rows();
                Failure::new(
                    Code::Usage,
                    format!("row {id} is not a plain conversation; rows are 0 to {}", rows - 1),
                )
            })?;
            let tokens = Tokenizer::Cautious.count_example(&example);
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
            vec![tunesmith_core::contract::Row { id, tokens, task: 0, example }]
        }
    };
    if let Some(failure) = view.failure() {
        return Err(failure.into());
    }
    if args.input.json {
        output.json(&rows);
    } else {
        output.text(&text::sample(&rows));
    }
    Ok(())
}

fn split(args: &SplitArgs, cache: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let path = args.input.path(cache)?;
    let options = args.input.options(None, output);
    let division = SplitOptions { validation: args.validation, seed: args.seed, replace: args.force };
    let [training, validation] = &args.out[..] else {
        return Err(Failure::new(Code::Usage, "--out takes two files: training and validation"));
    };
    let divided = tunesmith_dataset::split(&path, &options, &division, training, validation)?;
    if args.input.json {
        output.json(&divided);
    } else {
        output.text(&text::divided(&divided));
    }
    Ok(())
}

fn transform(args: &TransformArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let registry = args.registry.load(workbench, output)?;
    let snapshot = registry.snapshot();
    let plugin = find(&snapshot, &args.by)?;
    if !plugin.can(Ability::Transform) {
        return Err(Failure::new(Code::Usage, format!("method {} cannot transform datasets", plugin.id())));
    }
    let given: Vec<GivenSetting> = args
        .set
        .iter()
        .map(|(name, value)| GivenSetting { name: name.clone(), value: value.clone(), place: "--set".into() })
        .collect();
    let settings = settings::check(&given, plugin.descriptor())
        .map_err(|errors| Failure::from(PlanError::Settings(errors)))?;
    let name = args.out.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let job = MethodJob { name, base_model: String::new(), settings, seed: DEFAULT_SEED };
    let path = args.input.path(Some(workbench.cache()))?;
    let options = args.input.options(None, output);
    let measured = Mutex::default();
    let transformed = tunesmith_dataset::transform(
        &path,
        &options,
        &TransformOptions { job: &job, untyped: args.untyped_rows },
        || |job: &MethodJob, rows: &Arc<Conversations>| batch(plugin, job, rows, &measured),
        Destination::File { path: &args.out, replace: args.force },
    );
    let transformed = transformed.map_err(|error| {
        let method = plugin.id().to_owned();
        Failure::from(PlanError::Transforming {
            method,
            path: args.input.file.clone(),
            error: Box::new(error),
        })
    })?;
    if args.input.json {
        output.json(&transformed);
    } else {
        output.text(&text::transformed(&transformed, plugin.id()));
    }
    Ok(())
}
