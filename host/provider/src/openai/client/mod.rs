//! A client for OpenAI's protocol: the platform, and whatever else speaks it.
//!
//! Its types are lenient, since real answers differ from the published schema; its
//! retries are strict, since the API has no idempotency: what only reads is asked
//! again, and what creates is never sent twice unless it surely did not arrive. An
//! unclear outcome is a value ([`Created::Unclear`]) that the caller settles by
//! looking ([`Client::find_by_run_id`]).

mod adopt;
mod error;
mod files;
mod jobs;
mod models;
mod paging;
mod policy;
mod probe;
mod results;
mod transport;
mod types;
mod upload;

pub use adopt::Lookup;
pub use error::{ApiError, ErrorKind, Operation};
pub use files::{Ensured, How, Uploaded};
pub use jobs::{Control, Controlled, Created};
pub use probe::Probe;
pub use results::{ResultFile, ResultRow};
pub use types::{Checkpoint, Event, File, Job, JobError, JobStatus, Metrics, Model};
pub use upload::{TrainingFile, UploadLimits, UploadSession, UploadWatch};

use crate::http::{self, Endpoint, Limiter, Reuse, Timeouts};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tunesmith_core::secret::{Found, Redactor};

/// Whom to ask, and as whom. The operator decides all of it; a job decides none.
#[derive(Debug, Clone)]
pub struct Options {
    /// The base URL.
    pub endpoint: Endpoint,
    /// The key, with the place where it was found.
    pub key: Option<Found>,
    /// The `OpenAI-Organization` header.
    pub organization: Option<String>,
    /// The `OpenAI-Project` header.
    pub project: Option<String>,
    /// The pace, shared by all clients of the provider in this process.
    pub limiter: Arc<Limiter>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How files travel.
    pub upload: UploadLimits,
}

impl Options {
    /// Options for a service without a key, at no pace, with the default waits.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            key: None,
            organization: None,
            project: None,
            limiter: Arc::new(Limiter::new(None)),
            timeouts: Timeouts::default(),
            upload: UploadLimits::default(),
        }
    }
}

/// The client. Clones share connections, pace and key.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    /// For what only reads: connections are kept.
    reading: reqwest::Client,
    /// For what changes something: a connection for each request.
    changing: reqwest::Client,
    headers: HeaderMap,
    has_key: bool,
    redactor: Redactor,
    limiter: Arc<Limiter>,
    timeouts: Timeouts,
    upload: UploadLimits,
    /// A reply said that it is the emulator's.
    emulated: AtomicBool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.0.endpoint.to_string()).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; nothing is contacted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`] for OpenAI itself without a key (another service may
    /// not need one), [`ErrorKind::Tls`] on a machine without certificates, and
    /// [`ErrorKind::Local`] for a header that cannot be sent.
    pub fn new(options: Options) -> Result<Self, ApiError> {
        let Options { endpoint, key, organization, project, limiter, timeouts, upload } = options;
        let host = endpoint.host();
        let redactor = Redactor::new(key.iter().map(|found| &found.secret));
        if key.is_none() && endpoint.is_openai() {
            return Err(ApiError::new(Operation::Connect, &endpoint, ErrorKind::MissingKey));
        }
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, text: &str| -> Result<(), ApiError> {
            let value = HeaderValue::from_str(text).map_err(|_| {
                let cause =
                    format!("the header {name} for {host} would have characters that no header can have");
                ApiError::new(Operation::Connect, &endpoint, ErrorKind::Local).because(cause)
            })?;
            headers.insert(HeaderName::from_static(name), value);
            Ok(())
        };
        if let Some(found) = &key {
            add("authorization", &format!("Bearer {}", found.secret.expose()))?;
        }
        if let Some(organization) = &organization {
            add("openai-organization", organization)?;
        }
        if let Some(project) = &project {
            add("openai-project", project)?;
        }
        for value in headers.values_mut() {
            value.set_sensitive(true);
        }
        let make = |reuse| {
            http::client(&endpoint, timeouts, reuse)
                .map_err(|fault| ApiError::of_fault(Operation::Connect, &endpoint, &fault))
        };
        Ok(Self(Arc::new(Inner {
            reading: make(Reuse::Allowed)?,
            changing: make(Reuse::Never)?,
            endpoint: endpoint.clone(),
            headers,
            has_key: key.is_some(),
            redactor,
            limiter,
            timeouts,
            upload,
            emulated: AtomicBool::new(false),
        })))
    }

    /// Whom it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Whether a reply so far said that it comes from tunesmith's emulator.
    pub fn is_emulated(&self) -> bool {
        self.0.emulated.load(Ordering::Relaxed)
    }

    /// What takes the key out of texts; for whatever else handles the service's answers.
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }
}

#[cfg(test)]
mod tests;
