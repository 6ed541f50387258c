//! What a transaction writes of a job's course: its states, claims, intents and requests.

use super::connection::{Begun, Session};
use super::rows::{self, integer};
use crate::Error;
use crate::backend::Transaction;
use crate::ledger::change::Move;
use crate::ledger::new::Documents;
use crate::ledger::{Answer, Ask, IntentId, Job, JobId, NewJob, Operation, Outcome, Request, RequestId};
use async_trait::async_trait;
use serde_json::Value;
use sqlx::{Row as _, query};

#[async_trait]
impl Transaction for Session<Begun> {
    async fn commit(self: Box<Self>) -> Result<(), Error> {
        (*self).commit().await
    }

    async fn rollback(self: Box<Self>) -> Result<(), Error> {
        (*self).rollback().await
    }

    async fn insert_job(
        &mut self,
        id: &JobId,
        new: &NewJob,
        documents: &Documents,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.execute(
            query(
                "INSERT INTO datasets (digest, path, rows, bytes, added_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (digest) DO UPDATE SET path = excluded.path",
            )
            .bind(&new.dataset.digest)
            .bind(&new.dataset.path)
            .bind(integer("rows", new.dataset.rows)?)
            .bind(integer("bytes", new.dataset.bytes)?)
            .bind(now_ms),
        )
        .await?;
        self.execute(
            query(
                "INSERT INTO plans (digest, document, added_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(&new.plan.digest)
            .bind(&new.plan.document)
            .bind(now_ms),
        )
        .await?;
        self.execute(
            query(
                "INSERT INTO jobs (id, name, provider, service, method, base_model, emulated, remote, spec,
                     dataset, plan, measured, state, attempt, last_event, synced, created_ms, changed_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'planned', 1, 0, 1, $13, $13)",
            )
            .bind(id.as_str())
            .bind(&documents.name)
            .bind(new.provider.as_str())
            .bind(&new.service)
            .bind(&new.method)
            .bind(&new.base_model)
            .bind(new.emulated)
            .bind(new.remote)
            .bind(&documents.spec)
            .bind(&new.dataset.digest)
            .bind(&new.plan.digest)
            .bind(&documents.measured)
            .bind(now_ms),
        )
        .await
        .map(drop)
    }

