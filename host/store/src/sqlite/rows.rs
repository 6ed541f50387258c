//! Rows as the ledger's types.

use crate::Error;
use crate::ledger::event::Columns;
use crate::ledger::metric;
use crate::ledger::{
    Answer, Artifact, Attempt, Checkpoint, Event, Intent, IntentId, Job, JobId, Kept, MetricPoint, Model,
    Outcome, Owner, Plan, PluginEvent, Request, RequestId, StoredEvent, UploadedFile,
};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A number as the database's integers have it.
pub fn integer(what: &'static str, value: u64) -> Result<i64, Error> {
    i64::try_from(value)
        .map_err(|_| Error::Invalid { what, why: format!("{value} is more than the store can hold") })
}

/// A column that holds a number that is never negative.
fn natural(row: &SqliteRow, column: &str) -> Result<u64, Error> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

fn maybe_natural(row: &SqliteRow, column: &str) -> Result<Option<u64>, Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(i64::cast_unsigned))
}

/// A column that may hold JSON.
fn maybe_json(row: &SqliteRow, column: &str) -> Result<Option<Value>, Error> {
    let json = row.try_get::<Option<&str>, _>(column)?.map(serde_json::from_str).transpose();
    json.map_err(|error| Error::Fault { detail: format!("{column} is not JSON: {error}") })
}

fn json(row: &SqliteRow, column: &str) -> Result<Value, Error> {
    Ok(maybe_json(row, column)?.unwrap_or_default())
}

pub fn job(row: &SqliteRow) -> Result<Job, Error> {
    let owner = match row.try_get::<Option<String>, _>("owner")? {
        Some(token) => Some(Owner { pid: row.try_get("pid")?, beat_ms: row.try_get("beat_ms")?, token }),
        None => None,
    };
    Ok(Job {
        id: JobId::stored(row.try_get("id")?),
        number: row.try_get("number")?,
        name: row.try_get("name")?,
        provider: row.try_get::<&str, _>("provider")?.parse()?,
        service: row.try_get("service")?,
        method: row.try_get("method")?,
        base_model: row.try_get("base_model")?,
        emulated: row.try_get("emulated")?,
        remote: row.try_get("remote")?,
        dataset: row.try_get("dataset")?,
        plan: row.try_get("plan")?,
        state: row.try_get::<&str, _>("state")?.parse()?,
        reason: row.try_get("reason")?,
        attempt: row.try_get("attempt")?,
        run_id: row.try_get("run_id")?,
        remote_id: row.try_get("remote_id")?,
        step: maybe_natural(row, "step")?,
        total_steps: maybe_natural(row, "total_steps")?,
        owner,
        synced: row.try_get("synced")?,
        created_ms: row.try_get("created_ms")?,
        changed_ms: row.try_get("changed_ms")?,
        last_event: row.try_get("last_event")?,
    })
}

pub fn attempt(row: &SqliteRow) -> Result<Attempt, Error> {
    Ok(Attempt {
        number: row.try_get("number")?,
        run_id: row.try_get("run_id")?,
        remote_id: row.try_get("remote_id")?,
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
    })
}

pub fn plan(row: &SqliteRow) -> Result<Plan, Error> {
    Ok(Plan {
        digest: row.try_get("digest")?,
        document: row.try_get("document")?,
        measured: json(row, "measured")?,
        spec: json(row, "spec")?,
    })
}

pub fn intent(row: &SqliteRow) -> Result<Intent, Error> {
    Ok(Intent {
        id: IntentId(row.try_get("id")?),
        attempt: row.try_get("attempt")?,
        operation: row.try_get::<&str, _>("operation")?.parse()?,
        request_hash: row.try_get("request_hash")?,
        run_id: row.try_get("run_id")?,
        opened_ms: row.try_get("opened_ms")?,
        note: maybe_json(row, "note")?,
        outcome: outcome(row)?,
        settled_ms: row.try_get("settled_ms")?,
    })
}

fn outcome(row: &SqliteRow) -> Result<Option<Outcome>, Error> {
    let detail = row.try_get::<Option<String>, _>("detail")?.unwrap_or_default();
    Ok(match row.try_get::<Option<&str>, _>("result")? {
        None => None,
        Some("done") => Some(Outcome::Done { remote_id: row.try_get("remote_id")? }),
        Some("refused") => Some(Outcome::Refused { detail }),
        Some("absent") => Some(Outcome::Absent { detail }),
        Some(_) => Some(Outcome::Abandoned { detail }),
    })
}

