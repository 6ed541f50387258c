//! Errors in OpenAI's shape.

use crate::body::IntakeError;
use crate::faults::Action;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};

/// An error reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) kind: &'static str,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = "invalid_request_error";
        Self { status, message: message.into(), kind, param: None, code: None, headers: Vec::new() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn internal(error: impl ToString) -> Self {
        let kind = "server_error";
        Self { kind, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()) }
    }

    pub(super) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 429, with a `Retry-After` where one is given.
    pub(super) fn rate_limited(retry_after: Option<String>) -> Self {
        let error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Rate limit reached for requests. Please try again later.",
        );
        let error = Self { kind: "requests", ..error }.code("rate_limit_exceeded");
        match retry_after {
            Some(value) => error.header(RETRY_AFTER, value),
            None => error,
        }
    }

    /// 429 that no retry helps.
    pub(super) fn quota_exceeded() -> Self {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, message).code("insufficient_quota");
        Self { kind: "insufficient_quota", ..error }
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large.")
            }
            IntakeError::Client => Self::bad_request("The request body is not complete."),
            IntakeError::Io(error) => Self::internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }});
        let mut response = json_reply(self.status, &body);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

pub(super) fn json_reply(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The replies of faults that are worded as the service words them.
pub(super) fn canned(action: &Action) -> Option<hyper::Response<Body>> {
    match action {
        Action::RateLimited { retry_after } => {
            Some(ApiError::rate_limited(retry_after.clone()).into_response())
        }
        Action::QuotaExceeded => Some(ApiError::quota_exceeded().into_response()),
        _ => None,
    }
}
