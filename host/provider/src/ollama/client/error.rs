//! What went wrong in asking Ollama. Its errors have a status and a text and no code,
//! so the few texts that change what the user should do are recognised here.

use crate::http::fault::FaultKind;
use crate::http::{Endpoint, Fault, Sent};
use serde_json::Value;
use std::fmt;
use std::ops::{Deref, DerefMut};
use tunesmith_core::failure::{Advice, Code, Doubt, Failure, Service};
use tunesmith_core::text::{excerpt, quoted};

/// A server's message is shown up to this many characters: a few paragraphs.
const LONGEST_MESSAGE: usize = 2000;

/// The part of an answer that is no JSON is shown up to this many characters.
const LONGEST_BODY: usize = 200;

/// Models that are named when the wanted one is missing: a glance's worth.
const MOST_NAMES: usize = 6;

/// What was asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Setting up the client.
    SetUp,
    /// `GET /api/version`.
    Version,
    /// `POST /api/create` without anything to create from.
    CheckCreate,
    /// `GET /api/tags`.
    ListModels,
    /// `POST /api/show`.
    Show,
    /// `POST /api/pull`.
    Pull,
    /// `POST /api/create`.
    Create,
    /// `POST /api/chat`.
    Chat,
    /// `DELETE /api/delete`.
    Delete,
    /// `POST /api/copy`.
    Copy,
    /// `HEAD /api/blobs/{digest}`.
    FindBlob,
    /// `POST /api/blobs/{digest}`.
    PushBlob,
}