pub fn request(row: &SqliteRow) -> Result<Request, Error> {
    let detail = row.try_get::<Option<String>, _>("detail")?.unwrap_or_default();
    Ok(Request {
        id: RequestId(row.try_get("id")?),
        ask: row.try_get::<&str, _>("kind")?.parse()?,
        asked_ms: row.try_get("asked_ms")?,
        answer: match row.try_get::<Option<&str>, _>("answer")? {
            None => None,
            Some("done") => Some(Answer::Done),
            Some("refused") => Some(Answer::Refused(detail)),
            Some(_) => Some(Answer::Moot(detail)),
        },
    })
}

pub fn event(row: &SqliteRow) -> Result<StoredEvent, Error> {
    let columns = Columns {
        kind: row.try_get("kind")?,
        level: row.try_get::<&str, _>("level")?.parse()?,
        message: row.try_get("message")?,
        data: maybe_json(row, "data")?,
    };
    let unexpected = |error| Error::Fault { detail: format!("an event is not as expected: {error}") };
    Ok(StoredEvent {
        seq: row.try_get("seq")?,
        at_ms: row.try_get("at_ms")?,
        recorded_ms: row.try_get("recorded_ms")?,
        event: Event::read(columns).map_err(unexpected)?,
        remote_id: row.try_get("remote_id")?,
    })
}

pub fn point(row: &SqliteRow) -> Result<MetricPoint, Error> {
    Ok(MetricPoint { step: natural(row, "step")?, figures: metric::decoded(&json(row, "figures")?) })
}

pub fn checkpoint(row: &SqliteRow) -> Result<Checkpoint, Error> {
    let kept = match row.try_get("remote_id")? {
        Some(id) => Kept::Remote { id, model: row.try_get("model")? },
        None => Kept::File { path: row.try_get("path")? },
    };
    Ok(Checkpoint {
        kept,
        step: natural(row, "step")?,
        figures: metric::decoded(&json(row, "figures")?),
        made_ms: row.try_get("made_ms")?,
    })
}

pub fn artifact(row: &SqliteRow) -> Result<Artifact, Error> {
    Ok(Artifact {
        name: row.try_get("name")?,
        path: row.try_get("path")?,
        sha256: row.try_get("sha256")?,
        bytes: natural(row, "bytes")?,
        made_ms: row.try_get("made_ms")?,
    })
}

pub fn model(row: &SqliteRow) -> Result<Model, Error> {
    Ok(Model {
        number: row.try_get("number")?,
        name: row.try_get("name")?,
        provider: row.try_get::<&str, _>("provider")?.parse()?,
        service: row.try_get("service")?,
        job: JobId::stored(row.try_get("job")?),
        job_name: row.try_get("job_name")?,
        attempt: row.try_get("attempt")?,
        method: row.try_get("method")?,
        base_model: row.try_get("base_model")?,
        made: row.try_get("made")?,
        digest: row.try_get("digest")?,
        emulated: row.try_get("emulated")?,
        made_ms: row.try_get("made_ms")?,
        verified_ms: row.try_get("verified_ms")?,
        superseded_ms: row.try_get("superseded_ms")?,
        removed_ms: row.try_get("removed_ms")?,
    })
}

pub fn file(row: &SqliteRow) -> Result<UploadedFile, Error> {
    Ok(UploadedFile {
        number: row.try_get("number")?,
        service: row.try_get("service")?,
        remote_id: row.try_get("remote_id")?,
        file_name: row.try_get("file_name")?,
        purpose: row.try_get("purpose")?,
        sha256: row.try_get("sha256")?,
        bytes: natural(row, "bytes")?,
        job: JobId::stored(row.try_get("job")?),
        emulated: row.try_get("emulated")?,
        added_ms: row.try_get("added_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        removed_ms: row.try_get("removed_ms")?,
    })
}

pub fn plugin_event(row: &SqliteRow) -> Result<PluginEvent, Error> {
    Ok(PluginEvent {
        seq: row.try_get("seq")?,
        at_ms: row.try_get("at_ms")?,
        plugin: row.try_get("plugin")?,
        version: row.try_get("version")?,
        sha256: row.try_get("sha256")?,
        file: row.try_get("file")?,
        action: row.try_get("action")?,
        message: row.try_get("message")?,
        generation: maybe_natural(row, "generation")?,
        tier: row.try_get("tier")?,
        directory: row.try_get("directory")?,
        pid: row.try_get("pid")?,
        alive: false,
        owner: row.try_get("owner")?,
    })
}
