//! Going on with recorded jobs: resumed, tried again, asked for something, decided, and
//! recovered after the death of their process.

use super::{Ended, Error, Executor, Until};
use futures_util::stream::{self, StreamExt as _};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_provider::{AnyProvider, facts};
use tunesmith_store::{Answer, Ask, Change, Claim, Job, JobId, Outcome, RequestId, State, UploadedFile};

/// Orphans that are looked after at a time: enough to be quick, few enough to leave the
/// service to the jobs of the command.
const RECOVERED_AT_A_TIME: usize = 4;

/// Between two looks for the owner's answer.
const ANSWER_EVERY: Duration = Duration::from_millis(100);

/// What came of asking a job for something.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There is one per request.
pub enum Asked {
    /// It was answered; the job as it is since.
    Answered(Answer, Job),
    /// Its owner has not answered yet. The request stays.
    Waiting(RequestId),
}

/// What the user says of a job of which nobody knows whether the service has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This remote job is it.
    Adopt {
        /// Its id.
        remote_id: String,
    },
    /// The service surely has none: send it again.
    CreateAnew,
    /// Forget it; if it exists it goes on at the service.
    GiveUp,
}

/// An orphan that was looked after.
#[derive(Debug)]
pub struct Recovered {
    /// The job as it was found.
    pub job: Job,
    /// What became of it.
    pub result: Result<Ended, Error>,
}

impl Executor {
    /// Goes on with a job that stands still: finds out what happened, and carries on. A
    /// job that is paused at the service is resumed there.
    ///
    /// # Errors
    /// [`tunesmith_store::Error::Owned`] if another process has it; [`Error::NotNow`] if it is over;
    /// and as [`Executor::drive`].
    pub async fn resume(&self, job: &JobId, until: Until) -> Result<Ended, Error> {
        let found = self.store().job(job.as_str()).await?;
        match found.state {
            State::Succeeded => {
                return Err(not_now(&found, "it is done", Advice::ShowJob { job: job.to_string() }));
            }
            State::Failed | State::Cancelled => {
                return Err(not_now(&found, "it is over", Advice::RetryJob { job: job.to_string() }));
            }
            _ => {}
        }
        self.serves(&found)?;
        let claim = self.store().claim(job).await?;
        if found.state == State::Paused {
            self.store().request(job, Ask::Resume).await?;
        }
        self.carry(found, claim, until).await
    }

    /// Tries a failed or cancelled job again, as a new attempt. Where the service made a
    /// model that did not answer in time, it is only asked again.
    ///
    /// # Errors
    /// [`Error::NotNow`] unless it failed or was cancelled; and as [`Executor::drive`].
    pub async fn retry(&self, job: &JobId, until: Until) -> Result<Ended, Error> {
        let found = self.store().job(job.as_str()).await?;
        if !matches!(found.state, State::Failed | State::Cancelled) {
            let advice = match found.state {
                State::Succeeded => Advice::ShowJob { job: job.to_string() },
                _ => Advice::ResumeJob { job: job.to_string() },
            };
            return Err(not_now(&found, "only a failed or canceled job can be retried", advice));
        }
        self.serves(&found)?;
        let claim = self.store().claim(job).await?;
        let situation = self.store().situation(job).await?;
        let came_late =
            found.state == State::Failed && !situation.models.is_empty() && !situation.is_verified();
        let to = if came_late { State::Verifying } else { State::Planned };
        let applied = self.store().apply(&claim, Change::to(to).because("tried again")).await;
        let job = self.or_release(&claim, applied).await?.job;
        self.carry(job, claim, until).await
    }

