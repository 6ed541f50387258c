//! `tunesmith dataset`: check, look at, convert, split and transform datasets.

mod text;

pub use text::size;

use super::{Operator, Output, registry};
use crate::view::advice;
use serde_json::json;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tunesmith_core::contract::{Conversations, DatasetView as _, MethodJob, Selection};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::{
    self, Conversion, Dataset, Destination, Division, Format, Options, Progress, Rules, Severity, Target,
    Transformation, UntypedRows, Verdict,
};
use tunesmith_engine::plan::{DEFAULT_SEED, PlanError, batch};
use tunesmith_engine::settings;
use tunesmith_engine::spec::GivenSetting;
use tunesmith_plugin_host::Ability;

/// The rows that a model sees at most in `sample` unless told otherwise.
const SAMPLED: u32 = 3;

/// Below this size nobody waits long enough to want to see progress.
const PROGRESS_BYTES: u64 = 32 << 20;

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Check, look at, convert, split and transform datasets.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Judge a dataset: every problem with its line, reason and fix
    Check(CheckArgs),
    /// Show a dataset in figures
    Stats(StatsArgs),
    /// Write a dataset in another format, or mended
    Convert(ConvertArgs),
    /// Show rows as the model will see them
    Sample(SampleArgs),
    /// Make a training and a validation file with no shared rows
    Split(SplitArgs),
    /// Run a method's transform over a dataset
    Transform(TransformArgs),
}

/// What every command about a dataset takes.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// The dataset; - reads standard input
    file: PathBuf,

    /// The format of rows; recognised if not given
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,

    /// On how many threads to work
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// For which provider and by which tokenizer.
#[derive(Debug, clap::Args)]
pub struct For {
    /// Apply the rules of this provider: openai, ollama or local
    #[arg(long, value_name = "PROVIDER", value_parser = target)]
    provider: Option<Target>,

    /// Warn about rows of more tokens than this
    #[arg(long, value_name = "TOKENS")]
    row_tokens: Option<u32>,

    /// Count by o200k (gpt-4o and later), cl100k (gpt-3.5) or cautious
    #[arg(long, value_name = "NAME", value_parser = tokenizer)]
    tokenizer: Option<Tokenizer>,

    /// Count the tokens of every row, however many there are
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
    /// A validation file, which must share no rows
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
    /// The format to write; the same if not given
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    to: Option<Format>,
    /// The file to write, one row a line; packed if it ends in .gz
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Mend what is safe; what was mended is listed
    #[arg(long)]
    fix: bool,
    /// Leave out rows with errors; they are listed
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
    /// How many rows
    #[arg(long, short = 'n', value_name = "N", default_value_t = SAMPLED)]
    rows: u32,
    /// Decides which rows
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
    /// Decides which rows
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
    /// The file to write, one row a line; packed if it ends in .gz
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Change a setting of the method; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::plan::setting)]
    set: Vec<(String, serde_json::Value)>,
    /// What to do with rows that the transform cannot see: refuse, pass or drop
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
        _ => Err("not one of refuse, pass, drop".to_owned()),
    }
}

fn format(name: &str) -> Result<Format, String> {
    name.parse()
}

fn target(name: &str) -> Result<Target, String> {
    match name {
        "openai" => Ok(Target::OpenAi),
        "ollama" => Ok(Target::Ollama),
        "local" => Ok(Target::Local),
        _ => Err("not a provider; providers are openai, ollama, local".to_owned()),
    }
}

