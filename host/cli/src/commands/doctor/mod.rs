//! `tunesmith doctor`: whether everything that jobs need is in order, and what to do
//! where it is not.

mod local;
mod services;
mod toolchains;

use crate::Workbench;
use crate::options::OperatorArgs;
use crate::view::advice;
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING};
use crate::{Output, registry, runtime};
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;
use tunesmith_core::failure::{Failure, Kind};
use tunesmith_core::text::visible_lines;

/// Check everything that jobs need, and say what to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Mend what is safe to mend: permissions, missing directories
    #[arg(long)]
    fix: bool,
    /// Contact no service
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    registry: registry::PluginArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// In order.
    Ok,
    /// Not set up, and needed only for some work.
    Skip,
    /// Works, and worth a look.
    Warn,
    /// Jobs will fail.
    Fail,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
struct Check {
    /// What it is about, such as `store`.
    area: &'static str,
    status: Status,
    /// What is so.
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<String>,
    /// It was mended just now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fixed: bool,
}

impl Check {
    fn new(area: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self { area, status, message: message.into(), fixes: Vec::new(), fixed: false }
    }

    fn ok(area: &'static str, message: impl Into<String>) -> Self {
        Self::new(area, Status::Ok, message)
    }

    fn skip(area: &'static str, message: impl Into<String>) -> Self {
        Self::new(area, Status::Skip, message)
    }

    fn warn(area: &'static str, message: impl Into<String>) -> Self {
        Self::new(area, Status::Warn, message)
    }

    fn fail(area: &'static str, message: impl Into<String>) -> Self {
        Self::new(area, Status::Fail, message)
    }

    /// A failure, with its hints as fixes.
    fn of(area: &'static str, status: Status, error: Failure) -> Self {
        Self { fixes: advice::hints(&error), ..Self::new(area, status, error.message) }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fixes.push(fix.into());
        self
    }

    fn fixed(area: &'static str, message: impl Into<String>) -> Self {
        Self { fixed: true, ..Self::ok(area, message) }
    }
}

/// Runs the command.
pub fn run(args: &Args, operator: &OperatorArgs, output: &mut Output) -> Result<(), Failure> {
    let mut checks = Vec::new();
    match operator.config() {
        Err(error) => checks.push(Check::of("configuration", Status::Fail, error)),
        Ok(config) => {
            checks.extend(local::configuration(&config));
            let workbench = Workbench::new(config);
            checks.extend(local::key(&workbench, args.fix));
            checks.extend(runtime()?.block_on(local::store(&workbench, args.fix)));
            checks.extend(local::cache(&workbench, args.fix));
            checks.extend(local::plugins(&args.registry, &workbench, output));
            if args.offline {
                checks.push(Check::skip("services", "not asked: --offline"));
            } else {
                checks.extend(runtime()?.block_on(services::check(&workbench)));
            }
        }
    }
    checks.extend(toolchains::check());
    let failed = checks.iter().any(|check| check.status == Status::Fail);
    if args.json {
        output.json(&json!({ "ok": !failed, "checks": checks }));
    } else {
        output.text(&text(&checks));
    }
    if failed { Err(Failure::silent(Kind::Failed)) } else { Ok(()) }
}

fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.area.len()).max().unwrap_or(0);
    let mut out = String::new();
    let mut area = "";
    for check in checks {
        let (style, word) = match check.status {
            Status::Ok if check.fixed => (HINT, "fixed"),
            Status::Ok => (crate::view::style::state(tunesmith_store::State::Succeeded), "ok"),
            Status::Skip => (FAINT, "-"),
            Status::Warn => (WARNING, "warn"),
            Status::Fail => (ERROR, "fail"),
        };
        let name = if check.area == area { "" } else { check.area };
        area = check.area;
        let mut lines = visible_lines(&check.message).into_owned();
        // Further lines of a message, such as each fault of config.toml, under the first.
        let indent = " ".repeat(width + 11);
        lines = lines.replace('\n', &format!("\n{indent}"));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{HEADING}{name:<width$}{HEADING:#}  {style}{word:<5}{style:#}    {lines}");
        for fix in &check.fixes {
            let fix = visible_lines(fix).replace('\n', &format!("\n{indent}     "));
            let _ = writeln!(out, "{indent}{HINT}fix{HINT:#}: {fix}");
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (warnings, failures) = (count(Status::Warn), count(Status::Fail));
    let said = match (warnings, failures) {
        (0, 0) => "everything is in order".to_owned(),
        (_, 0) => format!("{warnings} to look at, nothing that stops jobs"),
        (0, _) => format!("{failures} failed"),
        (_, _) => format!("{failures} failed, {warnings} to look at"),
    };
    let _ = writeln!(out, "\n{said}");
    out
}
