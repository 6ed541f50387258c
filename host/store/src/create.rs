//! Creating a job, with its dataset, its plan and its first attempt, in one transaction.

use super::connection::{Sync, Write};
use super::{Claim, Error, EventKind, Job, JobId, Level, State, Store};
use serde_json::Value;

/// Ids are drawn at random; a drawn one that is taken is drawn again this often before
/// something other than chance must be at work.
const ID_DRAWS: usize = 16;

/// The longest document (plan, job file, measurements) that the store takes. Plans carry
/// prompts and sample rows, far below this; anything beyond is a mistake or an attack.
pub const LONGEST_DOCUMENT: usize = 64 * 1024 * 1024;

/// A dataset that a job uses.
#[derive(Debug, Clone)]
pub struct NewDataset {
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Where it lay, for people.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// A plan.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Digest of the document.
    pub digest: String,
    /// The plan's deterministic part, kept byte for byte.
    pub document: String,
    /// The sidecar: wall time, peak memory, what depends on today.
    pub measured: Value,
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its name.
    pub name: String,
    /// The provider, such as `ollama`.
    pub provider: String,
    /// The service's base URL. One with credentials is refused.
    pub service: String,
    /// The method's id.
    pub method: String,
    /// The base model.
    pub base_model: String,
    /// It runs on the emulator.
    pub emulated: bool,
    /// The job file.
    pub spec: Value,
    /// Its dataset.
    pub dataset: NewDataset,
    /// Its plan.
    pub plan: NewPlan,
}

impl Store {
    /// Makes a planned job that nobody owns yet.
    pub async fn create(&self, new: &NewJob) -> Result<Job, Error> {
        let (job, _) = self.make(new, false, JobId::random).await?;
        Ok(job)
    }

    /// Makes a planned job that this process owns, in one transaction.
    pub async fn create_owned(&self, new: &NewJob) -> Result<(Job, Claim), Error> {
        match self.make(new, true, JobId::random).await? {
            (job, Some(claim)) => Ok((job, claim)),
            (job, None) => Err(Error::ClaimLost { job: job.id }),
        }
    }

    pub(super) async fn make(
        &self,
        new: &NewJob,
        owned: bool,
        draw: impl Fn() -> Result<JobId, Error>,
    ) -> Result<(Job, Option<Claim>), Error> {
        check_service(&new.service)?;
        let spec = document("job file", &self.redactor().document(&new.spec))?;
        let measured = document("measurements", &new.plan.measured.to_string())?;
        let plan = document("plan", &new.plan.document)?;
        let now_ms = self.now_ms();
        let mut tx = self.inner.write(Sync::Full).await?;
        let id = free_id(&mut tx, draw).await?;
        tx.execute(
            sqlx::query(
                "INSERT INTO datasets (digest, path, rows, bytes, added_ms) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (digest) DO UPDATE SET path = excluded.path",
            )
            .bind(&new.dataset.digest)
            .bind(&new.dataset.path)
            .bind(integer("rows", new.dataset.rows)?)
            .bind(integer("bytes", new.dataset.bytes)?)
            .bind(now_ms),
        )
        .await?;
        tx.execute(
            sqlx::query(
                "INSERT INTO plans (digest, document, added_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(&new.plan.digest)
            .bind(plan)
            .bind(now_ms),
        )
        .await?;
        tx.execute(
            sqlx::query(
                "INSERT INTO jobs (id, name, provider, service, method, base_model, emulated, spec, dataset,
                     plan, measured, state, attempt, last_event, synced, created_ms, changed_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned', 1, 0, 1, ?12, ?12)",
            )
            .bind(id.as_str())
            .bind(self.redactor().text(&new.name))
            .bind(&new.provider)
            .bind(&new.service)
            .bind(&new.method)
            .bind(&new.base_model)
            .bind(new.emulated)
            .bind(spec)
            .bind(&new.dataset.digest)
            .bind(&new.plan.digest)
            .bind(measured)
            .bind(now_ms),
        )
        .await?;
        begin_attempt(&mut tx, &id, 1, now_ms).await?;
        let kind = EventKind::State { from: None, to: State::Planned };
        super::event::own(&mut tx, &id, now_ms, kind, Level::Info, "planned").await?;
        let claim = match owned {
            true => Some(self.take(&mut tx, &id, now_ms).await?),
            false => None,
        };
        let job = super::job::by_id(&mut tx, &id).await?;
        tx.commit().await?;
        Ok((job, claim))
    }
}

async fn free_id(tx: &mut Write, draw: impl Fn() -> Result<JobId, Error>) -> Result<JobId, Error> {
    for _ in 0..ID_DRAWS {
        let id = draw()?;
        // Models and files outlive jobs and name them, so their jobs' ids stay taken.
        let taken = tx
            .optional(
                sqlx::query(
                    "SELECT 1 FROM jobs WHERE id = ?1 UNION ALL SELECT 1 FROM models WHERE job = ?1
                     UNION ALL SELECT 1 FROM files WHERE job = ?1",
                )
                .bind(id.as_str()),
            )
            .await?;
        if taken.is_none() {
            return Ok(id);
        }
    }
    Err(Error::Fault { detail: "no free job id was drawn".into() })
}

/// Records a new attempt with its run id, before anything is sent in its name.
pub(super) async fn begin_attempt(
    tx: &mut Write,
    job: &JobId,
    number: u32,
    now_ms: i64,
) -> Result<(), Error> {
    tx.execute(
        sqlx::query("INSERT INTO attempts (job, number, run_id, started_ms) VALUES (?, ?, ?, ?)")
            .bind(job.as_str())
            .bind(number)
            .bind(super::id::run_id(job)?)
            .bind(now_ms),
    )
    .await
    .map(drop)
}

/// A user or password in the URL would end up in the file.
pub(super) fn check_service(service: &str) -> Result<(), Error> {
    let host = service.split_once("://").map_or(service, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err(Error::Invalid {
            what: "service",
            why: "the URL carries credentials; give them as a key instead".into(),
        });
    }
    if service.contains(['?', '#']) {
        return Err(Error::Invalid { what: "service", why: "the URL has a query or a fragment".into() });
    }
    Ok(())
}

fn document(what: &'static str, text: &str) -> Result<String, Error> {
    if text.len() > LONGEST_DOCUMENT {
        return Err(Error::Invalid {
            what,
            why: format!("{} bytes are more than the store's {LONGEST_DOCUMENT}", text.len()),
        });
    }
    Ok(text.to_owned())
}

/// Figures as the store's integers.
pub(super) fn integer(what: &'static str, value: u64) -> Result<i64, Error> {
    i64::try_from(value)
        .map_err(|_| Error::Invalid { what, why: format!("{value} is more than the store can hold") })
}
