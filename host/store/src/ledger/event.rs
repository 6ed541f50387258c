//! Events: what happened to a job, in order, each once.

use super::metric;
use super::named::named;
use super::request::{Answer, Ask};
use super::state::State;
use crate::redact::Redactor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use tunesmith_core::failure::Failure;

named! {
    /// How much an event matters.
    Level, "level" {
        /// For information.
        Info = "info",
        /// Worth a look.
        Warning = "warning",
        /// Something failed.
        Error = "error",
    }
}

/// Which bytes are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transfer {
    /// A training file, to the service.
    Upload,
    /// A base model, to the server.
    Pull,
}

/// What happens to a job: what viewers show and programs read, in this process and in any
/// other. Stored as its name and, beside it, its fields as JSON, so that another event
/// needs no change of the schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The job moved in its state machine; `from` is `None` for the first state.
    State {
        from: Option<State>,
        to: State,
        /// Why, where there is more to say.
        #[serde(default)]
        reason: Option<String>,
    },
    /// What is being done.
    Phase {
        /// In a word or two.
        phase: String,
        /// More.
        #[serde(default)]
        detail: Option<String>,
    },
    /// How far a transfer has come.
    Bytes { what: Transfer, done: u64, total: u64 },
    /// How far training has come.
    Steps {
        step: u64,
        total: u64,
        /// An estimate of the rest.
        #[serde(default)]
        eta_seconds: Option<u64>,
    },
    /// Figures of a step, by name, such as `train_loss`.
    Metrics {
        step: u64,
        #[serde(with = "metric::as_json")]
        figures: BTreeMap<String, f64>,
    },
    /// A failure that may pass; it is tried again.
    Waiting { text: String },
    /// What the service or tunesmith reports. An event that this version does not know
    /// reads as this one.
    Message {
        level: Level,
        text: String,
        /// More, for programs.
        #[serde(default)]
        data: Option<Value>,
    },
    /// Another process took the job over from this one, which is gone.
    Owner { pid: u32 },
    /// Someone asked for something, or was answered.
    Request {
        request: Ask,
        #[serde(default)]
        answer: Option<Answer>,
    },
    /// An attempt is over.
    Result {
        state: State,
        reason: Option<String>,
        /// What it made. The ledger keeps that as models, notes and artifacts, so it is
        /// `None` there.
        #[serde(default)]
        outcome: Option<Value>,
    },
    /// The work on the job ended with an error.
    Failed { error: Failure },
}

/// The name of the field that tells events apart.
const TAG: &str = "event";

/// What [`Event::Message`] is stored as. Its level and text have columns of their own.
const MESSAGE: &str = "message";

/// An event as the columns of a row.
pub(crate) struct Columns {
    pub kind: String,
    pub level: Level,
    /// For whoever reads the database by hand.
    pub message: String,
    pub data: Option<Value>,
}

