//! Checks a store against its own rules, for `doctor` and for tests that kill processes.

use super::Store;
use crate::Error;
use crate::backend::Durability;
use crate::ledger::facts::Facts;
use crate::ledger::{Event, Intent, Job, JobFilter, JobId, Model, StoredEvent};

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The job it concerns.
    pub job: Option<JobId>,
    /// What is wrong.
    pub what: String,
}

impl Store {
    /// Reads the whole store and reports what is wrong with it; nothing, for a sound one.
    /// Takes time in proportion to the store's size.
    pub async fn check(&self) -> Result<Vec<Problem>, Error> {
        let faults = self.backend().faults().await?;
        let mut problems: Vec<_> = faults.into_iter().map(|what| Problem { job: None, what }).collect();
        let mut jobs = self.backend().read().await?.jobs(&JobFilter::default(), None, i64::MAX).await?;
        jobs.reverse();
        for Job { id, .. } in jobs {
            let found = self.check_job(&id).await?;
            problems.extend(found.into_iter().map(|what| Problem { job: Some(id.clone()), what }));
        }
        Ok(problems)
    }

    async fn check_job(&self, id: &JobId) -> Result<Vec<String>, Error> {
        // One transaction: the job must not move between its parts. Nothing is written.
        let mut tx = self.backend().begin(Durability::Batched).await?;
        let job = match tx.job(id).await {
            Err(Error::NoSuchJob { .. }) => {
                tx.rollback().await?;
                return Ok(Vec::new());
            }
            other => other?,
        };
        let intents = tx.intents(id).await?;
        let models = tx.models_of(id, job.attempt).await?;
        let events = tx.events(id, 0, i64::MAX).await?;
        tx.rollback().await?;
        Ok(wrong(&job, &intents, &models, &events))
    }
}

/// What is wrong with a job.
fn wrong(job: &Job, intents: &[Intent], models: &[Model], events: &[StoredEvent]) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(why) = Facts::of(job, intents, models).allow(job.state) {
        wrong.push(format!("it is {}, but {why}", job.state));
    }
    let last = job.last_event;
    if events.len() as i64 != last || events.iter().zip(1..).any(|(event, seq)| event.seq != seq) {
        wrong.push(format!("{} events, and the last has the number {last}", events.len()));
    }
    let mut state = None;
    for event in events {
        if let Event::State { from, to, .. } = event.event {
            let legal = from.is_none_or(|from| from.next().contains(&to));
            if from != state || !legal {
                wrong.push(format!("event {} says {} after {state:?}", event.seq, event.event));
            }
            state = Some(to);
        }
    }
    if state != Some(job.state) {
        wrong.push(format!("it is {}, and its last event says {state:?}", job.state));
    }
    wrong
}
