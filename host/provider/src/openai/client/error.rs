//! What went wrong in asking the service, keyed on status and code, never on text.

use crate::http::fault::FaultKind;
use crate::http::{Endpoint, Fault, Sent};
use crate::openai::models::{AS_OF, CLOSED_TO_ALL, CLOSED_TO_IDLE, CLOSED_TO_NEW};
use serde_json::Value;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tunesmith_core::failure::{Advice, Code, Doubt, Failure, Service};
use tunesmith_core::secret::Redactor;
use tunesmith_core::text::excerpt;

/// A server's message is shown up to this many characters: a few paragraphs.
const LONGEST_MESSAGE: usize = 2000;

/// A code, type or request id is shown up to this many characters.
const LONGEST_NAME: usize = 128;

/// The part of an answer that is no JSON is shown up to this many characters.
const LONGEST_BODY: usize = 200;

/// What was asked of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Setting up the client.
    Connect,
    /// `GET /models`.
    ListModels,
    /// `GET /models/{id}`.
    GetModel,
    /// `POST /files`.
    UploadFile,
    /// `POST /uploads`.
    StartUpload,
    /// `POST /uploads/{id}/parts`.
    UploadPart,
    /// `POST /uploads/{id}/complete`.
    CompleteUpload,
    /// `POST /uploads/{id}/cancel`.
    CancelUpload,
    /// `GET /files`.
    ListFiles,
    /// `GET /files/{id}`.
    GetFile,
    /// `DELETE /files/{id}`.
    DeleteFile,
    /// `GET /files/{id}/content`.
    ReadFile,
    /// `POST /fine_tuning/jobs`.
    CreateJob,
    /// `GET /fine_tuning/jobs/{id}`.
    GetJob,
    /// `GET /fine_tuning/jobs`.
    ListJobs,
    /// `POST /fine_tuning/jobs/{id}/cancel`.
    CancelJob,
    /// `POST /fine_tuning/jobs/{id}/pause`.
    PauseJob,
    /// `POST /fine_tuning/jobs/{id}/resume`.
    ResumeJob,
    /// `GET /fine_tuning/jobs/{id}/events`.
    ListEvents,
    /// `GET /fine_tuning/jobs/{id}/checkpoints`.
    ListCheckpoints,
    /// `POST /chat/completions`.
    Chat,
}

impl Operation {
    /// What it does, after "cannot".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "set up the connection",
            Self::ListModels => "list the models",
            Self::GetModel => "look up the model",
            Self::UploadFile => "upload the file",
            Self::StartUpload => "start the upload",
            Self::UploadPart => "upload a part of the file",
            Self::CompleteUpload => "complete the upload",
            Self::CancelUpload => "cancel the upload",
            Self::ListFiles => "list the files",
            Self::GetFile => "look up the file",
            Self::DeleteFile => "delete the file",
            Self::ReadFile => "read the file",
            Self::CreateJob => "create the fine-tuning job",
            Self::GetJob => "look up the fine-tuning job",
            Self::ListJobs => "list the fine-tuning jobs",
            Self::CancelJob => "cancel the fine-tuning job",
            Self::PauseJob => "pause the fine-tuning job",
            Self::ResumeJob => "resume the fine-tuning job",
            Self::ListEvents => "read the job's events",
            Self::ListCheckpoints => "list the job's checkpoints",
            Self::Chat => "talk to the model",
        }
    }

    fn is_fine_tuning(self) -> bool {
        matches!(
            self,
            Self::CreateJob
                | Self::ListJobs
                | Self::GetJob
                | Self::CancelJob
                | Self::PauseJob
                | Self::ResumeJob
                | Self::ListEvents
                | Self::ListCheckpoints
        )
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No key was given, and one is needed.
    MissingKey,
    /// The key is not accepted.
    WrongKey,
    /// This account may not fine-tune here; for OpenAI, most likely for the closing.
    Closed,
    /// The key may not do this.
    Forbidden,
    /// There is no such model for this account.
    UnknownModel,
    /// There is no such thing.
    NotFound,
    /// No credit is left. Asking again does not help.
    Quota,
    /// Asked too often.
    RateLimited,
    /// The request was not valid.
    Invalid,
    /// It conflicts with the present state.
    Conflict,
    /// The service failed.
    Server,
    /// It answers with a redirect, which is not followed.
    Redirect,
    /// Nothing listens at the address.
    Refused,
    /// The host cannot be found or reached.
    Unreachable,
    /// No secure connection.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke before the answer was whole.
    Dropped,
    /// An answer of another shape than the API's.
    Malformed,
    /// An answer larger than its bound.
    TooLarge,
    /// A list that never ends.
    EndlessList,
    /// The uploaded file was not accepted.
    FileRefused,
    /// A local cause: a file that cannot be read, or changed meanwhile.
    Local,
}

