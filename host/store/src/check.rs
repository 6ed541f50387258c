//! Checks a store against its own rules, for `doctor` and for tests that kill processes.

use super::connection::Sync;
use super::{Error, EventKind, JobId, Store};
use sqlx::Row as _;

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The job it concerns.
    pub job: Option<JobId>,
    /// What is wrong.
    pub what: String,
}

impl Store {
    /// Reads the whole store and tells what is wrong with it; nothing, for a sound one.
    /// Takes time in proportion to the store's size.
    pub async fn check(&self) -> Result<Vec<Problem>, Error> {
        let mut problems = Vec::new();
        let mut ids = Vec::new();
        {
            let mut session = self.inner.read().await?;
            for row in session.all(sqlx::query("PRAGMA integrity_check")).await? {
                let what: String = row.try_get(0)?;
                if what != "ok" {
                    problems.push(Problem { job: None, what });
                }
            }
            for row in session.all(sqlx::query("PRAGMA foreign_key_check")).await? {
                let table: String = row.try_get(0)?;
                problems.push(Problem { job: None, what: format!("a row of {table} belongs to nothing") });
            }
            for row in session.all(sqlx::query("SELECT id FROM jobs ORDER BY number")).await? {
                ids.push(JobId::stored(row.try_get(0)?));
            }
        }
        for id in ids {
            let found = self.check_job(&id).await?;
            problems.extend(found.into_iter().map(|what| Problem { job: Some(id.clone()), what }));
        }
        Ok(problems)
    }

    async fn check_job(&self, id: &JobId) -> Result<Vec<String>, Error> {
        // One transaction: the job must not move between its parts. Nothing is written.
        let mut tx = self.inner.write(Sync::Batch).await?;
        let job = match super::job::by_id(&mut tx, id).await {
            Err(Error::NoSuchJob { .. }) => {
                tx.rollback().await?;
                return Ok(Vec::new());
            }
            other => other?,
        };
        let facts = super::intent::facts(&mut tx, id, job.attempt).await?;
        let events = super::event::all(&mut tx, id).await?;
        let last = tx
            .one(sqlx::query("SELECT last_event FROM jobs WHERE id = ?").bind(id.as_str()))
            .await?
            .try_get::<i64, _>(0)?;
        tx.rollback().await?;

        let mut wrong = Vec::new();
        if let Err(why) = job.state.check(facts) {
            wrong.push(format!("it is {}, but {why}", job.state));
        }
        if events.len() as i64 != last || events.iter().zip(1..).any(|(event, seq)| event.seq != seq) {
            wrong.push(format!("{} events, and the last has the number {last}", events.len()));
        }
        let mut state = None;
        for event in &events {
            if let EventKind::State { from, to } = event.kind {
                let legal = from.is_none_or(|from| from.next().contains(&to));
                if from != state || !legal {
                    wrong.push(format!("event {} says {} after {state:?}", event.seq, event.message));
                }
                state = Some(to);
            }
        }
        if state != Some(job.state) {
            wrong.push(format!("it is {}, and its last event says {state:?}", job.state));
        }
        Ok(wrong)
    }
}
