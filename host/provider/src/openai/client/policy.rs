//! When an operation is sent again. The API has no idempotency, so this depends on
//! what sending twice would do.

use super::error::{ApiError, ErrorKind};
use crate::http::Sent;
use crate::http::wait;
use std::time::Duration;

/// An operation is sent again at most this often: with our own waits that is half a
/// minute, which outlasts a restart of a service.
const MOST_RETRIES: u32 = 5;

/// Where nothing listens, three seconds are enough to outlast a restart: longer only
/// keeps the user from reading that the service is not there.
const MOST_REFUSED: u32 = 3;

/// What sending an operation twice would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Nothing: it reads, or what it leaves behind is harmless and goes by itself.
    Repeatable,
    /// Two of something, or an unclear state: only what surely was not acted on is
    /// sent again.
    Once,
    /// Nothing is sent again here: the caller has a patience of its own.
    Never,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    /// Wait, then send again. `everyone`: the service asked for a break, which holds
    /// for all requests.
    Again {
        /// How long.
        wait: Duration,
        /// Whether all requests wait.
        everyone: bool,
    },
    /// Report the failure.
    Stop,
}

impl Policy {
    /// Decides after a failure; `retries` were made so far, `chance` is from 0 to 1.
    pub(super) fn next(self, error: &ApiError, retries: u32, chance: f64) -> Next {
        let most = if error.kind == ErrorKind::Refused { MOST_REFUSED } else { MOST_RETRIES };
        if retries >= most || !self.may_repeat(error) {
            return Next::Stop;
        }
        let asked = error.retry_after;
        if asked.is_some_and(|asked| asked > wait::LONGEST_ASKED) {
            return Next::Stop;
        }
        let everyone = error.kind == ErrorKind::RateLimited || asked.is_some();
        Next::Again { wait: asked.unwrap_or_else(|| wait::own(retries, chance)), everyone }
    }

    fn may_repeat(self, error: &ApiError) -> bool {
        if matches!(error.kind, ErrorKind::Quota | ErrorKind::Redirect) {
            return false;
        }
        let nothing_sent = error.status.is_none()
            && error.sent == Sent::No
            && matches!(error.kind, ErrorKind::Refused | ErrorKind::Unreachable | ErrorKind::Timeout);
        match self {
            Self::Never => false,
            // A connection that never came about, or a refusal before anything was
            // done. `x-should-retry: true` cannot widen this.
            Self::Once => {
                nothing_sent || error.kind == ErrorKind::RateLimited && error.should_retry != Some(false)
            }
            Self::Repeatable => {
                let passing = match error.status {
                    None => nothing_sent || matches!(error.kind, ErrorKind::Timeout | ErrorKind::Dropped),
                    // The answer began and broke off.
                    Some(200..=299) => matches!(error.kind, ErrorKind::Timeout | ErrorKind::Dropped),
                    Some(status) => matches!(status, 408 | 409 | 429 | 500..),
                };
                if error.status.is_some_and(|status| status >= 400) {
                    error.should_retry.unwrap_or(passing)
                } else {
                    passing
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Operation;
    use super::*;
    use crate::http::Endpoint;

    fn answered(status: u16, code: Option<&str>) -> ApiError {
        let endpoint = Endpoint::parse(Endpoint::OPENAI, false).unwrap();
        let mut error = ApiError::new(Operation::GetFile, &endpoint, ErrorKind::Server);
        error.sent = Sent::Maybe;
        error.code = code.map(str::to_owned);
        error.classify(status, true);
        error
    }

    fn failed(kind: ErrorKind, sent: Sent) -> ApiError {
        let endpoint = Endpoint::parse(Endpoint::OPENAI, false).unwrap();
        let mut error = ApiError::new(Operation::GetFile, &endpoint, kind);
        error.sent = sent;
        error
    }

    fn again(policy: Policy, error: &ApiError) -> bool {
        policy.next(error, 0, 0.0) != Next::Stop
    }

    #[test]
    fn reads_are_repeated_after_whatever_may_pass() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert!(again(Policy::Repeatable, &answered(status, None)), "{status}");
        }
        for status in [301, 307, 400, 401, 403, 404, 410, 413, 422] {
            assert!(!again(Policy::Repeatable, &answered(status, None)), "{status}");
        }
        for kind in [ErrorKind::Refused, ErrorKind::Unreachable, ErrorKind::Timeout] {
            assert!(again(Policy::Repeatable, &failed(kind, Sent::No)), "{kind:?}");
        }
        for kind in [ErrorKind::Timeout, ErrorKind::Dropped] {
            assert!(again(Policy::Repeatable, &failed(kind, Sent::Maybe)), "{kind:?}");
        }
        assert!(!again(Policy::Repeatable, &failed(ErrorKind::Tls, Sent::No)));
        assert!(!again(Policy::Repeatable, &failed(ErrorKind::Malformed, Sent::Maybe)));
    }

    #[test]
    fn what_creates_is_repeated_only_when_it_surely_was_not_acted_on() {
        for status in [200, 400, 403, 408, 409, 500, 502, 503, 504] {
            let mut error = answered(status, None);
            error.should_retry = Some(true);
            assert!(!again(Policy::Once, &error), "{status}");
        }
        assert!(again(Policy::Once, &answered(429, Some("rate_limit_exceeded"))));
        assert!(again(Policy::Once, &failed(ErrorKind::Refused, Sent::No)));
        for kind in [ErrorKind::Timeout, ErrorKind::Dropped, ErrorKind::Malformed] {
            assert!(!again(Policy::Once, &failed(kind, Sent::Maybe)), "{kind:?}");
        }
    }

    #[test]
    fn an_empty_account_is_never_asked_again() {
        for policy in [Policy::Repeatable, Policy::Once] {
            let mut error = answered(429, Some("insufficient_quota"));
            error.should_retry = Some(true);
            error.retry_after = Some(Duration::from_secs(1));
            assert!(!again(policy, &error));
        }
    }

    #[test]
    fn the_services_own_word_counts_for_reads() {
        let mut error = answered(500, None);
        error.should_retry = Some(false);
        assert!(!again(Policy::Repeatable, &error));
        let mut error = answered(400, None);
        error.should_retry = Some(true);
        assert!(again(Policy::Repeatable, &error));
    }

    #[test]
    fn an_asked_wait_is_kept_exactly_up_to_its_bound() {
        let mut error = answered(429, None);
        error.retry_after = Some(Duration::from_secs(120));
        let next = Policy::Once.next(&error, 3, 0.9);
        assert_eq!(next, Next::Again { wait: Duration::from_secs(120), everyone: true });
        error.retry_after = Some(Duration::from_secs(121));
        assert_eq!(Policy::Repeatable.next(&error, 0, 0.0), Next::Stop);
        let next = Policy::Repeatable.next(&answered(500, None), 1, 0.0);
        assert_eq!(next, Next::Again { wait: Duration::from_secs(1), everyone: false });
        assert_eq!(Policy::Repeatable.next(&answered(500, None), MOST_RETRIES, 0.0), Next::Stop);
    }
}
