//! The models that jobs made.

use super::connection::{Session, Sync, Write};
use super::{Error, Job, JobId, Page, Store, page_size};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A model to record.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its name at the service.
    pub name: String,
    /// What really happened, in the outcome's words, such as `prompt-baked`.
    pub made: String,
    /// Its digest, where the service has one.
    pub digest: Option<String>,
}

/// A model that a job made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Its place in the order of making.
    pub number: i64,
    /// Its name at the service.
    pub name: String,
    /// The provider.
    pub provider: String,
    /// The service.
    pub service: String,
    /// The job that made it; it may have been removed since.
    pub job: JobId,
    /// That job's name.
    pub job_name: String,
    /// The attempt that made it.
    pub attempt: u32,
    /// The method.
    pub method: String,
    /// What it was made from.
    pub base_model: String,
    /// What really happened.
    pub made: String,
    /// Its digest.
    pub digest: Option<String>,
    /// It exists on the emulator only.
    pub emulated: bool,
    /// When it was made.
    pub made_ms: i64,
    /// When it first answered.
    pub verified_ms: Option<i64>,
    /// When a later model took its name.
    pub superseded_ms: Option<i64>,
    /// When it was deleted at the service.
    pub removed_ms: Option<i64>,
}

/// Which models to list. The default is those that exist, as far as is known.
#[derive(Debug, Clone, Default)]
pub struct ModelFilter {
    /// On this provider.
    pub provider: Option<String>,
    /// Of this job.
    pub job: Option<JobId>,
    /// Also those that were superseded or removed.
    pub gone: bool,
}

impl Store {
    /// Models, newest first.
    pub async fn models(
        &self,
        filter: &ModelFilter,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page<Model>, Error> {
        let size = page_size(limit);
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query(
                    "SELECT * FROM models
                     WHERE (?1 IS NULL OR number < ?1) AND (?2 IS NULL OR provider = ?2)
                       AND (?3 IS NULL OR job = ?3)
                       AND (?4 OR (superseded_ms IS NULL AND removed_ms IS NULL))
                     ORDER BY number DESC LIMIT ?5",
                )
                .bind(after)
                .bind(filter.provider.clone())
                .bind(filter.job.as_ref().map(|job| job.as_str().to_owned()))
                .bind(filter.gone)
                .bind(size + 1),
            )
            .await?;
        let models = rows.iter().map(from_row).collect::<Result<_, _>>()?;
        Ok(Page::of(models, size, |model: &Model| model.number))
    }

    /// Records that a model is no longer at the service; false if that was known.
    pub async fn model_removed(&self, number: i64) -> Result<bool, Error> {
        let mut tx = self.inner.write(Sync::Full).await?;
        let changed = tx
            .execute(
                sqlx::query("UPDATE models SET removed_ms = ? WHERE number = ? AND removed_ms IS NULL")
                    .bind(self.now_ms())
                    .bind(number),
            )
            .await?;
        tx.commit().await?;
        Ok(changed > 0)
    }
}

fn from_row(row: &SqliteRow) -> Result<Model, Error> {
    Ok(Model {
        number: row.try_get("number")?,
        name: row.try_get("name")?,
        provider: row.try_get("provider")?,
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

/// The models of a job's current attempt.
pub(super) async fn of_attempt(session: &mut Session, job: &Job) -> Result<Vec<Model>, Error> {
    let rows = session
        .all(
            sqlx::query("SELECT * FROM models WHERE job = ? AND attempt = ? ORDER BY number")
                .bind(job.id.as_str())
                .bind(job.attempt),
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// Records a model. Recording it again, after a crash, changes nothing but its digest.
pub(super) async fn insert(
    tx: &mut Write,
    store: &Store,
    job: &Job,
    new: &NewModel,
    now_ms: i64,
) -> Result<(), Error> {
    // Whatever bore the name before is no longer what the name means.
    tx.execute(
        sqlx::query(
            "UPDATE models SET superseded_ms = ? WHERE provider = ? AND service = ? AND emulated = ? AND name = ?
             AND superseded_ms IS NULL AND removed_ms IS NULL AND NOT (job = ? AND attempt = ?)",
        )
        .bind(now_ms)
        .bind(&job.provider)
        .bind(&job.service)
        .bind(job.emulated)
        .bind(&new.name)
        .bind(job.id.as_str())
        .bind(job.attempt),
    )
    .await?;
    tx.execute(
        sqlx::query(
            "INSERT INTO models (name, provider, service, job, job_name, attempt, method, base_model, made,
                 digest, emulated, made_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (job, attempt, name) DO UPDATE SET digest = coalesce(excluded.digest, digest)",
        )
        .bind(&new.name)
        .bind(&job.provider)
        .bind(&job.service)
        .bind(job.id.as_str())
        .bind(&job.name)
        .bind(job.attempt)
        .bind(&job.method)
        .bind(&job.base_model)
        .bind(store.redactor().text(&new.made))
        .bind(new.digest.clone())
        .bind(job.emulated)
        .bind(now_ms),
    )
    .await
    .map(drop)
}

/// Records that a model of the attempt answered.
pub(super) async fn verify(tx: &mut Write, job: &Job, name: &str, now_ms: i64) -> Result<(), Error> {
    let changed = tx
        .execute(
            sqlx::query(
                "UPDATE models SET verified_ms = coalesce(verified_ms, ?)
                 WHERE job = ? AND attempt = ? AND name = ?",
            )
            .bind(now_ms)
            .bind(job.id.as_str())
            .bind(job.attempt)
            .bind(name),
        )
        .await?;
    if changed == 0 {
        return Err(Error::Invalid {
            what: "verified model",
            why: format!("attempt {} of job {} made no model {name:?}", job.attempt, job.id),
        });
    }
    Ok(())
}
