//! Requests from another shell.

use super::Store;
use crate::Error;
use crate::backend::Durability;
use crate::ledger::{Answer, Ask, Event, JobId, NewEvent, Request, RequestId};

impl Store {
    /// Asks the owner of a job for something. Asking again while it is open changes
    /// nothing. A cancel makes open requests to pause or resume moot, and a pause and a
    /// resume each other.
    ///
    /// # Errors
    /// [`Error::CannotAsk`] if the job is over; [`Error::NoSuchJob`].
    pub async fn request(&self, job: &JobId, ask: Ask) -> Result<Request, Error> {
        let now_ms = self.now_ms();
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let state = tx.job(job).await?.state;
        if state.is_final() {
            tx.rollback().await?;
            return Err(Error::CannotAsk { job: job.clone(), state, asked: ask });
        }
        let open = tx.requests(job).await?;
        if let Some(same) = open.iter().find(|request| request.ask == ask) {
            tx.rollback().await?;
            return Ok(same.clone());
        }
        let moot = Answer::Moot(format!("overtaken by a later request to {ask}"));
        for other in open.iter().filter(|request| ask.overtakes().contains(&request.ask)) {
            tx.answer_request(job, other.id, &moot, now_ms).await?;
        }
        let request = tx.insert_request(job, ask, now_ms).await?;
        let event = NewEvent::own(now_ms, Event::Request { request: ask, answer: None });
        tx.append_event(job, &event, now_ms).await?;
        tx.count_synced(job).await?;
        tx.commit().await?;
        Ok(request)
    }

    /// The open requests of a job, oldest first; what its owner polls.
    pub async fn requests(&self, job: &JobId) -> Result<Vec<Request>, Error> {
        self.backend().read().await?.requests(job).await
    }

    /// A request with its answer, if there is one yet; what the asking shell polls.
    /// `None` once the job is removed.
    pub async fn request_status(&self, request: RequestId) -> Result<Option<Request>, Error> {
        self.backend().read().await?.request(request).await
    }
}
