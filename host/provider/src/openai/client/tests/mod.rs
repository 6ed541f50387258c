//! The client against servers on loopback.

mod errors;
mod files;
mod jobs;
mod lists;
mod retries;

use super::*;
use crate::http::mock::{Answer, Condition, Request, Rule, Server, method, no_parameter, parameter, path};
use serde_json::{Map, Value, json};
use tunesmith_core::secret::{Found, Secret};

/// The key of all tests: it must turn up nowhere but in the `authorization` header.
const KEY: &str = "sk-test-Zm9vYmFy+0123456789/abcdef";

/// Options for a server, with a key and without waits, which a paused clock would end
/// at once.
fn options(base: &str) -> Options {
    Options {
        key: Some(Found { secret: Secret::new(KEY), place: "OPENAI_API_KEY".to_owned() }),
        timeouts: Timeouts { connect: None, response: None },
        ..Options::new(Endpoint::parse(&format!("{base}/v1"), false).unwrap())
    }
}

fn client(base: &str) -> Client {
    Client::new(options(base)).unwrap()
}

fn answer(status: u16) -> Answer {
    Answer::new(status)
}

fn job(id: &str, more: Value) -> Value {
    let mut job = json!({ "id": id, "object": "fine_tuning.job", "status": "queued", "created_at": 100 });
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    job
}

fn page(items: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "data": items, "has_more": has_more })
}

fn request() -> Map<String, Value> {
    let body =
        json!({ "model": "gpt-4.1-mini", "training_file": "file-1", "metadata": { "team": "support" } });
    body.as_object().unwrap().clone()
}

/// The error and what it advises, without the server's port.
fn said(error: &ApiError) -> String {
    let port = error.host.rsplit_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
    let mut text = error.to_string();
    for advice in error.advice() {
        text.push_str(&format!("\n{advice:?}"));
    }
    if port.is_empty() { text } else { text.replace(&port, ":PORT") }
}

fn assert_no_key(text: &str) {
    assert!(!text.contains("0123456789"), "{text}");
}
