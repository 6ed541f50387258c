//! What a run shows while it goes on and at its end: bars on a terminal, lines where
//! nobody watches, objects for programs.

use crate::Output;
use crate::view::advice;
use crate::view::brief::Brief;
use crate::view::line::{self, Line};
use crate::view::output::{JsonLines, Progress as Say};
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tunesmith_core::failure::Failure;
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_engine::execute::{Checked, Ended, OnProgress, Outcome, Recovered};
use tunesmith_plugin_host::Change;
use tunesmith_provider::facts;
use tunesmith_store::{Event, Job, JobId, Level, Transfer};

/// Names are cut after this many characters in front of a bar.
const NAME_WIDTH: usize = 28;

/// How often a bar that waits shows that it lives.
const TICK: Duration = Duration::from_millis(120);

/// Steps are told to a log every this share of them.
const TOLD_SHARE: u64 = 10;

/// Shows runs. Clones share the screen.
#[derive(Clone)]
pub(crate) struct Display(Arc<Inner>);

struct Inner {
    json: bool,
    say: Say,
    /// On a terminal.
    bars: Option<MultiProgress>,
    jobs: Mutex<HashMap<JobId, OfJob>>,
}

/// What is on the screen for a job.
#[derive(Default)]
struct OfJob {
    file: Option<PathBuf>,
    bar: Option<ProgressBar>,
    looks: Looks,
    loss: Option<f64>,
    /// The share of steps that a log was told of.
    told: u64,
}

/// What a bar shows.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Looks {
    #[default]
    Spinner,
    Steps,
    Bytes,
}

impl Looks {
    fn style(self) -> ProgressStyle {
        let template = match self {
            Self::Spinner => "{spinner} {prefix}  {msg}",
            Self::Steps => "{spinner} {prefix}  {wide_bar} {pos}/{len}  {msg}",
            Self::Bytes => "{spinner} {prefix}  {wide_bar} {bytes}/{total_bytes}  {msg}",
        };
        // The templates are constants; one that could not be read would show as a spinner.
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
    }
}

impl Display {
    /// A display for what the output is.
    pub(crate) fn new(output: &Output, json: bool) -> Self {
        let bars = (!json && std::io::stderr().is_terminal())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self(Arc::new(Inner { json, say: output.progress_handle(), bars, jobs: Mutex::default() }))
    }

    /// Who hears of events in this process.
    pub(crate) fn on_progress(&self) -> OnProgress {
        let this = self.clone();
        Arc::new(move |id, new| this.event(id, new.at_ms, &new.event))
    }