    async fn delete_job(&mut self, job: &Job) -> Result<(), Error> {
        self.execute(query("DELETE FROM jobs WHERE id = $1").bind(job.id.as_str())).await?;
        for (sql, key) in [
            (
                "DELETE FROM plans WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE plan = $1)",
                &job.plan,
            ),
            (
                "DELETE FROM datasets
                 WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE dataset = $1)",
                &job.dataset,
            ),
        ] {
            self.execute(query(sql).bind(key)).await?;
        }
        Ok(())
    }

    async fn insert_attempt(
        &mut self,
        job: &JobId,
        number: u32,
        run_id: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.execute(
            query("INSERT INTO attempts (job, number, run_id, started_ms) VALUES ($1, $2, $3, $4)")
                .bind(job.as_str())
                .bind(number)
                .bind(run_id)
                .bind(now_ms),
        )
        .await
        .map(drop)
    }

    async fn move_job(&mut self, job: &JobId, step: &Move, now_ms: i64) -> Result<(), Error> {
        self.execute(
            query("UPDATE attempts SET ended_ms = $1 WHERE job = $2 AND number = $3")
                .bind(step.ended_ms(now_ms))
                .bind(job.as_str())
                .bind(step.attempt),
        )
        .await?;
        self.execute(
            query("UPDATE jobs SET state = $1, reason = $2, attempt = $3, changed_ms = $4 WHERE id = $5")
                .bind(step.to.as_str())
                .bind(&step.reason)
                .bind(step.attempt)
                .bind(now_ms)
                .bind(job.as_str()),
        )
        .await
        .map(drop)
    }

    async fn set_progress(&mut self, job: &JobId, progress: Option<(u64, u64)>) -> Result<(), Error> {
        let (step, total) = progress.unzip();
        self.execute(
            query("UPDATE jobs SET step = $1, total_steps = $2 WHERE id = $3")
                .bind(step.map(|step| integer("step", step)).transpose()?)
                .bind(total.map(|total| integer("total steps", total)).transpose()?)
                .bind(job.as_str()),
        )
        .await
        .map(drop)
    }

    async fn count_synced(&mut self, job: &JobId) -> Result<(), Error> {
        self.execute(query("UPDATE jobs SET synced = synced + 1 WHERE id = $1").bind(job.as_str()))
            .await
            .map(drop)
    }

    async fn take(&mut self, job: &JobId, owner: &str, claim: &str) -> Result<(), Error> {
        self.execute(
            query("UPDATE jobs SET owner = $1, claim = $2 WHERE id = $3")
                .bind(owner)
                .bind(claim)
                .bind(job.as_str()),
        )
        .await
        .map(drop)
    }

    async fn give_back(&mut self, job: &JobId, claim: &str) -> Result<bool, Error> {
        let statement = query("UPDATE jobs SET owner = NULL, claim = NULL WHERE id = $1 AND claim = $2");
        Ok(self.execute(statement.bind(job.as_str()).bind(claim)).await? > 0)
    }

    async fn beat(&mut self, owner: &str, pid: u32, now_ms: i64) -> Result<(), Error> {
        self.execute(
            query(
                "INSERT INTO owners (token, pid, since_ms, beat_ms) VALUES ($1, $2, $3, $3)
                 ON CONFLICT (token) DO UPDATE SET beat_ms = $3",
            )
            .bind(owner)
            .bind(pid)
            .bind(now_ms),
        )
        .await
        .map(drop)
    }

    async fn forget_owner(&mut self, owner: &str) -> Result<(), Error> {
        self.execute(query("DELETE FROM owners WHERE token = $1").bind(owner)).await.map(drop)
    }

    async fn insert_intent(
        &mut self,
        job: &Job,
        operation: Operation,
        request_hash: &str,
        now_ms: i64,
    ) -> Result<IntentId, Error> {
        let statement = query(
            "INSERT INTO intents (job, attempt, operation, request_hash, opened_ms)
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(job.id.as_str())
        .bind(job.attempt)
        .bind(operation.as_str())
        .bind(request_hash)
        .bind(now_ms);
        Ok(IntentId(self.one(statement).await?.try_get("id")?))
    }

    async fn settle_intent(&mut self, intent: IntentId, outcome: &Outcome, now_ms: i64) -> Result<(), Error> {
        self.execute(
            query(
                "UPDATE intents SET result = $1, remote_id = $2, detail = $3, settled_ms = $4
                 WHERE id = $5 AND result IS NULL",
            )
            .bind(outcome.name())
            .bind(outcome.remote_id())
            .bind(outcome.detail())
            .bind(now_ms)
            .bind(intent.0),
        )
        .await
        .map(drop)
    }

    async fn note_intent(&mut self, job: &JobId, intent: IntentId, note: &Value) -> Result<bool, Error> {
        let statement = query("UPDATE intents SET note = $1 WHERE id = $2 AND job = $3 AND result IS NULL")
            .bind(note.to_string())
            .bind(intent.0)
            .bind(job.as_str());
        Ok(self.execute(statement).await? > 0)
    }

    async fn set_remote_id(&mut self, job: &JobId, attempt: u32, remote_id: &str) -> Result<(), Error> {
        self.execute(
            query("UPDATE attempts SET remote_id = $1 WHERE job = $2 AND number = $3")
                .bind(remote_id)
                .bind(job.as_str())
                .bind(attempt),
        )
        .await
        .map(drop)
    }

    async fn insert_request(&mut self, job: &JobId, ask: Ask, now_ms: i64) -> Result<Request, Error> {
        let statement = query("INSERT INTO requests (job, kind, asked_ms) VALUES ($1, $2, $3) RETURNING *")
            .bind(job.as_str())
            .bind(ask.as_str())
            .bind(now_ms);
        rows::request(&self.one(statement).await?)
    }

    async fn answer_request(
        &mut self,
        job: &JobId,
        request: RequestId,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<Option<Ask>, Error> {
        let (name, detail) = answer.parts();
        let statement = query(
            "UPDATE requests SET answer = $1, detail = $2, answered_ms = $3
             WHERE id = $4 AND job = $5 AND answer IS NULL RETURNING *",
        )
        .bind(name)
        .bind(detail)
        .bind(now_ms)
        .bind(request.0)
        .bind(job.as_str());
        let answered = self.optional(statement).await?.as_ref().map(rows::request).transpose()?;
        Ok(answered.map(|request| request.ask))
    }
}
