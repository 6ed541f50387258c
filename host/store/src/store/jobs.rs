//! Jobs as they are read, how far they came, and removing them.

use super::Store;
use crate::Error;
use crate::backend::Durability;
use crate::ledger::id::normalized;
use crate::ledger::{Attempt, Claim, Intent, IntentId, Job, JobFilter, JobId, Page, Plan, Situation, State};

/// Candidates that an ambiguous id names: as many as a person reads.
const CANDIDATES_SHOWN: usize = 8;

impl Store {
    /// The job with this id, or with the only id that begins so. Capitals, and letters
    /// that look like digits, are read as meant.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`]; [`Error::Ambiguous`] names the newest candidates.
    pub async fn job(&self, given: &str) -> Result<Job, Error> {
        let missing = || Error::NoSuchJob { given: given.to_owned() };
        let prefix = normalized(given).ok_or_else(missing)?;
        let limit = CANDIDATES_SHOWN as i64 + 1;
        let mut found = self.backend().read().await?.jobs_beginning(&prefix, limit).await?;
        if found.len() > 1 {
            let more = found.len() > CANDIDATES_SHOWN;
            found.truncate(CANDIDATES_SHOWN);
            let candidates = found.into_iter().map(|job| job.id).collect();
            return Err(Error::Ambiguous { given: given.to_owned(), candidates, more });
        }
        found.pop().ok_or_else(missing)
    }

    /// Jobs, newest first. `after` is the last page's [`Page::next`].
    pub async fn jobs(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<Page<Job>, Error> {
        let jobs = self.backend().read().await?.jobs(filter, after, Page::<Job>::rows(limit)).await?;
        Ok(Page::of(jobs, limit, |job| job.number))
    }

    /// All attempts at a job, in order.
    pub async fn attempts(&self, job: &JobId) -> Result<Vec<Attempt>, Error> {
        self.backend().read().await?.attempts(job).await
    }

    /// The plan of a job.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`].
    pub async fn plan(&self, job: &JobId) -> Result<Plan, Error> {
        self.backend().read().await?.plan(job).await
    }

    /// Everything about how far the job came.
    pub async fn situation(&self, job: &JobId) -> Result<Situation, Error> {
        // One transaction, so that the parts belong together; read-only in effect.
        let mut tx = self.backend().begin(Durability::Batched).await?;
        let job = tx.job(job).await?;
        let intents = tx.intents(&job.id).await?;
        let models = tx.models_of(&job.id, job.attempt).await?;
        tx.rollback().await?;
        Ok(Situation::new(job, intents, models))
    }

    /// All intents of a job, of all attempts, oldest first.
    pub async fn intents(&self, job: &JobId) -> Result<Vec<Intent>, Error> {
        self.backend().read().await?.intents(job).await
    }

    /// Records how far an open intent has come, such as the parts of an upload that
    /// arrived. Not synced: after power loss the last notes may be missing, and those
    /// parts are sent again.
    ///
    /// # Errors
    /// [`Error::ClaimLost`], [`Error::NoSuchIntent`].
    pub async fn note(&self, claim: &Claim, intent: IntentId, note: &serde_json::Value) -> Result<(), Error> {
        let mut tx = self.backend().begin(Durability::Batched).await?;
        super::owner::check(&mut *tx, claim).await?;
        if !tx.note_intent(claim.job(), intent, &self.redactor().json(note)).await? {
            return Err(Error::NoSuchIntent { job: claim.job().clone(), intent: intent.0 });
        }
        tx.commit().await
    }

    /// Forgets a job with its events, metrics and artifacts' records. What it made stays
    /// listed: models, and files at the service.
    ///
    /// # Errors
    /// [`Error::NotRemovable`] unless the job is planned or over; [`Error::ClaimLost`].
    pub async fn remove(&self, claim: Claim) -> Result<(), Error> {
        let mut tx = self.backend().begin(Durability::Synced).await?;
        super::owner::check(&mut *tx, &claim).await?;
        let job = tx.job(claim.job()).await?;
        if job.state != State::Planned && !job.state.is_final() {
            return Err(Error::NotRemovable { job: job.id, state: job.state });
        }
        tx.delete_job(&job).await?;
        tx.commit().await
    }
}
