//! The lines of `--json`: an object each, with an `event`. `docs/run.md` lists them, and a
//! test compares.

use crate::view::advice;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use tunesmith_engine::execute::Ended;
use tunesmith_store::{Answer, Ask, Event, JobId, State};

/// What a command says of its own work. `planned` and `plugin` have fields of their own:
/// [`Brief`](crate::view::brief::Brief) and [`Change`](tunesmith_plugin_host::Change).
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Line<'a> {
    Started { job: &'a JobId, file: &'a Path, name: &'a str },
    Recovered { job: &'a JobId, state: State, error: Option<String> },
    Detached { job: &'a JobId, state: State },
    Asked { job: &'a JobId, request: Ask, answer: Option<&'a Answer>, state: State },
    Summary { succeeded: u64, failed: usize, detached: u64, emulated: bool },
}

/// An event of a job. The file is the one that the command was given, if it was given one.
pub(crate) fn of_event(job: Option<&JobId>, file: Option<&Path>, at_ms: i64, event: &Event) -> Value {
    let mut line = json!(event);
    if let Event::Failed { error } = event {
        line["error"] = advice::json(error);
    }
    line["job"] = json!(job);
    line["file"] = json!(file);
    line["atMs"] = json!(at_ms);
    line
}

/// How a job ended, with what it made.
pub(crate) fn result(ended: &Ended) -> Event {
    let (state, reason) = (ended.job.state, ended.job.reason.clone());
    Event::Result { state, reason, outcome: ended.outcome.as_ref().map(|outcome| json!(outcome)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tunesmith_core::failure::{Code, Failure};
    use tunesmith_store::{Level, Transfer};

    #[test]
    fn documentation_lists_every_line_and_field() {
        let documentation = include_str!("../../../../docs/run.md");
        let job: JobId = serde_json::from_value(json!("k3f9ab")).unwrap();
        let (job, state) = (&job, State::Running);
        let figures = [("train_loss".to_owned(), 0.5)].into();
        let events = [
            Event::State { from: None, to: state, reason: None },
            Event::Phase { phase: "creating".into(), detail: None },
            Event::Bytes { what: Transfer::Pull, done: 1, total: 2 },
            Event::Steps { step: 1, total: 2, eta_seconds: None },
            Event::Metrics { step: 1, figures },
            Event::Waiting { text: "busy".into() },
            Event::Message { level: Level::Info, text: "hello".into(), data: None },
            Event::Owner { pid: 7 },
            Event::Request { request: Ask::Pause, answer: None },
            Event::Result { state, reason: None, outcome: None },
            Event::Failed { error: Failure::new(Code::Failed, "no") },
        ];
        let commands = [
            Line::Started { job, file: Path::new("job.json"), name: "a" },
            Line::Recovered { job, state, error: None },
            Line::Detached { job, state },
            Line::Asked { job, request: Ask::Pause, answer: None, state },
            Line::Summary { succeeded: 1, failed: 0, detached: 0, emulated: true },
        ];
        let lines = events.iter().map(|event| of_event(Some(job), None, 0, event));
        for line in lines.chain(commands.iter().map(|line| json!(line))) {
            let fields = line.as_object().unwrap();
            let name = fields["event"].as_str().unwrap();
            let row = documentation.lines().find_map(|row| row.strip_prefix(&format!("| `{name}` | ")));
            let row = row.unwrap_or_else(|| panic!("{name} is not documented"));
            // What follows a colon explains.
            let (listed, _) = row.split_once(':').unwrap_or((row, ""));
            let listed: BTreeSet<_> = listed.split('`').skip(1).step_by(2).collect();
            let printed: BTreeSet<_> =
                fields.keys().map(String::as_str).filter(|field| *field != "event").collect();
            assert_eq!(listed, printed, "{name}");
        }
    }
}
