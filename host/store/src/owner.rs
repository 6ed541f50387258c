//! Ownership: one process at a time writes a job, and a dead owner's jobs are free.

use super::connection::{Session, Sync, Write};
use super::presence::{self, Lock, Presence};
use super::{Error, EventKind, Job, JobId, Level, Store};
use sqlx::Row as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often an owner shows that it lives. A beat is one small write for all jobs of a
/// process.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Without a sign of life for this long, an owner whose lock cannot be seen is taken for
/// dead: six beats missed, more than a busy machine or a slow disk explains.
pub const STALE_AFTER_MS: i64 = 30_000;

/// An owner that still holds its lock is alive, and may have been stopped or have slept
/// with the machine: after waking it beats within seconds. It loses its jobs only when it
/// has been silent for this long, because taking over from one that is about to send is
/// the one way to do a thing twice.
pub const HUNG_AFTER_MS: i64 = 300_000;

/// A process as an owner.
pub(super) struct Identity {
    pub directory: PathBuf,
    pub token: String,
    pid: u32,
    /// The lock, once there is something to own. Its file stays when the lock is freed and
    /// while jobs name this owner, so that others can see at once that it is gone.
    lock: Mutex<Option<Lock>>,
    /// Claims that were dropped without being released.
    dropped: Arc<Mutex<Vec<(JobId, String)>>>,
}

impl Identity {
    pub fn new(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            directory: directory.to_path_buf(),
            token: super::id::token()?,
            pid: std::process::id(),
            lock: Mutex::new(None),
            dropped: Arc::default(),
        })
    }

    /// Takes the lock if it is not held yet; whether it is new.
    pub(super) fn appear(&self) -> Result<bool, Error> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return Ok(false);
        }
        *lock = Some(presence::take(&self.directory, &self.token)?);
        Ok(true)
    }
}

/// The right to write a job. Dropped without [`Store::release`], it is given back with
/// the next heartbeat.
#[derive(Debug)]
pub struct Claim {
    job: JobId,
    token: String,
    dropped: Arc<Mutex<Vec<(JobId, String)>>>,
}

