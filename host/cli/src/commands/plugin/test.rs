//! `tunesmith plugin test`: a plugin against its golden cases.

use super::file::{self, FileArgs, Located};
use crate::view::style::{ERROR, FAINT, HINT, WARNING};
use crate::{Output, Workbench};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use tunesmith_core::failure::{Code, Failure, Kind};
use tunesmith_core::text::visible_lines;
use tunesmith_kit::cases::{self, CaseStatus, Mode, Report};
use tunesmith_plugin_host::Plugin;

/// What `plugin test` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "A case is a folder: case.json says what is called, rows.jsonl is the dataset and \
expected.json the answer. Exit codes: 0 all passed · 1 some did not · 3 a case is not valid · 5 the plugin \
cannot be loaded")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// The folder of cases; the project's, or the one beside the file, unless given
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    cases: Option<PathBuf>,

    /// Run only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Take the answers as expected from now on; read them before you keep them
    #[arg(long)]
    bless: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let located = args.file.locate()?;
    let folder = match &args.cases {
        Some(folder) => folder.clone(),
        None => folder(&located)?,
    };
    let loader = file::loader(workbench, output)?;
    let plugin = loader.load(&located.path)?;
    let mode = if args.bless { Mode::Bless } else { Mode::Compare };
    let mut cases = cases::read(&folder)?;
    cases.retain(|case| args.only.as_ref().is_none_or(|only| case.name.contains(only.as_str())));
    if cases.is_empty() {
        return Err(none(&folder));
    }
    let mut reports = Vec::with_capacity(cases.len());
    for case in &cases {
        let report = cases::run(&plugin, case, mode);
        if !args.json {
            output.text(&text(&report));
        }
        reports.push(report);
    }
    let good = reports.iter().all(|report| report.verdict.is_good());
    if args.json {
        output.json(&as_json(&plugin, &reports));
    } else {
        output.text(&format!("\n{}\n", summary(&reports)));
    }
    if good { Ok(()) } else { Err(Failure::silent(Kind::Failed)) }
}

/// The folder of cases that belongs to a plugin file.
pub fn folder(located: &Located) -> Result<PathBuf, Failure> {
    let shipped = cases::beside(&located.path);
    let found = shipped
        .or_else(|| located.project.as_ref().map(|project| project.cases()).filter(|folder| folder.is_dir()));
    found.ok_or_else(|| {
        let beside = located.path.with_extension("cases");
        Failure::new(Code::Invalid, format!("{} has no cases", file::shown(&located.path))).advise(format!(
            "make a folder for each, with a case.json, in {} or in the project's cases/; or name one with --cases",
            file::shown(&beside)
        ))
    })
}

fn none(folder: &std::path::Path) -> Failure {
    Failure::new(Code::Invalid, format!("no case in {}", file::shown(folder)))
        .advise("a case is a folder with case.json, such as {\"call\": \"ollama.configure\"}")
}

/// The reports as one object.
pub fn as_json(plugin: &Plugin, reports: &[Report]) -> serde_json::Value {
    let passed = reports.iter().filter(|report| report.verdict.is_good()).count();
    json!({
        "plugin": plugin.id(),
        "sha256": plugin.digest(),
        "cases": reports.iter().map(|report| {
            let mut value = serde_json::to_value(report).unwrap_or_default();
            if let (Some(object), Some(receipt)) = (value.as_object_mut(), &report.receipt) {
                object.insert("measured".into(), json!(receipt.measured));
            }
            value
        }).collect::<Vec<_>>(),
        "passed": passed,
        "failed": reports.len() - passed,
    })
}

/// A report for people.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let (style, mark) = match report.verdict {
        CaseStatus::Passed => (FAINT, "ok"),
        CaseStatus::Blessed => (WARNING, "blessed"),
        _ => (ERROR, "failed"),
    };
    let cost = report.receipt.as_ref().map(file::cost).unwrap_or_default();
    let _ = writeln!(
        text,
        "  {style}{mark:7}{style:#}  {:28}  {:17}  {FAINT}{cost}{FAINT:#}",
        report.case, report.call
    );
    match &report.verdict {
        CaseStatus::Passed | CaseStatus::Blessed => {}
        CaseStatus::Differs { difference } => {
            for line in difference.lines() {
                let style = match line.as_bytes().first() {
                    Some(b'-') => ERROR,
                    Some(b'+') => HINT,
                    _ => FAINT,
                };
                let _ = writeln!(text, "           {style}{}{style:#}", visible_lines(line));
            }
        }
        CaseStatus::New { answer } => {
            let _ = writeln!(text, "           it has no expected.json; the answer is");
            for line in answer.lines() {
                let _ = writeln!(text, "           {HINT}{}{HINT:#}", visible_lines(line));
            }
        }
        CaseStatus::Failed { reason } => {
            for line in reason.lines() {
                let _ = writeln!(text, "           {}", visible_lines(line));
            }
        }
    }
    text
}

/// All reports on one line.
pub fn summary(reports: &[Report]) -> String {
    let count = |good: fn(&CaseStatus) -> bool| reports.iter().filter(|report| good(&report.verdict)).count();
    let passed = count(|verdict| *verdict == CaseStatus::Passed);
    let blessed = count(|verdict| *verdict == CaseStatus::Blessed);
    let failed = reports.len() - passed - blessed;
    let mut text = match reports.len() {
        1 => "1 case".to_owned(),
        many => format!("{many} cases"),
    };
    text.push_str(&format!(": {passed} passed"));
    if blessed > 0 {
        text.push_str(&format!(", {blessed} blessed"));
    }
    if failed > 0 {
        text.push_str(&format!(", {ERROR}{failed} failed{ERROR:#}; `--bless` takes the answers as expected"));
    }
    text
}