impl Operation {
    /// What it does, after "cannot".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SetUp => "set up the connection to Ollama",
            Self::Version => "reach Ollama",
            Self::CheckCreate => "ask Ollama what it can create",
            Self::ListModels => "list Ollama's models",
            Self::Show => "look up the model in Ollama",
            Self::Pull => "pull the model",
            Self::Create => "create the model",
            Self::Chat => "talk to the model",
            Self::Delete => "delete the model",
            Self::Copy => "copy the model",
            Self::FindBlob => "look up the file in Ollama",
            Self::PushBlob => "send the file to Ollama",
        }
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
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
    /// The stream of progress ended before its last line.
    Truncated,
    /// Something answers there that is not Ollama.
    NotOllama,
    /// The server, or something in front of it, does not let this machine in.
    Forbidden,
    /// The server is older than the API that is used.
    TooOld,
    /// The server has no such model.
    MissingModel,
    /// The server does not have the base model.
    MissingBase,
    /// The registry that the server pulls from does not have the model.
    NotInRegistry,
    /// The model runs elsewhere, and the server only passes prompts on.
    Remote,
    /// The server began to fetch the base model, which nobody asked it to.
    WouldPull,
    /// The server has too many requests waiting.
    Busy,
    /// System prompt and examples do not fit the context.
    Context,
    /// The server has not enough memory to load the model.
    Memory,
    /// The server's disk is full.
    NoSpace,
    /// The request was not valid.
    Invalid,
    /// The server failed.
    Failed,
    /// A file's bytes did not have their digest when they arrived.
    DigestMismatch,
    /// It answers with a redirect, which is not followed.
    Redirect,
    /// An answer of another shape than the API's.
    Malformed,
    /// An answer, or a line of it, beyond its bound.
    TooLarge,
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
    /// The server's host and port.
    pub host: String,
    /// The model that it was about.
    pub model: Option<String>,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The server's words, with control characters made visible.
    pub message: Option<String>,
    /// A cause on this side.
    pub cause: Option<String>,
    /// For [`ErrorKind::MissingBase`], what the server has, the likeliest first.
    pub present: Vec<String>,
    /// How often it was asked.
    pub attempts: u32,
    /// Whether the request can have arrived.
    pub sent: Sent,
    /// Whether the server is on this machine.
    loopback: bool,
    /// The manifest was being written, so the model may be there.
    pub(super) was_writing: bool,
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
            model: None,
            status: None,
            message: None,
            cause: None,
            present: Vec::new(),
            attempts: 0,
            sent: Sent::No,
            loopback: endpoint.is_loopback(),
            was_writing: false,
        }))
    }

    /// The same failure, taken for another kind.
    pub(super) fn taken_for(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn about(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    pub(super) fn of_fault(operation: Operation, endpoint: &Endpoint, fault: &Fault) -> Self {
        let kind = match fault.kind {
            FaultKind::Refused => ErrorKind::Refused,
            FaultKind::Unreachable => ErrorKind::Unreachable,
            FaultKind::Tls => ErrorKind::Tls,
            FaultKind::Timeout => ErrorKind::Timeout,
            FaultKind::Dropped => ErrorKind::Dropped,
            FaultKind::NotHttp => ErrorKind::NotOllama,
            FaultKind::Local => ErrorKind::Local,
        };
        let mut error = Self::new(operation, endpoint, kind).because(excerpt(&fault.cause, LONGEST_MESSAGE));
        error.sent = fault.sent;
        error
    }

    /// Takes the server's words from a refusal's body: `{"error": "…"}`, in older
    /// versions with a `status` beside it, or a plain text.
    pub(super) fn read_body(&mut self, body: &[u8]) {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => self.read_error(&value),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                let text = text.trim();
                if text.starts_with('<') {
                    self.cause.get_or_insert_with(|| "the answer is a web page, not Ollama's".to_owned());
                } else if !text.is_empty() {
                    self.message = Some(excerpt(text, LONGEST_BODY));
                }
            }
        }
    }

    /// Takes the server's words from a value with an `error`.
    pub(super) fn read_error(&mut self, value: &Value) {
        let error = value.get("error");
        let text = match error {
            Some(Value::String(text)) => Some(text.as_str()),
            Some(object) => object.get("message").and_then(Value::as_str),
            None => None,
        };
        self.message = text.map(|text| excerpt(text.trim(), LONGEST_MESSAGE)).filter(|text| !text.is_empty());
        if self.message.is_none() && error.is_some() {
            self.message = error.map(|error| excerpt(&error.to_string(), LONGEST_BODY));
        }
    }

    /// Decides the kind from status and text, after the body was read. A line of a
    /// stream has the stream's status, 200, which says nothing.
    pub(super) fn classify(&mut self, status: u16) {
        self.status = Some(status);
        self.sent = Sent::Maybe;
        let text = self.message.clone().unwrap_or_default().to_lowercase();
        let says = |part: &str| text.contains(part);
        self.kind = match status {
            300..=399 => ErrorKind::Redirect,
            401 | 403 | 407 => ErrorKind::Forbidden,
            503 if self.operation != Operation::Create => ErrorKind::Busy,
            _ if says("maximum pending requests") => ErrorKind::Busy,
            _ if says("no space left on device") || says("not enough space on the disk") => {
                ErrorKind::NoSpace
            }
            _ if says("requires more system memory") || says("out of memory") => ErrorKind::Memory,
            _ if self.operation == Operation::Chat && says("exceeds") && says("context") => {
                ErrorKind::Context
            }
            _ if self.operation == Operation::Pull
                && says("pull model manifest")
                && says("does not exist") =>
            {
                ErrorKind::NotInRegistry
            }
            _ if self.operation == Operation::PushBlob && says("digest mismatch") => {
                ErrorKind::DigestMismatch
            }
            404 if says("page not found") || self.message.is_none() => ErrorKind::NotOllama,
            404 | 410 => ErrorKind::MissingModel,
            405 => ErrorKind::TooOld,
            408 => ErrorKind::Timeout,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Failed,
        };
    }

    /// Whether the server may have done what was asked in spite of this error. False
    /// when nothing was sent, and when the server plainly refused or failed.
    pub fn may_have_happened(&self) -> bool {
        match (self.kind, self.status) {
            (ErrorKind::WouldPull, _) => false,
            (ErrorKind::Truncated | ErrorKind::Dropped | ErrorKind::Timeout, _) => self.sent == Sent::Maybe,
            _ if self.was_writing => true,
            // What stands between may have lost the answer.
            (_, Some(408 | 502 | 504)) => true,
            // An answer, or a line of one, that could not be read.
            (ErrorKind::Malformed | ErrorKind::TooLarge, Some(200..=299)) => true,
            (_, Some(_)) => false,
            (_, None) => self.sent == Sent::Maybe,
        }
    }

    fn what(&self) -> String {
        let host = &self.host;
        let model = || self.model.as_deref().map_or_else(|| "the model".to_owned(), quoted);
        match self.kind {
            ErrorKind::Refused => format!("nothing listens at {host}"),
            ErrorKind::Unreachable => format!("{host} cannot be reached"),
            ErrorKind::Tls => format!("no secure connection to {host}"),
            ErrorKind::Timeout => format!("{host} did not answer in time"),
            ErrorKind::Dropped => format!("the connection to {host} broke"),
            ErrorKind::Truncated => format!("{host} ended its progress without a final `success`"),
            ErrorKind::NotOllama => format!("what answers at {host} is not Ollama"),
            ErrorKind::Forbidden => format!("{host} does not let this machine in"),
            ErrorKind::TooOld => format!("the Ollama at {host} is too old"),
            ErrorKind::MissingModel => format!("{host} has no model {}", model()),
            ErrorKind::MissingBase => format!("{host} does not have the base model {}", model()),
            ErrorKind::NotInRegistry => format!("Ollama's registry has no model {}", model()),
            ErrorKind::Remote => {
                format!("{} does not run at {host}, which would send every prompt elsewhere", model())
            }
            ErrorKind::WouldPull => {
                format!("{host} began to fetch the base model, which is no longer there; it was stopped")
            }
            ErrorKind::Busy => format!("{host} is busy"),
            ErrorKind::Context => {
                format!("system prompt and examples of {} do not fit its context", model())
            }
            ErrorKind::Memory => format!("{host} has not enough memory to load {}", model()),
            ErrorKind::NoSpace => format!("the disk of {host} is full"),
            ErrorKind::Invalid => format!("{host} refused the request"),
            ErrorKind::Failed => format!("{host} failed"),
            ErrorKind::DigestMismatch => "the file arrived with other bytes than it has".to_owned(),
            ErrorKind::Redirect => format!("{host} answers with a redirect, which is not followed"),
            ErrorKind::Malformed => format!("{host} answered in a form that is not Ollama's"),
            ErrorKind::TooLarge => format!("the answer of {host} is too large"),
            ErrorKind::Local => "a local fault".to_owned(),
        }
    }

    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self.kind {
            ErrorKind::Refused => Code::ConnectionRefused,
            ErrorKind::Unreachable => Code::ServiceUnreachable,
            ErrorKind::Tls => Code::TlsFailed,
            ErrorKind::Timeout => Code::Timeout,
            ErrorKind::Dropped | ErrorKind::Truncated => Code::ConnectionLost,
            ErrorKind::NotOllama => Code::WrongService,
            ErrorKind::Forbidden => Code::AccessDenied,
            ErrorKind::TooOld => Code::ServiceTooOld,
            ErrorKind::MissingModel => Code::ModelMissing,
            ErrorKind::MissingBase | ErrorKind::WouldPull => Code::BaseModelMissing,
            ErrorKind::NotInRegistry => Code::ModelNotInRegistry,
            ErrorKind::Remote => Code::ModelRemote,
            ErrorKind::Busy => Code::ServiceBusy,
            // The service rejects what does not fit, as it does other requests.
            ErrorKind::Context | ErrorKind::Invalid => Code::RequestRejected,
            ErrorKind::Memory | ErrorKind::NoSpace => Code::ServiceFull,
            ErrorKind::Failed => Code::ServiceFailed,
            ErrorKind::DigestMismatch => Code::FileCorrupted,
            ErrorKind::Redirect => Code::Redirected,
            ErrorKind::Malformed | ErrorKind::TooLarge => Code::AnswerInvalid,
            ErrorKind::Local => Code::LocalIo,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        let address = |doubt| Advice::CheckAddress { service: Service::Ollama, doubt };
        let only = match self.kind {
            ErrorKind::Refused if self.loopback => {
                return vec![Advice::StartOllama { here: true }, Advice::UseEmulator];
            }
            ErrorKind::Refused => Advice::StartOllama { here: false },
            ErrorKind::Unreachable => address(Doubt::Unreachable),
            ErrorKind::Tls => address(Doubt::Tls),
            ErrorKind::NotOllama if self.message.as_deref().is_some_and(|text| text.contains("HTTPS")) => {
                address(Doubt::Plain)
            }
            ErrorKind::NotOllama => address(Doubt::OtherProgram),
            ErrorKind::Forbidden if matches!(self.status, Some(401 | 407)) => address(Doubt::AsksForKey),
            ErrorKind::Forbidden => address(Doubt::Denied),
            ErrorKind::TooOld => "update Ollama to 0.5.5 or later (https://ollama.com/download)".into(),
            ErrorKind::MissingModel => Advice::ListServerModels,
            ErrorKind::MissingBase => {
                let present = match self.present.as_slice() {
                    [] => "it has no models at all yet".into(),
                    names => Advice::UseBase {
                        models: names.iter().take(MOST_NAMES).map(|name| excerpt(name, 100)).collect(),
                        more: names.len().saturating_sub(MOST_NAMES),
                    },
                };
                return vec![self.pull(), present];
            }
            ErrorKind::NotInRegistry => "check the name and the tag at https://ollama.com/library".into(),
            ErrorKind::Remote => {
                return vec!["take a base model that is on the server".into(), Advice::ListServerModels];
            }
            ErrorKind::WouldPull => self.pull(),
            ErrorKind::Busy => "wait until its other requests are done".into(),
            ErrorKind::Context => {
                "set a larger context_window among the job's hyperparameters, or fewer examples".into()
            }
            ErrorKind::Memory => {
                "take a smaller base model, or set a smaller context_window among the job's hyperparameters"
                    .into()
            }
            ErrorKind::NoSpace => Advice::FreeServerSpace,
            ErrorKind::Timeout if self.operation == Operation::Chat => Advice::SetConfig {
                key: "ollama.response_timeout".into(),
                purpose: "a large model takes long to load".into(),
            },
            ErrorKind::Timeout | ErrorKind::Dropped | ErrorKind::Truncated
                if self.operation == Operation::Pull =>
            {
                "run it again: what was fetched is stored".into()
            }
            ErrorKind::Timeout | ErrorKind::Dropped if self.operation == Operation::Version => {
                address(Doubt::Silent)
            }
            ErrorKind::Timeout | ErrorKind::Dropped | ErrorKind::Truncated => Advice::ReadServerLog,
            ErrorKind::Failed if self.operation == Operation::Pull => {
                "the server fetches the model, not this machine: check its network".into()
            }
            ErrorKind::Failed => Advice::ReadServerLog,
            ErrorKind::Redirect => address(Doubt::Redirected),
            ErrorKind::DigestMismatch => "run it again".into(),
            ErrorKind::Malformed | ErrorKind::TooLarge => address(Doubt::Answers),
            ErrorKind::Invalid | ErrorKind::Local => return Vec::new(),
        };
        vec![only]
    }

    fn pull(&self) -> Advice {
        Advice::PullBase { base: excerpt(self.model.as_deref().unwrap_or("NAME"), 100) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation.as_str(), self.what())?;
        // The status of a stream that failed later is 200, which explains nothing.
        if let Some(status) = self.status.filter(|status| !(200..300).contains(status)) {
            write!(f, " (status {status})")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": \"{message}\"")?;
        } else if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        if self.attempts > 1 {
            write!(f, "; asked {} times", self.attempts)?;
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
