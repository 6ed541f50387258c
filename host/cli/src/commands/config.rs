//! `tunesmith config`: what is in effect and where it comes from, the file's place, and
//! a new file.

use crate::Output;
use crate::Workbench;
use crate::options::OperatorArgs;
use crate::save::save;
use crate::view::advice;
use crate::view::style::{FAINT, HEADING, HINT, WARNING};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::text::visible;
use tunesmith_engine::config::{Config, Environment, default_text};
use tunesmith_plugin_host::Limits;

/// Show or make the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show every value in effect and where it comes from; keys are never shown
    Show(ShowArgs),
    /// Print where config.toml is, or would be
    Path(PathArgs),
    /// Write a config.toml with every key explained and commented out
    Init(InitArgs),
}

/// Options of `config show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `config path`.
#[derive(Debug, clap::Args)]
pub struct PathArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `config init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::Show(args) => args.json,
            Self::Path(args) => args.json,
            Self::Init(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(command: &Command, operator: &OperatorArgs, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Show(args) => show(args, &operator.load(output)?, output),
        Command::Path(args) => {
            let path = location(operator)?;
            if args.json {
                output.json(&json!({ "path": path, "exists": path.exists() }));
            } else {
                output.text(&format!("{}\n", path.display()));
            }
            Ok(())
        }
        Command::Init(args) => {
            let path = location(operator)?;
            write(&path, args.force)?;
            if args.json {
                output.json(&json!({ "path": path }));
            } else {
                output.text(&format!("wrote {}\n", path.display()));
            }
            Ok(())
        }
    }
}

fn location(operator: &OperatorArgs) -> Result<PathBuf, Failure> {
    Ok(Config::location(&Environment::of_process(), operator.file())?.0)
}

fn show(args: &ShowArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let config = workbench.config();
    let key = workbench.openai_key();
    let mut values = config.effective();
    for value in &mut values {
        if value.value.is_none()
            && let Some(limit) = built_in(value.key, &workbench.limits())
        {
            (value.value, value.note) = (Some(limit), None);
        }
    }
    if args.json {
        let key = match &key {
            Ok(Some(found)) => json!({ "place": found.place, "usable": true }),
            Ok(None) => json!(null),
            Err(error) => json!({ "usable": false, "problem": error.message }),
        };
        output.json(&json!({
            "path": config.path,
            "exists": config.exists,
            "values": values,
            "openaiKey": key,
            "warnings": config.warnings,
        }));
        return Ok(());
    }
    let mut text = format!("{HEADING}{}{HEADING:#}", visible(&config.path.display().to_string()));
    text += if config.exists { "\n" } else { " (not there; `tunesmith config init` makes it)\n" };
    let name = |key: &'static str| key.split_once('.').unwrap_or(("", key));
    let shown = |value: &tunesmith_engine::config::Effective| match (&value.value, value.note) {
        (Some(value), Some(unit)) => format!("{value} {unit}"),
        (Some(value), None) => value.clone(),
        (None, note) => format!("({})", note.unwrap_or("none")),
    };
    let widths = values.iter().fold((0, 0), |(names, texts), value| {
        (names.max(name(value.key).1.len()), texts.max(shown(value).chars().count()))
    });
    // A path that is longer pushes its origin out of line, not everyone's.
    let widths = (widths.0, widths.1.min(WIDEST_VALUE));
    let mut section = "";
    for value in &values {
        let (of, key_name) = name(value.key);
        // Writing to a String cannot fail.
        if of != section {
            section = of;
            let _ = writeln!(text, "\n{HEADING}[{of}]{HEADING:#}");
            if of == "openai" {
                let _ = writeln!(text, "{}", key_line(&key, widths));
            }
        }
        let _ = writeln!(
            text,
            "  {key_name:<0$}  {1:<2$}  {FAINT}{3}{FAINT:#}",
            widths.0,
            visible(&shown(value)),
            widths.1,
            visible(&value.origin)
        );
    }
    output.text(&text);
    Ok(())
}

/// The limit that holds where the operator sets none.
fn built_in(key: &str, limits: &Limits) -> Option<String> {
    let seconds = |span: Duration| format!("{} seconds", span.as_secs());
    Some(match key {
        "limits.memory" => binary(limits.memory),
        "limits.fuel" => limits.fuel.to_string(),
        "limits.describe_deadline" => seconds(limits.describe_deadline),
        "limits.plan_deadline" => seconds(limits.plan_deadline),
        "limits.transform_deadline" => seconds(limits.transform_deadline),
        "limits.calls" => limits.calls.to_string(),
        "limits.calls_per_plugin" => limits.calls_per_plugin.to_string(),
        "limits.file" => binary(limits.file),
        "limits.compile_deadline" => seconds(limits.compile.wall),
        "limits.code_store" => binary(limits.code_store),
        _ => return None,
    })
}

/// A size as config.toml has it.
fn binary(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Values are aligned up to this many characters.
const WIDEST_VALUE: usize = 44;

fn key_line(
    key: &Result<Option<&tunesmith_core::secret::Found>, Failure>,
    (names, texts): (usize, usize),
) -> String {
    match key {
        Ok(Some(found)) => {
            format!(
                "  {:<names$}  {:<texts$}  {FAINT}{}{FAINT:#}",
                "(key)",
                "set, not shown",
                visible(&found.place)
            )
        }
        Ok(None) => {
            let none = "(none: set OPENAI_API_KEY or key_file)";
            format!("  {:<names$}  {none:<texts$}  {FAINT}default{FAINT:#}", "(key)")
        }
        Err(error) => {
            let mut line =
                format!("  {:<names$}  {WARNING}unusable{WARNING:#}: {}", "(key)", visible(&error.message));
            for hint in &advice::hints(error) {
                let _ = write!(line, "\n  {:<names$}  {HINT}hint{HINT:#}: {}", "", visible(hint));
            }
            line
        }
    }
}

/// Writes the default text, in a directory that is made private where it is missing.
fn write(path: &Path, force: bool) -> Result<(), Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        tunesmith_core::fs::create_private(folder).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot create {}: {error}", folder.display()))
                .advise("name another file: --config FILE, or TUNESMITH_CONFIG")
        })?;
    }
    save(path, default_text().as_bytes(), force)
}
