//! Carrying out a job on Ollama: the base at hand, the model created, talked to, and the
//! base proved untouched. Nothing is trained there, and a create ends with its client.

mod check;
mod create;
mod remove;
mod verify;

pub(super) use check::check;

use super::plan::OllamaPlan;
use crate::drive::{Error, Until, Work};
use crate::failpoint::{Point, around};
use crate::ollama::client::{ApiError, Base, Client, ErrorKind, PullProgress};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tunesmith_store::{Change, Event, Intent, Operation, Outcome, State, Transfer};

/// Between two reports of bytes: what an eye follows.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Why a job here cannot be paused.
const NO_PAUSE: &str =
    "Ollama has nothing to pause: it makes a model within one request, and stops when its client goes";

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Service(error.into())
    }
}

/// What is done next.
enum Next {
    /// Look at the job's state and go on from there.
    On,
    /// Leave the job here.
    Stop,
}

/// What stood at the server before a create, kept with its intent: it tells a model that
/// the create made from one that was there.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Before {
    /// The base.
    base: Base,
    /// The digest of the model that bore the name.
    existing: Option<String>,
}

impl Before {
    /// Reads it back; power loss may have taken it.
    fn of(intent: &Intent) -> Option<Self> {
        serde_json::from_value(intent.note.clone()?).ok()
    }
}

/// A job in hand at the server.
struct Driver<'w> {
    work: &'w mut Work,
    plan: &'w OllamaPlan,
    client: Client,
}

/// Carries the job on from wherever it stands.
pub(super) async fn drive(client: Client, plan: &OllamaPlan, work: &mut Work) -> Result<(), Error> {
    let mut driver = Driver { work, plan, client };
    loop {
        driver.work.refuse_others(NO_PAUSE).await?;
        if driver.work.until() == Until::Answered && driver.work.cancel_asked().await?.is_none() {
            return Ok(());
        }
        let next = match driver.work.job.state {
            State::Planned => driver.begin().await?,
            State::Uploading => driver.pull().await?,
            State::Creating | State::Unknown => driver.settle_create().await?,
            State::Verifying => driver.verify().await?,
            // Ollama has no jobs, so nothing leads there.
            State::Submitted | State::Running | State::Paused => {
                let why = format!("it is {}, which no job on Ollama can be", driver.work.job.state);
                return Err(Error::BadPlan { job: driver.work.job.id.to_string(), why });
            }
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
        self.work.keep_plan().await?;
        match self.base().await {
            Ok(base) => self.create(Change::to(State::Creating), base).await,
            Err(error) if error.kind == ErrorKind::MissingBase && self.work.execution.pull => {
                let name = self.plan.request.from.as_str().to_owned();
                self.work.intend(Change::to(State::Uploading), Operation::Pull, &name).await?;
                Ok(Next::On)
            }
            Err(error) => Err(self.failed_or_left(Change::to(State::Failed), error).await),
        }
    }

    /// The base, as it is now.
    async fn base(&self) -> Result<Base, ApiError> {
        self.work.patiently(is_passing, || self.client.base(&self.plan.request.from)).await
    }

    /// Pulls the base. It can be asked for again at any time: what arrived stays.
    async fn pull(&mut self) -> Result<Next, Error> {
        let situation = self.work.situation().await?;
        let from = self.plan.request.from.clone();
        let open = situation.open.into_iter().find(|intent| intent.operation == Operation::Pull);
        let intent = match open {
            Some(intent) => intent,
            None => self.work.intend(Change::stay(), Operation::Pull, from.as_str()).await?,
        };
        self.work.phase("pulling", Some(from.to_string()));
        let pulled = {
            let work = &*self.work;
            let mut told = Instant::now();
            let on = move |progress: &PullProgress| {
                if progress.completed == progress.total || told.elapsed() >= TOLD_EVERY {
                    told = Instant::now();
                    let (done, total) = (progress.completed, progress.total);
                    work.report(Event::Bytes { what: Transfer::Pull, done, total });
                }
            };
            tokio::select! {
                pulled = around(Point::OllamaPull, self.client.pull(&from, on)) => Some(pulled),
                asked = work.asked_to_cancel(NO_PAUSE) => {
                    asked?;
                    None
                }
                () = work.shared.left() => return Ok(Next::Stop),
            }
        };
        let settled = |outcome| Change::stay().settle(intent.id, outcome);
        match pulled {
            None => Err(self
                .work
                .cancelled_here("the pull was stopped; what arrived stays at the server")
                .await?),
            Some(Ok(())) => {
                let base = match self.base().await {
                    Ok(base) => base,
                    Err(error) => return Err(self.failed_or_left(Change::to(State::Failed), error).await),
                };
                let done = Outcome::Done { remote_id: Some(from.to_string()) };
                self.create(Change::to(State::Creating).settle(intent.id, done), base).await
            }
            Some(Err(error)) if is_about_access(&error) => Err(self.work.left(error.into())),
            Some(Err(error)) => {
                let refused = settled(Outcome::Refused { detail: error.to_string() });
                self.work.apply(refused).await?;
                Err(self.work.fail(Change::to(State::Failed), error.into()).await)
            }
        }
    }

    /// A failure on the way to the server leaves the job as it stands; any other ends it,
    /// settling what is open.
    async fn failed_or_left(&mut self, change: Change, error: ApiError) -> Error {
        if is_about_access(&error) {
            return self.work.left(error.into());
        }
        let detail = error.to_string();
        let open = match self.work.situation().await {
            Ok(situation) => situation.open,
            Err(error) => return error,
        };
        let change = open.iter().fold(change, |change, intent| {
            change.settle(intent.id, Outcome::Refused { detail: detail.clone() })
        });
        self.work.fail(change, error.into()).await
    }
}

/// Whether the same request may work a little later.
fn is_passing(error: &ApiError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Refused
            | ErrorKind::Unreachable
            | ErrorKind::Timeout
            | ErrorKind::Dropped
            | ErrorKind::Truncated
            | ErrorKind::Busy
    )
}

/// Whether the same request may work a little later, or once the way to the server is
/// mended: it says nothing about the job.
fn is_about_access(error: &ApiError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Refused
            | ErrorKind::Unreachable
            | ErrorKind::Tls
            | ErrorKind::Timeout
            | ErrorKind::Dropped
            | ErrorKind::Truncated
            | ErrorKind::NotOllama
            | ErrorKind::Forbidden
            | ErrorKind::Busy
            | ErrorKind::Redirect
            | ErrorKind::Malformed
    )
}