/// A failed operation. Its facts are behind a pointer, since errors travel through
/// every result.
#[derive(Debug, Clone)]
pub struct ApiError(Box<Facts>);

/// What is known of a failed operation; an [`ApiError`] reads as one.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What was asked.
    pub operation: Operation,
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The service's host and port.
    pub host: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's code, such as `invalid_api_key`.
    pub code: Option<String>,
    /// The service's type of error, such as `invalid_request_error`.
    pub error_type: Option<String>,
    /// The parameter that the service objects to.
    pub param: Option<String>,
    /// The service's words, without secrets and with control characters made visible.
    pub message: Option<String>,
    /// A cause on this side.
    pub cause: Option<String>,
    /// The service's id for the request, for its support.
    pub request_id: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The service's own word on whether asking again helps (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// How often it was asked.
    pub attempts: u32,
    /// Whether the request can have arrived.
    pub sent: Sent,
    openai: bool,
}

impl Deref for ApiError {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut Facts {
        &mut self.0
    }
}

impl ApiError {
    pub(super) fn new(operation: Operation, endpoint: &Endpoint, kind: ErrorKind) -> Self {
        Self(Box::new(Facts {
            operation,
            kind,
            host: endpoint.host(),
            status: None,
            code: None,
            error_type: None,
            param: None,
            message: None,
            cause: None,
            request_id: None,
            retry_after: None,
            should_retry: None,
            attempts: 0,
            sent: Sent::No,
            openai: endpoint.is_openai(),
        }))
    }

    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn of_fault(operation: Operation, endpoint: &Endpoint, fault: &Fault) -> Self {
        let kind = match fault.kind {
            FaultKind::Refused => ErrorKind::Refused,
            FaultKind::Unreachable => ErrorKind::Unreachable,
            FaultKind::Tls => ErrorKind::Tls,
            FaultKind::Timeout => ErrorKind::Timeout,
            FaultKind::Dropped => ErrorKind::Dropped,
            FaultKind::NotHttp => ErrorKind::Malformed,
            FaultKind::Local => ErrorKind::Local,
        };
        let mut error = Self::new(operation, endpoint, kind).because(excerpt(&fault.cause, LONGEST_MESSAGE));
        error.sent = fault.sent;
        error
    }

