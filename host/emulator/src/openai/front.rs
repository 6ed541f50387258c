//! What every call meets first: the key, the rate limit, and the headers of replies.

use super::OpenAi;
use super::error::ApiError;
use crate::behaviour::Odd;
use crate::{body, ids};
use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde_json::{Map, Value};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The largest JSON request.
const MAX_JSON: usize = 16 << 20;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The requests of the current window of the rate limit.
#[derive(Debug, Default)]
pub(super) struct Window {
    since: Option<Instant>,
    requests: u32,
}

pub(super) async fn check(State(openai): State<Arc<OpenAi>>, request: Request<Body>, next: Next) -> Response {
    let mut response = match openai.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let as_text = response.status().is_client_error() || response.status().is_server_error();
    if as_text && openai.shared.behaviour().openai.is_odd(Odd::TextErrors) {
        let status = response.status();
        let text = format!("upstream error: {status}");
        response = (status, [(CONTENT_TYPE, "text/plain")], text).into_response();
    }
    if let Ok(id) = HeaderValue::try_from(ids::fresh("req_")) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

impl OpenAi {
    fn admit(&self, request: &Request<Body>) -> Result<(), ApiError> {
        let unauthorized = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, message);
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = given.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim) else {
            return Err(unauthorized(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            ));
        };
        // The service repeats a part of a wrong key; the emulator repeats nothing of it.
        if given.is_empty() || self.shared.key.as_ref().is_some_and(|key| !key.is(given)) {
            return Err(unauthorized("Incorrect API key provided.").code("invalid_api_key"));
        }
        let Some(limit) = self.shared.behaviour().openai.rate_limit else { return Ok(()) };
        let length = Duration::from_millis(limit.window_ms);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let age = window.since.map(|since| now - since).filter(|age| *age < length);
        if age.is_none() {
            *window = Window { since: Some(now), requests: 0 };
        }
        if window.requests < limit.requests {
            window.requests += 1;
            return Ok(());
        }
        let wait = length - age.unwrap_or_default();
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let error = ApiError::rate_limited(Some(seconds.to_string()));
        Err(error.header(RETRY_AFTER_MS, wait.as_millis().to_string()))
    }
}

pub(super) async fn no_such_url(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found(format!("Invalid URL ({method} {})", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let text = format!(
        "Not allowed to {method} on {} (HINT: Perhaps you meant to use a different HTTP method?)",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, text).code("method_not_supported")
}

/// A request's JSON object; an empty body is an empty one.
pub(super) async fn read_json(request: Request<Body>) -> Result<Map<String, Value>, ApiError> {
    let bytes = body::whole(request.into_body(), MAX_JSON).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) | Err(_) => Err(ApiError::bad_request(
            "We could not parse the JSON body of your request. The API expects a JSON object.",
        )),
    }
}
