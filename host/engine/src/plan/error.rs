//! Why a job cannot be planned, with what to do about it.

use crate::policy::Breach;
use crate::settings::SettingError;
use std::fmt;
use std::path::{Path, PathBuf};
use tunesmith_core::ProviderId;
use tunesmith_core::contract::Refusal;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::text::{excerpt, quoted, visible};
use tunesmith_dataset::{ConvertError, DatasetError, Format, Severity, TransformError, Verdict};
use tunesmith_plugin_host::CallError;
use tunesmith_provider::plan::{self as provider, LONGEST_REFUSAL, report_to_author};

/// At most this many errors of a dataset are in a message; a check of the dataset lists
/// the rest.
const SHOWN_ERRORS: usize = 8;

/// Why a job cannot be planned.
#[derive(Debug)]
pub enum PlanError {
    /// The method has no ability for the provider.
    NotSupported {
        /// The method.
        method: String,
        /// The provider.
        provider: ProviderId,
    },
    /// The plugin that the job names as its transform was not given.
    NoTransform {
        /// The plugin.
        method: String,
    },
    /// The plugin that the job names as its transform has no such ability.
    CannotTransform {
        /// The plugin.
        method: String,
    },
    /// The dataset could not be transformed.
    Transforming {
        /// The plugin.
        method: String,
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<TransformError<BatchError>>,
    },
    /// There is no folder for a file that must be made.
    NoCache,
    /// The job names a validation file, whose path was not given.
    NoValidation,
    /// The validation file has another format than the training file.
    OtherFormat {
        /// The file.
        path: PathBuf,
    },
    /// Settings are wrong.
    Settings(Vec<SettingError>),
    /// The dataset cannot be read.
    Dataset(DatasetError),
    /// The dataset has errors.
    DatasetErrors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        verdict: Box<Verdict>,
    },
    /// The dataset could not be converted.
    Convert(ConvertError),
    /// A row cannot be converted to what OpenAI takes.
    Unconvertible {
        /// The file.
        path: PathBuf,
        /// The row's line.
        line: u64,
        /// Why.
        reason: String,
        /// To what.
        to: Format,
    },
    /// The provider has no plan for it.
    Provider(provider::PlanError),
    /// The operator's policy does not allow it.
    Policy(Box<Breach>),
    /// The plan cannot be written as JSON.
    Encoding(serde_json::Error),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported { method, provider } => {
                write!(f, "method {method} does not support {provider}")
            }
            Self::NoTransform { method } => write!(f, "transform: no method {}", quoted(method)),
            Self::CannotTransform { method } => {
                write!(f, "transform: method {} cannot transform datasets", visible(method))
            }
            Self::Transforming { method, path, error } => transforming(f, method, path, error),
            Self::NoCache => f.write_str("there is no folder to keep a transformed or converted dataset in"),
            Self::NoValidation => f.write_str("the job names a validation file, which was not given"),
            Self::OtherFormat { path } => {
                write!(
                    f,
                    "the validation file {} has rows of another format than the dataset",
                    path.display()
                )
            }
            Self::Settings(errors) => {
                for (at, error) in errors.iter().enumerate() {
                    let line = if at == 0 { "" } else { "\n       " };
                    write!(f, "{line}{error}")?;
                }
                Ok(())
            }
            Self::Dataset(error) => error.fmt(f),
            Self::DatasetErrors { path, verdict } => {
                let count = verdict.errors();
                let s = if count == 1 { "" } else { "s" };
                write!(f, "the dataset {} has {count} error{s}", path.display())?;
                let errors = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
                for finding in errors.take(SHOWN_ERRORS) {
                    f.write_str("\n         ")?;
                    if let Some(line) = finding.line {
                        write!(f, "line {line}: ")?;
                    }
                    if !finding.field.is_empty() {
                        write!(f, "{}: ", visible(&finding.field))?;
                    }
                    write!(f, "{}", visible(&finding.reason))?;
                }
                let hidden = count.saturating_sub(SHOWN_ERRORS as u64);
                if hidden > 0 { write!(f, "\n         and {hidden} more") } else { Ok(()) }
            }
            Self::Convert(error) => error.fmt(f),
            Self::Unconvertible { path, line, reason, to } => write!(
                f,
                "line {line} of the dataset {} cannot be written as {}, which is what OpenAI takes: {reason}",
                path.display(),
                to.title()
            ),
            Self::Provider(error) => error.fmt(f),
            Self::Policy(breach) => breach.fmt(f),
            Self::Encoding(error) => write!(f, "the plan cannot be written: {error}"),
        }
    }
}

