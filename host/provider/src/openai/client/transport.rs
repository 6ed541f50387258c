//! One request and its answer: headers, waits, bounds, and sending again by policy.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation, shown_name};
use super::policy::{Next, Policy};
use crate::http::lenient::Fields;
use crate::http::wait;
use crate::http::{self, Fault, Sent};
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;
use std::future::Future;
use std::sync::atomic::Ordering;
use tokio::time::sleep;
use tunesmith_core::time::Timestamp;

/// An answer in JSON is at most this large. 16 MiB: a page of a list has a hundred
/// entries of a few KB each.
pub(super) const LARGEST_JSON: usize = 16 << 20;

/// Of a refusal's body at most this much is read: messages are short.
const LARGEST_REFUSAL: usize = 64 << 10;

/// An id is at most this long. Those in use have about 30 characters, names of tuned
/// models up to 150.
const LONGEST_ID: usize = 512;

/// A request that can be sent again as it is.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) path: &'c [&'c str],
    pub(super) query: &'c [(&'c str, &'c str)],
    pub(super) body: Option<Bytes>,
    pub(super) policy: Policy,
    /// The bound of the answer in bytes.
    pub(super) largest: usize,
}

impl<'c> Call<'c> {
    /// A read.
    pub(super) fn get(operation: Operation, path: &'c [&'c str]) -> Self {
        let (method, policy) = (Method::GET, Policy::Repeatable);
        Self { operation, method, path, query: &[], body: None, policy, largest: LARGEST_JSON }
    }

    /// A change.
    pub(super) fn post(operation: Operation, path: &'c [&'c str], policy: Policy) -> Self {
        Self { method: Method::POST, policy, ..Self::get(operation, path) }
    }

    /// With a JSON body.
    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(Bytes::from(body.to_string()));
        self
    }
}

impl Client {
    /// Sends a call by its policy and returns the answer's bytes.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Bytes, ApiError> {
        for segment in call.path {
            self.check_id(call.operation, segment)?;
        }
        let url = self.0.endpoint.url(call.path, call.query);
        self.repeat(call.operation, call.policy, || async {
            let mut request = self.request(call.method.clone(), url.clone());
            if let Some(body) = &call.body {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            let response = self.in_time(call.operation, http::send(&self.0.endpoint, request)).await?;
            self.read(call.operation, response, call.largest).await
        })
        .await
    }

    /// Sends a call and reads the answer as a JSON object, without secrets.
    pub(super) async fn object(&self, call: &Call<'_>) -> Result<Fields, ApiError> {
        let body = self.send(call).await?;
        self.parse(call.operation, &body)
    }

    /// Reads bytes as a JSON object, without secrets.
    pub(super) fn parse(&self, operation: Operation, body: &[u8]) -> Result<Fields, ApiError> {
        match serde_json::from_slice::<Value>(body) {
            Ok(mut value @ Value::Object(_)) => {
                self.0.redactor.redact_json(&mut value);
                Ok(Fields::new(value))
            }
            Ok(_) => Err(self.malformed(operation, "it is JSON, but not an object")),
            // serde_json names line and column, and shows nothing of the text.
            Err(error) => Err(self.malformed(operation, format!("it is not JSON: {error}"))),
        }
    }