impl Event {
    pub(crate) fn columns(&self) -> Columns {
        let (level, message) = (self.level(), self.to_string());
        if let Self::Message { data, .. } = self {
            return Columns { kind: MESSAGE.to_owned(), level, message, data: data.clone() };
        }
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            unreachable!("an enum that serde tags is an object")
        };
        let Some(Value::String(kind)) = fields.shift_remove(TAG) else {
            unreachable!("serde names each event")
        };
        Columns { kind, level, message, data: Some(Value::Object(fields)) }
    }

    /// Back from [`Self::columns`], and from what older versions wrote: their kinds
    /// `service` and `note`, and others without fields, are messages.
    pub(crate) fn read(columns: Columns) -> Result<Self, serde_json::Error> {
        const WITH_FIELDS: &[&str] = &[
            "state", "phase", "bytes", "steps", "metrics", "waiting", "owner", "request", "result", "failed",
        ];
        let Columns { kind, level, message: text, data } = columns;
        match data {
            Some(Value::Object(fields)) if WITH_FIELDS.contains(&kind.as_str()) => {
                let tag = std::iter::once((TAG.to_owned(), Value::String(kind)));
                serde_json::from_value(Value::Object(tag.chain(fields).collect::<Map<_, _>>()))
            }
            data => Ok(Self::Message { level, text, data }),
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Message { level, .. } => *level,
            Self::State { to: State::Failed, .. }
            | Self::Result { state: State::Failed, .. }
            | Self::Failed { .. } => Level::Error,
            Self::State { to: State::Unknown, .. }
            | Self::Owner { .. }
            | Self::Waiting { .. }
            | Self::Request { answer: Some(Answer::Refused(_)), .. } => Level::Warning,
            _ => Level::Info,
        }
    }

    /// With every free text masked and bounded.
    pub(crate) fn redacted(&self, redactor: &Redactor) -> Self {
        let masked = |text: &mut String| *text = redactor.text(text);
        let mut event = self.clone();
        match &mut event {
            Self::State { reason, .. } => reason.iter_mut().for_each(masked),
            Self::Phase { phase, detail } => std::iter::once(phase).chain(detail).for_each(masked),
            Self::Metrics { figures, .. } => {
                *figures = figures.iter().map(|(name, figure)| (redactor.text(name), *figure)).collect();
            }
            Self::Waiting { text } => masked(text),
            Self::Message { text, data, .. } => {
                masked(text);
                *data = data.as_ref().map(|data| redactor.json(data));
            }
            Self::Request { answer, .. } => {
                *answer = answer.as_ref().map(|answer| answer.with_detail(|text| redactor.text(text)));
            }
            Self::Result { reason, outcome, .. } => {
                reason.iter_mut().for_each(masked);
                *outcome = outcome.as_ref().map(|outcome| redactor.json(outcome));
            }
            Self::Failed { error } => {
                masked(&mut error.message);
                let advice = serde_json::to_value(&error.advice).map(|advice| redactor.json(&advice));
                // Advice that is too long, or no longer what it was, is left out.
                error.advice = advice.and_then(serde_json::from_value).unwrap_or_default();
            }
            Self::Bytes { .. } | Self::Steps { .. } | Self::Owner { .. } => {}
        }
        event
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { to: state, reason, .. } | Self::Result { state, reason, .. } => match reason {
                Some(reason) => write!(f, "{state}: {reason}"),
                None => write!(f, "{state}"),
            },
            Self::Phase { phase, detail: Some(detail) } => write!(f, "{phase} {detail}"),
            Self::Phase { phase, detail: None } => f.write_str(phase),
            Self::Bytes { what: Transfer::Upload, done, total } => {
                write!(f, "uploaded {done} of {total} bytes")
            }
            Self::Bytes { what: Transfer::Pull, done, total } => write!(f, "pulled {done} of {total} bytes"),
            Self::Steps { step, total, .. } => write!(f, "step {step} of {total}"),
            Self::Metrics { step, figures } => {
                write!(f, "step {step}")?;
                figures.iter().try_for_each(|(name, figure)| write!(f, ", {name} {figure:.3}"))
            }
            Self::Waiting { text } => write!(f, "waiting: {text}"),
            Self::Message { text, .. } => f.write_str(text),
            Self::Owner { pid } => write!(f, "taken over from process {pid}, which is gone"),
            Self::Request { request, answer } => match answer {
                None => write!(f, "asked to {request}"),
                Some(Answer::Done) => write!(f, "request to {request} done"),
                Some(Answer::Refused(why)) => write!(f, "request to {request} refused: {why}"),
                Some(Answer::Moot(why)) => write!(f, "request to {request} moot: {why}"),
            },
            Self::Failed { error } => write!(f, "{error}"),
        }
    }
}

/// An event of a job, as it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Its place in the job's order, from 1, without gaps.
    pub seq: i64,
    /// When it happened, by the service's clock where it comes from there.
    pub at_ms: i64,
    pub recorded_ms: i64,
    #[serde(flatten)]
    pub event: Event,
    /// The service's id of it.
    pub remote_id: Option<String>,
}

/// An event to append.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// When it happened.
    pub at_ms: i64,
    pub event: Event,
    /// The service's id, by which the event is recorded once; without one it is
    /// tunesmith's own.
    pub remote_id: Option<String>,
}

impl NewEvent {
    /// An event of tunesmith's own.
    pub fn own(at_ms: i64, event: Event) -> Self {
        Self { at_ms, event, remote_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tunesmith_core::failure::{Advice, Code};

    #[test]
    fn events_read_back_as_stored() {
        let failure = Failure::new(Code::Failed, "no").advise(Advice::ResumeJob { job: "a".into() });
        let figures = [("train_loss".to_owned(), f64::INFINITY), ("valid_loss".to_owned(), 0.5)].into();
        for event in [
            Event::State { from: None, to: State::Failed, reason: Some("full: disk".into()) },
            Event::Phase { phase: "creating".into(), detail: None },
            Event::Bytes { what: Transfer::Upload, done: 1, total: 2 },
            Event::Steps { step: 1, total: 2, eta_seconds: Some(3) },
            Event::Metrics { step: 1, figures },
            Event::Waiting { text: "busy".into() },
            Event::Message {
                level: Level::Warning,
                text: "odd".into(),
                data: Some(json!({"event": "owner"})),
            },
            Event::Owner { pid: 7 },
            Event::Request { request: Ask::Pause, answer: None },
            Event::Request { request: Ask::Pause, answer: Some(Answer::Refused("no".into())) },
            Event::Result { state: State::Succeeded, reason: None, outcome: None },
            Event::Failed { error: failure },
        ] {
            assert_eq!(Event::read(event.columns()).unwrap(), event);
        }
    }

    #[test]
    fn unknown_and_older_kinds_read_as_messages() {
        let read = |kind: &str, data: Option<Value>| {
            Event::read(Columns { kind: kind.into(), level: Level::Info, message: "text".into(), data })
        };
        for (kind, data) in
            [("note", Some(json!({"outcome": 1}))), ("later", Some(json!({"bytes": 7}))), ("owner", None)]
        {
            let message = Event::Message { level: Level::Info, text: "text".into(), data: data.clone() };
            assert_eq!(read(kind, data).unwrap(), message);
        }
        read("state", Some(json!({"to": "elsewhere"}))).unwrap_err();
    }
}
