//! Applying a change, in one synced transaction.

use super::{Store, ended};
use crate::Error;
use crate::backend::{Durability, Transaction};
use crate::ledger::change::check_founded;
use crate::ledger::id::run_id;
use crate::ledger::{Applied, Change, Claim, Event, Intent, NewEvent};

impl Store {
    /// Applies a change to the claim's job.
    ///
    /// # Errors
    /// [`Error::ClaimLost`]; [`Error::IllegalMove`]; [`Error::Unfounded`] if the new state
    /// would claim what is not recorded; [`Error::OutOfPlace`] and [`Error::StillOpen`]
    /// for an intent that the state or an earlier one forbids; [`Error::NoSuchIntent`].
    /// Whatever the error, nothing was changed.
    pub async fn apply(&self, claim: &Claim, change: Change) -> Result<Applied, Error> {
        let mut change = change.with_texts(|text| self.redactor().text(text));
        for new in &mut change.events {
            new.event = new.event.redacted(self.redactor());
        }
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let result = write(&mut *tx, claim, &change, self.now_ms()).await;
        ended(tx, result).await
    }
}

async fn write(
    tx: &mut dyn Transaction,
    claim: &Claim,
    change: &Change,
    now_ms: i64,
) -> Result<Applied, Error> {
    super::owner::check(tx, claim).await?;
    let id = claim.job();
    let mut job = tx.job(id).await?;
    for event in &change.events {
        tx.append_event(id, event, now_ms).await?;
    }
    let mut intents = tx.intents(id).await?;
    let adopted = change.settle_in(&job, &mut intents)?;
    for (intent, outcome) in &change.settle {
        tx.settle_intent(*intent, outcome, now_ms).await?;
    }
    for (attempt, remote_id) in adopted {
        tx.set_remote_id(id, attempt, &remote_id).await?;
    }
    for model in &change.models {
        tx.put_model(&job, model, now_ms).await?;
    }
    for name in &change.verified {
        if !tx.verify_model(&job, name, now_ms).await? {
            let why = format!("attempt {} of job {id} made no model {name:?}", job.attempt);
            return Err(Error::Invalid { what: "verified model", why });
        }
    }
    for file in &change.uploads {
        tx.put_file(&job, file, now_ms).await?;
    }
    if let Some(step) = change.step(&job)? {
        if step.begins_attempt {
            tx.insert_attempt(id, step.attempt, &run_id(id)?, now_ms).await?;
            tx.set_progress(id, None).await?;
        }
        tx.move_job(id, &step, now_ms).await?;
        for event in step.events() {
            tx.append_event(id, &NewEvent::own(now_ms, event), now_ms).await?;
        }
        job = tx.job(id).await?;
    }
    let mut intent = None;
    if let Some((operation, request_hash)) = change.intent_in(&job, &intents)? {
        let new = Intent {
            id: tx.insert_intent(&job, operation, request_hash, now_ms).await?,
            attempt: job.attempt,
            operation,
            request_hash: request_hash.to_owned(),
            run_id: job.run_id.clone(),
            opened_ms: now_ms,
            note: None,
            outcome: None,
            settled_ms: None,
        };
        intents.push(new.clone());
        intent = Some(new);
    }
    let models = tx.models_of(id, job.attempt).await?;
    check_founded(&job, &intents, &models)?;
    for (request, answer) in &change.answers {
        // One that was answered meanwhile (overtaken by another) keeps its answer.
        if let Some(ask) = tx.answer_request(id, *request, answer, now_ms).await? {
            let event = Event::Request { request: ask, answer: Some(answer.clone()) };
            tx.append_event(id, &NewEvent::own(now_ms, event), now_ms).await?;
        }
    }
    if job.state.is_final() {
        for open in tx.requests(id).await? {
            tx.answer_request(id, open.id, &open.ask.answer_at_end(job.state), now_ms).await?;
        }
    }
    if change.release {
        tx.give_back(id, claim.token()).await?;
    }
    tx.count_synced(id).await?;
    Ok(Applied { job: tx.job(id).await?, intent })
}