    /// Reads the body of a refusal: `{"error": {message, type, param, code}}`, and the
    /// forms that compatible services have.
    pub(super) fn read_body(&mut self, body: &[u8], redactor: &Redactor) {
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            if text.starts_with('<') {
                self.cause.get_or_insert_with(|| "the answer is a web page, not this API's".to_owned());
            } else if !text.is_empty() {
                self.message = Some(excerpt(&redactor.redact(text), LONGEST_BODY));
            }
            return;
        };
        redactor.redact_json(&mut value);
        let inner = value.get("error").filter(|inner| !inner.is_null()).unwrap_or(&value);
        let name = |key: &str| {
            let field = inner.get(key)?;
            let text =
                field.as_str().map(str::to_owned).or_else(|| field.as_i64().map(|code| code.to_string()));
            text.filter(|text| !text.is_empty()).map(|text| excerpt(&text, LONGEST_NAME))
        };
        self.code = name("code");
        self.error_type = name("type");
        self.param = name("param");
        let message = match inner {
            Value::String(text) => Some(text.as_str()),
            _ => ["message", "detail", "msg"].iter().find_map(|key| inner.get(key)?.as_str()),
        };
        self.message =
            message.map(|text| excerpt(text.trim(), LONGEST_MESSAGE)).filter(|text| !text.is_empty());
    }

    /// Decides the kind from status and code, after the body was read.
    pub(super) fn classify(&mut self, status: u16, has_key: bool) {
        self.status = Some(status);
        let is = |name: &str| self.code.as_deref() == Some(name) || self.error_type.as_deref() == Some(name);
        self.kind = match status {
            300..=399 => ErrorKind::Redirect,
            402 => ErrorKind::Quota,
            _ if is("insufficient_quota") => ErrorKind::Quota,
            401 if !has_key => ErrorKind::MissingKey,
            401 => ErrorKind::WrongKey,
            400..=499 if is("model_not_found") => ErrorKind::UnknownModel,
            403 | 404 if self.operation == Operation::CreateJob => ErrorKind::Closed,
            403 if self.operation.is_fine_tuning() => ErrorKind::Closed,
            403 => ErrorKind::Forbidden,
            404 if matches!(self.operation, Operation::GetModel | Operation::Chat) => ErrorKind::UnknownModel,
            404 | 410 => ErrorKind::NotFound,
            408 => ErrorKind::Timeout,
            409 => ErrorKind::Conflict,
            429 => ErrorKind::RateLimited,
            400..=499 => ErrorKind::Invalid,
            500..=599 => ErrorKind::Server,
            _ => ErrorKind::Malformed,
        };
    }

    /// Whether the service may have done what was asked in spite of this error. False
    /// when nothing was sent, and when the service plainly refused.
    pub fn may_have_happened(&self) -> bool {
        match self.status {
            Some(408 | 409) => true,
            Some(300..=499) => false,
            // 1xx and 2xx with an unusable body, and 5xx.
            Some(_) => true,
            None => self.sent == Sent::Maybe,
        }
    }

    fn what(&self) -> String {
        let host = &self.host;
        match self.kind {
            ErrorKind::MissingKey => format!("{host} needs a key, and none is set"),
            ErrorKind::WrongKey => format!("{host} does not accept the key"),
            ErrorKind::Closed => format!("{host} does not let this account do that"),
            ErrorKind::Forbidden => format!("{host} does not let this key do that"),
            ErrorKind::UnknownModel => format!("{host} has no such model for this account"),
            ErrorKind::NotFound => format!("{host} has nothing by that id or path"),
            ErrorKind::Quota => format!("no credit is left at {host}"),
            ErrorKind::RateLimited => format!("{host} was asked too often"),
            ErrorKind::Invalid => format!("{host} refused the request"),
            ErrorKind::Conflict => format!("{host} reports a conflict"),
            ErrorKind::Server => format!("{host} failed"),
            ErrorKind::Redirect => format!("{host} answers with a redirect, which is not followed"),
            ErrorKind::Refused => format!("nothing listens at {host}"),
            ErrorKind::Unreachable => format!("{host} cannot be reached"),
            ErrorKind::Tls => format!("no secure connection to {host}"),
            ErrorKind::Timeout => format!("{host} did not answer in time"),
            ErrorKind::Dropped => format!("the connection to {host} broke"),
            ErrorKind::Malformed => format!("{host} answered in a form that is not this API's"),
            ErrorKind::TooLarge => format!("the answer of {host} is too large"),
            ErrorKind::EndlessList => format!("{host} never ends its list"),
            ErrorKind::FileRefused => format!("{host} did not accept the file"),
            ErrorKind::Local => "a local fault".to_owned(),
        }
    }

    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self.kind {
            ErrorKind::MissingKey => Code::KeyMissing,
            ErrorKind::WrongKey => Code::KeyRejected,
            ErrorKind::Closed => Code::FineTuningClosed,
            ErrorKind::Forbidden => Code::AccessDenied,
            ErrorKind::UnknownModel => Code::ModelMissing,
            ErrorKind::NotFound => Code::RemoteNotFound,
            ErrorKind::Quota => Code::NoCredit,
            ErrorKind::RateLimited => Code::RateLimited,
            ErrorKind::Invalid => Code::RequestRejected,
            ErrorKind::Conflict => Code::RequestConflict,
            ErrorKind::Server => Code::ServiceFailed,
            ErrorKind::Redirect => Code::Redirected,
            ErrorKind::Refused => Code::ConnectionRefused,
            ErrorKind::Unreachable => Code::ServiceUnreachable,
            ErrorKind::Tls => Code::TlsFailed,
            ErrorKind::Timeout => Code::Timeout,
            ErrorKind::Dropped => Code::ConnectionLost,
            ErrorKind::Malformed | ErrorKind::TooLarge | ErrorKind::EndlessList => Code::AnswerInvalid,
            ErrorKind::FileRefused => Code::FileRejected,
            ErrorKind::Local => Code::LocalIo,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        let address = |doubt| vec![Advice::CheckAddress { service: Service::OpenAi, doubt }];
        match self.kind {
            ErrorKind::MissingKey => vec![Advice::SetKey, Advice::UseEmulator],
            ErrorKind::WrongKey => vec![Advice::CheckKey],
            ErrorKind::Closed if self.openai => {
                vec![closing().into(), Advice::TrainElsewhere { compatible: true }]
            }
            ErrorKind::Closed | ErrorKind::NotFound if !self.openai && self.operation.is_fine_tuning() => vec![
                "this service may not offer fine-tuning, or not to this account; the base URL usually ends in /v1"
                    .into(),
                Advice::TrainElsewhere { compatible: false },
            ],
            ErrorKind::Forbidden => {
                vec!["the key's project may lack this permission: use another key or project".into()]
            }
            ErrorKind::UnknownModel => vec![Advice::CheckModelName],
            ErrorKind::Quota => vec!["add credit to the account; waiting does not help".into()],
            ErrorKind::RateLimited => vec![
                "try again later".into(),
                Advice::SetConfig {
                    key: "openai.requests_per_second".into(),
                    purpose: "for a slower pace".into(),
                },
            ],
            ErrorKind::Server | ErrorKind::Timeout | ErrorKind::Dropped => vec!["try again later".into()],
            ErrorKind::Redirect => address(Doubt::Redirected),
            ErrorKind::Refused => address(Doubt::Refused),
            ErrorKind::Unreachable => address(Doubt::Unreachable),
            ErrorKind::Tls => address(Doubt::Tls),
            ErrorKind::NotFound | ErrorKind::Malformed | ErrorKind::TooLarge | ErrorKind::EndlessList => {
                address(Doubt::Answers)
            }
            ErrorKind::Closed
            | ErrorKind::Invalid
            | ErrorKind::Conflict
            | ErrorKind::FileRefused
            | ErrorKind::Local => Vec::new(),
        }
    }
}

/// The closing of OpenAI's platform, in plain words. The refusal itself does not say
/// which of the dates it is.
fn closing() -> String {
    format!(
        "OpenAI is closing its fine-tuning: since {CLOSED_TO_NEW} accounts that never fine-tuned cannot create jobs, \
         since {CLOSED_TO_IDLE} nor can those that did not use a tuned model for 60 days, and from {CLOSED_TO_ALL} on \
         nobody can (as published, read on {AS_OF}); most likely that is the reason here"
    )
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation.as_str(), self.what())?;
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " (status {status}, {code})")?,
            (Some(status), None) => write!(f, " (status {status})")?,
            (None, _) => {}
        }
        if let Some(param) = &self.param {
            write!(f, " about {param}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": \"{message}\"")?;
        } else if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; it asks to wait {} s", wait.as_secs_f64().ceil())?;
        }
        if self.attempts > 1 {
            write!(f, "; asked {} times", self.attempts)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// A name from a header, such as a request id, safe to show.
pub(super) fn shown_name(text: &str, redactor: &Redactor) -> String {
    excerpt(&redactor.redact(text), LONGEST_NAME)
}
