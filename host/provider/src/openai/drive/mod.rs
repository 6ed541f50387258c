//! Carrying out a job at a service that speaks OpenAI's protocol: upload, create, follow,
//! verify.

mod control;
mod create;
mod follow;
mod upload;
mod verify;

use super::plan::OpenAiPlan;
use crate::drive::{Checked, Error, Until, Work};
use crate::openai::client::{ApiError, Client, ErrorKind};
use crate::openai::models;
use crate::openai::request::RUN_ID_KEY;
use tunesmith_core::failure::Advice;
use tunesmith_core::time::{Date, days_between, today};
use tunesmith_store::{Ask, Change, Job, State};

/// Why nothing can be paused or resumed yet.
const TOO_EARLY: &str = "the service does not have the job yet";

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Service(error.into())
    }
}

/// What is done next.
enum Next {
    /// Look at the job's state and go on from there.
    On,
    /// Leave the job here: it needs nobody for a while, or it is over.
    Stop,
}

/// Looks before anything is recorded: the key, the base model and how long it lives.
pub(super) async fn check(client: &Client, plan: &OpenAiPlan) -> Result<Checked, Error> {
    let model = plan.request.model.as_str();
    let mut checked = Checked::default();
    match client.model(model).await {
        Ok(found) => {
            if let Some(date) = found.shutdown_date.as_deref().and_then(day) {
                if date <= today() {
                    let host = client.endpoint().host();
                    return Err(Error::BaseGone { host, model: model.to_owned(), date });
                }
                let days = days_between(today(), date);
                checked.notes.push(format!(
                    "{model} shuts down on {date}, in {days} days, and with it every model that was tuned from it"
                ));
            }
        }
        // A compatible service may list its models and not show one.
        Err(error) if error.kind == ErrorKind::UnknownModel && !client.endpoint().is_openai() => {
            match client.models().await {
                Ok(models) if models.iter().any(|known| known.id == model) => {}
                Ok(_) => return Err(gone(client, model, error)),
                Err(listing) if listing.kind == ErrorKind::NotFound => checked.notes.push(format!(
                    "{} lists no models, so whether it has {model} shows only when the job is created",
                    client.endpoint().host()
                )),
                Err(listing) => return Err(listing.into()),
            }
        }
        Err(error) if error.kind == ErrorKind::UnknownModel => return Err(gone(client, model, error)),
        Err(error) => return Err(error.into()),
    }
    checked.emulated = client.is_emulated();
    Ok(checked)
}

/// Why a base model is missing: OpenAI's own are known by the day on which they went.
fn gone(client: &Client, model: &str, error: ApiError) -> Error {
    let known = models::lookup(model).filter(|known| known.shutdown <= today());
    match known {
        Some(known) => {
            let host = client.endpoint().host();
            Error::BaseGone { host, model: model.to_owned(), date: known.shutdown }
        }
        None => error.into(),
    }
}

/// Whether a remote job can be adopted by the user's word.
pub(super) async fn check_adoptable(client: &Client, job: &Job, remote_id: &str) -> Result<(), Error> {
    let remote = client.job(remote_id).await?;
    match remote.metadata.get(RUN_ID_KEY) {
        Some(run) if *run != job.run_id => Err(Error::NotNow {
            job: job.id.clone(),
            state: job.state,
            why: "that remote job carries the id of another run",
            advice: format!("{remote_id} belongs to run {run}").into(),
        }),
        _ => Ok(()),
    }
}

/// A day, of a date or the beginning of a time.
fn day(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// A job in hand at the service.
struct Driver<'w> {
    work: &'w mut Work,
    plan: &'w OpenAiPlan,
    client: Client,
}

/// Carries the job on from wherever it stands.
pub(super) async fn drive(client: Client, plan: &OpenAiPlan, work: &mut Work) -> Result<(), Error> {
    let mut driver = Driver { work, plan, client };
    loop {
        let next = match driver.work.job.state {
            State::Planned => driver.begin().await?,
            State::Uploading => driver.upload().await?,
            State::Creating | State::Unknown => driver.settle_create().await?,
            State::Submitted | State::Running | State::Paused => driver.follow().await?,
            State::Verifying => driver.verify().await?,
            State::Succeeded | State::Failed | State::Cancelled => Next::Stop,
        };
        if matches!(next, Next::Stop) {
            return Ok(());
        }
    }
}

impl Driver<'_> {
    /// From a plan to the first thing that touches the world.
    async fn begin(&mut self) -> Result<Next, Error> {
        if self.work.cancel_asked().await?.is_some() {
            return Err(self.work.cancelled_here("nothing had been sent").await?);
        }
        self.refuse_early().await?;
        self.work.keep_plan().await?;
        self.begin_upload(Change::to(State::Uploading)).await?;
        Ok(Next::On)
    }

    /// Pausing and resuming mean something only once the service has the job.
    async fn refuse_early(&mut self) -> Result<(), Error> {
        self.work.refuse_others(TOO_EARLY).await?;
        match self.work.until() {
            // What was asked is answered: nothing was to be sent for it.
            Until::Answered => Err(self.work.left(Error::NotNow {
                job: self.work.job.id.clone(),
                state: self.work.job.state,
                why: "the service does not have it yet",
                advice: Advice::ResumeJob { job: self.work.job.id.to_string() },
            })),
            Until::End | Until::Submitted => Ok(()),
        }
    }

    /// Whether only an answer is wanted, and nothing is left to answer.
    async fn is_answered(&self) -> Result<bool, Error> {
        Ok(self.work.until() == Until::Answered && self.work.requests().await?.is_empty())
    }

    async fn cancel_is_asked(&self) -> Result<bool, Error> {
        Ok(self.work.requests().await?.iter().any(|request| request.ask == Ask::Cancel))
    }
}

/// Whether the same request may work a little later.
fn is_passing(error: &ApiError) -> bool {
    matches!(
        error.kind,
        ErrorKind::RateLimited
            | ErrorKind::Server
            | ErrorKind::Refused
            | ErrorKind::Unreachable
            | ErrorKind::Timeout
            | ErrorKind::Dropped
            | ErrorKind::Conflict
    )
}

/// Whether the failure says something about the way to the service or the operator's key,
/// and nothing about the job: then the job can wait until that is mended.
fn is_about_access(error: &ApiError) -> bool {
    is_passing(error)
        || matches!(
            error.kind,
            ErrorKind::MissingKey
                | ErrorKind::WrongKey
                | ErrorKind::Tls
                | ErrorKind::Redirect
                | ErrorKind::Malformed
        )
}
