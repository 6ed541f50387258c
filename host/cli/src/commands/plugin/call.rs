//! `tunesmith plugin call`: one function of a plugin, its answer and its receipt.

use super::file::{self, FileArgs};
use crate::inputs;
use crate::view::style::{FAINT, HEADING, WARNING};
use crate::{Output, Workbench};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tunesmith_core::contract::{Level, MethodJob};
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_core::text::{visible, visible_lines};
use tunesmith_engine::spec::{GivenSetting, Overrides, Spec};
use tunesmith_engine::{plan as planning, settings};
use tunesmith_kit::{CallReport, CallResult, Function, NoRows, RowsFile, Subject};
use tunesmith_plugin_host::Plugin;

/// What `plugin call` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "A refusal is an answer. Exit codes: 0 it answered · 3 the job is not valid · 5 it \
failed, exceeded a limit, or answered what a plan would not accept")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// ollama.configure, openai.configure, training.plan, transform.apply or method.describe
    #[arg(value_name = "FUNCTION")]
    function: Function,

    /// The job to ask about; one without settings unless given
    #[arg(long, value_name = "JOB", value_hint = clap::ValueHint::FilePath)]
    job: Option<PathBuf>,

    /// The dataset; the job's unless given, and one without rows where there is no job
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    dataset: Option<PathBuf>,

    /// Give a setting; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = inputs::setting)]
    set: Vec<(String, serde_json::Value)>,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// What is asked, before the plugin's settings are known.
struct Question {
    name: String,
    base_model: String,
    settings: Vec<GivenSetting>,
    dataset: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let question = question(args.function, args.job.as_deref(), args.dataset.as_deref(), &args.set)?;
    let located = args.file.locate()?;
    let plugin = file::loader(workbench, output)?.load(&located.path)?;
    let called = question.ask(&plugin, args.function)?;
    if args.json {
        let mut answer = match &called.outcome {
            CallResult::Result(result) => json!({ "result": result }),
            CallResult::Refusal(refusal) => json!({ "refusal": refusal }),
        };
        if let Some(object) = answer.as_object_mut() {
            object.insert("notes".into(), json!(called.notes));
            object.insert("breaks".into(), json!(called.breaks));
            object.insert("receipt".into(), json!(called.receipt));
            object.insert("measured".into(), json!(called.receipt.measured));
        }
        output.json(&answer);
    } else {
        output.text(&text(&called));
    }
    if called.breaks.is_some() { Err(Failure::silent(Kind::Plugin)) } else { Ok(()) }
}

/// Asks a plugin about a project's job: what `plugin dev` shows after a build.
pub fn ask_about(plugin: &Plugin, function: Function, job: &Path) -> Result<CallReport, Failure> {
    question(function, Some(job), None, &[])?.ask(plugin, function)
}

fn question(
    function: Function,
    job: Option<&Path>,
    dataset: Option<&Path>,
    set: &[(String, serde_json::Value)],
) -> Result<Question, Failure> {
    let Some(path) = job else {
        let settings = set.iter().map(|(name, value)| GivenSetting {
            name: name.clone(),
            value: value.clone(),
            place: "--set".into(),
        });
        return Ok(Question {
            name: "Call".into(),
            base_model: function.usual_base_model().into(),
            settings: settings.collect(),
            dataset: dataset.map(Path::to_owned),
        });
    };
    // The provider follows from the function.
    let overrides =
        Overrides { provider: Some(function.provider()), place: "--set".into(), settings: set.to_vec() };
    let spec = Spec::load(path, &overrides)?;
    let own = spec.dataset_path(path);
    let dataset = dataset.map(Path::to_owned).or(own).ok_or_else(|| {
        Failure::new(Code::Usage, "the job names its dataset by id").advise("say which file: --dataset PATH")
    })?;
    Ok(Question {
        name: spec.name,
        base_model: spec.base_model,
        settings: spec.settings,
        dataset: Some(dataset),
    })
}

impl Question {
    fn ask(self, plugin: &Plugin, function: Function) -> Result<CallReport, Failure> {
        let settings = settings::check(&self.settings, plugin.descriptor()).map_err(|errors| {
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let error = Failure::new(Code::Invalid, messages.join("\n       "));
            error.advise_all(errors.iter().filter_map(|error| Some(error.hint.clone()?.into())))
        })?;
        let seed = planning::seed(&settings);
        let job = MethodJob { name: self.name, base_model: self.base_model, settings, seed };
        let open = |path: &PathBuf| RowsFile::open(path, function.provider(), &job.base_model, seed);
        let rows = self.dataset.as_ref().map(open).transpose()?;
        let subject: &dyn Subject = rows.as_ref().map_or(&NoRows, |rows| rows);
        let called = tunesmith_kit::call(plugin, function, &job, subject);
        if let Some(failure) = rows.as_ref().and_then(RowsFile::failure) {
            return Err(failure.into());
        }
        Ok(called?)
    }
}

fn text(called: &CallReport) -> String {
    let mut text = String::new();
    match &called.outcome {
        CallResult::Result(result) => {
            let _ = writeln!(text, "{}", visible_lines(&format!("{result:#}")));
        }
        CallResult::Refusal(refusal) => {
            let _ =
                writeln!(text, "{HEADING}refused{HEADING:#}: {}", visible(&tunesmith_kit::refusal(refusal)));
        }
    }
    for note in &called.notes {
        let mark = match note.level {
            Level::Info => "note",
            Level::Warning => "warning",
        };
        let _ = writeln!(text, "{WARNING}{mark}{WARNING:#}: {}", visible(&note.text));
    }
    if let Some(breaks) = &called.breaks {
        let _ = writeln!(text, "{WARNING}a plan would not accept this{WARNING:#}: {}", visible(breaks));
    }
    let receipt = &called.receipt;
    let measured = &receipt.measured;
    let _ = writeln!(text, "\n{HEADING}Receipt{HEADING:#}");
    for (name, value) in [
        ("plugin", format!("{} {} (sha256:{})", receipt.plugin, receipt.version, receipt.sha256)),
        ("call", format!("{} by contract {}, {} tier", receipt.call, receipt.contract, receipt.tier)),
        ("cost", file::cost(receipt)),
        (
            "passed",
            format!(
                "{} bytes in, {} bytes out, {} rows shown, {} calls to the host",
                measured.bytes_in, measured.bytes_out, measured.rows, measured.host_calls
            ),
        ),
    ] {
        let _ = writeln!(text, "  {FAINT}{name:7}{FAINT:#}  {}", visible(&value));
    }
    text
}
