//! Ownership: taking a job, showing life, giving it back.

use super::Store;
use crate::Error;
use crate::backend::{Durability, Read, Transaction};
use crate::ledger::claim::{DroppedClaims, Liveness};
use crate::ledger::id::token;
use crate::ledger::{BEAT_EVERY, Claim, Event, Job, JobId, NewEvent};
use std::collections::BTreeSet;
use std::time::Duration;

/// A process as an owner.
pub(crate) struct Identity {
    pub token: String,
    pub pid: u32,
    dropped: DroppedClaims,
}

impl Identity {
    pub fn new() -> Result<Self, Error> {
        Ok(Self { token: token()?, pid: std::process::id(), dropped: DroppedClaims::default() })
    }
}

/// Beats in the background until it is dropped; see [`Store::keep_beating`].
#[derive(Debug)]
pub struct Beating(tokio::task::JoinHandle<()>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Store {
    /// Makes this process the job's owner. A job without an owner, or whose owner ended
    /// or went silent, is free; of several processes that try at once, one gets it.
    ///
    /// # Errors
    /// [`Error::Owned`] if another process (or another part of this one) has it.
    pub async fn claim(&self, job: &JobId) -> Result<Claim, Error> {
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let found = tx.job(job).await?;
        self.claim_found(tx, &found).await
    }

    /// As [`Store::claim`], but for a job that still has something to do: None if it is
    /// over by now, as [one that looked like an orphan](Store::orphans) may be once
    /// another process has been quicker.
    ///
    /// # Errors
    /// As [`Store::claim`].
    pub async fn claim_unfinished(&self, job: &JobId) -> Result<Option<Claim>, Error> {
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let found = tx.job(job).await?;
        if found.state.is_final() {
            tx.rollback().await?;
            return Ok(None);
        }
        self.claim_found(tx, &found).await.map(Some)
    }

    /// Claims a job within a transaction that has read it.
    async fn claim_found(&self, mut tx: Box<dyn Transaction>, found: &Job) -> Result<Claim, Error> {
        let (job, now_ms) = (&found.id, self.now_ms());
        if let Some(owner) = &found.owner {
            if !self.is_free(found, now_ms) {
                let age_ms = (now_ms - owner.beat_ms).max(0);
                tx.rollback().await?;
                return Err(Error::Owned { job: job.clone(), pid: owner.pid, age_ms });
            }
            let event = NewEvent::own(now_ms, Event::Owner { pid: owner.pid });
            tx.append_event(job, &event, now_ms).await?;
        }
        let claim = self.take(&mut *tx, job, now_ms).await?;
        tx.count_synced(job).await?;
        tx.commit().await?;
        Ok(claim)
    }

    /// Whether nobody who lives owns the job.
    fn is_free(&self, job: &Job, now_ms: i64) -> bool {
        job.owner.as_ref().is_none_or(|owner| {
            self.backend().presence().look(&owner.token).frees_jobs(now_ms - owner.beat_ms)
        })
    }

    /// Writes this process into the job, within a transaction that found it free.
    pub(super) async fn take(
        &self,
        tx: &mut dyn Transaction,
        job: &JobId,
        now_ms: i64,
    ) -> Result<Claim, Error> {
        let me = &self.inner.me;
        // Before the job changes hands: presence is not part of the transaction, and what
        // shows that the job's last owner is dead is needed if this one dies here.
        self.appear(tx, now_ms).await?;
        let token = token()?;
        tx.take(job, &me.token, &token).await?;
        Ok(Claim::new(job.clone(), token, me.dropped.clone()))
    }

    /// Shows this process, and forgets owners that ended if it was not there before.
    pub(super) async fn appear(&self, tx: &mut dyn Transaction, now_ms: i64) -> Result<(), Error> {
        let is_new = self.backend().presence().appear()?;
        tx.beat(&self.inner.me.token, self.inner.me.pid, now_ms).await?;
        if is_new {
            self.sweep(tx).await?;
        }
        Ok(())
    }

    /// Forgets owners that ended and own nothing.
    async fn sweep(&self, tx: &mut dyn Transaction) -> Result<(), Error> {
        let presence = self.backend().presence();
        let mut needed = BTreeSet::new();
        for (owner, owns) in tx.owners().await? {
            if owns || presence.look(&owner) == Liveness::Alive {
                needed.insert(owner);
            } else {
                tx.forget_owner(&owner).await?;
            }
        }
        presence.sweep(&|owner| needed.contains(owner));
        Ok(())
    }

    /// Gives the job back.
    ///
    /// # Errors
    /// [`Error::ClaimLost`] if it was no longer ours.
    pub async fn release(&self, claim: Claim) -> Result<(), Error> {
        let mut tx = self.backend().begin(Durability::Batched).await?;
        if !tx.give_back(claim.job(), claim.token()).await? {
            tx.rollback().await?;
            return Err(Error::ClaimLost { job: claim.job().clone() });
        }
        tx.commit().await
    }

    /// Shows that this process lives, and gives back what it dropped.
    pub async fn beat(&self) -> Result<(), Error> {
        let mut tx = self.backend().begin(Durability::Batched).await?;
        let me = &self.inner.me;
        tx.beat(&me.token, me.pid, self.now_ms()).await?;
        for (job, token) in me.dropped.take() {
            tx.give_back(&job, &token).await?;
        }
        tx.commit().await
    }

    /// Beats every [`BEAT_EVERY`] in the background. A beat that fails is tried again
    /// with the next; what it means shows when the owner writes.
    pub fn keep_beating(&self) -> Beating {
        self.beat_each(BEAT_EVERY)
    }

    pub(crate) fn beat_each(&self, pause: Duration) -> Beating {
        let store = self.clone();
        Beating(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(pause);
            // After a pause (a laptop's sleep) one beat is as good as many.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let _ = store.beat().await;
            }
        }))
    }

    /// Whether the claim still holds. Ask right before an effect if time has passed since
    /// its intent was recorded.
    ///
    /// # Errors
    /// [`Error::ClaimLost`].
    pub async fn confirm(&self, claim: &Claim) -> Result<(), Error> {
        check(&mut *self.backend().read().await?, claim).await
    }

    /// Jobs that are not over and have no living owner, oldest first: what a run or a
    /// doctor should recover. Planned jobs count: nothing lets them wait.
    pub async fn orphans(&self) -> Result<Vec<Job>, Error> {
        let now_ms = self.now_ms();
        let mut jobs = self.backend().read().await?.unfinished_jobs().await?;
        jobs.retain(|job| self.is_free(job, now_ms));
        Ok(jobs)
    }
}

/// Refuses a write by anyone but the job's owner.
pub(super) async fn check<R: Read + ?Sized>(session: &mut R, claim: &Claim) -> Result<(), Error> {
    match session.holds(claim).await? {
        true => Ok(()),
        false => Err(Error::ClaimLost { job: claim.job().clone() }),
    }
}