fn tokenizer(name: &str) -> Result<Tokenizer, String> {
    match name {
        "o200k" | "o200k_base" => Ok(Tokenizer::O200k),
        "cl100k" | "cl100k_base" => Ok(Tokenizer::Cl100k),
        "cautious" => Ok(Tokenizer::Cautious),
        _ => Err("not a tokenizer; tokenizers are o200k, cl100k, cautious".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("not a share between 0 and 1, such as 0.1".to_owned()),
    }
}

impl Command {
    /// Whether the caller is a program.
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

/// Runs the command. Results and what came by standard input are kept in the
/// operator's cache; temporary files go elsewhere.
pub fn run(command: &Command, operator: &Operator, output: &mut Output) -> Result<(), Failure> {
    let cache = Some(operator.cache());
    match command {
        Command::Check(args) => check(args, cache, output),
        Command::Stats(args) => stats(args, cache, output),
        Command::Convert(args) => convert(args, cache, output),
        Command::Sample(args) => sample(args, cache, output),
        Command::Split(args) => split(args, cache, output),
        Command::Transform(args) => transform(args, operator, output),
    }
}

impl Input {
    /// The file, with standard input kept in one.
    fn path(&self, cache: Option<&Path>) -> Result<PathBuf, Failure> {
        if self.file != Path::new("-") && self.file != Path::new("/dev/stdin") {
            return Ok(self.file.clone());
        }
        let directory = cache.map_or_else(std::env::temp_dir, Path::to_owned).join("datasets");
        Ok(tunesmith_dataset::spool(std::io::stdin().lock(), &directory)?)
    }

    fn options(&self, cache: Option<&Path>, output: &Output) -> Options {
        Options {
            format: self.format,
            threads: self.threads,
            cache: cache.map(|cache| cache.join("datasets")),
            progress: progress(output),
            ..Options::default()
        }
    }
}

impl For {
    fn apply(&self, options: &mut Options) {
        options.rules = Rules::new(self.provider.unwrap_or(Target::Any), self.row_tokens);
        let usual = match self.provider {
            Some(Target::OpenAi) => Tokenizer::O200k,
            _ => Tokenizer::Cautious,
        };
        options.tokenizer = self.tokenizer.unwrap_or(usual);
        options.exact = self.exact;
    }
}

/// Shows how far reading is, where a person watches.
pub fn progress(output: &Output) -> Option<tunesmith_dataset::OnProgress> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let handle = output.progress_handle();
    let last = Mutex::new((Instant::now(), 0));
    Some(Arc::new(move |Progress { bytes, of }| {
        let Ok(mut last) = last.try_lock() else { return };
        let percent = bytes.saturating_mul(100).checked_div(of).unwrap_or(100);
        if of >= PROGRESS_BYTES && last.0.elapsed() >= PROGRESS_EVERY && percent >= last.1 + 5 {
            *last = (Instant::now(), percent);
            handle.say(&format!("reading: {percent} % of {}", text::size(of)));
        }
    }))
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
            "recognised": dataset.recognised(),
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

/// Fails where the dataset cannot be used.
fn judge(verdict: &Verdict, strict: bool) -> Result<(), Failure> {
    let (errors, warnings) = (verdict.errors(), verdict.warnings());
    if errors > 0 {
        return Err(Failure::new(
            Code::Invalid,
            format!("the dataset has {}", text::counted(errors, "error")),
        ));
    }
    if strict && warnings > 0 {
        return Err(Failure::new(
            Code::Invalid,
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
            "recognised": dataset.recognised(),
            "figures": figures,
        }));
    } else {
        output.text(&text::figures(&args.input.file, &dataset, &figures));
        let errors = dataset.verdict().findings.iter().filter(|f| f.severity == Severity::Error).count();
        if errors > 0 {
            output.warning("some rows have errors: see `tunesmith dataset check`");
        }
    }
    Ok(())
}

fn convert(args: &ConvertArgs, cache: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let path = args.input.path(cache)?;
    let options = args.input.options(None, output);
    let conversion = Conversion { to: args.to, fix: args.fix, drop_invalid: args.drop_invalid };
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
                    format!("row {id} is not a row of plain texts; rows are 0 to {}", rows - 1),
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
    let division = Division { validation: args.validation, seed: args.seed, replace: args.force };
    let [training, validation] = &args.out[..] else {
        return Err(Failure::new(Code::Usage, "--out takes two files: for training and for validation"));
    };
    let divided = tunesmith_dataset::split(&path, &options, &division, training, validation)?;
    if args.input.json {
        output.json(&divided);
    } else {
        output.text(&text::divided(&divided));
    }
    Ok(())
}

fn transform(args: &TransformArgs, operator: &Operator, output: &mut Output) -> Result<(), Failure> {
    let registry = args.registry.load(operator, output)?;
    let snapshot = registry.snapshot();
    let plugin = registry::find(&snapshot, &args.by)?;
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
    let path = args.input.path(Some(operator.cache()))?;
    let options = args.input.options(None, output);
    let measured = Mutex::default();
    let transformed = tunesmith_dataset::transform(
        &path,
        &options,
        &Transformation { job: &job, untyped: args.untyped_rows },
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
