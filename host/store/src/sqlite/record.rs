//! What a transaction writes of a job's yield: events, figures, files and models.

use super::connection::{Begun, Session};
use super::rows::integer;
use crate::Error;
use crate::backend::Record;
use crate::ledger::metric::encoded;
use crate::ledger::{
    Checkpoint, Job, JobId, Kept, MetricPoint, NewArtifact, NewEvent, NewModel, NewPluginEvent, NewUpload,
};
use async_trait::async_trait;
use serde_json::Value;
use sqlx::{Row as _, query};

#[async_trait]
impl Record for Session<Begun> {
    async fn append_event(&mut self, job: &JobId, event: &NewEvent, now_ms: i64) -> Result<(), Error> {
        let statement =
            query("UPDATE jobs SET last_event = last_event + 1 WHERE id = $1 RETURNING last_event");
        let seq: i64 = self.one(statement.bind(job.as_str())).await?.try_get(0)?;
        let columns = event.event.columns();
        self.execute(
            query(
                "INSERT INTO events (job, seq, at_ms, recorded_ms, kind, level, message, data, remote_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(job.as_str())
            .bind(seq)
            .bind(event.at_ms)
            .bind(now_ms)
            .bind(columns.kind)
            .bind(columns.level.as_str())
            .bind(columns.message)
            .bind(columns.data.as_ref().map(Value::to_string))
            .bind(&event.remote_id),
        )
        .await
        .map(drop)
    }

    async fn put_metrics(&mut self, job: &Job, point: &MetricPoint) -> Result<(), Error> {
        self.execute(
            query(
                "INSERT INTO metrics (job, attempt, step, figures) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (job, attempt, step) DO UPDATE SET figures = excluded.figures",
            )
            .bind(job.id.as_str())
            .bind(job.attempt)
            .bind(integer("step", point.step)?)
            .bind(Value::Object(encoded(&point.figures)).to_string()),
        )
        .await
        .map(drop)
    }

    async fn insert_checkpoint(&mut self, job: &Job, new: &Checkpoint) -> Result<bool, Error> {
        let (remote_id, model, path) = match &new.kept {
            Kept::Remote { id, model } => (Some(id), Some(model), None),
            Kept::File { path } => (None, None, Some(path)),
        };
        let statement = query(
            "INSERT INTO checkpoints (job, attempt, remote_id, model, path, step, figures, made_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(job.id.as_str())
        .bind(job.attempt)
        .bind(remote_id)
        .bind(model)
        .bind(path)
        .bind(integer("step", new.step)?)
        .bind(Value::Object(encoded(&new.figures)).to_string())
        .bind(new.made_ms);
        Ok(self.execute(statement).await? > 0)
    }

    async fn put_artifact(&mut self, job: &Job, new: &NewArtifact, now_ms: i64) -> Result<(), Error> {
        self.execute(
            query(
                "INSERT INTO artifacts (job, name, path, sha256, bytes, made_ms)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (job, name) DO UPDATE SET path = excluded.path, sha256 = excluded.sha256,
                     bytes = excluded.bytes, made_ms = excluded.made_ms",
            )
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

    async fn put_model(&mut self, job: &Job, new: &NewModel, now_ms: i64) -> Result<(), Error> {
        // Whatever bore the name before is no longer what the name means.
        self.execute(
            query(
                "UPDATE models SET superseded_ms = $1
                 WHERE provider = $2 AND service = $3 AND emulated = $4 AND name = $5
                 AND superseded_ms IS NULL AND removed_ms IS NULL AND NOT (job = $6 AND attempt = $7)",
            )
            .bind(now_ms)
            .bind(job.provider.as_str())
            .bind(&job.service)
            .bind(job.emulated)
            .bind(&new.name)
            .bind(job.id.as_str())
            .bind(job.attempt),
        )
        .await?;
        self.execute(
            query(
                "INSERT INTO models (name, provider, service, job, job_name, attempt, method, base_model,
                     made, digest, emulated, made_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                 ON CONFLICT (job, attempt, name)
                 DO UPDATE SET digest = coalesce(excluded.digest, models.digest)",
            )
            .bind(&new.name)
            .bind(job.provider.as_str())
            .bind(&job.service)
            .bind(job.id.as_str())
            .bind(&job.name)
            .bind(job.attempt)
            .bind(&job.method)
            .bind(&job.base_model)
            .bind(&new.made)
            .bind(&new.digest)
            .bind(job.emulated)
            .bind(now_ms),
        )
        .await
        .map(drop)
    }

    async fn verify_model(&mut self, job: &Job, name: &str, now_ms: i64) -> Result<bool, Error> {
        let statement = query(
            "UPDATE models SET verified_ms = coalesce(verified_ms, $1)
             WHERE job = $2 AND attempt = $3 AND name = $4",
        )
        .bind(now_ms)
        .bind(job.id.as_str())
        .bind(job.attempt)
        .bind(name);
        Ok(self.execute(statement).await? > 0)
    }

    async fn remove_model(&mut self, number: i64, now_ms: i64) -> Result<bool, Error> {
        let statement = query("UPDATE models SET removed_ms = $1 WHERE number = $2 AND removed_ms IS NULL");
        Ok(self.execute(statement.bind(now_ms).bind(number)).await? > 0)
    }

    async fn put_file(&mut self, job: &Job, new: &NewUpload, now_ms: i64) -> Result<(), Error> {
        self.execute(
            query(
                "INSERT INTO files (service, remote_id, file_name, purpose, sha256, bytes, job, emulated,
                     added_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 ON CONFLICT (service, emulated, remote_id)
                 DO UPDATE SET removed_ms = NULL, expires_ms = excluded.expires_ms",
            )
            .bind(&job.service)
            .bind(&new.remote_id)
            .bind(&new.file_name)
            .bind(&new.purpose)
            .bind(&new.sha256)
            .bind(integer("bytes", new.bytes)?)
            .bind(job.id.as_str())
            .bind(job.emulated)
            .bind(now_ms)
            .bind(new.expires_ms),
        )
        .await
        .map(drop)
    }

    async fn remove_file(&mut self, number: i64, now_ms: i64) -> Result<bool, Error> {
        let statement = query("UPDATE files SET removed_ms = $1 WHERE number = $2 AND removed_ms IS NULL");
        Ok(self.execute(statement.bind(now_ms).bind(number)).await? > 0)
    }

    async fn append_plugin_event(
        &mut self,
        owner: &str,
        pid: u32,
        entry: &NewPluginEvent,
    ) -> Result<(), Error> {
        self.execute(
            query(
                "INSERT INTO plugin_history (at_ms, plugin, version, sha256, file, action, message,
                     generation, tier, directory, pid, owner)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(entry.at_ms)
            .bind(&entry.plugin)
            .bind(&entry.version)
            .bind(&entry.sha256)
            .bind(&entry.file)
            .bind(&entry.action)
            .bind(&entry.message)
            .bind(entry.generation.and_then(|generation| i64::try_from(generation).ok()))
            .bind(&entry.tier)
            .bind(&entry.directory)
            .bind(pid)
            .bind(owner),
        )
        .await
        .map(drop)
    }

    async fn trim_plugin_history(&mut self, entries: i64) -> Result<(), Error> {
        self.execute(
            query("DELETE FROM plugin_history WHERE seq <= (SELECT max(seq) FROM plugin_history) - $1")
                .bind(entries),
        )
        .await
        .map(drop)
    }
}
