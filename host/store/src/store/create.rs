//! Creating a job, with its dataset, its plan and its first attempt, in one transaction.

use super::Store;
use crate::Error;
use crate::backend::{Durability, Transaction};
use crate::ledger::id::run_id;
use crate::ledger::{Claim, Event, Job, JobId, NewEvent, NewJob, State};

/// Ids are drawn at random; a drawn one that is taken is drawn again this often before
/// something other than chance must be at work.
const ID_DRAWS: usize = 16;

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

    pub(crate) async fn make(
        &self,
        new: &NewJob,
        owned: bool,
        draw: impl Fn() -> Result<JobId, getrandom::Error>,
    ) -> Result<(Job, Option<Claim>), Error> {
        let documents = new.check(self.redactor())?;
        let now_ms = self.now_ms();
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let id = free_id(&mut *tx, draw).await?;
        tx.insert_job(&id, new, &documents, now_ms).await?;
        tx.insert_attempt(&id, 1, &run_id(&id)?, now_ms).await?;
        let event = Event::State { from: None, to: State::Planned, reason: None };
        tx.append_event(&id, &NewEvent::own(now_ms, event), now_ms).await?;
        let claim = match owned {
            true => Some(self.take(&mut *tx, &id, now_ms).await?),
            false => None,
        };
        let job = tx.job(&id).await?;
        tx.commit().await?;
        Ok((job, claim))
    }
}

async fn free_id(
    tx: &mut dyn Transaction,
    draw: impl Fn() -> Result<JobId, getrandom::Error>,
) -> Result<JobId, Error> {
    for _ in 0..ID_DRAWS {
        let id = draw()?;
        // Models and files outlive jobs and name them, so their jobs' ids stay taken.
        if !tx.is_taken(&id).await? {
            return Ok(id);
        }
    }
    Err(Error::Fault { detail: "no free job id was drawn".into() })
}