    /// For saying a line of its own.
    pub(crate) fn say(&self) -> Say {
        self.0.say
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, OfJob>> {
        // Every write is whole, so a panic elsewhere leaves nothing half-done.
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a line above the bars.
    fn line(&self, text: &str) {
        match &self.0.bars {
            Some(bars) => bars.suspend(|| self.0.say.raw(text)),
            None => self.0.say.raw(text),
        }
    }

    /// Hides the bars while something is asked.
    pub(crate) fn pause(&self) {
        if let Some(bars) = &self.0.bars {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Shows them again.
    pub(crate) fn go_on(&self) {
        if let Some(bars) = &self.0.bars {
            bars.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        }
    }

    /// Nothing more is shown.
    pub(crate) fn done(&self) {
        self.jobs().clear();
        if let Some(bars) = &self.0.bars {
            // A screen that cannot be cleared keeps its last lines.
            let _ = bars.clear();
        }
    }

    pub(crate) fn planned(&self, brief: &Brief, checked: &Checked, output: &mut Output) {
        if self.0.json {
            output.json_line(&brief.json(checked));
        } else {
            self.line(brief.text(checked, true).trim_end());
        }
    }

    /// Something happened to a plugin while jobs were being planned.
    pub(crate) fn plugin(&self, change: &Change, output: &mut Output) {
        if self.0.json {
            if let Ok(Value::Object(mut fields)) = serde_json::to_value(change) {
                fields.insert("event".to_owned(), json!("plugin"));
                output.json_line(&fields);
            }
            return;
        }
        let text = change.to_string();
        let text = visible(&text);
        self.line(&match change.is_warning() {
            true => format!("{WARNING}!{WARNING:#} {text}"),
            false => format!("{FAINT}{text}{FAINT:#}"),
        });
    }

    pub(crate) fn refused(&self, file: &Path, error: &Failure, output: &mut Output) {
        self.failed(file, None, error, true, output);
    }

    pub(crate) fn started(&self, brief: &Brief, id: &JobId) {
        self.begin(id, &brief.name);
        if self.0.json {
            if let Some(of) = self.jobs().get_mut(id) {
                of.file = Some(brief.file.clone());
            }
            JsonLines.write(&Line::Started { job: id, file: &brief.file, name: &brief.name });
        } else if self.0.bars.is_none() {
            self.line(&format!("{id}  {}", visible(&brief.name)));
        }
    }

    /// Makes room for a job.
    pub(crate) fn begin(&self, id: &JobId, name: &str) {
        let bar = self.0.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(Looks::Spinner.style());
            let name: String = visible(name).chars().take(NAME_WIDTH).collect();
            bar.set_prefix(format!("{id} {name}"));
            bar.enable_steady_tick(TICK);
            bar
        });
        self.jobs().insert(id.clone(), OfJob { bar, ..OfJob::default() });
    }

    /// A job needs no room any more.
    pub(crate) fn over(&self, id: Option<&JobId>) {
        if let Some(of) = id.and_then(|id| self.jobs().remove(id))
            && let Some(bar) = of.bar
        {
            bar.finish_and_clear();
        }
    }

    /// Something happened to a job.
    pub(crate) fn event(&self, id: &JobId, at_ms: i64, event: &Event) {
        if matches!(event, Event::Result { .. }) {
            // Shown with what it made, once the command is done with the job.
            return;
        }
        if self.0.json {
            let file = self.jobs().get(id).and_then(|of| of.file.clone());
            JsonLines.write(&line::of_event(Some(id), file.as_deref(), at_ms, event));
            return;
        }
        let mut jobs = self.jobs();
        let Some(of) = jobs.get_mut(id) else { return };
        match &of.bar {
            Some(bar) => {
                let bar = bar.clone();
                let above = of.on_bar(&bar, event);
                drop(jobs);
                if let Some(text) = above {
                    self.line(&format!("{id}  {text}"));
                }
            }
            None => {
                let line = of.in_log(event);
                drop(jobs);
                if let Some(text) = line {
                    self.line(&format!("{id}  {text}"));
                }
            }
        }
    }

    pub(crate) fn recovered(&self, one: &Recovered, output: &mut Output) {
        let (id, error) = (&one.job.id, one.result.as_ref().err());
        let state = one.result.as_ref().map_or(one.job.state, |ended| ended.job.state);
        if self.0.json {
            let error = error.map(ToString::to_string);
            output.json_line(&Line::Recovered { job: id, state, error });
            return;
        }
        let name = visible(&one.job.name);
        let text = match error {
            Some(error) => format!("could not recover job {id} ({name}) from an interrupted run: {error}"),
            // It goes on at its service: nothing was in doubt.
            None if one.job.state == state => return,
            None => format!("recovered job {id} ({name}) from an interrupted run: {state}"),
        };
        self.line(&format!("{FAINT}{text}{FAINT:#}"));
    }

    pub(crate) fn detached(&self, job: &Job, output: &mut Output) {
        if self.0.json {
            output.json_line(&Line::Detached { job: &job.id, state: job.state });
            return;
        }
        let id = &job.id;
        let text = format!(
            "{HEADING}{id}{HEADING:#} {} goes on without this command: {}\n  {FAINT}follow{FAINT:#}  tunesmith jobs follow {id}\n  \
             {FAINT}cancel{FAINT:#}  tunesmith jobs cancel {id}\n",
            visible(&job.name),
            job.state
        );
        output.text(&text);
    }

    pub(crate) fn result(&self, file: &Path, ended: &Ended, many: bool, output: &mut Output) {
        let job = &ended.job;
        if self.0.json {
            let result = line::result(ended);
            output.json_line(&line::of_event(Some(&job.id), Some(file), now_ms(), &result));
            return;
        }
        let Some(outcome) = &ended.outcome else {
            output.text(&format!("{} is {}\n", job.id, job.state));
            return;
        };
        let text = if many { outcome_line(job, outcome) } else { outcome_text(job, outcome) };
        output.text(&text);
    }

    pub(crate) fn failed(
        &self,
        file: &Path,
        id: Option<&JobId>,
        error: &Failure,
        many: bool,
        output: &mut Output,
    ) {
        if self.0.json {
            let failed = Event::Failed { error: error.clone() };
            output.json_line(&line::of_event(id, Some(file), now_ms(), &failed));
        }
        // A single job's error is shown by the program's end.
        if many || self.0.json {
            let mut text = format!("{ERROR}error{ERROR:#}: {}: {}", file.display(), error.message);
            for hint in advice::hints(error) {
                let _ = write!(text, "\n  {HINT}hint{HINT:#}: {hint}");
            }
            self.line(&text);
        }
    }
}

impl OfJob {
    /// Shows an event on the job's bar; what is worth a line of its own comes back.
    fn on_bar(&mut self, bar: &ProgressBar, event: &Event) -> Option<String> {
        match event {
            Event::State { to, .. } => {
                self.looks(bar, Looks::Spinner);
                bar.set_message(to.to_string());
            }
            Event::Phase { phase, detail } => {
                self.looks(bar, Looks::Spinner);
                bar.set_message(phase_text(phase, detail.as_deref()));
            }
            Event::Bytes { what, done, total } => {
                self.looks(bar, Looks::Bytes);
                bar.set_length(*total);
                bar.set_position(*done);
                bar.set_message(match what {
                    Transfer::Upload => "uploading",
                    Transfer::Pull => "pulling",
                });
            }
            Event::Steps { step, total, eta_seconds } => {
                self.looks(bar, Looks::Steps);
                bar.set_length(*total);
                bar.set_position(*step);
                bar.set_message(self.steps_text(*eta_seconds));
            }
            Event::Metrics { figures, .. } => {
                self.loss = figures.get("train_loss").copied().or(self.loss);
            }
            Event::Waiting { text } => bar.set_message(format!("waiting: {}", visible(text))),
            other => return text(other),
        }
        None
    }

    fn looks(&mut self, bar: &ProgressBar, looks: Looks) {
        if self.looks != looks {
            self.looks = looks;
            // A number of bytes is no step.
            bar.set_position(0);
            bar.set_style(looks.style());
        }
    }

    fn steps_text(&self, eta_seconds: Option<u64>) -> String {
        let mut text = String::new();
        if let Some(loss) = self.loss {
            let _ = write!(text, "loss {loss:.3}  ");
        }
        if let Some(seconds) = eta_seconds {
            let _ = write!(text, "{} left", duration(seconds));
        }
        text
    }

    /// A line for a log, where something is worth one.
    fn in_log(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Metrics { figures, .. } => {
                self.loss = figures.get("train_loss").copied().or(self.loss);
                None
            }
            Event::Steps { step, total, eta_seconds } => {
                let share = (step * TOLD_SHARE).checked_div(*total).unwrap_or_default();
                if share <= self.told && step != total {
                    return None;
                }
                self.told = share;
                Some(
                    format!("step {step} of {total}  {}", self.steps_text(*eta_seconds))
                        .trim_end()
                        .to_owned(),
                )
            }
            other => text(other),
        }
    }
}

/// An event as a line; none for what passes too quickly to be read.
pub(crate) fn text(event: &Event) -> Option<String> {
    let text = event.to_string();
    let text = visible(&text);
    Some(match (event, event.level()) {
        (Event::State { .. } | Event::Waiting { .. }, _) => text.into_owned(),
        (Event::Result { .. }, _) | (_, Level::Info) => return None,
        (_, Level::Warning) => format!("{WARNING}!{WARNING:#} {text}"),
        (_, Level::Error) => format!("{ERROR}!{ERROR:#} {text}"),
    })
}

fn phase_text(phase: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{} {FAINT}{}{FAINT:#}", visible(phase), visible(detail)),
        None => visible(phase).into_owned(),
    }
}

/// A time span in two units at most.
fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// What a job made, for people.
pub(crate) fn outcome_text(job: &Job, outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{HEADING}{}{HEADING:#} is ready · {}", visible(&outcome.model), made(outcome));
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(text, "  {FAINT}{name:<10}{FAINT:#} {}", visible(value));
    };
    fact("what it is", &outcome.sentence);
    for note in &outcome.notes {
        fact("checked", note);
    }
    fact("where", &place(outcome));
    fact("job", &format!("{} · tunesmith jobs show {}", job.id, job.id));
    if let Some(folder) = outcome.artifacts.first().and_then(|path| path.parent()) {
        fact("files", &folder.display().to_string());
    }
    match &outcome.try_it {
        Some(command) => fact("try it", command),
        None if !facts::of(job.provider).costs_money => {
            fact(
                "for real",
                "with Ollama running, the same command without --emulate; then `ollama run` talks to it",
            );
        }
        None => fact("for real", "with OPENAI_API_KEY set, the same command without --emulate"),
    }
    text
}

fn made(outcome: &Outcome) -> String {
    let what = visible(&outcome.made);
    if outcome.emulated {
        format!("{what}, on the emulator: nothing real was made")
    } else {
        what.into_owned()
    }
}

fn place(outcome: &Outcome) -> String {
    if outcome.emulated && outcome.service == tunesmith_engine::execute::EMULATOR_SERVICE {
        "the built-in emulator".to_owned()
    } else {
        outcome.service.clone()
    }
}

fn outcome_line(job: &Job, outcome: &Outcome) -> String {
    format!("{HEADING}{}{HEADING:#} {} · {}\n", job.id, visible(&outcome.model), made(outcome))
}

/// What came of many jobs.
pub(crate) fn summary(succeeded: u64, failed: usize, detached: u64) -> String {
    let mut parts = vec![format!("{succeeded} made")];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if detached > 0 {
        parts.push(format!("{detached} go on without this command"));
    }
    format!("\n{}\n", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_store::State;

    #[test]
    fn a_log_hears_of_states_and_of_each_tenth_of_the_steps() {
        let mut job = OfJob::default();
        let mut lines = Vec::new();
        let state = Event::State { from: None, to: State::Running, reason: None };
        lines.extend(job.in_log(&state));
        for step in 1..=200 {
            let figures = [("train_loss".to_owned(), 2.0 / f64::from(step))].into();
            let step = u64::try_from(step).unwrap();
            lines.extend(job.in_log(&Event::Metrics { step, figures }));
            lines.extend(job.in_log(&Event::Steps { step, total: 200, eta_seconds: Some(200 - step) }));
        }
        assert_eq!(lines.len(), 11, "{lines:#?}");
        assert_eq!(lines[1], "step 20 of 200  loss 0.100  3 min 0 s left");
        assert_eq!(lines[10], "step 200 of 200  loss 0.010  0 s left");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!([5, 65, 3_600, 90_061].map(duration), ["5 s", "1 min 5 s", "1 h 0 min", "25 h 1 min"]);
    }
}
