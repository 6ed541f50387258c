//! `tunesmith jobs show`.

use crate::save::save;
use crate::view::chart::{self, Curve, Look};
use crate::view::dataset::size;
use crate::view::moment::{ago, clock, span, stamp};
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING, state};
use crate::{Output, Workbench, runtime};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_engine::execute::{self, Outcome};
use tunesmith_provider::facts;
use tunesmith_store::{
    Artifact, Attempt, Checkpoint, Event, Job, JobId, Kept, LONGEST_PAGE, Level, MetricPoint, Model,
    ModelFilter, Plan, Store, StoredEvent,
};

/// Options of `jobs show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job's id, or the beginning of it
    job: String,
    /// Show at most this many events, the latest
    #[arg(long, value_name = "N", default_value_t = 12)]
    events: usize,
    /// Draw the losses of this attempt in place of the last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Write the loss curve as an SVG file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    svg: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "svg")]
    force: bool,
    /// Print one JSON object, with every event and figure
    #[arg(long)]
    pub json: bool,
}

/// All that the store knows of a job.
struct Shown {
    job: Job,
    unattended: bool,
    attempts: Vec<Attempt>,
    attempt: u32,
    events: Vec<StoredEvent>,
    metrics: Vec<MetricPoint>,
    checkpoints: Vec<Checkpoint>,
    models: Vec<Model>,
    outcome: Option<Outcome>,
    artifacts: Vec<Artifact>,
    plan: Plan,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let shown = runtime()?.block_on(async {
        let (store, job) = super::find(workbench, &args.job).await?;
        let shown = read(&store, job, args.attempt).await;
        store.close().await;
        shown
    })?;
    let kept = shown.checkpoints.iter().map(|checkpoint| checkpoint.step).collect();
    let curve = Curve::of(&shown.metrics, kept);
    if let Some(path) = &args.svg {
        let Some(curve) = &curve else {
            let error = Failure::new(Code::Failed, format!("job {} has no losses to draw", shown.job.id));
            let facts = facts::of(shown.job.provider);
            return Err(error.advise(if facts.trains {
                "they come from the service while it trains".to_owned()
            } else {
                format!("{} does not train, so there are none", facts.title)
            }));
        };
        let title = format!("{} · {} · {}", shown.job.name, shown.job.method, shown.job.base_model);
        save(path, chart::svg(curve, &title).as_bytes(), args.force)?;
    }
    if args.json {
        output.json(&shown.json(args.svg.as_ref()));
        return Ok(());
    }
    let mut text = shown.text(args.events);
    if let Some(curve) = &curve {
        let look = Look { width: output.width(), unicode: output.unicode() };
        let _ = write!(text, "\n{HEADING}Loss{HEADING:#}\n{}", chart::terminal(curve, look));
    }
    if let Some(path) = &args.svg {
        let _ = writeln!(text, "\nwrote {}", path.display());
    }
    output.text(&text);
    Ok(())
}

async fn read(store: &Store, job: Job, attempt: Option<u32>) -> Result<Shown, Failure> {
    let attempts = store.attempts(&job.id).await?;
    let attempt = attempt.unwrap_or(job.attempt);
    if !attempts.iter().any(|known| known.number == attempt) {
        let message = format!("job {} has no attempt {attempt}, only {}", job.id, job.attempt);
        return Err(Failure::new(Code::Usage, message));
    }
    let filter = ModelFilter { job: Some(job.id.clone()), gone: true, ..ModelFilter::default() };
    Ok(Shown {
        unattended: super::is_unattended(&job, &store.orphans().await?),
        attempts,
        attempt,
        events: events(store, &job.id).await?,
        metrics: metrics(store, &job.id, attempt).await?,
        checkpoints: store.checkpoints(&job.id).await?,
        models: store.models(&filter, None, LONGEST_PAGE).await?.items,
        // The plan of another version may not be readable; the rest is.
        outcome: execute::outcome(store, &job).await.unwrap_or_default(),
        artifacts: store.artifacts(&job.id).await?,
        plan: store.plan(&job.id).await?,
        job,
    })
}

async fn events(store: &Store, job: &JobId) -> Result<Vec<StoredEvent>, Failure> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(seq) = after {
        let page = store.events(job, seq, LONGEST_PAGE).await?;
        all.extend(page.items);
        after = page.next;
    }
    Ok(all)
}

