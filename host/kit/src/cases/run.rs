//! Runs golden cases in the sandbox, within the limits of a plan.

use super::{Case, CaseError, EXPECTED, beside, read, text, wrong};
use crate::{CallReport, CallResult, NoRows, RowsFile, Subject, call};
use serde::Serialize;
use serde_json::{Map, Value};
use similar::TextDiff;
use std::path::Path;
use tunesmith_core::contract::Note;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_engine::artifacts::{self, Artifact};
use tunesmith_engine::{plan, settings};
use tunesmith_plugin_host::{Plugin, Receipt};
use tunesmith_provider::facts;

/// Lines of a difference that are reported. 200: several screens.
const MOST_LINES: usize = 200;

/// What to do with unexpected answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Compare,
    /// The answer becomes the expected one.
    Bless,
}

/// The result of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub case: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    pub call: &'static str,
    #[serde(flatten)]
    pub verdict: CaseStatus,
    /// Resources used, if the call completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// The status of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum CaseStatus {
    /// The answer is as expected.
    Passed,
    /// The answer became the expected one.
    Blessed,
    /// The answer differs.
    Differs {
        /// The difference, as unified lines.
        difference: String,
    },
    /// There is no expected answer.
    New { answer: String },
    /// There is no usable answer.
    Failed { reason: String },
}

impl CaseStatus {
    /// Whether it passed.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Blessed)
    }
}

pub fn run(plugin: &Plugin, case: &Case, mode: Mode) -> Report {
    let mut receipt = None;
    let verdict =
        verdict(plugin, case, mode, &mut receipt).unwrap_or_else(|reason| CaseStatus::Failed { reason });
    Report {
        case: case.name.clone(),
        about: case.about.clone(),
        call: case.function.as_str(),
        verdict,
        receipt,
    }
}

/// Runs the cases next to a plugin file, if there are any.
///
/// # Errors
/// One line: how many failed, and why the first did.
pub fn shipped(plugin: &Plugin, file: &Path) -> Result<(), String> {
    let Some(folder) = beside(file) else { return Ok(()) };
    let cases = read(&folder).map_err(|error| error.to_string())?;
    let reports = cases.iter().map(|case| run(plugin, case, Mode::Compare));
    let bad: Vec<Report> = reports.filter(|report| !report.verdict.is_good()).collect();
    let Some(first) = bad.first() else { return Ok(()) };
    let what = match &first.verdict {
        CaseStatus::Differs { difference } => {
            let line = difference.lines().find(|line| line.starts_with('+') && !line.starts_with("+++"));
            format!("unexpected answer: {}", line.unwrap_or_default().trim_start_matches('+').trim())
        }
        CaseStatus::New { .. } => format!("has no {EXPECTED}"),
        CaseStatus::Failed { reason } => reason.replace('\n', " "),
        CaseStatus::Passed | CaseStatus::Blessed => String::new(),
    };
    Err(format!("{} of {} cases failed; {}: {what}", bad.len(), cases.len(), first.case))
}

fn verdict(
    plugin: &Plugin,
    case: &Case,
    mode: Mode,
    receipt: &mut Option<Receipt>,
) -> Result<CaseStatus, String> {
    let called = ask(plugin, case)?;
    *receipt = Some(called.receipt.clone());
    if let Some(breaks) = &called.breaks {
        return Err(format!(
            "answer breaks the rules of {}: {breaks}",
            facts::of(case.function.provider()).title
        ));
    }
    let answer = answer(&called);
    let path = case.folder.join(EXPECTED);
    let expected = text(&path).map_err(|error| error.to_string())?;
    let parsed = match &expected {
        None => None,
        Some(expected) => match serde_json::from_str::<Value>(expected) {
            Ok(value) => Some(value),
            // Nothing is lost by overwriting invalid JSON.
            Err(_) if mode == Mode::Bless => None,
            Err(error) => return Err(wrong(&path, error.to_string()).to_string()),
        },
    };
    Ok(match (parsed, mode) {
        (Some(expected), _) if expected == answer => CaseStatus::Passed,
        (_, Mode::Bless) => {
            let artifact = Artifact { name: EXPECTED.into(), content: format!("{answer:#}\n") };
            artifacts::write(&case.folder, &[artifact]).map_err(|error| error.to_string())?;
            CaseStatus::Blessed
        }
        (Some(expected), Mode::Compare) => {
            CaseStatus::Differs { difference: difference(&format!("{expected:#}"), &format!("{answer:#}")) }
        }
        (None, Mode::Compare) => CaseStatus::New { answer: format!("{answer:#}") },
    })
}

/// Calls the plugin as the case says.
fn ask(plugin: &Plugin, case: &Case) -> Result<CallReport, String> {
    if case.function.ability().is_some_and(|ability| !plugin.can(ability)) {
        return Err(format!("the plugin does not export {}", case.function));
    }
    let settings = settings::check(&case.settings, plugin.descriptor()).map_err(|errors| {
        let errors: Vec<String> =
            errors.iter().map(|error| with_hint(error, error.hint.as_deref())).collect();
        errors.join("\n")
    })?;
    let seed = plan::seed(&settings);
    let job = tunesmith_core::contract::MethodJob {
        name: case.job.clone(),
        base_model: case.base_model.clone(),
        settings,
        seed,
    };
    let file = match &case.rows {
        None => None,
        Some(path) => {
            let provider = case.function.provider();
            Some(RowsFile::open(path, provider, &case.base_model, seed).map_err(|error| error.to_string())?)
        }
    };
    let subject: &dyn Subject = file.as_ref().map_or(&NoRows, |file| file);
    let called = call(plugin, case.function, &job, subject);
    if let Some(failure) = file.as_ref().and_then(RowsFile::failure) {
        return Err(failure.to_string());
    }
    called.map_err(|error| {
        let printed = match error.advice() {
            Some(Advice::Text { text }) => Some(text),
            _ => None,
        };
        with_hint(&error, printed.as_deref())
    })
}

fn with_hint(error: &dyn std::fmt::Display, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{error}\n{hint}"),
        None => error.to_string(),
    }
}

/// An answer as in `expected.json`.
fn answer(called: &CallReport) -> Value {
    let mut answer = Map::new();
    match &called.outcome {
        CallResult::Result(result) => answer.insert("result".into(), result.clone()),
        CallResult::Refusal(refusal) => answer.insert("refusal".into(), json(refusal)),
    };
    if !called.notes.is_empty() {
        answer.insert("notes".into(), called.notes.iter().map(json::<Note>).collect());
    }
    Value::Object(answer)
}

fn json<T: Serialize>(plain: &T) -> Value {
    // Plain data with string keys.
    serde_json::to_value(plain).unwrap_or(Value::Null)
}

fn difference(expected: &str, answer: &str) -> String {
    let diff = TextDiff::from_lines(expected, answer);
    let text = diff.unified_diff().context_radius(3).header("expected", "answered").to_string();
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('\\')).collect();
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let mut text = lines.join("\n");
    if more > 0 {
        text.push_str(&format!("\n… and {more} more lines"));
    }
    text
}

impl CaseError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        Code::CaseInvalid
    }
}

impl From<CaseError> for Failure {
    fn from(error: CaseError) -> Self {
        Self::new(error.code(), error.to_string())
            .advise("a case is a folder with case.json; docs/plugins.md has the format")
    }
}
