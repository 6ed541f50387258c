//! What is read.

use super::connection::Session;
use super::rows::{self, integer};
use crate::Error;
use crate::backend::Read;
use crate::ledger::{
    Artifact, Attempt, Checkpoint, Claim, FileContent, Intent, Job, JobFilter, JobId, MetricPoint, Model,
    ModelFilter, Plan, PluginEvent, Request, RequestId, StoredEvent, UploadedFile,
};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, query};
use std::ops::DerefMut;
use tunesmith_core::ProviderId;

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

fn each<T>(rows: Vec<SqliteRow>, read: impl Fn(&SqliteRow) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    rows.iter().map(read).collect()
}

/// The pattern of LIKE that a lower-case text matches if it contains this one.
fn containing(text: &str) -> String {
    let literal = text.to_ascii_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{literal}%")
}

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> Read for Session<C> {
    async fn job(&mut self, id: &JobId) -> Result<Job, Error> {
        let row = self.optional(query(select_job!("WHERE jobs.id = $1")).bind(id.as_str())).await?;
        rows::job(&row.ok_or_else(|| Error::NoSuchJob { given: id.to_string() })?)
    }

    async fn jobs_beginning(&mut self, prefix: &str, limit: i64) -> Result<Vec<Job>, Error> {
        // An id is a key, so a range of the index; '~' sorts after the whole alphabet.
        let sql = select_job!("WHERE jobs.id >= $1 AND jobs.id < $2 ORDER BY jobs.number DESC LIMIT $3");
        let statement = query(sql).bind(prefix).bind(format!("{prefix}~")).bind(limit);
        each(self.all(statement).await?, rows::job)
    }

    async fn jobs(&mut self, filter: &JobFilter, after: Option<i64>, limit: i64) -> Result<Vec<Job>, Error> {
        let states = (!filter.states.is_empty())
            .then(|| serde_json::json!(filter.states.iter().map(|s| s.as_str()).collect::<Vec<_>>()));
        let sql = select_job!(
            "WHERE ($1 IS NULL OR jobs.number < $1)
               AND ($2 IS NULL OR jobs.state IN (SELECT value FROM json_each($2)))
               AND ($3 IS NULL OR jobs.provider = $3)
               AND ($4 IS NULL OR lower(jobs.name) LIKE $4 ESCAPE '\\')
               AND ($5 IS NULL OR jobs.emulated = $5)
             ORDER BY jobs.number DESC LIMIT $6"
        );
        let statement = query(sql)
            .bind(after)
            .bind(states.map(|states| states.to_string()))
            .bind(filter.provider.map(ProviderId::as_str))
            .bind(filter.name.as_deref().map(containing))
            .bind(filter.emulated)
            .bind(limit);
        each(self.all(statement).await?, rows::job)
    }

    async fn unfinished_jobs(&mut self) -> Result<Vec<Job>, Error> {
        let sql =
            select_job!("WHERE jobs.state NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY jobs.number");
        each(self.all(query(sql)).await?, rows::job)
    }

    async fn is_taken(&mut self, id: &JobId) -> Result<bool, Error> {
        let statement = query(
            "SELECT 1 FROM jobs WHERE id = $1 UNION ALL SELECT 1 FROM models WHERE job = $1
             UNION ALL SELECT 1 FROM files WHERE job = $1",
        );
        Ok(self.optional(statement.bind(id.as_str())).await?.is_some())
    }

    async fn attempts(&mut self, job: &JobId) -> Result<Vec<Attempt>, Error> {
        let statement = query("SELECT * FROM attempts WHERE job = $1 ORDER BY number").bind(job.as_str());
        each(self.all(statement).await?, rows::attempt)
    }

    async fn plan(&mut self, job: &JobId) -> Result<Plan, Error> {
        let statement = query(
            "SELECT digest, document, measured, spec
             FROM jobs JOIN plans ON plans.digest = jobs.plan WHERE jobs.id = $1",
        );
        let row = self.optional(statement.bind(job.as_str())).await?;
        rows::plan(&row.ok_or_else(|| Error::NoSuchJob { given: job.to_string() })?)
    }

    async fn holds(&mut self, claim: &Claim) -> Result<bool, Error> {
        let statement = query("SELECT 1 FROM jobs WHERE id = $1 AND claim = $2")
            .bind(claim.job().as_str())
            .bind(claim.token());
        Ok(self.optional(statement).await?.is_some())
    }

    async fn owners(&mut self) -> Result<Vec<(String, bool)>, Error> {
        let sql = "SELECT token, EXISTS (SELECT 1 FROM jobs WHERE owner = token) AS owns FROM owners";
        each(self.all(query(sql)).await?, |row| Ok((row.try_get("token")?, row.try_get("owns")?)))
    }

    async fn intents(&mut self, job: &JobId) -> Result<Vec<Intent>, Error> {
        let statement = query(
            "SELECT intents.*, run_id FROM intents
             JOIN attempts ON attempts.job = intents.job AND attempts.number = attempt
             WHERE intents.job = $1 ORDER BY id",
        );
        each(self.all(statement.bind(job.as_str())).await?, rows::intent)
    }

    async fn requests(&mut self, job: &JobId) -> Result<Vec<Request>, Error> {
        let statement = query("SELECT * FROM requests WHERE job = $1 AND answer IS NULL ORDER BY id");
        each(self.all(statement.bind(job.as_str())).await?, rows::request)
    }

    async fn request(&mut self, id: RequestId) -> Result<Option<Request>, Error> {
        let row = self.optional(query("SELECT * FROM requests WHERE id = $1").bind(id.0)).await?;
        row.as_ref().map(rows::request).transpose()
    }

    async fn events(&mut self, job: &JobId, after: i64, limit: i64) -> Result<Vec<StoredEvent>, Error> {
        let statement = query("SELECT * FROM events WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(job.as_str())
            .bind(after)
            .bind(limit);
        each(self.all(statement).await?, rows::event)
    }

    async fn has_event(&mut self, job: &JobId, remote_id: &str) -> Result<bool, Error> {
        let statement = query("SELECT 1 FROM events WHERE job = $1 AND remote_id = $2");
        Ok(self.optional(statement.bind(job.as_str()).bind(remote_id)).await?.is_some())
    }

    async fn metrics(
        &mut self,
        job: &JobId,
        attempt: u32,
        after: Option<u64>,
        limit: i64,
    ) -> Result<Vec<MetricPoint>, Error> {
        let statement = query(
            "SELECT step, figures FROM metrics WHERE job = $1 AND attempt = $2
             AND ($3 IS NULL OR step > $3) ORDER BY step LIMIT $4",
        )
        .bind(job.as_str())
        .bind(attempt)
        .bind(after.map(|step| i64::try_from(step).unwrap_or(i64::MAX)))
        .bind(limit);
        each(self.all(statement).await?, rows::point)
    }

    async fn checkpoints(&mut self, job: &JobId) -> Result<Vec<Checkpoint>, Error> {
        let statement = query(
            "SELECT * FROM checkpoints WHERE job = $1 ORDER BY attempt, step, coalesce(remote_id, path)",
        );
        each(self.all(statement.bind(job.as_str())).await?, rows::checkpoint)
    }

    async fn artifacts(&mut self, job: &JobId) -> Result<Vec<Artifact>, Error> {
        let statement = query("SELECT * FROM artifacts WHERE job = $1 ORDER BY name").bind(job.as_str());
        each(self.all(statement).await?, rows::artifact)
    }

    async fn models(
        &mut self,
        filter: &ModelFilter,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Model>, Error> {
        let statement = query(
            "SELECT * FROM models
             WHERE ($1 IS NULL OR number < $1) AND ($2 IS NULL OR provider = $2)
               AND ($3 IS NULL OR job = $3)
               AND ($4 OR (superseded_ms IS NULL AND removed_ms IS NULL))
             ORDER BY number DESC LIMIT $5",
        )
        .bind(after)
        .bind(filter.provider.map(ProviderId::as_str))
        .bind(filter.job.as_ref().map(JobId::as_str))
        .bind(filter.gone)
        .bind(limit);
        each(self.all(statement).await?, rows::model)
    }

    async fn models_of(&mut self, job: &JobId, attempt: u32) -> Result<Vec<Model>, Error> {
        let statement = query("SELECT * FROM models WHERE job = $1 AND attempt = $2 ORDER BY number");
        each(self.all(statement.bind(job.as_str()).bind(attempt)).await?, rows::model)
    }

    async fn files(
        &mut self,
        service: Option<&str>,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<UploadedFile>, Error> {
        let statement = query(
            "SELECT * FROM files WHERE removed_ms IS NULL AND ($1 IS NULL OR service = $1)
             AND ($2 IS NULL OR number < $2) ORDER BY number DESC LIMIT $3",
        );
        each(self.all(statement.bind(service).bind(after).bind(limit)).await?, rows::file)
    }

    async fn file_with(
        &mut self,
        content: FileContent<'_>,
        now_ms: i64,
    ) -> Result<Option<UploadedFile>, Error> {
        let statement = query(
            "SELECT * FROM files WHERE service = $1 AND emulated = $2 AND purpose = $3 AND sha256 = $4
             AND bytes = $5 AND removed_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $6)
             ORDER BY number DESC LIMIT 1",
        )
        .bind(content.service)
        .bind(content.emulated)
        .bind(content.purpose)
        .bind(content.sha256)
        .bind(integer("bytes", content.bytes)?)
        .bind(now_ms);
        self.optional(statement).await?.as_ref().map(rows::file).transpose()
    }

    async fn plugin_history(
        &mut self,
        plugin: Option<&str>,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<PluginEvent>, Error> {
        let statement = query(
            "SELECT * FROM plugin_history WHERE ($1 IS NULL OR plugin = $1)
             AND ($2 IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $3",
        );
        each(self.all(statement.bind(plugin).bind(after).bind(limit)).await?, rows::plugin_event)
    }
}
