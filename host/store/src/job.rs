//! Jobs as they are read: one, by the beginning of an id, in pages; and removing them.

use super::connection::{Session, Sync, Write};
use super::{Error, JobId, State, Store, page_size};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// Candidates that an ambiguous id names: as many as a person reads.
const CANDIDATES_SHOWN: usize = 8;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its place in the order of creation, which pages go by.
    pub number: i64,
    /// Its name, as the job file has it.
    pub name: String,
    /// The provider, such as `ollama`.
    pub provider: String,
    /// Which service of that provider: a base URL without credentials.
    pub service: String,
    /// The method's id.
    pub method: String,
    /// The base model.
    pub base_model: String,
    /// It runs on the emulator, so its results are not real.
    pub emulated: bool,
    /// Digest of the dataset.
    pub dataset: String,
    /// Digest of the plan.
    pub plan: String,
    /// Where it stands.
    pub state: State,
    /// Why it stands there, where there is more to say.
    pub reason: Option<String>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// What marks the attempt's remote job as ours; stored before anything is sent.
    pub run_id: String,
    /// The id of the remote job, or the model's name, once the service has it.
    pub remote_id: Option<String>,
    /// Steps done, where the service tells.
    pub step: Option<u64>,
    /// Steps in all, where the service tells.
    pub total_steps: Option<u64>,
    /// Who owns it.
    pub owner: Option<Owner>,
    /// Synced transactions so far.
    pub synced: u32,
    /// When it was created.
    pub created_ms: i64,
    /// When its state last changed.
    pub changed_ms: i64,
}

/// The process that owns a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its process id, for people; it decides nothing.
    pub pid: u32,
    /// Its last sign of life.
    pub beat_ms: i64,
    #[serde(skip)]
    pub(super) token: String,
}

/// One try at a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// Its run id.
    pub run_id: String,
    /// What the service made of it.
    pub remote_id: Option<String>,
    /// When it began.
    pub started_ms: i64,
    /// When it was over.
    pub ended_ms: Option<i64>,
}

/// A stored plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Digest of the document.
    pub digest: String,
    /// The plan's deterministic part, byte for byte.
    pub document: String,
    /// The sidecar: what was measured, for this job.
    pub measured: serde_json::Value,
    /// The job file.
    pub spec: serde_json::Value,
}

/// Which jobs to list. The default is all.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In one of these states; empty means any.
    pub states: Vec<State>,
    /// On this provider.
    pub provider: Option<String>,
    /// Whose name contains this, in any case (of ASCII letters).
    pub name: Option<String>,
    /// On the emulator, or not.
    pub emulated: Option<bool>,
}

/// Some rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// A page of at most `size` rows, of which one more was asked for.
    pub(super) fn of(mut items: Vec<T>, size: i64, place: impl Fn(&T) -> i64) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(place);
        Self { items, next }
    }
}

/// All columns of a job, with its owner and current attempt.
macro_rules! select_job {
    ($rest:literal) => {
        concat!(
            "SELECT jobs.*, owners.pid, owners.beat_ms, attempts.run_id, attempts.remote_id
             FROM jobs JOIN attempts ON attempts.job = jobs.id AND attempts.number = jobs.attempt
             LEFT JOIN owners ON owners.token = jobs.owner ",
            $rest
        )
    };
}

impl Job {
    fn from_row(row: &SqliteRow) -> Result<Self, Error> {
        let owner = match row.try_get::<Option<String>, _>("owner")? {
            Some(token) => Some(Owner { pid: row.try_get("pid")?, beat_ms: row.try_get("beat_ms")?, token }),
            None => None,
        };
        Ok(Self {
            id: JobId::stored(row.try_get("id")?),
            number: row.try_get("number")?,
            name: row.try_get("name")?,
            provider: row.try_get("provider")?,
            service: row.try_get("service")?,
            method: row.try_get("method")?,
            base_model: row.try_get("base_model")?,
            emulated: row.try_get("emulated")?,
            dataset: row.try_get("dataset")?,
            plan: row.try_get("plan")?,
            state: row.try_get::<&str, _>("state")?.parse()?,
            reason: row.try_get("reason")?,
            attempt: row.try_get("attempt")?,
            run_id: row.try_get("run_id")?,
            remote_id: row.try_get("remote_id")?,
            step: row.try_get::<Option<i64>, _>("step")?.map(i64::cast_unsigned),
            total_steps: row.try_get::<Option<i64>, _>("total_steps")?.map(i64::cast_unsigned),
            owner,
            synced: row.try_get("synced")?,
            created_ms: row.try_get("created_ms")?,
            changed_ms: row.try_get("changed_ms")?,
        })
    }
}

impl Store {
    /// The job with this id, or with the only id that begins so. Capitals, and letters
    /// that look like digits, are read as meant.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`]; [`Error::Ambiguous`] names the newest candidates.
    pub async fn job(&self, given: &str) -> Result<Job, Error> {
        let missing = || Error::NoSuchJob { given: given.to_owned() };
        let prefix = super::id::normalised(given).ok_or_else(missing)?;
        let mut session = self.inner.read().await?;
        // An id is a key, so a range of the index; '~' sorts after the whole alphabet.
        let rows = session
            .all(
                sqlx::query(select_job!(
                    "WHERE jobs.id >= ?1 AND jobs.id < ?1 || '~' ORDER BY jobs.number DESC LIMIT ?2"
                ))
                .bind(prefix)
                .bind(CANDIDATES_SHOWN as i64 + 1),
            )
            .await?;
        match rows.as_slice() {
            [] => Err(missing()),
            [row] => Job::from_row(row),
            several => {
                let shown = several.iter().take(CANDIDATES_SHOWN);
                let candidates = shown.map(|row| Ok(JobId::stored(row.try_get("id")?)));
                Err(Error::Ambiguous {
                    given: given.to_owned(),
                    candidates: candidates.collect::<Result<_, Error>>()?,
                    more: several.len() > CANDIDATES_SHOWN,
                })
            }
        }
    }

