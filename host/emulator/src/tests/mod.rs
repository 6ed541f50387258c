//! Both services, through a real HTTP client.

mod faults;
mod files;
mod jobs;
mod ollama;
mod ollama_create;
mod restart;

use super::{Emulator, Options, Pace};
pub(super) use crate::kept::{Folder, KEY};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// An emulator with a state directory of its own, and a client for it.
pub(super) struct Bench {
    pub(super) emulator: Emulator,
    pub(super) state: Folder,
    pub(super) http: reqwest::Client,
}

impl Bench {
    /// With time that passes by ticks alone.
    pub(super) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let state = Folder::new();
        let emulator = start(&state, change);
        Self { emulator, state, http: reqwest::Client::new() }
    }

    /// Stops the emulator and starts another on the same state.
    pub(super) fn restart(self) -> Self {
        let Self { emulator, state, .. } = self;
        emulator.stop();
        let emulator = start(&state, |_| {});
        Self { emulator, state, http: reqwest::Client::new() }
    }

    pub(super) fn ollama(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.emulator.ollama_url))
    }

    pub(super) fn openai(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.emulator.openai_url)).bearer_auth(KEY)
    }

    /// The status and JSON of a POST to Ollama.
    pub(super) async fn ollama_post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(self.ollama(Method::POST, path).json(&body).send().await.unwrap()).await
    }

    /// The status and lines of a POST to Ollama.
    pub(super) async fn ollama_lines(&self, path: &str, body: Value) -> (StatusCode, Vec<Value>) {
        let response = self.ollama(Method::POST, path).json(&body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    pub(super) async fn openai_get(&self, path: &str) -> (StatusCode, Value) {
        read(self.openai(Method::GET, path).send().await.unwrap()).await
    }

    pub(super) async fn openai_post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(self.openai(Method::POST, path).json(&body).send().await.unwrap()).await
    }

    /// Uploads a training file of so many examples.
    pub(super) async fn training_file(&self, examples: usize) -> String {
        let line = json!({ "messages": [
            { "role": "user", "content": "What is your name?" },
            { "role": "assistant", "content": "Ask me another." },
        ]});
        let (status, file) = self.upload_text(&format!("{line}\n").repeat(examples)).await;
        assert_eq!(status, StatusCode::OK, "{file}");
        file["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn upload_text(&self, text: &str) -> (StatusCode, Value) {
        let form = form(&[("purpose", None, "fine-tune"), ("file", Some("train.jsonl"), text)]);
        read(multipart(self.openai(Method::POST, "/files"), form).send().await.unwrap()).await
    }

    /// Creates a job with so many examples and the fields that are given.
    pub(super) async fn job(&self, examples: usize, fields: Value) -> String {
        let file = self.training_file(examples).await;
        let mut body = json!({ "model": "gpt-4o-mini-2024-07-18", "training_file": file });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (status, job) = self.openai_post("/fine_tuning/jobs", body).await;
        assert_eq!(status, StatusCode::OK, "{job}");
        let id = job["id"].as_str().unwrap().to_owned();
        self.verdict_of(&id).await;
        id
    }

    /// Waits until the emulator has looked at a job's training file, which happens in
    /// real time.
    pub(super) async fn verdict_of(&self, id: &str) {
        let path = self.state.path().join(format!("openai/jobs/{id}.json"));
        loop {
            let record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            if !record["verdict"].is_null() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn status_of(&self, id: &str) -> String {
        let (_, job) = self.openai_get(&format!("/fine_tuning/jobs/{id}")).await;
        job["status"].as_str().unwrap().to_owned()
    }
}

fn start(state: &Folder, change: impl FnOnce(&mut Options)) -> Emulator {
    let mut options = Options::new(state.path());
    options.pace = Pace::Manual;
    options.models = vec!["llama3.2".to_owned(), "mistral".to_owned()];
    change(&mut options);
    Emulator::start(options).unwrap()
}

pub(super) async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    assert!(response.headers().contains_key(super::HEADER), "a reply does not say what it is from");
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

const BOUNDARY: &str = "boundary-of-a-test";

/// The body of a form: names, file names, contents.
pub(super) fn form(fields: &[(&str, Option<&str>, &str)]) -> String {
    let mut body = String::new();
    for (name, file, content) in fields {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
        );
    }
    body + &format!("--{BOUNDARY}--\r\n")
}

pub(super) fn multipart(request: RequestBuilder, form: String) -> RequestBuilder {
    request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")).body(form)
}

/// The statuses of lines, with digests shortened so that snapshots can be read.
pub(super) fn statuses(lines: &[Value]) -> String {
    let shorten = |line: &Value| {
        let mut line = line.clone();
        for value in line.as_object_mut().unwrap().values_mut() {
            if let Some(text) = value.as_str()
                && let Some((before, digest)) = text.split_once("sha256:")
            {
                *value = json!(format!("{before}sha256:{}…", &digest[..8]));
            }
        }
        line.to_string()
    };
    lines.iter().map(shorten).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_route_says_it_is_emulated() {
    let bench = Bench::start();
    for (routes, base) in [
        (super::routes::OLLAMA, bench.emulator.ollama_url.clone()),
        (super::routes::OPENAI, bench.emulator.openai_url.trim_end_matches("/v1").to_owned()),
    ] {
        for route in routes {
            let (method, path) = route.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let path = path.replace("{id}", "x").replace("{digest}", "x");
            let response =
                bench.http.request(method, format!("{base}{path}")).bearer_auth(KEY).send().await.unwrap();
            assert_eq!(response.headers()[super::HEADER], "1", "{route}");
            assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{route}");
            let text = response.text().await.unwrap();
            assert!(!text.contains("page not found") && !text.contains("Invalid URL"), "{route}: {text}");
        }
        // Each was counted under its own name.
        let counts = bench.emulator.counts();
        assert!(routes.iter().all(|route| counts.requests_of(route) == 1), "{counts:?}");
    }
}

#[tokio::test]
async fn the_control_endpoint_steers_and_reports() {
    let bench = Bench::start();
    let control = |method, path: &str| bench.ollama(method, &format!("/_emulator{path}"));
    let (_, about) = read(control(Method::GET, "").send().await.unwrap()).await;
    assert_eq!(about["emulator"], "tunesmith");
    assert_eq!(about["openai_url"], bench.emulator.openai_url);

    let (status, ticked) =
        read(control(Method::POST, "/tick").json(&json!({ "seconds": 90 })).send().await.unwrap()).await;
    assert_eq!((status, &ticked["emulated_seconds"]), (StatusCode::OK, &json!(90.0)));
    let (status, refused) =
        read(control(Method::POST, "/tick").json(&json!({ "seconds": -1 })).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused["error"].as_str().unwrap().contains("time moves forward"), "{refused}");

    let change = json!({ "ollama": { "generation": "v033" } });
    let (_, changed) = read(control(Method::PATCH, "/behaviour").json(&change).send().await.unwrap()).await;
    assert_eq!(changed["ollama"]["generation"], "v033");
    assert_eq!(changed["openai"]["queued_seconds"], 20.0);
    let (_, version) = read(bench.ollama(Method::GET, "/api/version").send().await.unwrap()).await;
    assert_eq!(version, json!({ "version": "0.33.0" }));
    let change = json!({ "ollama": { "generatoin": "v033" } });
    let (status, refused) =
        read(control(Method::PATCH, "/behaviour").json(&change).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused["error"].as_str().unwrap().contains("unknown field `generatoin`"), "{refused}");

    let faults =
        json!([{ "route": "GET /api/tags", "action": { "kind": "status", "status": 503, "body": "busy" } }]);
    read(control(Method::POST, "/faults").json(&faults).send().await.unwrap()).await;
    let (status, text) = read(bench.ollama(Method::GET, "/api/tags").send().await.unwrap()).await;
    assert_eq!((status, text), (StatusCode::SERVICE_UNAVAILABLE, json!("busy")));
    let (_, counters) = read(control(Method::GET, "/counters").send().await.unwrap()).await;
    assert_eq!(counters["requests"]["GET /api/tags"], 1);
    let (_, armed) = read(control(Method::GET, "/faults").send().await.unwrap()).await;
    assert_eq!(armed[0]["fired"], 1);
    let (_, none) = read(control(Method::DELETE, "/faults").send().await.unwrap()).await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn web_pages_are_kept_out() {
    let bench = Bench::start();
    let rebound =
        bench.ollama(Method::GET, "/api/tags").header("host", "evil.example:80").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
    let page = bench.ollama(Method::DELETE, "/_emulator/faults").header("origin", "http://evil.example");
    assert_eq!(page.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}
