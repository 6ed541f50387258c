//! Cancelling, pausing and resuming the remote job, as others ask for it.

use super::{Driver, is_passing};
use crate::drive::Error;
use crate::failpoint::{Point, around};
use crate::openai::client::{Control, Controlled, JobStatus};
use tunesmith_store::{Answer, Ask, Change, Intent, Level, Operation, Outcome, Request, State};

impl Driver<'_> {
    /// Does what is asked of the job; true if it is over by that.
    pub(super) async fn serve(&mut self, remote: &str) -> Result<bool, Error> {
        // A cancel overtakes everything else.
        let mut requests = self.work.requests().await?;
        requests.sort_by_key(|request| request.ask != Ask::Cancel);
        for request in requests {
            if self.control(remote, &request).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn control(&mut self, remote: &str, request: &Request) -> Result<bool, Error> {
        let (operation, control, point) = match request.ask {
            Ask::Cancel => (Operation::Cancel, Control::Cancel, Point::OpenAiCancel),
            Ask::Pause => (Operation::Pause, Control::Pause, Point::OpenAiPause),
            Ask::Resume => (Operation::Resume, Control::Resume, Point::OpenAiResume),
        };
        let state = self.work.job.state;
        if !operation.allowed_in(state) {
            let answer = match (request.ask, state) {
                (Ask::Resume, State::Submitted | State::Running) => Answer::Done,
                (Ask::Pause, State::Paused) => Answer::Done,
                _ => Answer::Refused(format!("the job is {state}")),
            };
            self.work.apply(Change::stay().answer(request.id, answer)).await?;
            return Ok(false);
        }
        let intent = self.work.intend(Change::stay(), operation, remote).await?;
        self.work.confirm().await?;
        self.work.phase(request.ask.as_str(), Some(remote.to_owned()));
        match around(point, self.client.control_job(remote, control)).await {
            Ok(Controlled::Done(job)) => self.controlled(&intent, request, &job.status).await,
            Ok(Controlled::Unclear { job, error }) => {
                let detail =
                    format!("the service did not answer ({error}), and the job is still {}", job.status);
                self.refuse(&intent, request, &detail).await
            }
            // Nothing came of it; the request stays, and the same is tried again.
            Err(error) if is_passing(&error) && !error.may_have_happened() => {
                self.work.waiting(&error);
                let detail = error.to_string();
                self.work.apply(Change::stay().settle(intent.id, Outcome::Refused { detail })).await?;
                Ok(false)
            }
            Err(error) => self.refuse(&intent, request, &error.to_string()).await,
        }
    }

    async fn refuse(&mut self, intent: &Intent, request: &Request, detail: &str) -> Result<bool, Error> {
        let change = Change::stay()
            .settle(intent.id, Outcome::Refused { detail: detail.to_owned() })
            .answer(request.id, Answer::Refused(detail.to_owned()));
        self.work.apply(change).await?;
        Ok(false)
    }

    async fn controlled(
        &mut self,
        intent: &Intent,
        request: &Request,
        status: &JobStatus,
    ) -> Result<bool, Error> {
        let done = Outcome::Done { remote_id: None };
        let to = match request.ask {
            Ask::Cancel => Some(State::Cancelled),
            Ask::Pause => (*status == JobStatus::Paused).then_some(State::Paused),
            Ask::Resume => Some(State::Submitted),
        };
        let change = match to {
            Some(State::Cancelled) => Change::to(State::Cancelled).because("as asked").release(),
            Some(to) => Change::to(to),
            None => Change::stay(),
        };
        self.work.apply(change.settle(intent.id, done).answer(request.id, Answer::Done)).await?;
        Ok(request.ask == Ask::Cancel)
    }

    /// Settles what an earlier process sent and did not see answered. What is asked
    /// stays open, so what did not take effect is done again.
    pub(super) async fn settle_controls(&mut self, status: &JobStatus) -> Result<(), Error> {
        let situation = self.work.situation().await?;
        for intent in situation.open {
            let reached = match intent.operation {
                Operation::Cancel => *status == JobStatus::Cancelled,
                Operation::Pause => matches!(status, JobStatus::Pausing | JobStatus::Paused),
                Operation::Resume => !matches!(status, JobStatus::Pausing | JobStatus::Paused),
                _ => continue,
            };
            let outcome = if reached {
                Outcome::Done { remote_id: None }
            } else {
                Outcome::Absent { detail: format!("the job is {status} at the service") }
            };
            let mut change = Change::stay().settle(intent.id, outcome);
            if reached && intent.operation != Operation::Cancel {
                let asked = self.work.requests().await?;
                let ask = if intent.operation == Operation::Pause { Ask::Pause } else { Ask::Resume };
                if let Some(request) = asked.into_iter().find(|request| request.ask == ask) {
                    change = change.answer(request.id, Answer::Done);
                }
            }
            self.work.apply(change).await?;
            let text = format!("{} was sent before; the job is {status} at the service", intent.operation);
            self.work.note(Level::Info, &text).await?;
        }
        Ok(())
    }
}
