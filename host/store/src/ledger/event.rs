//! Events: what happened to a job, in order, each once.

use super::named::named;
use super::state::State;
use serde_json::Value;

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

/// What an event is about. Stored as its name and, beside it, its fields as JSON, so
/// that another kind needs no change of the schema.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum EventKind {
    /// The state changed; `from` is `None` for the first.
    State {
        from: Option<State>,
        to: State,
        /// Why, where there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Another process took the job over.
    Owner,
    /// Someone asked for something, or was answered.
    Request,
    /// The service reports.
    Service,
    /// tunesmith reports, such as a phase of the work. A kind that this version does not
    /// know reads as this one: its message is there all the same.
    #[serde(other)]
    Note,
}

/// The name of the field that tells kinds apart.
const TAG: &str = "kind";

impl EventKind {
    /// Its name, and its fields as JSON where it has some.
    pub(crate) fn stored(&self) -> (String, Option<Value>) {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            unreachable!("an enum that serde tags is an object")
        };
        let Some(Value::String(name)) = fields.shift_remove(TAG) else {
            unreachable!("serde names each kind")
        };
        (name, (!fields.is_empty()).then_some(Value::Object(fields)))
    }

    /// Back from [`Self::stored`]; what the JSON holds beyond the kind's own fields is
    /// returned as well: the data of a kind that has none.
    pub(crate) fn read(name: &str, json: Option<Value>) -> Result<(Self, Option<Value>), serde_json::Error> {
        let mut tagged = match &json {
            Some(Value::Object(fields)) if name == "state" => fields.clone(),
            _ => serde_json::Map::new(),
        };
        tagged.insert(TAG.to_owned(), name.into());
        let kind: Self = serde_json::from_value(Value::Object(tagged))?;
        let data = json.filter(|_| !matches!(kind, Self::State { .. }));
        Ok((kind, data))
    }
}

/// An event of a job.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the job's order, from 1, without gaps.
    pub seq: i64,
    /// When it happened, by the service's clock where it comes from there.
    pub at_ms: i64,
    pub recorded_ms: i64,
    #[serde(flatten)]
    pub kind: EventKind,
    pub level: Level,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: Option<Value>,
    /// The service's id of it.
    pub remote_id: Option<String>,
}

/// An event to append.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// When it happened.
    pub at_ms: i64,
    pub level: Level,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: Option<Value>,
    /// The service's id, by which the event is recorded once; without one it is
    /// tunesmith's own note.
    pub remote_id: Option<String>,
}

impl NewEvent {
    /// An event of the store's own.
    pub(crate) fn own(at_ms: i64, level: Level, message: String) -> Self {
        Self { at_ms, level, message, data: None, remote_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_read_back_as_stored() {
        let state = EventKind::State { from: None, to: State::Failed, reason: Some("full: disk".into()) };
        let (name, fields) = state.stored();
        assert_eq!(fields, Some(json!({"from": null, "to": "failed", "reason": "full: disk"})));
        assert_eq!(EventKind::read(&name, fields).unwrap(), (state, None));
        let data = Some(json!({"type": "metrics", "kind": "owner"}));
        for kind in [EventKind::Owner, EventKind::Request, EventKind::Service, EventKind::Note] {
            let (name, fields) = kind.stored();
            assert_eq!(fields, None);
            assert_eq!(EventKind::read(&name, data.clone()).unwrap(), (kind, data.clone()));
        }
    }

    #[test]
    fn unknown_kind_reads_as_a_note() {
        let data = Some(json!({"bytes": 7}));
        assert_eq!(EventKind::read("upload", data.clone()).unwrap(), (EventKind::Note, data));
        EventKind::read("state", Some(json!({"to": "elsewhere"}))).unwrap_err();
    }
}
