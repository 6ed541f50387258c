//! Why a job did not get done, and what to do about it.

use crate::artifacts::WriteError;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::time::Date;
use tunesmith_store::{JobId, State};

/// What the executor reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] tunesmith_store::Error),
    /// A service.
    #[error(transparent)]
    Service(Failure),
    /// A client cannot be set up.
    #[error(transparent)]
    Setup(Failure),
    /// An artifact cannot be written.
    #[error(transparent)]
    Artifact(#[from] WriteError),
    /// The provider has no one to carry a job out.
    #[error("this version cannot run jobs for {}", crate::facts::of(*.0).title)]
    NotRunnable(ProviderId),
    /// The plan in the store cannot be read.
    #[error("the stored plan of job {job} cannot be used: {why}")]
    BadPlan {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// The model's name is taken.
    #[error("the server already has a model {model}, and this job would replace it")]
    NameTaken {
        /// The name.
        model: String,
    },
    /// The model's context is too small.
    #[error(
        "{base} was trained for a context of {trained} tokens, and this plan needs {needed}: examples would be \
         dropped silently"
    )]
    Context {
        /// The base model.
        base: String,
        /// Its trained context.
        trained: u64,
        /// What the plan needs.
        needed: u64,
    },
    /// The base model was shut down.
    #[error("{host} has no {model} any more: it was shut down on {date}, and nothing can be tuned from it")]
    BaseGone {
        /// The service.
        host: String,
        /// The base model.
        model: String,
        /// When.
        date: Date,
    },
    /// The training file is not as it was planned.
    #[error("the training file {path}: {why}")]
    TrainingFile {
        /// Where it should be.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The job belongs to another service than the one that is configured.
    #[error("job {job} belongs to {theirs}, and this command talks to {ours}")]
    OtherService {
        /// The job.
        job: JobId,
        /// Its service.
        theirs: String,
        /// The configured one.
        ours: String,
    },
    /// Contact with the service was lost, or it has a passing fault. The job stands where
    /// it stood.
    #[error("job {job} is still {state}: {source}")]
    Left {
        /// The job.
        job: JobId,
        /// Where it stands.
        state: State,
        /// What happened.
        source: Box<Error>,
    },
    /// A create was perhaps sent, and looking does not tell.
    #[error("cannot tell whether the service received job {job}: {why}")]
    Unknown {
        /// The job.
        job: JobId,
        /// What was tried.
        why: String,
        /// Remote jobs that could be it.
        likely: Vec<String>,
    },
    /// The job failed.
    #[error("job {job} failed: {reason}")]
    Failed {
        /// The job.
        job: JobId,
        /// Why.
        reason: String,
        /// The error behind it, where there is one: its code and advice count.
        source: Option<Box<Error>>,
    },
    /// The job was cancelled.
    #[error("job {job} was canceled{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Cancelled {
        /// The job.
        job: JobId,
        /// More.
        reason: Option<String>,
    },
    /// What was asked does not fit the job's state.
    #[error("job {job} is {state}: {why}")]
    NotNow {
        /// The job.
        job: JobId,
        /// Its state.
        state: State,
        /// Why not.
        why: &'static str,
        /// What to do instead.
        advice: Advice,
    },
}

impl Error {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Service(failure) | Self::Setup(failure) => failure.code,
            Self::Artifact(error) => error.code(),
            Self::NotRunnable(_) => Code::ProviderNotRunnable,
            Self::BadPlan { .. } => Code::PlanUnusable,
            Self::NameTaken { .. } => Code::ModelExists,
            Self::Context { .. } => Code::ContextExceeded,
            Self::BaseGone { .. } => Code::BaseModelShutDown,
            Self::TrainingFile { .. } => Code::TrainingFileChanged,
            Self::OtherService { .. } => Code::ServiceMismatch,
            Self::Left { source, .. } => source.code(),
            Self::Unknown { .. } => Code::OutcomeUnknown,
            Self::Failed { source, .. } => source.as_ref().map_or(Code::JobFailed, |source| source.code()),
            Self::Cancelled { .. } => Code::JobCancelled,
            Self::NotNow { .. } => Code::JobState,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Store(error) => error.advice(),
            Self::Service(failure) | Self::Setup(failure) => failure.advice.clone(),
            Self::Artifact(_) | Self::BadPlan { .. } | Self::Cancelled { .. } => Vec::new(),
            Self::NotRunnable(_) => vec![
                Advice::PlanJob,
                Advice::UseProvider { providers: vec!["ollama".into(), "openai".into()] },
            ],
            Self::NameTaken { model } => vec![Advice::ReplaceModel { model: model.clone() }],
            Self::Context { .. } => {
                vec!["set a smaller context_window, which makes the method choose fewer examples".into()]
            }
            Self::BaseGone { .. } => vec![
                "choose another baseModel".into(),
                Advice::UseProvider { providers: vec!["ollama".into()] },
            ],
            Self::TrainingFile { .. } => vec!["restore the file as it was".into(), Advice::PlanAgain],
            Self::OtherService { theirs, .. } if theirs == super::EMULATOR_SERVICE => {
                vec![Advice::EmulateAgain]
            }
            Self::OtherService { ours, .. } if ours == super::EMULATOR_SERVICE => {
                vec![Advice::LeaveEmulator]
            }
            Self::OtherService { theirs, .. } => vec![Advice::UseService { service: theirs.clone() }],
            Self::Left { job, source, .. } => {
                then(source.advice(), Advice::ResumeJob { job: job.to_string() })
            }
            Self::Unknown { job, likely, .. } => {
                let job = job.to_string();
                let mut advice = vec![Advice::SettleJob { job: job.clone() }];
                advice.extend(
                    likely
                        .iter()
                        .map(|remote| Advice::AdoptRemote { job: job.clone(), remote: remote.clone() }),
                );
                advice.extend([Advice::CreateAnew { job: job.clone() }, Advice::GiveUpJob { job }]);
                advice
            }
            Self::Failed { job, source, .. } => {
                let advice = source.as_ref().map(|source| source.advice()).unwrap_or_default();
                then(advice, Advice::RetryJob { job: job.to_string() })
            }
            Self::NotNow { advice, .. } => vec![advice.clone()],
        }
    }
}

/// The advice on a cause, and the step that takes the place of resuming the job.
fn then(mut advice: Vec<Advice>, step: Advice) -> Vec<Advice> {
    advice.retain(|advice| !matches!(advice, Advice::ResumeJob { .. } | Advice::SettleJob { .. }));
    advice.push(step);
    advice
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Service(failure) | Error::Setup(failure) = error {
            return failure;
        }
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}
