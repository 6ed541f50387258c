//! Requests from another shell: cancel, pause and resume, and the owner's answers.

use super::connection::{Sync, Write};
use super::state::named;
use super::{Error, EventKind, Job, JobId, Level, State, Store};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

named! {
    /// What can be asked of a job's owner.
    Ask, "request" {
        /// Stop it for good.
        Cancel = "cancel",
        /// Stop it for a while, at the service.
        Pause = "pause",
        /// Go on after a pause.
        Resume = "resume",
    }
}

/// A request's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct RequestId(i64);

/// What the owner says to a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer", content = "detail")]
pub enum Answer {
    /// It was done.
    Done,
    /// It cannot be done; why.
    Refused(String),
    /// It no longer matters; why.
    Moot(String),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What is asked.
    pub ask: Ask,
    /// When it was asked.
    pub asked_ms: i64,
    /// What the owner said; `None` until then.
    pub answer: Option<Answer>,
}

impl Store {
    /// Asks the owner of a job for something. Asking again while it is open changes
    /// nothing. A cancel makes open requests to pause or resume moot, and a pause and a
    /// resume each other.
    ///
    /// # Errors
    /// [`Error::CannotAsk`] if the job is over; [`Error::NoSuchJob`].
    pub async fn request(&self, job: &JobId, ask: Ask) -> Result<Request, Error> {
        let now_ms = self.now_ms();
        let mut tx = self.inner.write(Sync::Full).await?;
        let found = super::job::by_id(&mut tx, job).await?;
        if found.state.is_final() {
            tx.rollback().await?;
            return Err(Error::CannotAsk { job: job.clone(), state: found.state, asked: ask });
        }
        let open = tx
            .optional(
                sqlx::query("SELECT * FROM requests WHERE job = ? AND kind = ? AND answer IS NULL")
                    .bind(job.as_str())
                    .bind(ask.as_str()),
            )
            .await?;
        if let Some(row) = open {
            let request = from_row(&row)?;
            tx.rollback().await?;
            return Ok(request);
        }
        let overtaken: &[Ask] = match ask {
            Ask::Cancel => &[Ask::Pause, Ask::Resume],
            Ask::Pause => &[Ask::Resume],
            Ask::Resume => &[Ask::Pause],
        };
        for other in overtaken {
            tx.execute(
                sqlx::query(
                    "UPDATE requests SET answer = 'moot', detail = ?, answered_ms = ?
                     WHERE job = ? AND kind = ? AND answer IS NULL",
                )
                .bind(format!("overtaken by a later request to {ask}"))
                .bind(now_ms)
                .bind(job.as_str())
                .bind(other.as_str()),
            )
            .await?;
        }
        let row = tx
            .one(
                sqlx::query("INSERT INTO requests (job, kind, asked_ms) VALUES (?, ?, ?) RETURNING *")
                    .bind(job.as_str())
                    .bind(ask.as_str())
                    .bind(now_ms),
            )
            .await?;
        let message = format!("asked to {ask}");
        super::event::own(&mut tx, job, now_ms, EventKind::Request, Level::Info, &message).await?;
        super::job::touch(&mut tx, job).await?;
        tx.commit().await?;
        from_row(&row)
    }

    /// The open requests of a job, oldest first; what its owner polls.
    pub async fn requests(&self, job: &JobId) -> Result<Vec<Request>, Error> {
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query("SELECT * FROM requests WHERE job = ? AND answer IS NULL ORDER BY id")
                    .bind(job.as_str()),
            )
            .await?;
        rows.iter().map(from_row).collect()
    }

    /// A request with its answer, if there is one yet; what the asking shell polls.
    /// `None` once the job is removed.
    pub async fn request_status(&self, request: RequestId) -> Result<Option<Request>, Error> {
        let row = self
            .inner
            .read()
            .await?
            .optional(sqlx::query("SELECT * FROM requests WHERE id = ?").bind(request.0))
            .await?;
        row.as_ref().map(from_row).transpose()
    }
}

fn from_row(row: &SqliteRow) -> Result<Request, Error> {
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

/// Records the owner's answer, with an event. One that was answered meanwhile (overtaken
/// by another request) keeps its answer.
pub(super) async fn answer(
    tx: &mut Write,
    store: &Store,
    job: &JobId,
    request: RequestId,
    answer: &Answer,
    now_ms: i64,
) -> Result<(), Error> {
    let (name, detail) = match answer {
        Answer::Done => ("done", None),
        Answer::Refused(why) => ("refused", Some(store.redactor().text(why))),
        Answer::Moot(why) => ("moot", Some(store.redactor().text(why))),
    };
    let row = tx
        .optional(
            sqlx::query(
                "UPDATE requests SET answer = ?, detail = ?, answered_ms = ?
                 WHERE id = ? AND job = ? AND answer IS NULL RETURNING kind",
            )
            .bind(name)
            .bind(&detail)
            .bind(now_ms)
            .bind(request.0)
            .bind(job.as_str()),
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let ask: &str = row.try_get("kind")?;
    let (level, message) = match (answer, detail) {
        (Answer::Refused(_), Some(why)) => (Level::Warning, format!("request to {ask} refused: {why}")),
        (_, Some(why)) => (Level::Info, format!("request to {ask} moot: {why}")),
        _ => (Level::Info, format!("request to {ask} done")),
    };
    super::event::own(tx, job, now_ms, EventKind::Request, level, &message).await
}

/// Answers what is left open when a job is over.
pub(super) async fn close(tx: &mut Write, job: &Job, now_ms: i64) -> Result<(), Error> {
    let done = match job.state {
        State::Cancelled => "cancel",
        _ => "",
    };
    tx.execute(
        sqlx::query(
            "UPDATE requests SET answer = iif(kind = ?1, 'done', 'moot'), answered_ms = ?2,
                 detail = iif(kind = ?1, NULL, ?3)
             WHERE job = ?4 AND answer IS NULL",
        )
        .bind(done)
        .bind(now_ms)
        .bind(format!("the job is {}", job.state))
        .bind(job.id.as_str()),
    )
    .await
    .map(drop)
}
