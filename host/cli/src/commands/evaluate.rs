//! `tunesmith evaluate`: vets an untrusted job before anyone runs it.

use crate::view::evaluate as text;
use tunesmith_core::time::{Date, parse_date, today};

use crate::registry::{self, event_text};
use crate::view::advice;
use crate::{Output, Workbench};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tunesmith_core::failure::{Failure, Kind};
use tunesmith_engine::workbench::price_table;
use tunesmith_vet::{Request, Verdict, vet};

/// Vet a job, its dataset and its plugins before anyone runs them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs plugin code only in the sandbox, contacts no service, and writes only to the cache.\n\
Exit codes: 0 allow, or warn without --strict · 3 cannot be judged · 4 deny, or warn with --strict"
)]
pub struct Args {
    /// The job file
    #[arg(required_unless_present = "rules")]
    job: Option<PathBuf>,

    /// Also vet this plugin file, and let the job use it; may be repeated
    #[arg(long = "plugin", value_name = "FILE")]
    plugins: Vec<PathBuf>,

    /// The folder that datasets must be in [default: the job's folder]
    #[arg(long, value_name = "DIR")]
    dataset_root: Option<PathBuf>,

    /// Fail on warnings too
    #[arg(long)]
    strict: bool,

    /// Use this price table instead of the built-in one
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// List the rules with severity and fix
    #[arg(long, exclusive = true)]
    rules: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// The day, which decides the notes on closing dates
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date, hide = true)]
    today: Option<Date>,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let Some(job) = args.job.as_deref().filter(|_| !args.rules) else {
        output.text(&text::rules());
        return Ok(());
    };
    let prices = price_table(args.prices.as_deref())?;
    let worker = registry::program()?;
    let progress = output.progress_handle();
    let report = vet(&Request {
        job,
        plugins: &args.plugins,
        dataset_root: args.dataset_root.as_deref(),
        datasets: workbench.datasets(),
        policy: &workbench.config().policy,
        prices: &prices,
        today: args.today.unwrap_or_else(today),
        limits: workbench.limits(),
        cache: workbench.cache(),
        built_ins: registry::built_ins(),
        worker,
        on_event: Arc::new(move |event| progress.say(&event_text(event))),
    })?;
    if args.json {
        let mut shown = json!(report);
        advice::spell_fixes(&mut shown["findings"], report.findings.iter().map(|finding| &finding.fix));
        output.json(&shown);
    } else {
        output.text(&text::report(&report));
    }
    match report.verdict {
        Verdict::Allow => Ok(()),
        Verdict::Warn if !args.strict => Ok(()),
        Verdict::Warn | Verdict::Deny => Err(Failure::silent(Kind::Refused)),
        Verdict::Unjudged => Err(Failure::silent(Kind::Invalid)),
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_vet::Rule;

    /// The rules as a table in Markdown: what docs/evaluate.md has.
    fn table() -> String {
        let row = |rule: &Rule| {
            format!(
                "| `{}` | {} | {} | {} |\n",
                rule.id(),
                rule.severity().as_str(),
                rule.what(),
                crate::view::advice::words(&rule.fix())
            )
        };
        let rows: String = Rule::ALL.iter().map(row).collect();
        format!("| Rule | Severity | What | What to do |\n|---|---|---|---|\n{rows}")
    }

    #[test]
    fn the_documentation_lists_every_rule() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evaluate.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let start = text.find("| Rule |").expect("docs/evaluate.md has a table of rules");
        let end = text[start..].find("\n\n").map_or(text.len(), |length| start + length + 1);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, format!("{}{}{}", &text[..start], table(), &text[end..])).unwrap();
            return;
        }
        assert_eq!(&text[start..end], table(), "BLESS=1 updates the table");
    }
}
