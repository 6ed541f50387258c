//! What a job yields while it runs: events, figures, checkpoints, artifacts.

use super::Store;
use crate::Error;
use crate::backend::{Durability, Transaction};
use crate::ledger::{
    Artifact, Batch, Checkpoint, Claim, Job, JobId, MetricPoint, NewEvent, Page, Recorded, StoredEvent,
};

impl Store {
    /// Appends what a look at the service brought, each thing once, all or nothing. Not
    /// synced: what power loss takes is fetched again.
    ///
    /// # Errors
    /// [`Error::ClaimLost`].
    pub async fn append(&self, claim: &Claim, batch: &Batch) -> Result<Recorded, Error> {
        let now_ms = self.now_ms();
        let mut tx = self.backend().begin(Durability::Batched).await?;
        super::owner::check(&mut *tx, claim).await?;
        let job = tx.job(claim.job()).await?;
        let mut recorded = Recorded::default();
        for event in &batch.events {
            recorded.events += usize::from(self.append_event(&mut *tx, &job.id, event, now_ms).await?);
        }
        for point in &batch.metrics {
            recorded.metrics += usize::from(add_metrics(&mut *tx, &job, point).await?);
        }
        for checkpoint in &batch.checkpoints {
            recorded.checkpoints += usize::from(tx.insert_checkpoint(&job, checkpoint).await?);
        }
        for artifact in &batch.artifacts {
            tx.put_artifact(&job, artifact, now_ms).await?;
        }
        if batch.progress.is_some() {
            tx.set_progress(&job.id, batch.progress).await?;
        }
        tx.commit().await?;
        Ok(recorded)
    }

    /// Appends an event of the caller's; false if it is there already.
    async fn append_event(
        &self,
        tx: &mut dyn Transaction,
        job: &JobId,
        event: &NewEvent,
        now_ms: i64,
    ) -> Result<bool, Error> {
        if let Some(remote_id) = &event.remote_id
            && tx.has_event(job, remote_id).await?
        {
            return Ok(false);
        }
        let event = NewEvent { event: event.event.redacted(self.redactor()), ..event.clone() };
        tx.append_event(job, &event, now_ms).await?;
        Ok(true)
    }

    /// Events of a job after this sequence number (0 for the beginning), in order.
    /// `next` is `None` when no more are there yet.
    pub async fn events(&self, job: &JobId, after: i64, limit: u32) -> Result<Page<StoredEvent>, Error> {
        let events =
            self.backend().read().await?.events(job, after, Page::<StoredEvent>::rows(limit)).await?;
        Ok(Page::of(events, limit, |event| event.seq))
    }

    /// The figures of an attempt, by step, after this step (`None` for the beginning).
    pub async fn metrics(
        &self,
        job: &JobId,
        attempt: u32,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MetricPoint>, Error> {
        let size = Page::<MetricPoint>::size(limit);
        self.backend().read().await?.metrics(job, attempt, after, size).await
    }

    /// The checkpoints of a job, by step.
    pub async fn checkpoints(&self, job: &JobId) -> Result<Vec<Checkpoint>, Error> {
        self.backend().read().await?.checkpoints(job).await
    }

    /// The artifacts of a job, by name.
    pub async fn artifacts(&self, job: &JobId) -> Result<Vec<Artifact>, Error> {
        self.backend().read().await?.artifacts(job).await
    }
}

/// Adds a point to its step; false if it brings nothing new.
async fn add_metrics(tx: &mut dyn Transaction, job: &Job, point: &MetricPoint) -> Result<bool, Error> {
    let known = tx.metrics(&job.id, job.attempt, point.step.checked_sub(1), 1).await?;
    let known = known.first().filter(|known| known.step == point.step);
    let Some(figures) = point.added_to(known) else { return Ok(false) };
    tx.put_metrics(job, &MetricPoint { step: point.step, figures }).await?;
    Ok(true)
}
