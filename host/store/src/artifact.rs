//! What a job leaves behind on disk (artifacts) and at the service (checkpoints).

use super::connection::Write;
use super::create::integer;
use super::{Error, Job, JobId, Store};
use sqlx::Row as _;
use std::collections::BTreeMap;

/// A state of the model that the service kept during training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The service's id of it.
    pub remote_id: String,
    /// After which step.
    pub step: u64,
    /// The name by which it can be used as a model.
    pub model: String,
    /// Its figures.
    pub figures: BTreeMap<String, f64>,
    /// When it was made.
    pub made_ms: i64,
}

/// A file that was written for the user.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Its name among the job's, such as `Modelfile-lora-k3f9ab`.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

/// A recorded artifact.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was recorded.
    pub made_ms: i64,
}

impl Store {
    /// The checkpoints of a job, by step.
    pub async fn checkpoints(&self, job: &JobId) -> Result<Vec<Checkpoint>, Error> {
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query("SELECT * FROM checkpoints WHERE job = ? ORDER BY attempt, step, remote_id")
                    .bind(job.as_str()),
            )
            .await?;
        let mut checkpoints = Vec::with_capacity(rows.len());
        for row in rows {
            checkpoints.push(Checkpoint {
                remote_id: row.try_get("remote_id")?,
                step: row.try_get::<i64, _>("step")?.cast_unsigned(),
                model: row.try_get("model")?,
                figures: super::metric::decoded(&super::job::json(&row, "figures")?),
                made_ms: row.try_get("made_ms")?,
            });
        }
        Ok(checkpoints)
    }

    /// The artifacts of a job, by name.
    pub async fn artifacts(&self, job: &JobId) -> Result<Vec<Artifact>, Error> {
        let rows = self
            .inner
            .read()
            .await?
            .all(sqlx::query("SELECT * FROM artifacts WHERE job = ? ORDER BY name").bind(job.as_str()))
            .await?;
        let mut artifacts = Vec::with_capacity(rows.len());
        for row in rows {
            artifacts.push(Artifact {
                name: row.try_get("name")?,
                path: row.try_get("path")?,
                sha256: row.try_get("sha256")?,
                bytes: row.try_get::<i64, _>("bytes")?.cast_unsigned(),
                made_ms: row.try_get("made_ms")?,
            });
        }
        Ok(artifacts)
    }
}

/// Records a checkpoint; false if it is there already.
pub(super) async fn checkpoint(tx: &mut Write, job: &Job, new: &Checkpoint) -> Result<bool, Error> {
    let changed = tx
        .execute(
            sqlx::query(
                "INSERT INTO checkpoints (job, attempt, remote_id, step, model, figures, made_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, remote_id) DO NOTHING",
            )
            .bind(job.id.as_str())
            .bind(job.attempt)
            .bind(&new.remote_id)
            .bind(integer("step", new.step)?)
            .bind(&new.model)
            .bind(serde_json::Value::Object(super::metric::encoded(&new.figures)).to_string())
            .bind(new.made_ms),
        )
        .await?;
    Ok(changed > 0)
}

/// Records an artifact, in the place of one of the same name.
pub(super) async fn record(tx: &mut Write, job: &Job, new: &NewArtifact, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        sqlx::query("INSERT OR REPLACE INTO artifacts (job, name, path, sha256, bytes, made_ms) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(job.id.as_str())
            .bind(&new.name)
            .bind(&new.path)
            .bind(&new.sha256)
            .bind(integer("bytes", new.bytes)?)
            .bind(now_ms),
    )
    .await
    .map(drop)
}
