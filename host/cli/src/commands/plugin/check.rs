//! `tunesmith plugin check`: a verdict on a plugin, with reasons.

use super::file::{self, FileArgs};
use crate::view::advice;
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING};
use crate::{Output, Workbench};
use serde_json::json;
use std::fmt::Write as _;
use tunesmith_core::failure::{Failure, Kind};
use tunesmith_core::text::visible_lines;
use tunesmith_kit::check::{Level, Report};
use tunesmith_plugin_host::Rejection;

/// What `plugin check` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 passes, perhaps with warnings · 1 warnings, with --strict · 5 fails")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// Let warnings fail it, too
    #[arg(long)]
    strict: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let located = args.file.locate()?;
    let loader = file::loader(workbench, output)?;
    let checked = loader.load(&located.path).and_then(|plugin| {
        let inspection = tunesmith_plugin_host::inspect(&located.path, loader.limits())?;
        Ok(tunesmith_kit::check(&plugin, &inspection, loader.limits()))
    });
    let level = match checked {
        Ok(report) => {
            if args.json {
                output.json(&report);
            } else {
                output.text(&text(&report));
            }
            report.verdict
        }
        Err(rejection) => {
            if args.json {
                output.json(&rejected(&rejection));
            } else {
                return Err(rejection.into());
            }
            Level::Error
        }
    };
    match level {
        Level::Error => Err(Failure::silent(Kind::Plugin)),
        Level::Warning if args.strict => Err(Failure::silent(Kind::Failed)),
        Level::Warning | Level::Ok => Ok(()),
    }
}

/// A file that did not come as far as being checked.
fn rejected(rejection: &Rejection) -> serde_json::Value {
    json!({
        "sha256": rejection.digest,
        "verdict": Level::Error,
        "findings": [{
            "rule": rejection.reason.rule(),
            "level": Level::Error,
            "message": rejection.reason.to_string(),
            "fix": rejection.reason.advice().as_ref().map(advice::words),
        }],
        "calls": 0,
    })
}

/// The report for people.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{HEADING}{}{HEADING:#} {} {FAINT}sha256:{}{FAINT:#}\n",
        report.plugin, report.version, report.sha256
    );
    text.push_str(&findings(report, Level::Ok));
    let _ = writeln!(text, "\n{}", verdict(report));
    text
}

/// The findings from a level on.
pub fn findings(report: &Report, least: Level) -> String {
    let mut text = String::new();
    for finding in report.findings.iter().filter(|finding| finding.level >= least) {
        let (style, mark) = match finding.level {
            Level::Ok => (FAINT, "ok"),
            Level::Warning => (WARNING, "warning"),
            Level::Error => (ERROR, "error"),
        };
        let message = visible_lines(&finding.message).replace('\n', "\n                         ");
        let _ = writeln!(text, "  {style}{mark:7}{style:#}  {:12}  {message}", finding.rule);
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "  {:7}  {:12}  {HINT}{fix}{HINT:#}", "", "");
        }
    }
    text
}

/// The verdict on one line.
pub fn verdict(report: &Report) -> String {
    let count = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let calls = many(report.calls, "call");
    match report.verdict {
        Level::Ok => format!("passes, in {calls}"),
        Level::Warning => format!("passes, in {calls}, with {}", many(count(Level::Warning), "warning")),
        Level::Error => {
            let warnings = many(count(Level::Warning), "warning");
            format!(
                "{ERROR}fails{ERROR:#}, in {calls}: {} and {warnings}",
                many(count(Level::Error), "error")
            )
        }
    }
}