    /// Jobs, newest first. `after` is the last page's [`Page::next`].
    pub async fn jobs(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<Page<Job>, Error> {
        let size = page_size(limit);
        let states = (!filter.states.is_empty())
            .then(|| serde_json::json!(filter.states.iter().map(|s| s.as_str()).collect::<Vec<_>>()));
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query(select_job!(
                    "WHERE (?1 IS NULL OR jobs.number < ?1)
                       AND (?2 IS NULL OR jobs.state IN (SELECT value FROM json_each(?2)))
                       AND (?3 IS NULL OR jobs.provider = ?3)
                       AND (?4 IS NULL OR instr(lower(jobs.name), lower(?4)) > 0)
                       AND (?5 IS NULL OR jobs.emulated = ?5)
                     ORDER BY jobs.number DESC LIMIT ?6"
                ))
                .bind(after)
                .bind(states.map(|states| states.to_string()))
                .bind(filter.provider.clone())
                .bind(filter.name.clone())
                .bind(filter.emulated)
                .bind(size + 1),
            )
            .await?;
        let jobs = rows.iter().map(Job::from_row).collect::<Result<_, _>>()?;
        Ok(Page::of(jobs, size, |job| job.number))
    }

    /// All attempts at a job, in order.
    pub async fn attempts(&self, job: &JobId) -> Result<Vec<Attempt>, Error> {
        let rows = self
            .inner
            .read()
            .await?
            .all(sqlx::query("SELECT * FROM attempts WHERE job = ? ORDER BY number").bind(job.as_str()))
            .await?;
        let attempt = |row: &SqliteRow| {
            Ok(Attempt {
                number: row.try_get("number")?,
                run_id: row.try_get("run_id")?,
                remote_id: row.try_get("remote_id")?,
                started_ms: row.try_get("started_ms")?,
                ended_ms: row.try_get("ended_ms")?,
            })
        };
        rows.iter().map(attempt).collect()
    }

    /// The plan of a job.
    pub async fn plan(&self, job: &JobId) -> Result<Plan, Error> {
        let row = self
            .inner
            .read()
            .await?
            .optional(
                sqlx::query(
                    "SELECT digest, document, measured, spec
                     FROM jobs JOIN plans ON plans.digest = jobs.plan WHERE jobs.id = ?",
                )
                .bind(job.as_str()),
            )
            .await?
            .ok_or_else(|| Error::NoSuchJob { given: job.to_string() })?;
        Ok(Plan {
            digest: row.try_get("digest")?,
            document: row.try_get("document")?,
            measured: json(&row, "measured")?,
            spec: json(&row, "spec")?,
        })
    }

    /// Forgets a job with its events, metrics and artifacts' records. What it made stays
    /// listed: models, and files at the service.
    ///
    /// # Errors
    /// [`Error::NotRemovable`] unless the job is planned or over; [`Error::ClaimLost`].
    pub async fn remove(&self, claim: Claim) -> Result<(), Error> {
        let mut tx = self.inner.write(Sync::Full).await?;
        super::owner::check(&mut tx, &claim).await?;
        let job = by_id(&mut tx, claim.job()).await?;
        if job.state != State::Planned && !job.state.is_final() {
            return Err(Error::NotRemovable { job: job.id, state: job.state });
        }
        tx.execute(sqlx::query("DELETE FROM jobs WHERE id = ?").bind(job.id.as_str())).await?;
        for (sql, key) in [
            (
                "DELETE FROM plans WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE plan = ?1)",
                job.plan,
            ),
            (
                "DELETE FROM datasets WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE dataset = ?1)",
                job.dataset,
            ),
        ] {
            tx.execute(sqlx::query(sql).bind(key)).await?;
        }
        tx.commit().await
    }
}

use super::Claim;

/// A column that holds JSON.
pub(super) fn json(row: &SqliteRow, column: &str) -> Result<serde_json::Value, Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text)
        .map_err(|error| Error::Fault { detail: format!("{column} is not JSON: {error}") })
}

/// A column that may hold JSON.
pub(super) fn maybe_json(row: &SqliteRow, column: &str) -> Result<Option<serde_json::Value>, Error> {
    match row.try_get::<Option<&str>, _>(column)? {
        None => Ok(None),
        Some(_) => json(row, column).map(Some),
    }
}

/// The job, within a transaction or a look.
pub(super) async fn by_id(session: &mut Session, id: &JobId) -> Result<Job, Error> {
    let row = session.optional(sqlx::query(select_job!("WHERE jobs.id = ?")).bind(id.as_str())).await?;
    Job::from_row(&row.ok_or_else(|| Error::NoSuchJob { given: id.to_string() })?)
}

/// Jobs that are not over, oldest first.
pub(super) async fn unfinished(session: &mut Session) -> Result<Vec<Job>, Error> {
    let rows = session
        .all(sqlx::query(select_job!(
            "WHERE jobs.state NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY jobs.number"
        )))
        .await?;
    rows.iter().map(Job::from_row).collect()
}

/// Counts a synced transaction on the job.
pub(super) async fn touch(tx: &mut Write, job: &JobId) -> Result<(), Error> {
    tx.execute(sqlx::query("UPDATE jobs SET synced = synced + 1 WHERE id = ?").bind(job.as_str()))
        .await
        .map(drop)
}