fn transforming(
    f: &mut fmt::Formatter<'_>,
    method: &str,
    path: &Path,
    error: &TransformError<BatchError>,
) -> fmt::Result {
    let (method, path) = (visible(method), path.display());
    match error {
        TransformError::Dataset(error) => write!(f, "{error}"),
        TransformError::Write(error) => write!(f, "{error}"),
        TransformError::Invalid { line, reason } => {
            write!(f, "line {line} of the dataset {path} has an error: {}", visible(reason))
        }
        TransformError::Untyped { line, what } => {
            write!(f, "line {line} of the dataset {path} has {what}, which {method} would not see")
        }
        TransformError::NothingLeft { rows } => {
            write!(f, "{method} left out all {rows} rows of the dataset {path}")
        }
        TransformError::Broken { line, what } => {
            write!(f, "{method} broke the contract at line {line} of the dataset {path}: it {what}")
        }
        TransformError::Failed { line, source: BatchError::Call(error) } => {
            write!(f, "{error} (in the batch from line {line} of the dataset {path} on)")
        }
        TransformError::Failed { line, source: error @ BatchError::Refused(_) } => write!(
            f,
            "{method} does not take the dataset {path} (in the batch from line {line} on): {}",
            excerpt(&error.to_string(), LONGEST_REFUSAL)
        ),
    }
}

/// What scripts can rely on, of a dataset that could not be transformed.
fn transform_code(error: &TransformError<BatchError>) -> Code {
    match error {
        TransformError::Dataset(error) => error.code(),
        TransformError::Write(error) => error.code(),
        TransformError::Invalid { .. } => Code::DatasetInvalid,
        TransformError::Untyped { .. } => Code::RowsUntyped,
        TransformError::NothingLeft { .. } => Code::NoRowsLeft,
        TransformError::Broken { .. } => Code::PluginBrokeRules,
        TransformError::Failed { source, .. } => source.code(),
    }
}

fn transform_advice(path: &Path, error: &TransformError<BatchError>) -> Vec<Advice> {
    match error {
        TransformError::Dataset(error) => error.advice().into_iter().collect(),
        TransformError::Write(error) => error.advice().into_iter().collect(),
        TransformError::Invalid { .. } => vec![Advice::CheckDataset { path: Some(path.to_owned()) }],
        TransformError::Untyped { .. } => vec![Advice::PassUntypedRows, Advice::DropUntypedRows],
        TransformError::Broken { .. } => vec![report_to_author(None)],
        TransformError::Failed { source: BatchError::Call(error), .. } => {
            error.advice().into_iter().collect()
        }
        TransformError::NothingLeft { .. }
        | TransformError::Failed { source: BatchError::Refused(_), .. } => Vec::new(),
    }
}

impl std::error::Error for PlanError {}

impl From<provider::PlanError> for PlanError {
    fn from(error: provider::PlanError) -> Self {
        Self::Provider(error)
    }
}

impl PlanError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::NotSupported { .. } | Self::CannotTransform { .. } => Code::MethodUnsupported,
            Self::NoTransform { .. } => Code::MethodUnknown,
            Self::Transforming { error, .. } => transform_code(error),
            Self::NoCache => Code::CacheUnusable,
            Self::NoValidation | Self::Encoding(_) => Code::Internal,
            Self::OtherFormat { .. } => Code::ValidationMismatch,
            Self::Settings(_) => Code::SettingInvalid,
            Self::Dataset(error) => error.code(),
            Self::DatasetErrors { .. } => Code::DatasetInvalid,
            Self::Convert(error) => error.code(),
            Self::Unconvertible { .. } => Code::DatasetUnconvertible,
            Self::Provider(error) => error.code(),
            Self::Policy(breach) => breach.code(),
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::NotSupported { method, .. } | Self::CannotTransform { method } => {
                vec![Advice::ShowMethod { method: method.clone() }]
            }
            Self::NoTransform { .. } => vec![Advice::ListMethods],
            Self::Transforming { path, error, .. } => transform_advice(path, error),
            Self::NoCache => vec![Advice::SetCacheDirectory],
            Self::OtherFormat { path } => {
                vec![Advice::ConvertDataset { path: Some(path.clone()), to: None }]
            }
            Self::Settings(errors) => errors
                .iter()
                .filter_map(|error| Some(format!("{}: {}", error.name, error.hint.as_ref()?).into()))
                .collect(),
            Self::Dataset(error) => error.advice().into_iter().collect(),
            Self::DatasetErrors { path, verdict } => {
                let mut errors =
                    verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
                let first = errors.next().map(|finding| finding.fix.clone());
                first.into_iter().chain([Advice::CheckDataset { path: Some(path.clone()) }]).collect()
            }
            Self::Convert(error) => error.advice(),
            Self::Unconvertible { path, to, .. } => {
                vec![Advice::SkipUnfitRows { path: path.clone(), to: to.name().to_owned() }]
            }
            Self::Provider(error) => error.advice().into_iter().collect(),
            Self::Policy(breach) => vec![breach.advice()],
            Self::NoValidation | Self::Encoding(_) => Vec::new(),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// Why a batch was not transformed.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The plugin was stopped, or broke the contract.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The plugin refused.
    #[error("{}", reason(.0))]
    Refused(Refusal),
}

impl BatchError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Call(error) => error.code(),
            Self::Refused(_) => Code::MethodRefused,
        }
    }
}

fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::InvalidSetting { name, reason } => format!("{name}: {reason}"),
        Refusal::UnsuitableDataset(text) | Refusal::Unsupported(text) | Refusal::Other(text) => text.clone(),
    }
}
