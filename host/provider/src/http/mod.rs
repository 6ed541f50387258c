//! What the clients of all providers share: where a service is, how it is reached,
//! how often it may be asked, and how long a caller waits.

pub mod endpoint;
pub mod fault;
pub mod file;
pub(crate) mod lenient;
pub mod limiter;
#[cfg(test)]
pub(crate) mod misbehaving;
#[cfg(test)]
pub(crate) mod mock;
pub mod wait;

pub use endpoint::{Endpoint, EndpointError};
pub use fault::{Fault, Sent};
pub use file::SourceFile;
pub use limiter::{Limiter, Rate};

use std::time::Duration;
use tracing::Instrument as _;

/// How long a caller waits for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included. `None` waits as long as the system does.
    pub connect: Option<Duration>,
    /// For an answer to begin, for the next part of an answer, and for the next part
    /// of an upload to be taken. `None` waits for ever.
    pub response: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 s to connect: a second more than three lost SYNs cost. 120 s for an answer:
    /// the requests here return at once or have stalled.
    fn default() -> Self {
        Self { connect: Some(Duration::from_secs(10)), response: Some(Duration::from_secs(120)) }
    }
}

impl Timeouts {
    /// Waits for the library to hear from the service, within the time for it.
    ///
    /// # Errors
    /// What the library says, or that nothing came.
    pub(crate) async fn answer<T>(
        self,
        waiting: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, Fault> {
        let outcome = match self.response {
            Some(limit) => tokio::time::timeout(limit, waiting).await.map_err(|_| fault::too_slow(limit))?,
            None => waiting.await,
        };
        outcome.map_err(|error| Fault::of(&error))
    }
}

/// Sends a request, in a span with what may be logged of it: no header, no body, and of
/// the URL only the path below the endpoint, since a base URL may hold a token.
pub(crate) async fn send(
    endpoint: &Endpoint,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, reqwest::Error> {
    let (client, request) = request.build_split();
    let request = request?;
    let span = tracing::debug_span!(
        "request",
        host = endpoint.host(),
        method = %request.method(),
        path = endpoint.below(request.url()),
    );
    let sending = async {
        let begun = std::time::Instant::now();
        let answer = client.execute(request).await;
        let ms = begun.elapsed().as_millis();
        match &answer {
            Ok(answer) => tracing::debug!(status = answer.status().as_u16(), ms, "answered"),
            Err(error) => tracing::debug!(error = Fault::of(error).cause, ms, "failed"),
        }
        answer
    };
    sending.instrument(span).await
}

/// What this program calls itself.
pub const USER_AGENT: &str = concat!("tunesmith/", env!("CARGO_PKG_VERSION"));

/// A client for one endpoint. It follows no redirect, since one could carry a key to
/// another server, and repeats nothing by itself. Plain HTTP needs no certificates,
/// so none are loaded for it, and a loopback service is never reached by a proxy.
///
/// # Errors
///
/// HTTPS on a machine without certificates, or a proxy variable that is no URL.
pub fn client(endpoint: &Endpoint, timeouts: Timeouts, reuse: Reuse) -> Result<reqwest::Client, Fault> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false);
    if let Some(connect) = timeouts.connect {
        builder = builder.connect_timeout(connect);
    }
    if endpoint.is_loopback() {
        builder = builder.no_proxy();
    }
    if endpoint.is_plain() {
        builder = builder.tls_certs_only([]);
    }
    if reuse == Reuse::Never {
        builder = builder.pool_max_idle_per_host(0);
    }
    builder.build().map_err(|error| Fault::of(&error))
}

/// Whether a client keeps connections for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It does.
    Allowed,
    /// Each request has a connection of its own, so that a stale one, closed by the
    /// server in the meantime, cannot make it unclear whether a request arrived.
    Never,
}
