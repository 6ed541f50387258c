//! A client for Ollama's HTTP API, which is all that is used of Ollama.
//!
//! What Ollama answers is read leniently, since its versions differ; what it is taken
//! for is strict: a model is made when the stream of progress ends after a final
//! `success`, an `error` line is a failure under any HTTP status, and a stream that
//! breaks off is an unclear outcome ([`Created::Unclear`]) which the caller settles by
//! looking ([`Client::made`]).
//!
//! Dropping a future closes its connection, and Ollama then stops what it was doing.
//! Nothing is sent twice, except by [`Client::probe`], which tells of each try.

mod blobs;
mod chat;
mod create;
mod error;
mod lines;
mod made;
mod models;
mod proof;
mod pull;
mod server;
mod show;
mod transport;

pub use blobs::Pushed;
pub use chat::Probe;
pub use create::{CreateReport, Created, Layer, Phase, Step};
pub use error::{ApiError, ErrorKind, Operation};
pub use made::Made;
pub use models::{Base, Tag};
pub use proof::Proof;
pub use pull::PullProgress;
pub use server::{Server, Support};
pub use show::{Details, Shown, ShownMessage};

use crate::http::{self, Endpoint, Reuse, Timeouts};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whom to ask. The operator decides it; a job does not.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl Options {
    /// Options with the default waits: 5 s for a connection, since the server is near;
    /// 300 s for a sign of life, as long as Ollama itself waits for a model to load.
    pub fn new(endpoint: Endpoint) -> Self {
        let (connect, response) = (Some(Duration::from_secs(5)), Some(Duration::from_secs(300)));
        Self { endpoint, timeouts: Timeouts { connect, response } }
    }
}

/// The client. Clones share connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    /// For what only reads: connections are kept.
    reading: reqwest::Client,
    /// For what changes something: a connection for each request.
    changing: reqwest::Client,
    timeouts: Timeouts,
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
    /// [`ErrorKind::Tls`] for HTTPS on a machine without certificates, and
    /// [`ErrorKind::Local`] for a proxy variable that is no URL.
    pub fn new(options: Options) -> Result<Self, ApiError> {
        let Options { endpoint, timeouts } = options;
        let make = |reuse| {
            http::client(&endpoint, timeouts, reuse)
                .map_err(|fault| ApiError::of_fault(Operation::SetUp, &endpoint, &fault))
        };
        Ok(Self(Arc::new(Inner {
            reading: make(Reuse::Allowed)?,
            changing: make(Reuse::Never)?,
            endpoint: endpoint.clone(),
            timeouts,
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
}

#[cfg(test)]
mod tests;
