//! One request and its answer: waits and bounds.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use crate::http::lenient::Fields;
use crate::http::{self, Fault, Sent};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;
use std::future::Future;
use std::sync::atomic::Ordering;

/// An answer in JSON is at most this large. 64 MiB: a model's licence, template and
/// thousands of messages fit many times over.
const LARGEST_JSON: usize = 64 << 20;

/// Of a refusal's body at most this much is read: messages are short.
const LARGEST_REFUSAL: usize = 64 << 10;

impl Client {
    /// A request with a JSON body.
    pub(super) fn request(&self, method: Method, path: &[&str], body: Option<&Value>) -> RequestBuilder {
        let http = if method == Method::GET { &self.0.reading } else { &self.0.changing };
        let request = http.request(method, self.0.endpoint.url(path, &[]));
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    /// Sends a request and waits until its answer begins. A refusal is an error.
    pub(super) async fn begin(
        &self,
        operation: Operation,
        request: RequestBuilder,
    ) -> Result<Response, ApiError> {
        let response = self.answer(operation, request).await?;
        self.accept(operation, response).await
    }

    /// Sends a request and waits until its answer begins, whatever it is.
    pub(super) async fn answer(
        &self,
        operation: Operation,
        request: RequestBuilder,
    ) -> Result<Response, ApiError> {
        self.in_time(operation, http::send(&self.0.endpoint, request)).await
    }

    /// Takes an answer that began; a refusal becomes an error.
    pub(super) async fn accept(
        &self,
        operation: Operation,
        response: Response,
    ) -> Result<Response, ApiError> {
        if response.headers().contains_key(tunesmith_core::EMULATED_HEADER) {
            self.0.emulated.store(true, Ordering::Relaxed);
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::Failed);
        if let Some(target) = response.headers().get("location").and_then(|target| target.to_str().ok()) {
            let host = Url::parse(target).ok().and_then(|url| url.host_str().map(str::to_owned));
            let target = tunesmith_core::text::quoted(host.as_deref().unwrap_or(target));
            error.cause = Some(format!("it points to {target}"));
        }
        // The status of a refusal says enough where its body cannot be read.
        let (body, _) = self.bounded(operation, response, LARGEST_REFUSAL).await.unwrap_or_default();
        error.read_body(&body);
        error.classify(status);
        Err(error)
    }

    /// Reads an answer as a JSON object; one that has an `error` is a failure.
    pub(super) async fn object(&self, operation: Operation, response: Response) -> Result<Value, ApiError> {
        let status = response.status().as_u16();
        let (body, whole) = self.bounded(operation, response, LARGEST_JSON).await?;
        if !whole {
            let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::TooLarge)
                .because(format!("more than {LARGEST_JSON} bytes"));
            (error.status, error.sent) = (Some(status), Sent::Maybe);
            return Err(error);
        }
        match serde_json::from_slice::<Value>(&body) {
            Ok(value @ Value::Object(_)) => self.without_error(operation, value),
            Ok(_) => Err(self.malformed(operation, "it is JSON, but not an object")),
            // serde_json names line and column, and shows nothing of the text.
            Err(error) => Err(self.malformed(operation, format!("it is not JSON: {error}"))),
        }
    }

    /// Passes a value on unless it says that something went wrong: older servers do so
    /// under a status of 200.
    pub(super) fn without_error(&self, operation: Operation, value: Value) -> Result<Value, ApiError> {
        if value.get("error").is_none_or(Value::is_null) {
            return Ok(value);
        }
        let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::Failed);
        error.read_error(&value);
        let status =
            value.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        error.classify(status.filter(|status| *status >= 400).unwrap_or(200));
        Err(error)
    }

    /// Sends a request and reads its answer as the fields of an object.
    pub(super) async fn fields(
        &self,
        operation: Operation,
        request: RequestBuilder,
    ) -> Result<Fields, ApiError> {
        let response = self.begin(operation, request).await?;
        self.object(operation, response).await.map(Fields::new)
    }

    /// An answer that came, and cannot be used.
    pub(super) fn malformed(&self, operation: Operation, cause: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::Malformed).because(cause);
        error.status = Some(200);
        error.sent = Sent::Maybe;
        error
    }

    pub(super) fn fault(&self, operation: Operation, fault: &Fault) -> ApiError {
        ApiError::of_fault(operation, &self.0.endpoint, fault)
    }

    /// Waits for the library, within the time for a sign of life.
    pub(super) async fn in_time<T>(
        &self,
        operation: Operation,
        waiting: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, ApiError> {
        self.0.timeouts.answer(waiting).await.map_err(|fault| self.fault(operation, &fault))
    }

    /// The next piece of an answer that began. What breaks now has the answer's status.
    pub(super) async fn piece(
        &self,
        operation: Operation,
        response: &mut Response,
    ) -> Result<Option<Bytes>, ApiError> {
        let status = response.status().as_u16();
        self.in_time(operation, response.chunk()).await.map_err(|mut error| {
            (error.status, error.sent) = (Some(status), Sent::Maybe);
            error
        })
    }

    /// An answer's bytes up to a bound, and whether they are all.
    async fn bounded(
        &self,
        operation: Operation,
        mut response: Response,
        limit: usize,
    ) -> Result<(Vec<u8>, bool), ApiError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(operation, &mut response).await? {
            if body.len() + piece.len() > limit {
                return Ok((body, false));
            }
            body.extend_from_slice(&piece);
        }
        Ok((body, true))
    }
}
