//! Creating the remote job: once, and looked for whenever it is unclear.

use super::{Driver, Next, is_about_access, is_passing};
use crate::drive::{Error, FileToUpload, LEAST_LOOKS, MOST_CREATES, Until};
use crate::failpoint::{Point, around};
use crate::openai::client::{ApiError, Created, Job};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tunesmith_core::digest::Digest;
use tunesmith_store::{Change, Intent, Level, Operation, Outcome, State};

/// What looking for a create found out.
enum Found {
    /// The service has it, or the user must decide: go on from the job's state.
    On,
    /// It is not there, for certain enough to send it again.
    Absent(String),
}

impl Driver<'_> {
    /// Records the intent to create, with a change that leads there, and creates.
    pub(super) async fn create(&mut self, change: Change) -> Result<Next, Error> {
        let there = self.uploaded().await?;
        self.create_with(change, &there).await
    }

    pub(super) async fn create_with(
        &mut self,
        change: Change,
        files: &[(String, String)],
    ) -> Result<Next, Error> {
        let request = self.request(files)?;
        let hash = Digest::of(request.to_string()).to_string();
        let mut intent = self.work.intend(change, Operation::Create, &hash).await?;
        let mut sent = 0;
        loop {
            let detail = match self.send(&intent, &request).await? {
                Found::On => return Ok(Next::On),
                Found::Absent(detail) => detail,
            };
            sent += 1;
            if sent == MOST_CREATES {
                let why = format!("{sent} replies in a row were lost; {detail}");
                return Err(self.now_unknown(why, Vec::new()).await?);
            }
            if self.cancel_is_asked().await? {
                return Err(self.work.cancelled_here("the service has no job of it").await?);
            }
            intent = self.again(&intent, &detail, &hash).await?;
        }
    }

    /// Settles a create that is known not to be there, and records the next.
    async fn again(&mut self, intent: &Intent, detail: &str, hash: &str) -> Result<Intent, Error> {
        let change = match self.work.job.state {
            State::Unknown => Change::to(State::Creating),
            _ => Change::stay(),
        };
        let change = change.settle(intent.id, Outcome::Absent { detail: detail.to_owned() });
        self.work.intend(change, Operation::Create, hash).await
    }

    /// The request, with what is known only now.
    fn request(&self, files: &[(String, String)]) -> Result<Value, Error> {
        let bad = |why: &dyn std::fmt::Display| Error::BadPlan {
            job: self.work.job.id.to_string(),
            why: why.to_string(),
        };
        let of = |wanted: &Option<FileToUpload>| {
            let wanted = wanted.as_ref()?;
            files.iter().find(|(sha256, _)| *sha256 == wanted.sha256).map(|(_, id)| id.clone())
        };
        let execution = &self.work.execution;
        let training = of(&execution.training).ok_or_else(|| bad(&"it has no training file"))?;
        let mut request = self.plan.request.clone().ready(training, self.work.job.run_id.as_str());
        if let Some(validation) = of(&execution.validation) {
            request = request.with_validation(validation);
        }
        serde_json::to_value(&request).map_err(|error| bad(&error))
    }

    /// Sends the create once. It is never cut off: whatever is asked meanwhile waits for
    /// the answer.
    async fn send(&mut self, intent: &Intent, request: &Value) -> Result<Found, Error> {
        self.work.confirm().await?;
        self.work.phase("creating", None);
        let run_id = self.work.job.run_id.clone();
        match around(Point::OpenAiCreate, self.client.create_job(request, &run_id)).await {
            Ok(Created::Job(job)) => {
                self.submitted(intent, &job, "").await?;
                Ok(Found::On)
            }
            Ok(Created::Unclear(error)) => {
                let text = format!("whether the job was created is unclear ({error}): looking for it");
                self.work.note(Level::Warning, &text).await?;
                self.look(intent, false).await
            }
            // Nothing came of it, and the job is not at fault: it can be sent later.
            Err(error) if is_about_access(&error) => {
                let detail = error.to_string();
                self.work.apply(Change::stay().settle(intent.id, Outcome::Refused { detail })).await?;
                Err(self.work.left(error.into()))
            }
            Err(error) => {
                let detail = error.to_string();
                let change = Change::to(State::Failed).settle(intent.id, Outcome::Refused { detail });
                Err(self.work.fail(change, error.into()).await)
            }
        }
    }

    async fn submitted(&mut self, intent: &Intent, job: &Job, why: &str) -> Result<(), Error> {
        let mut change =
            Change::to(State::Submitted).settle(intent.id, Outcome::Done { remote_id: Some(job.id.clone()) });
        if !why.is_empty() {
            change = change.because(why);
        }
        self.work.apply(change).await?;
        Ok(())
    }

    /// Goes on with a create of which nobody recorded what became of it.
    pub(super) async fn settle_create(&mut self) -> Result<Next, Error> {
        let situation = self.work.situation().await?;
        let Some(intent) = situation.create_perhaps_sent().cloned() else {
            if self.cancel_is_asked().await? {
                return Err(self.work.cancelled_here("the service had no job yet").await?);
            }
            self.refuse_early().await?;
            return self.create(Change::stay()).await;
        };
        self.work.phase("looking for the job", Some(self.work.job.run_id.clone()));
        match self.look(&intent, true).await? {
            Found::On => Ok(Next::On),
            Found::Absent(_) if self.cancel_is_asked().await? => {
                Err(self.work.cancelled_here("the service has no job of it").await?)
            }
            Found::Absent(detail) => {
                if self.work.until() == Until::Answered {
                    return self.refuse_early().await.map(|()| Next::Stop);
                }
                let change = match self.work.job.state {
                    State::Unknown => Change::to(State::Creating),
                    _ => Change::stay(),
                };
                self.create(change.settle(intent.id, Outcome::Absent { detail })).await
            }
        }
    }

    /// Looks for the job of a run, patiently: adopts the oldest, and says that it is
    /// absent only after repeated empty looks over the grace period.
    async fn look(&mut self, intent: &Intent, from_before: bool) -> Result<Found, Error> {
        let training = self.training_file().await?;
        let since = intent.opened_ms / 1000;
        let begun = Instant::now();
        let mut failing: Option<Instant> = None;
        let mut looks = 0;
        loop {
            match self.client.find_by_run_id(&intent.run_id, &training, since).await {
                Ok(lookup) => {
                    failing = None;
                    looks += 1;
                    let looked_at = lookup.looked_at;
                    let likely: Vec<String> = lookup.likely.iter().map(|job| job.id.clone()).collect();
                    if let Some((job, doubles)) = lookup.adopt() {
                        self.adopted(intent, &job, &doubles, from_before).await?;
                        return Ok(Found::On);
                    }
                    let waited = begun.elapsed();
                    if waited >= self.work.patience.grace && looks >= LEAST_LOOKS {
                        if likely.is_empty() {
                            return Ok(Found::Absent(format!(
                                "looked {looks} times in {} s at {looked_at} jobs; none carries run id {}",
                                waited.as_secs(),
                                intent.run_id
                            )));
                        }
                        let why = format!(
                            "no job carries run id {}, but {} could be it: same training file, created since, and \
                             the service keeps no metadata",
                            intent.run_id,
                            likely.join(", ")
                        );
                        return Err(self.now_unknown(why, likely).await?);
                    }
                }
                Err(error) if is_passing(&error) => {
                    let since = *failing.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.work.patience.contact {
                        return Err(self.lost(error).await?);
                    }
                    self.work.waiting(&error);
                }
                Err(error) => return Err(self.lost(error).await?),
            }
            sleep(self.work.patience.look).await;
        }
    }

    async fn training_file(&self) -> Result<String, Error> {
        let there = self.uploaded().await?;
        Ok(there.into_iter().next().map(|(_, id)| id).unwrap_or_default())
    }

    async fn adopted(
        &mut self,
        intent: &Intent,
        job: &Job,
        doubles: &[Job],
        from_before: bool,
    ) -> Result<(), Error> {
        let found =
            if from_before { "found at the service and adopted" } else { "created; the reply was lost" };
        self.submitted(intent, job, found).await?;
        if !doubles.is_empty() {
            let ids: Vec<&str> = doubles.iter().map(|job| job.id.as_str()).collect();
            let text = format!(
                "{} is the oldest job of this run and was adopted; {} doubles exist as well: {}. Cancel them at the \
                 service if they still run",
                job.id,
                ids.len(),
                ids.join(", ")
            );
            self.work.note(Level::Warning, &text).await?;
        }
        Ok(())
    }

    /// Nothing can be found out: the state says so, and the error what was in the way.
    async fn lost(&mut self, error: ApiError) -> Result<Error, Error> {
        let why = format!("the service could not be asked: {error}");
        if self.work.job.state != State::Unknown {
            self.work.apply(Change::to(State::Unknown).because(why)).await?;
        }
        Ok(self.work.left(error.into()))
    }

    async fn now_unknown(&mut self, why: String, likely: Vec<String>) -> Result<Error, Error> {
        if self.work.job.state != State::Unknown {
            self.work.apply(Change::to(State::Unknown).because(why.clone())).await?;
        }
        Ok(Error::Unknown { job: self.work.job.id.clone(), why, likely })
    }
}
