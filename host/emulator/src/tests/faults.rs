//! Faults: what the client sees, and what took effect all the same.

use super::{Bench, KEY, read};
use crate::{Action, Fault};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::time::Instant;

const CREATE: &str = "POST /api/create";
const JOBS: &str = "POST /v1/fine_tuning/jobs";

fn body() -> serde_json::Value {
    json!({ "model": "mine", "from": "mistral", "system": "x" })
}

#[tokio::test]
async fn call_dropped_before_has_no_effect() {
    let bench = Bench::start();
    bench.emulator.faults().arm(Fault::next(CREATE, Action::DropBefore)).unwrap();
    let error = bench.ollama(Method::POST, "/api/create").json(&body()).send().await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(bench.emulator.counts().effects_of(CREATE), 0);
    assert_eq!(bench.emulator.counts().requests_of(CREATE), 1);
    let (status, _) = bench.ollama_lines("/api/create", body()).await;
    assert_eq!(status, StatusCode::OK, "the next call is spared");
}

#[tokio::test]
async fn lost_reply_keeps_its_effect() {
    let bench = Bench::start();
    let file = bench.training_file(10).await;
    let job = json!({ "model": "gpt-4o-mini", "training_file": file, "metadata": { "run": "7" } });
    bench.emulator.faults().arm(Fault::next(JOBS, Action::DropAfter)).unwrap();
    let lost = bench.openai(Method::POST, "/fine_tuning/jobs").json(&job).send().await;
    assert!(lost.is_err());
    assert_eq!(bench.emulator.counts().effects_of(JOBS), 1);
    let (_, list) = bench.openai_get("/fine_tuning/jobs?metadata[run]=7").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    bench.openai_post("/fine_tuning/jobs", job).await;
    assert_eq!(bench.emulator.counts().effects_of(JOBS), 2);

    bench.emulator.faults().arm(Fault::next(CREATE, Action::DropAfter)).unwrap();
    assert!(bench.ollama(Method::POST, "/api/create").json(&body()).send().await.is_err());
    let (status, _) = bench.ollama_post("/api/show", json!({ "model": "mine" })).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn cut_stream_ends_with_its_connection() {
    // Long enough for a busy machine to cut it before the model is made.
    let bench = Bench::with(|options| options.behaviour.ollama.step_ms = 100);
    for (finish, made) in [(false, StatusCode::NOT_FOUND), (true, StatusCode::OK)] {
        let action = Action::Truncate { lines: Some(2), bytes: None, finish };
        bench.emulator.faults().arm(Fault::next(CREATE, action)).unwrap();
        let mut response = bench.ollama(Method::POST, "/api/create").json(&body()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut text = Vec::new();
        let error = loop {
            match response.chunk().await {
                Ok(Some(piece)) => text.extend_from_slice(&piece),
                Ok(None) => panic!("the stream ended as if it were whole"),
                Err(error) => break error,
            }
        };
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(bench.ollama_post("/api/show", json!({ "model": "mine" })).await.0, made);
    }
}

#[tokio::test]
async fn replies_can_be_cut_at_a_byte() {
    let bench = Bench::start();
    let action = Action::Truncate { lines: None, bytes: Some(10), finish: false };
    bench.emulator.faults().arm(Fault::next("GET /api/version", action)).unwrap();
    let response = bench.ollama(Method::GET, "/api/version").send().await.unwrap();
    assert!(response.text().await.is_err());
}

#[tokio::test]
async fn delays_and_slow_streams_take_their_time() {
    let bench = Bench::start();
    bench.emulator.faults().arm(Fault::next("GET /api/version", Action::Delay { ms: 150 })).unwrap();
    let started = Instant::now();
    bench.ollama(Method::GET, "/api/version").send().await.unwrap();
    assert!(started.elapsed().as_millis() >= 150);
    bench.emulator.faults().arm(Fault::next(CREATE, Action::Slow { ms: 30 })).unwrap();
    let started = Instant::now();
    let (_, lines) = bench.ollama_lines("/api/create", body()).await;
    assert!(started.elapsed().as_millis() >= 30 * lines.len() as u128);
    assert_eq!(lines.last().unwrap()["status"], "success");
}

#[tokio::test]
async fn status_fault_sends_body_headers_and_does_nothing() {
    let bench = Bench::start();
    let fault = json!({
        "route": JOBS,
        "action": { "kind": "status", "status": 500, "body": { "error": { "message": "oops" } }, "headers": { "x-should-retry": "true" } },
    });
    bench.emulator.faults().arm(serde_json::from_value(fault).unwrap()).unwrap();
    let response = bench.openai(Method::POST, "/fine_tuning/jobs").json(&json!({})).send().await.unwrap();
    assert_eq!(response.headers()["x-should-retry"], "true");
    assert_eq!(
        read(response).await,
        (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": { "message": "oops" } }))
    );
    assert_eq!(bench.emulator.counts().effects_of(JOBS), 0);
}

#[tokio::test]
async fn openais_own_refusals() {
    let bench = Bench::start();
    let faults = bench.emulator.faults();
    faults.arm(Fault::next(JOBS, Action::RateLimited { retry_after: Some("3".to_owned()) })).unwrap();
    let response = bench.openai(Method::POST, "/fine_tuning/jobs").json(&json!({})).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "3");
    let (status, error) = read(response).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("rate_limit_exceeded"))
    );
    faults.arm(Fault::next(JOBS, Action::QuotaExceeded)).unwrap();
    let (status, error) = bench.openai_post("/fine_tuning/jobs", json!({})).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("insufficient_quota"))
    );
    assert_eq!(error["error"]["param"], json!(null));
}

#[tokio::test]
async fn digests_can_be_made_wrong() {
    let bench = Bench::start();
    let faults = bench.emulator.faults();
    let (_, right) = bench.ollama_lines("/api/create", body()).await;
    faults.arm(Fault::next(CREATE, Action::WrongDigest)).unwrap();
    let (_, wrong) = bench.ollama_lines("/api/create", body()).await;
    let (right, wrong) = (right[0]["status"].as_str().unwrap(), wrong[0]["status"].as_str().unwrap());
    assert_ne!(right, wrong);
    assert_eq!(right[..right.len() - 1], wrong[..wrong.len() - 1]);
    faults.arm(Fault::next("POST /api/blobs/{digest}", Action::WrongDigest)).unwrap();
    let path = "/api/blobs/sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let (status, reply) = read(bench.ollama(Method::POST, path).body("hello").send().await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(reply["error"].as_str().unwrap().starts_with("digest mismatch"), "{reply}");
    assert_eq!(bench.ollama(Method::HEAD, path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn keys_are_checked_and_never_repeated_or_stored() {
    let bench = Bench::with(|options| options.openai_key = Some(crate::Key::new(KEY)));
    assert_eq!(bench.openai_get("/models").await.0, StatusCode::OK);
    let url = format!("{}/models", bench.emulator.openai_url);
    let (status, error) = read(bench.http.get(&url).bearer_auth("sk-wrong-key").send().await.unwrap()).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("invalid_api_key")));
    assert!(!error.to_string().contains("wrong-key"), "{error}");
    let (status, _) = read(bench.http.get(&url).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    bench.job(10, json!({})).await;
    let mut directories = vec![bench.state.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "{}", path.display());
            }
        }
    }
    assert!(!format!("{:?}", bench.emulator).contains(KEY));
}
