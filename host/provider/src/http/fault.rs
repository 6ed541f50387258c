//! Why a request got no answer, and whether it can have arrived.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Whether the request can have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// No connection came about: nothing was sent.
    No,
    /// A connection stood: the server may have acted on the request.
    Maybe,
}

/// A failure below HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure.
    pub kind: FaultKind,
    /// Whether the request can have arrived.
    pub sent: Sent,
    /// The cause, in the words of the library or the system; without the URL.
    pub cause: String,
}

/// The kinds of failure below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing listens there.
    Refused,
    /// The host cannot be found or reached.
    Unreachable,
    /// TLS: a certificate that does not prove the host, or a server without TLS.
    Tls,
    /// Nothing came back in time.
    Timeout,
    /// The connection broke before the answer was whole.
    Dropped,
    /// What answers does not speak HTTP.
    NotHttp,
    /// The request could not be made: a local cause.
    Local,
}

impl Fault {
    /// What an error of the HTTP library means.
    pub fn of(error: &reqwest::Error) -> Self {
        let mut refused = false;
        let mut tls = false;
        let mut parse = false;
        let mut deepest = None;
        let mut cause = error.source();
        while let Some(link) = cause {
            refused |= io_kind(link) == Some(io::ErrorKind::ConnectionRefused);
            tls |= is_tls(link);
            parse |= link.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
            // What wraps it only says in which layer it happened.
            deepest = Some(link.to_string());
            cause = link.source();
        }
        let kind = if tls {
            FaultKind::Tls
        } else if error.is_timeout() {
            FaultKind::Timeout
        } else if refused {
            FaultKind::Refused
        } else if error.is_connect() {
            FaultKind::Unreachable
        } else if parse {
            FaultKind::NotHttp
        } else if error.is_builder() {
            FaultKind::Local
        } else {
            FaultKind::Dropped
        };
        let sent = if error.is_connect() || error.is_builder() { Sent::No } else { Sent::Maybe };
        let cause = deepest.unwrap_or_else(|| "no further reason is known".to_owned());
        Self { kind, sent, cause }
    }

    /// A wait of ours that ran out while a connection may have stood.
    pub fn timeout(cause: impl Into<String>) -> Self {
        Self { kind: FaultKind::Timeout, sent: Sent::Maybe, cause: cause.into() }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self.kind {
            FaultKind::Refused | FaultKind::Unreachable | FaultKind::Timeout | FaultKind::Dropped => true,
            FaultKind::Tls | FaultKind::NotHttp | FaultKind::Local => false,
        }
    }
}

/// No sign of life for this long.
pub(crate) fn too_slow(limit: Duration) -> Fault {
    Fault::timeout(format!("nothing for {} s", limit.as_secs_f64()))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Refused => "nothing listens there",
            FaultKind::Unreachable => "it cannot be reached",
            FaultKind::Tls => "no secure connection",
            FaultKind::Timeout => "no answer in time",
            FaultKind::Dropped => "the connection broke",
            FaultKind::NotHttp => "what answers does not speak HTTP",
            FaultKind::Local => "the request cannot be made",
        };
        write!(f, "{what} ({})", self.cause)
    }
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// Whether the error is TLS's own. It may be wrapped in an I/O error, whose `source`
/// passes over what it wraps.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    error.is::<rustls::Error>()
        || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| is_tls(inner))
}
