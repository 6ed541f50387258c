//! `POST /v1/chat/completions`: enough of it to try a tuned model.

use super::OpenAi;
use super::error::{ApiError, json_reply};
use super::files::unix_seconds;
use super::front::read_json;
use crate::ids;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn post(
    State(openai): State<Arc<OpenAi>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let body = read_json(request).await?;
    if openai.shared.behaviour().openai.quota_exceeded {
        return Err(ApiError::quota_exceeded());
    }
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Err(ApiError::bad_request("you must provide a model parameter").param("model"));
    };
    let model = openai.usable(model)?;
    let messages = body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return Err(ApiError::bad_request("Missing required parameter: 'messages'.").param("messages"));
    };
    let limit = body.get("max_completion_tokens").or(body.get("max_tokens")).filter(|limit| !limit.is_null());
    let limit = match limit {
        None => u64::MAX,
        Some(limit) => limit.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
            ApiError::bad_request("Invalid 'max_completion_tokens': expected a whole number of 1 or more.")
                .param("max_completion_tokens")
        })?,
    };
    let full = format!("This is the tunesmith emulator, not a model: {model} holds no weights.");
    let words: Vec<&str> = full.split_inclusive(' ').collect();
    let taken = words.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    let text = words[..taken].concat();
    let reason = if taken < words.len() { "length" } else { "stop" };
    let (id, created) = (ids::fresh("chatcmpl-"), unix_seconds());
    if body.get("stream") == Some(&json!(true)) {
        let chunk = |delta: Value, reason: Value| {
            json!({
                "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
                "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
            })
        };
        let chunks = [
            chunk(json!({ "role": "assistant", "content": text }), Value::Null),
            chunk(json!({}), json!(reason)),
        ];
        let mut stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        stream.push_str("data: [DONE]\n\n");
        return Ok(([(CONTENT_TYPE, "text/event-stream")], stream).into_response());
    }
    let prompt: usize = messages.iter().map(|message| 4 + message["content"].to_string().len() / 4).sum();
    let reply = json!({
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null,
            "finish_reason": reason,
        }],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": taken,
            "total_tokens": prompt + taken,
        },
    });
    Ok(json_reply(StatusCode::OK, &reply))
}
