//! Events: what happened to a job, in order, each once.

use super::connection::{Sync, Write};
use super::state::named;
use super::{Claim, Error, JobId, MetricPoint, NewArtifact, Page, State, Store, page_size};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

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

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum EventKind {
    /// The state changed; `from` is `None` for the first.
    State {
        /// The state before.
        from: Option<State>,
        /// The state after.
        to: State,
    },
    /// Another process took the job over.
    Owner,
    /// Someone asked for something, or was answered.
    Request,
    /// The service reports.
    Service,
    /// tunesmith reports, such as a phase of the work.
    Note,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Owner => "owner",
            Self::Request => "request",
            Self::Service => "service",
            Self::Note => "note",
        }
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
    /// When it was recorded.
    pub recorded_ms: i64,
    /// What it tells of.
    #[serde(flatten)]
    pub kind: EventKind,
    /// How much it matters.
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
    /// How much it matters.
    pub level: Level,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: Option<Value>,
    /// The service's id, by which the event is recorded once; without one it is
    /// tunesmith's own note.
    pub remote_id: Option<String>,
}

/// What came in with one look at the service.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Events, oldest first. What was recorded before, by remote id, is passed over.
    pub events: Vec<NewEvent>,
    /// Figures by step, oldest first; see [`MetricPoint`].
    pub metrics: Vec<MetricPoint>,
    /// Checkpoints; what was recorded before is passed over.
    pub checkpoints: Vec<super::Checkpoint>,
    /// Artifacts that were written; one of the same name is replaced.
    pub artifacts: Vec<NewArtifact>,
    /// Steps done and in all.
    pub progress: Option<(u64, u64)>,
}

/// What of a batch was new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// New events.
    pub events: usize,
    /// Steps with new or changed figures.
    pub metrics: usize,
    /// New checkpoints.
    pub checkpoints: usize,
}

impl Store {
    /// Appends what a look at the service brought, each thing once, all or nothing. Not
    /// synced: what power loss takes is fetched again.
    ///
    /// # Errors
    /// [`Error::ClaimLost`].
    pub async fn append(&self, claim: &Claim, batch: &Batch) -> Result<Recorded, Error> {
        let now_ms = self.now_ms();
        let mut tx = self.inner.write(Sync::Batch).await?;
        super::owner::check(&mut tx, claim).await?;
        let job = super::job::by_id(&mut tx, claim.job()).await?;
        let mut recorded = Recorded::default();
        for event in &batch.events {
            recorded.events += usize::from(append(&mut tx, self, &job.id, event, now_ms).await?);
        }
        for point in &batch.metrics {
            recorded.metrics += usize::from(super::metric::record(&mut tx, &job, point).await?);
        }
        for checkpoint in &batch.checkpoints {
            recorded.checkpoints +=
                usize::from(super::artifact::checkpoint(&mut tx, &job, checkpoint).await?);
        }
        for artifact in &batch.artifacts {
            super::artifact::record(&mut tx, &job, artifact, now_ms).await?;
        }
        if let Some((step, total)) = batch.progress {
            tx.execute(
                sqlx::query("UPDATE jobs SET step = ?, total_steps = ? WHERE id = ?")
                    .bind(super::create::integer("step", step)?)
                    .bind(super::create::integer("total steps", total)?)
                    .bind(job.id.as_str()),
            )
            .await?;
        }
        tx.commit().await?;
        Ok(recorded)
    }

    /// Events of a job after this sequence number (0 for the beginning), in order.
    /// `next` is `None` when no more are there yet.
    pub async fn events(&self, job: &JobId, after: i64, limit: u32) -> Result<Page<Event>, Error> {
        let size = page_size(limit);
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query("SELECT * FROM events WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?")
                    .bind(job.as_str())
                    .bind(after)
                    .bind(size + 1),
            )
            .await?;
        let events = rows.iter().map(from_row).collect::<Result<_, _>>()?;
        Ok(Page::of(events, size, |event: &Event| event.seq))
    }
}

fn from_row(row: &SqliteRow) -> Result<Event, Error> {
    let state = |column: &str| match row.try_get::<Option<&str>, _>(column)? {
        Some(name) => name.parse::<State>().map(Some),
        None => Ok(None),
    };
    let kind = match (row.try_get("kind")?, state("to_state")?) {
        ("state", Some(to)) => EventKind::State { from: state("from_state")?, to },
        ("owner", _) => EventKind::Owner,
        ("request", _) => EventKind::Request,
        ("service", _) => EventKind::Service,
        _ => EventKind::Note,
    };
    Ok(Event {
        seq: row.try_get("seq")?,
        at_ms: row.try_get("at_ms")?,
        recorded_ms: row.try_get("recorded_ms")?,
        kind,
        level: row.try_get::<&str, _>("level")?.parse()?,
        message: row.try_get("message")?,
        data: super::job::maybe_json(row, "data")?,
        remote_id: row.try_get("remote_id")?,
    })
}

/// Appends an event of the caller's; false if it is there already.
async fn append(
    tx: &mut Write,
    store: &Store,
    job: &JobId,
    event: &NewEvent,
    now_ms: i64,
) -> Result<bool, Error> {
    if let Some(remote_id) = &event.remote_id {
        let known = tx
            .optional(
                sqlx::query("SELECT 1 FROM events WHERE job = ? AND remote_id = ?")
                    .bind(job.as_str())
                    .bind(remote_id),
            )
            .await?;
        if known.is_some() {
            return Ok(false);
        }
    }
    let kind = if event.remote_id.is_some() { EventKind::Service } else { EventKind::Note };
    let event = NewEvent { message: store.redactor().text(&event.message), ..event.clone() };
    let data = event.data.as_ref().map(|data| store.redactor().json(data));
    insert(tx, job, now_ms, kind, &event, data).await?;
    Ok(true)
}

/// Appends an event of the store's own.
pub(super) async fn own(
    tx: &mut Write,
    job: &JobId,
    now_ms: i64,
    kind: EventKind,
    level: Level,
    message: &str,
) -> Result<(), Error> {
    let event = NewEvent { at_ms: now_ms, level, message: message.to_owned(), data: None, remote_id: None };
    insert(tx, job, now_ms, kind, &event, None).await
}

async fn insert(
    tx: &mut Write,
    job: &JobId,
    now_ms: i64,
    kind: EventKind,
    event: &NewEvent,
    data: Option<String>,
) -> Result<(), Error> {
    let row = tx
        .one(
            sqlx::query("UPDATE jobs SET last_event = last_event + 1 WHERE id = ? RETURNING last_event")
                .bind(job.as_str()),
        )
        .await?;
    let (from, to) = match kind {
        EventKind::State { from, to } => (from.map(State::as_str), Some(to.as_str())),
        _ => (None, None),
    };
    tx.execute(
        sqlx::query("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(job.as_str())
            .bind(row.try_get::<i64, _>(0)?)
            .bind(event.at_ms)
            .bind(now_ms)
            .bind(kind.name())
            .bind(event.level.as_str())
            .bind(from)
            .bind(to)
            .bind(&event.message)
            .bind(data)
            .bind(event.remote_id.clone()),
    )
    .await
    .map(drop)
}

/// All events of a job.
pub(super) async fn all(session: &mut super::connection::Session, job: &JobId) -> Result<Vec<Event>, Error> {
    let rows = session
        .all(sqlx::query("SELECT * FROM events WHERE job = ? ORDER BY seq").bind(job.as_str()))
        .await?;
    rows.iter().map(from_row).collect()
}
