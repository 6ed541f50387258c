//! `tunesmith jobs list`.

use crate::view::moment::age;
use crate::view::style::{FAINT, HINT, state};
use crate::view::table::{Cell, Table};
use crate::{Output, Workbench, runtime};
use serde_json::json;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::Failure;
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_store::{Job, JobFilter, Page, State};

/// Options of `jobs list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only jobs in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = super::known_state())]
    states: Vec<State>,
    /// Only jobs of this provider: ollama, openai or local
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<ProviderId>,
    /// Only jobs whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only jobs on the emulator
    #[arg(long)]
    emulated: bool,
    /// Show at most this many, newest first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on after the job of this number, as `next` says
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let filter = JobFilter {
        states: args.states.clone(),
        provider: args.provider,
        name: args.name.clone(),
        emulated: args.emulated.then_some(true),
    };
    let (page, orphans) = runtime()?.block_on(async {
        let Some(store) = workbench.existing_store().await? else {
            return Ok((Page { items: Vec::new(), next: None }, Vec::new()));
        };
        let page = store.jobs(&filter, args.after, args.limit).await?;
        let orphans = store.orphans().await?;
        store.close().await;
        Ok::<_, Failure>((page, orphans))
    })?;
    let unattended = |job: &Job| super::is_unattended(job, &orphans);
    if args.json {
        let jobs: Vec<_> = page.items.iter().map(|job| super::facts(job, unattended(job))).collect();
        output.json(&json!({ "jobs": jobs, "next": page.next }));
        return Ok(());
    }
    if page.items.is_empty() {
        let filtered = !filter.states.is_empty()
            || filter.provider.is_some()
            || filter.name.is_some()
            || filter.emulated.is_some()
            || args.after.is_some();
        output.text(if filtered {
            "no such jobs\n"
        } else {
            "no jobs yet: `tunesmith run JOB.json` makes one\n"
        });
        return Ok(());
    }
    let now = now_ms();
    let mut table =
        Table::new(&["ID", "NAME", "STATE", "PROGRESS", "METHOD", "PROVIDER", "BASE MODEL", "AGE"])
            .cut("NAME");
    for job in &page.items {
        let mut provider = job.provider.to_string();
        if job.emulated {
            provider += " (emulated)";
        }
        let mut shown_state = job.state.to_string();
        if unattended(job) {
            shown_state += ", unattended";
        }
        table.row([
            Cell::styled(job.id.as_str(), crate::view::style::HEADING),
            visible(&job.name).into_owned().into(),
            Cell::styled(shown_state, state(job.state)),
            super::progress(job).unwrap_or_default().into(),
            visible(&job.method).into_owned().into(),
            provider.into(),
            visible(&job.base_model).into_owned().into(),
            Cell::styled(age(now, job.created_ms), FAINT),
        ]);
    }
    let mut text = table.render(if output.is_terminal() { output.width() } else { usize::MAX });
    if let Some(next) = page.next {
        text += &format!("{FAINT}older ones: --after {next}{FAINT:#}\n");
    }
    let shown: Vec<&Job> = page.items.iter().filter(|job| unattended(job)).collect();
    if let Some(job) = shown.first() {
        let count = match shown.len() {
            1 => "1 job is not over and has no process that attends to it".to_owned(),
            many => format!("{many} jobs are not over and have no process that attends to them"),
        };
        text += &format!("{HINT}hint{HINT:#}: {count}: `tunesmith jobs resume {}` carries on\n", job.id);
    }
    output.text(&text);
    Ok(())
}