async fn metrics(store: &Store, job: &JobId, attempt: u32) -> Result<Vec<MetricPoint>, Failure> {
    let mut all: Vec<MetricPoint> = Vec::new();
    loop {
        let page = store.metrics(job, attempt, all.last().map(|point| point.step), LONGEST_PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Figures as JSON, which has no infinities: those are texts.
fn figures(figures: &BTreeMap<String, f64>) -> Map<String, Value> {
    let value = |figure: f64| {
        serde_json::Number::from_f64(figure).map_or_else(|| figure.to_string().into(), Value::Number)
    };
    figures.iter().map(|(name, figure)| (name.clone(), value(*figure))).collect()
}

impl Shown {
    fn json(&self, svg: Option<&PathBuf>) -> Value {
        let metrics: Vec<_> = self
            .metrics
            .iter()
            .map(|point| json!({ "step": point.step, "figures": figures(&point.figures) }))
            .collect();
        let checkpoints: Vec<_> = self
            .checkpoints
            .iter()
            .map(|checkpoint| {
                let (step, made_ms) = (checkpoint.step, checkpoint.made_ms);
                let figures = figures(&checkpoint.figures);
                match &checkpoint.kept {
                    Kept::Remote { id, model } => json!({
                        "remoteId": id, "step": step, "model": model, "figures": figures, "madeMs": made_ms,
                    }),
                    Kept::File { path } => {
                        json!({ "path": path, "step": step, "figures": figures, "madeMs": made_ms })
                    }
                }
            })
            .collect();
        json!({
            "job": super::facts(&self.job, self.unattended),
            "attempts": self.attempts,
            "events": self.events,
            "metrics": { "attempt": self.attempt, "points": metrics },
            "checkpoints": checkpoints,
            "models": self.models,
            "outcome": self.outcome,
            "artifacts": self.artifacts,
            "plan": {
                "digest": self.plan.digest,
                "document": serde_json::from_str(&self.plan.document).unwrap_or(Value::Null),
                "measured": self.plan.measured,
                "spec": self.plan.spec,
            },
            "svg": svg,
        })
    }

    fn text(&self, most_events: usize) -> String {
        let job = &self.job;
        let now = now_ms();
        let style = state(job.state);
        let mut out = format!(
            "{HEADING}{}{HEADING:#} · {} · {style}{}{style:#}\n",
            job.id,
            visible(&job.name),
            job.state
        );
        if job.emulated {
            let _ =
                writeln!(out, "{WARNING}emulated{WARNING:#}: on the built-in emulator; nothing was trained");
        }
        let mut fact = |name: &str, text: &str| {
            let _ = writeln!(out, "  {FAINT}{name:<10}{FAINT:#}  {text}");
        };
        if let Some(reason) = &job.reason {
            fact("why", &visible(reason));
        }
        if let (Some(step), Some(total)) = (job.step, job.total_steps.filter(|total| *total > 0)) {
            let percent = step.saturating_mul(100) / total;
            fact("step", &format!("{step} of {total} ({percent} %)"));
        }
        fact("method", &visible(&job.method));
        fact("base model", &visible(&job.base_model));
        fact("provider", &format!("{} at {}", job.provider, visible(&job.service)));
        if let Some(id) = &job.remote_id {
            fact("remote id", &visible(id));
        }
        if let Some(dataset) = self.plan.spec.get("dataset").or_else(|| self.plan.spec.get("datasetId")) {
            let dataset = dataset.as_str().unwrap_or_default();
            fact("dataset", &format!("{} {FAINT}{}{FAINT:#}", visible(dataset), visible(&job.dataset)));
        }
        fact("plan", &visible(&job.plan));
        fact("run id", &job.run_id);
        fact("created", &format!("{} UTC, {}", stamp(job.created_ms), ago(now, job.created_ms)));
        if job.state.is_final() {
            let attempt = self.attempts.last();
            let took = attempt.map_or(0, |attempt| job.changed_ms.saturating_sub(attempt.started_ms));
            fact("ended", &format!("{} UTC, after {}", stamp(job.changed_ms), span(took)));
        } else if self.unattended {
            let hint = format!("by no process: `tunesmith jobs resume {}` carries on", job.id);
            fact("attended", &format!("{WARNING}{hint}{WARNING:#}"));
        } else if let Some(owner) = &job.owner {
            let heard = ago(now, owner.beat_ms);
            fact("attended", &format!("by process {}, last heard of {heard}", owner.pid));
        }
        self.made(&mut out, now);
        if self.attempts.len() > 1 {
            let _ = writeln!(out, "\n{HEADING}Attempts{HEADING:#}");
            for attempt in &self.attempts {
                let there = attempt.remote_id.as_deref().map_or("nothing there".into(), visible);
                let took = match attempt.ended_ms {
                    Some(ended) => format!("took {}", span(ended.saturating_sub(attempt.started_ms))),
                    None => "not over".to_owned(),
                };
                let began = stamp(attempt.started_ms);
                let _ = writeln!(out, "  {}  {began} UTC, {took}  {there}", attempt.number);
            }
        }
        self.history(&mut out, most_events);
        if !self.checkpoints.is_empty() {
            let _ = writeln!(out, "\n{HEADING}Checkpoints{HEADING:#}");
            for checkpoint in &self.checkpoints {
                let figures: Vec<String> = checkpoint
                    .figures
                    .iter()
                    .map(|(name, value)| format!("{} {}", visible(name), chart::figure(*value)))
                    .collect();
                let _ = writeln!(
                    out,
                    "  step {:<6}  {}  {FAINT}{}{FAINT:#}",
                    checkpoint.step,
                    visible(checkpoint.kept.name()),
                    figures.join(", ")
                );
            }
        }
        if !self.artifacts.is_empty() {
            let _ = writeln!(out, "\n{HEADING}Files{HEADING:#}");
            for artifact in &self.artifacts {
                let (path, bytes) = (visible(&artifact.path), size(artifact.bytes));
                let _ = writeln!(out, "  {path}  {FAINT}{bytes}{FAINT:#}");
            }
        }
        out
    }

    fn made(&self, out: &mut String, now: i64) {
        if self.models.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{HEADING}Made{HEADING:#}");
        for model in &self.models {
            let verified = match model.verified_ms {
                Some(at) => format!("answered {}", ago(now, at)),
                None => "has not answered yet".to_owned(),
            };
            let gone = match (model.removed_ms, model.superseded_ms) {
                (Some(_), _) => ", removed since",
                (None, Some(_)) => ", its name belongs to a later model",
                (None, None) => "",
            };
            let _ = writeln!(out, "  {}  {}; {verified}{gone}", visible(&model.name), visible(&model.made));
        }
        let Some(outcome) = &self.outcome else { return };
        let _ = writeln!(out, "  {}", visible(&outcome.sentence));
        for note in &outcome.notes {
            let _ = writeln!(out, "  {FAINT}checked{FAINT:#}  {}", visible(note));
        }
        if let Some(command) = &outcome.try_it {
            let _ = writeln!(out, "  {FAINT}try it{FAINT:#}   {}", visible(command));
        }
    }

    fn history(&self, out: &mut String, most: usize) {
        // What a bar shows is no history, and a result is in the last state.
        let events = self.events.iter().filter(|stored| {
            use Event::{Bytes, Phase, Result, Steps};
            !matches!(stored.event, Phase { .. } | Bytes { .. } | Steps { .. } | Result { .. })
        });
        let count = events.clone().count();
        let skipped = count.saturating_sub(most);
        if count == 0 || most == 0 {
            return;
        }
        let _ = write!(out, "\n{HEADING}Events{HEADING:#}");
        if skipped > 0 {
            let _ = write!(out, " {FAINT}(the last {most} of {count}; --events N shows more){FAINT:#}");
        }
        out.push('\n');
        for event in events.skip(skipped) {
            let _ = writeln!(out, "  {}", line(event));
        }
    }
}

/// An event on one line.
fn line(stored: &StoredEvent) -> String {
    let (mut style, mut mark) = match stored.event.level() {
        Level::Info => (anstyle::Style::new(), ""),
        Level::Warning => (WARNING, "warning: "),
        Level::Error => (ERROR, "error: "),
    };
    if let Event::State { to, .. } = stored.event {
        // Its colour says it.
        (style, mark) = (state(to), "");
    }
    let (service, from) = match stored.remote_id {
        Some(_) => (HINT, "service  "),
        None => (anstyle::Style::new(), ""),
    };
    format!(
        "{FAINT}{}{FAINT:#}  {service}{from}{service:#}{style}{mark}{}{style:#}",
        clock(stored.at_ms),
        visible(&stored.event.to_string())
    )
}