    /// Asks for a job to be cancelled, paused or resumed: its owner, if a process has it,
    /// and otherwise does it here. Waits for the owner's answer for up to `patience`.
    ///
    /// # Errors
    /// [`tunesmith_store::Error::CannotAsk`] if it is over; the service cannot be reached or
    /// refuses.
    pub async fn ask(&self, job: &JobId, ask: Ask, patience: Duration) -> Result<Asked, Error> {
        let found = self.store().job(job.as_str()).await?;
        let request = self.store().request(job, ask).await?;
        let until = Instant::now() + patience;
        loop {
            if let Some(asked) = self.answer_to(job, request.id).await? {
                return Ok(asked);
            }
            // An owner may end while we wait.
            match self.store().claim(job).await {
                Ok(claim) => {
                    if let Err(error) = self.serves(&found) {
                        self.store().release(claim).await?;
                        return Err(error);
                    }
                    let carried = self.carry(found, claim, Until::Answered).await;
                    let asked = self.answer_to(job, request.id).await?;
                    return match (asked, carried) {
                        (Some(asked), _) => Ok(asked),
                        (None, Err(error)) => Err(error),
                        (None, Ok(_)) => Ok(Asked::Waiting(request.id)),
                    };
                }
                Err(tunesmith_store::Error::Owned { .. }) if Instant::now() < until => {
                    sleep(ANSWER_EVERY).await
                }
                Err(tunesmith_store::Error::Owned { .. }) => return Ok(Asked::Waiting(request.id)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn answer_to(&self, job: &JobId, request: RequestId) -> Result<Option<Asked>, Error> {
        let answer = self.store().request_status(request).await?.and_then(|request| request.answer);
        Ok(match answer {
            Some(answer) => Some(Asked::Answered(answer, self.store().job(job.as_str()).await?)),
            None => None,
        })
    }

    /// Settles, by the user's word, a job of which looking did not tell whether the
    /// service has it.
    ///
    /// # Errors
    /// [`Error::NotNow`] if nothing is unclear about it; the remote job to adopt is not
    /// there, or belongs to another run; and as [`Executor::drive`].
    pub async fn decide(&self, job: &JobId, decision: Decision, until: Until) -> Result<Ended, Error> {
        let found = self.store().job(job.as_str()).await?;
        self.serves(&found)?;
        let claim = self.store().claim(job).await?;
        let decided = self.decided(&found, &claim, &decision).await;
        let job = self.or_release(&claim, decided).await?;
        if decision == Decision::GiveUp {
            drop(claim);
            return self.ended(job).await;
        }
        self.carry(job, claim, until).await
    }

    async fn decided(&self, found: &Job, claim: &Claim, decision: &Decision) -> Result<Job, Error> {
        let job = &found.id;
        let situation = self.store().situation(job).await?;
        let Some(intent) = situation.create_perhaps_sent() else {
            let advice = Advice::ShowJob { job: job.to_string() };
            return Err(not_now(found, "nothing about it is unclear", advice));
        };
        let change = match decision {
            Decision::Adopt { remote_id } => {
                let provider = AnyProvider(found.provider);
                if !provider.facts().remote_jobs {
                    let advice = Advice::SettleJob { job: job.to_string() };
                    return Err(not_now(found, "its provider has no remote jobs to adopt", advice));
                }
                provider.check_adoptable(&*self.connect, found, remote_id).await?;
                Change::to(State::Submitted)
                    .because("adopted by the user's word")
                    .settle(intent.id, Outcome::Done { remote_id: Some(remote_id.clone()) })
            }
            Decision::CreateAnew => {
                let detail = "the user says that the service has none".to_owned();
                let change = match found.state {
                    State::Unknown => Change::to(State::Creating),
                    _ => Change::stay(),
                };
                change.settle(intent.id, Outcome::Absent { detail })
            }
            Decision::GiveUp => {
                let detail = "given up by the user; if it exists, it goes on at the service".to_owned();
                Change::to(State::Failed)
                    .because(detail.clone())
                    .settle(intent.id, Outcome::Abandoned { detail })
                    .release()
            }
        };
        Ok(self.store().apply(claim, change).await?.job)
    }

    /// The orphans of these services: jobs whose process died, that were detached, or that
    /// nobody began. A command that records jobs lists them before: a job that it hands to
    /// another process is an orphan until that process has it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn orphans(&self) -> Result<Vec<Job>, Error> {
        let orphans = self.store().orphans().await?;
        Ok(orphans.into_iter().filter(|job| self.serves(job).is_ok()).collect())
    }

    /// Recovers orphans that nobody has taken meanwhile: after a crash this finds out what
    /// happened. What becomes of each job is in the result.
    pub async fn recover(&self, orphans: Vec<Job>, until: Until) -> Vec<Recovered> {
        let recovered =
            stream::iter(orphans)
                .map(|job| async move {
                    let claim = match self.store().claim_unfinished(&job.id).await {
                        Ok(Some(claim)) => claim,
                        // Another process was quicker, or the job was removed.
                        Ok(None)
                        | Err(
                            tunesmith_store::Error::Owned { .. } | tunesmith_store::Error::NoSuchJob { .. },
                        ) => {
                            return None;
                        }
                        Err(error) => return Some(Recovered { job, result: Err(error.into()) }),
                    };
                    let result = self.carry(job.clone(), claim, until).await;
                    Some(Recovered { job, result })
                })
                .buffer_unordered(RECOVERED_AT_A_TIME)
                .filter_map(std::future::ready)
                .collect();
        recovered.await
    }

    /// Deletes an uploaded file at its service, and records that it is gone; false if the
    /// service did not have it any more. Deleting twice does no harm, so a crash in
    /// between costs nothing.
    ///
    /// # Errors
    /// [`Error::Setup`] if the file is at another service; the service cannot be reached
    /// or refuses.
    pub async fn remove_file(&self, file: &UploadedFile) -> Result<bool, Error> {
        let Some(facts) = ProviderId::ALL.map(facts::of).into_iter().find(|facts| facts.uploads) else {
            return Ok(false);
        };
        let ours = self.service(facts.id)?;
        if ours != file.service {
            let message =
                format!("file {} is at {}, and this command talks to {ours}", file.remote_id, file.service);
            return Err(Error::Setup(Failure::new(Code::ServiceMismatch, message)));
        }
        let was_there = AnyProvider(facts.id).remove_file(&*self.connect, &file.remote_id).await?;
        self.store().file_removed(file.number).await?;
        Ok(was_there)
    }

    /// Looks once at the service for a job that nobody owns, and records what is new.
    ///
    /// # Errors
    /// As [`Executor::resume`].
    pub async fn look(&self, job: &JobId) -> Result<Ended, Error> {
        let found = self.store().job(job.as_str()).await?;
        self.serves(&found)?;
        let claim = self.store().claim(job).await?;
        self.carry(found, claim, Until::Submitted).await
    }

    /// Gives the job back if something went wrong.
    async fn or_release<T, E: Into<Error>>(&self, claim: &Claim, result: Result<T, E>) -> Result<T, Error> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                // Dropped claims are given back with the next heartbeat; this is sooner.
                let _ = self.store().apply(claim, Change::stay().release()).await;
                Err(error.into())
            }
        }
    }
}

fn not_now(job: &Job, why: &'static str, advice: Advice) -> Error {
    Error::NotNow { job: job.id.clone(), state: job.state, why, advice }
}
