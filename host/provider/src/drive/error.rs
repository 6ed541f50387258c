//! Why a job did not get done, and what to do about it.

use crate::artifacts::WriteError;
use crate::{ollama, openai};
use tunesmith_core::ProviderId;
use tunesmith_core::error::{Error as User, Kind};
use tunesmith_core::time::Date;
use tunesmith_store::{JobId, State};

/// What the executor reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] tunesmith_store::Error),
    /// OpenAI or a compatible service.
    #[error(transparent)]
    OpenAi(#[from] Box<openai::client::ApiError>),
    /// Ollama.
    #[error(transparent)]
    Ollama(#[from] Box<ollama::client::ApiError>),
    /// A client cannot be set up.
    #[error(transparent)]
    Setup(User),
    /// An artifact cannot be written.
    #[error(transparent)]
    Artifact(#[from] WriteError),
    /// The provider has no one to carry a job out.
    #[error("jobs for {} cannot be run by this version: `tunesmith plan` shows their recipe", .0.title())]
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
    #[error("job {job} is {state} and was left so: {source}")]
    Left {
        /// The job.
        job: JobId,
        /// Where it stands.
        state: State,
        /// What happened.
        source: Box<Error>,
    },
    /// A create was perhaps sent, and looking does not tell.
    #[error("job {job}: whether the service has it is not known: {why}")]
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
        /// The error behind it, where there is one: its kind and hints count.
        source: Option<Box<Error>>,
    },
    /// The job was cancelled.
    #[error("job {job} was cancelled{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
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
        hint: String,
    },
}

impl From<openai::client::ApiError> for Error {
    fn from(error: openai::client::ApiError) -> Self {
        Self::OpenAi(Box::new(error))
    }
}

impl From<ollama::client::ApiError> for Error {
    fn from(error: ollama::client::ApiError) -> Self {
        Self::Ollama(Box::new(error))
    }
}

impl Error {
    /// Which exit code it means.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::OpenAi(error) if error.kind == openai::client::ErrorKind::Local => Kind::Failed,
            Self::Ollama(error) if error.kind == ollama::client::ErrorKind::Local => Kind::Failed,
            Self::OpenAi(_) | Self::Ollama(_) | Self::BaseGone { .. } | Self::Unknown { .. } => {
                Kind::Provider
            }
            Self::Setup(error) => error.kind,
            Self::Artifact(_) | Self::TrainingFile { .. } => Kind::Failed,
            Self::NotRunnable(_)
            | Self::NameTaken { .. }
            | Self::OtherService { .. }
            | Self::NotNow { .. } => Kind::Usage,
            Self::BadPlan { .. } => Kind::Internal,
            Self::Context { .. } => Kind::Invalid,
            Self::Left { source, .. } => source.kind(),
            Self::Failed { source, .. } => source.as_ref().map_or(Kind::Failed, |source| source.kind()),
            Self::Cancelled { .. } => Kind::Failed,
        }
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::OpenAi(error) => error.hints(),
            Self::Ollama(error) => error.hints(),
            Self::Setup(error) => error.hints.clone(),
            Self::Artifact(_) | Self::BadPlan { .. } | Self::Cancelled { .. } => Vec::new(),
            Self::NotRunnable(_) => vec!["--provider ollama or --provider openai runs the same job there".into()],
            Self::NameTaken { model } => vec![format!(
                "give the job another name, or replace the model: --replace; `ollama rm {model}` removes it"
            )],
            Self::Context { .. } => {
                vec!["set a smaller context_window, which makes the method choose fewer examples".into()]
            }
            Self::BaseGone { .. } => vec![
                "choose another baseModel; the same job with `--provider ollama` needs no tuning service".into(),
            ],
            Self::TrainingFile { .. } => vec![
                "put it back as it was; if it was a converted file in the cache, `tunesmith plan JOB` makes it \
                 again; then `tunesmith jobs resume`"
                    .into(),
            ],
            Self::OtherService { theirs, .. } if theirs == super::EMULATOR_SERVICE => {
                vec!["it ran with --emulate: give --emulate again".into()]
            }
            Self::OtherService { ours, .. } if ours == super::EMULATOR_SERVICE => {
                vec!["it is on a real service: leave --emulate out".into()]
            }
            Self::OtherService { theirs, .. } => {
                vec![format!("point the configuration to {theirs} (`tunesmith config show`)")]
            }
            Self::Left { job, source, .. } => {
                let mut hints = source.hints();
                hints.retain(|hint| !hint.contains("tunesmith jobs resume"));
                hints.push(format!("tunesmith jobs resume {job} carries on from there"));
                hints
            }
            Self::Unknown { job, likely, .. } => {
                let mut hints = vec![format!("tunesmith jobs resume {job} looks again")];
                for remote in likely {
                    hints.push(format!("if {remote} is it: tunesmith jobs resume {job} --adopt {remote}"));
                }
                hints.push(format!(
                    "if the service surely has none: tunesmith jobs resume {job} --create-anew; to give it up: \
                     tunesmith jobs resume {job} --give-up"
                ));
                hints
            }
            Self::Failed { job, source, .. } => {
                let mut hints = source.as_ref().map(|source| source.hints()).unwrap_or_default();
                hints.retain(|hint| !hint.contains("tunesmith jobs resume"));
                hints.push(format!("tunesmith jobs retry {job} tries it again"));
                hints
            }
            Self::NotNow { hint, .. } => vec![hint.clone()],
        }
    }
}

impl From<Error> for User {
    fn from(error: Error) -> Self {
        let (kind, message, hints) = (error.kind(), error.to_string(), error.hints());
        Self { kind, message, hints }
    }
}