    /// An answer that came, and cannot be used.
    pub(super) fn malformed(&self, operation: Operation, cause: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::Malformed).because(cause);
        error.status = Some(200);
        error.sent = Sent::Maybe;
        error
    }

    /// An id that cannot be one is not sent: an empty one or `..` would name another
    /// resource.
    pub(super) fn check_id(&self, operation: Operation, id: &str) -> Result<(), ApiError> {
        let usable = !id.is_empty()
            && id.len() <= LONGEST_ID
            && id != "."
            && id != ".."
            && id.chars().all(|c| c.is_ascii_graphic());
        if usable {
            return Ok(());
        }
        let cause = format!("{} cannot be an id", tunesmith_core::text::quoted(id));
        Err(ApiError::new(operation, &self.0.endpoint, ErrorKind::Local).because(cause))
    }

    /// A request with this client's headers.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let http = if method == Method::GET { &self.0.reading } else { &self.0.changing };
        http.request(method, url).headers(self.0.headers.clone()).header("accept", "application/json")
    }

    /// Tries until it works or the policy says stop, each time in its turn.
    pub(super) async fn repeat<T, F, Fut>(
        &self,
        operation: Operation,
        policy: Policy,
        mut attempt: F,
    ) -> Result<T, ApiError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, ApiError>>,
    {
        let mut retries = 0;
        loop {
            self.0.limiter.turn().await;
            let mut error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            error.attempts = retries + 1;
            debug_assert_eq!(error.operation, operation);
            match policy.next(&error, retries, fastrand::f64()) {
                Next::Stop => return Err(error),
                // Everyone's next turn waits, so this one's does too.
                Next::Again { wait, everyone: true } => self.0.limiter.pause(wait),
                Next::Again { wait, everyone: false } => sleep(wait).await,
            }
            retries += 1;
            tracing::debug!(operation = operation.as_str(), retries, "trying again");
        }
    }

    /// Waits for the library, within the time for an answer.
    pub(super) async fn in_time<T>(
        &self,
        operation: Operation,
        waiting: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, ApiError> {
        self.0.timeouts.answer(waiting).await.map_err(|fault| self.fault(operation, &fault))
    }

    pub(super) fn fault(&self, operation: Operation, fault: &Fault) -> ApiError {
        ApiError::of_fault(operation, &self.0.endpoint, fault)
    }

    /// Reads an answer, whole and within its bound; a refusal becomes an error.
    pub(super) async fn read(
        &self,
        operation: Operation,
        mut response: Response,
        largest: usize,
    ) -> Result<Bytes, ApiError> {
        let status = response.status().as_u16();
        let mut about = ApiError::new(operation, &self.0.endpoint, ErrorKind::Server);
        about.sent = Sent::Maybe;
        self.read_headers(&mut about, response.headers());
        let refused = !response.status().is_success();
        let limit = if refused { LARGEST_REFUSAL } else { largest };
        let announced = response.content_length().unwrap_or(0);
        let mut body = Vec::new();
        let mut whole = true;
        if refused || announced <= limit as u64 {
            loop {
                match self.in_time(operation, response.chunk()).await {
                    Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
                    Ok(Some(_)) => whole = false,
                    Ok(None) => break,
                    // The status of a refusal says enough.
                    Err(_) if refused => break,
                    Err(mut error) => {
                        error.status = Some(status);
                        error.request_id = about.request_id.take();
                        error.sent = Sent::Maybe;
                        return Err(error);
                    }
                }
                if !whole {
                    break;
                }
            }
        } else {
            whole = false;
        }
        if refused {
            about.read_body(&body, &self.0.redactor);
            about.classify(status, self.0.has_key);
            return Err(about);
        }
        if !whole {
            about.kind = ErrorKind::TooLarge;
            about.status = Some(status);
            return Err(about.because(format!("more than {limit} bytes")));
        }
        Ok(Bytes::from(body))
    }

    fn read_headers(&self, error: &mut ApiError, headers: &HeaderMap) {
        if headers.contains_key(tunesmith_core::EMULATED_HEADER) {
            self.0.emulated.store(true, Ordering::Relaxed);
        }
        let text = |name: &str| headers.get(name)?.to_str().ok();
        error.request_id = text("x-request-id").map(|id| shown_name(id, &self.0.redactor));
        error.should_retry = match text("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        error.retry_after = wait::asked(headers, Timestamp::now());
        if let Some(target) = text("location") {
            let host = Url::parse(target).ok().and_then(|url| url.host_str().map(str::to_owned));
            let target = shown_name(host.as_deref().unwrap_or(target), &self.0.redactor);
            error.cause = Some(format!("it points to {target}"));
        }
    }
}
