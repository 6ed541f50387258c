//! `tunesmith models`: what jobs made.

use crate::view::moment::age;
use crate::view::style::{FAINT, HEADING, WARNING};
use crate::view::table::{Cell, Table};
use crate::{Output, Workbench, runtime};
use serde_json::json;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::Failure;
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_store::{Model, ModelFilter, Page};

/// List the models that jobs made.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the models that jobs made, newest first, and what each really is
    List(ListArgs),
}

/// Options of `models list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only models of this provider: ollama, openai or local
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<ProviderId>,
    /// Also those that were removed or whose name a later model took
    #[arg(long)]
    gone: bool,
    /// Show at most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on after the model of this number, as `next` says
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(command: &Command, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(args, workbench, output),
    }
}

fn list(args: &ListArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let filter = ModelFilter { provider: args.provider, gone: args.gone, ..ModelFilter::default() };
    let page = runtime()?.block_on(async {
        let Some(store) = workbench.existing_store().await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let page = store.models(&filter, args.after, args.limit).await?;
        store.close().await;
        Ok::<_, Failure>(page)
    })?;
    if args.json {
        output.json(&json!({ "models": page.items, "next": page.next }));
        return Ok(());
    }
    if page.items.is_empty() {
        output.text("no models yet: `tunesmith run JOB.json` makes one\n");
        return Ok(());
    }
    let now = now_ms();
    let mut table =
        Table::new(&["NAME", "MADE", "PROVIDER", "METHOD", "BASE MODEL", "JOB", "ANSWERED", "AGE"])
            .cut("BASE MODEL");
    for model in &page.items {
        let (made, style) = made(model);
        let mut provider = model.provider.to_string();
        if model.emulated {
            provider += " (emulated)";
        }
        table.row([
            Cell::styled(visible(&model.name), HEADING),
            Cell::styled(made, style),
            provider.into(),
            visible(&model.method).into_owned().into(),
            visible(&model.base_model).into_owned().into(),
            model.job.as_str().into(),
            match model.verified_ms {
                Some(_) => "yes".into(),
                None => Cell::styled("not yet", WARNING),
            },
            Cell::styled(age(now, model.made_ms), FAINT),
        ]);
    }
    let mut text = table.render(if output.is_terminal() { output.width() } else { usize::MAX });
    if let Some(next) = page.next {
        text += &format!("{FAINT}older ones: --after {next}{FAINT:#}\n");
    }
    output.text(&text);
    Ok(())
}

fn made(model: &Model) -> (String, anstyle::Style) {
    let made = visible(&model.made);
    match (model.removed_ms, model.superseded_ms) {
        (Some(_), _) => (format!("{made}, removed"), FAINT),
        (None, Some(_)) => (format!("{made}, name taken since"), FAINT),
        (None, None) => (made.into_owned(), anstyle::Style::new()),
    }
}