impl Claim {
    /// The job.
    pub fn job(&self) -> &JobId {
        &self.job
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let entry = (self.job.clone(), std::mem::take(&mut self.token));
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

/// Keeps the heart beating until it is dropped; see [`Store::keep_beating`].
#[derive(Debug)]
pub struct Beating(tokio::task::JoinHandle<()>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether an owner's jobs are free for others.
pub(super) fn is_gone(presence: Presence, age_ms: i64) -> bool {
    match presence {
        Presence::Dead => true,
        Presence::Unknown => age_ms >= STALE_AFTER_MS,
        Presence::Alive => age_ms >= HUNG_AFTER_MS,
    }
}

impl Store {
    /// Makes this process the job's owner. A job without an owner, or whose owner ended
    /// or went silent, is free; of several processes that try at once, one gets it.
    ///
    /// # Errors
    /// [`Error::Owned`] if another process (or another part of this one) has it.
    pub async fn claim(&self, job: &JobId) -> Result<Claim, Error> {
        let mut tx = self.inner.write(Sync::Full).await?;
        let found = super::job::by_id(&mut tx, job).await?;
        self.claim_found(tx, &found).await
    }

    /// As [`Store::claim`], but for a job that still has something to do: None if it is
    /// over by now, as [one that looked like an orphan](Store::orphans) may be once
    /// another process has been quicker.
    ///
    /// # Errors
    /// As [`Store::claim`].
    pub async fn claim_unfinished(&self, job: &JobId) -> Result<Option<Claim>, Error> {
        let mut tx = self.inner.write(Sync::Full).await?;
        let found = super::job::by_id(&mut tx, job).await?;
        if found.state.is_final() {
            tx.rollback().await?;
            return Ok(None);
        }
        self.claim_found(tx, &found).await.map(Some)
    }

    /// Claims a job within a transaction that has read it.
    async fn claim_found(&self, mut tx: Write, found: &Job) -> Result<Claim, Error> {
        let (job, now_ms) = (&found.id, self.now_ms());
        if let Some(owner) = &found.owner {
            let age_ms = now_ms - owner.beat_ms;
            if !is_gone(presence::look(&self.inner.owner.directory, &owner.token), age_ms) {
                let error = Error::Owned { job: job.clone(), pid: owner.pid, age_ms: age_ms.max(0) };
                tx.rollback().await?;
                return Err(error);
            }
            let message = format!("taken over from process {}, which is gone", owner.pid);
            super::event::own(&mut tx, job, now_ms, EventKind::Owner, Level::Warning, &message).await?;
        }
        let claim = self.take(&mut tx, job, now_ms).await?;
        super::job::touch(&mut tx, job).await?;
        tx.commit().await?;
        Ok(claim)
    }

    /// Writes this process into the job, within a transaction that found it free.
    pub(super) async fn take(&self, tx: &mut Write, job: &JobId, now_ms: i64) -> Result<Claim, Error> {
        let me = &self.inner.owner;
        let is_new = me.appear()?;
        beat(tx, self, now_ms).await?;
        if is_new {
            // Before the job changes hands: files are not part of the transaction, and the
            // one that shows that its last owner is dead is needed if this one dies here.
            sweep(tx, me).await?;
        }
        let token = super::id::token()?;
        tx.execute(
            sqlx::query("UPDATE jobs SET owner = ?, claim = ? WHERE id = ?")
                .bind(&me.token)
                .bind(&token)
                .bind(job.as_str()),
        )
        .await?;
        Ok(Claim { job: job.clone(), token, dropped: Arc::clone(&me.dropped) })
    }

    /// Gives the job back.
    ///
    /// # Errors
    /// [`Error::ClaimLost`] if it was no longer ours.
    pub async fn release(&self, claim: Claim) -> Result<(), Error> {
        let mut tx = self.inner.write(Sync::Batch).await?;
        if !give_back(&mut tx, &claim.job, &claim.token).await? {
            let lost = Error::ClaimLost { job: claim.job.clone() };
            tx.rollback().await?;
            return Err(lost);
        }
        tx.commit().await
    }

    /// Shows that this process lives, and gives back what it dropped.
    pub async fn beat(&self) -> Result<(), Error> {
        let mut tx = self.inner.write(Sync::Batch).await?;
        beat(&mut tx, self, self.now_ms()).await?;
        let dropped =
            std::mem::take(&mut *self.inner.owner.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for (job, token) in dropped {
            give_back(&mut tx, &job, &token).await?;
        }
        tx.commit().await
    }

    /// Beats every [`BEAT_EVERY`] in the background. A beat that fails is tried again
    /// with the next; what it means shows when the owner writes.
    pub fn keep_beating(&self) -> Beating {
        self.beat_each(BEAT_EVERY)
    }

    pub(super) fn beat_each(&self, pause: Duration) -> Beating {
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
        let mut session = self.inner.read().await?;
        check(&mut session, claim).await
    }

    /// Jobs that are not over and have no living owner, oldest first: what a run or a
    /// doctor should carry on with. Planned jobs count: nothing lets them wait.
    pub async fn orphans(&self) -> Result<Vec<Job>, Error> {
        let now_ms = self.now_ms();
        let mut jobs = super::job::unfinished(&mut self.inner.read().await?).await?;
        let directory = &self.inner.owner.directory;
        jobs.retain(|job| {
            job.owner
                .as_ref()
                .is_none_or(|owner| is_gone(presence::look(directory, &owner.token), now_ms - owner.beat_ms))
        });
        Ok(jobs)
    }
}

/// Refuses a write by anyone but the job's owner.
pub(super) async fn check(session: &mut Session, claim: &Claim) -> Result<(), Error> {
    let held = session
        .optional(
            sqlx::query("SELECT 1 FROM jobs WHERE id = ? AND claim = ?")
                .bind(claim.job.as_str())
                .bind(&claim.token),
        )
        .await?;
    held.map(drop).ok_or_else(|| Error::ClaimLost { job: claim.job.clone() })
}

/// Frees the job; false if the claim no longer held.
pub(super) async fn give_back(tx: &mut Write, job: &JobId, token: &str) -> Result<bool, Error> {
    let changed = tx
        .execute(
            sqlx::query("UPDATE jobs SET owner = NULL, claim = NULL WHERE id = ? AND claim = ?")
                .bind(job.as_str())
                .bind(token),
        )
        .await?;
    Ok(changed > 0)
}

/// Frees the job within a change.
pub(super) async fn give_back_claim(tx: &mut Write, claim: &Claim) -> Result<bool, Error> {
    give_back(tx, &claim.job, &claim.token).await
}

/// Notes that this process lives.
pub(super) async fn beat(tx: &mut Write, store: &Store, now_ms: i64) -> Result<(), Error> {
    let me = &store.inner.owner;
    tx.execute(
        sqlx::query(
            "INSERT INTO owners (token, pid, since_ms, beat_ms) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (token) DO UPDATE SET beat_ms = ?3",
        )
        .bind(&me.token)
        .bind(i64::from(me.pid))
        .bind(now_ms),
    )
    .await?;
    Ok(())
}

/// Forgets owners that ended and own nothing.
pub(super) async fn sweep(tx: &mut Write, me: &Identity) -> Result<(), Error> {
    let rows = tx
        .all(sqlx::query("SELECT token, EXISTS (SELECT 1 FROM jobs WHERE owner = token) AS owns FROM owners"))
        .await?;
    let mut owning = BTreeSet::new();
    for row in rows {
        let token: String = row.try_get("token")?;
        let gone = presence::look(&me.directory, &token) != Presence::Alive;
        if row.try_get::<bool, _>("owns")? || !gone {
            owning.insert(token);
        } else {
            tx.execute(sqlx::query("DELETE FROM owners WHERE token = ?").bind(token)).await?;
        }
    }
    presence::sweep(&me.directory, |token| token == me.token || owning.contains(token));
    Ok(())
}
