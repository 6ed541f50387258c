//! The key is in no output, log, store, artifact or cache, whatever was done with it and
//! whatever a service says of it.

use crate::common;
use crate::common::kept;
use crate::common::sandbox::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kept::{KEY, search_folder};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::Output;
use tunesmith_emulator::{Action, Closed, Emulator, Fault, Pace};

/// A sandbox with an emulator that asks for the key.
struct Service {
    sandbox: Sandbox,
    emulator: Emulator,
}

impl Service {
    fn start() -> Self {
        let mut sandbox = Sandbox::home();
        let cache = sandbox.path("cache").to_str().unwrap().to_owned();
        sandbox.set("TUNESMITH_CACHE_DIR", cache).set("RUST_LOG", "trace");
        let emulator = sandbox.emulator(|options| options.pace = Pace::Times(1_000.0));
        let row = json!({ "messages": [
            { "role": "user", "content": "What is your name?" },
            { "role": "assistant", "content": "Ask me another." },
        ]});
        std::fs::write(sandbox.path("support.jsonl"), format!("{row}\n").repeat(12)).unwrap();
        Self { sandbox, emulator }
    }

    fn run(&self, args: &[&str]) -> Output {
        self.sandbox.run(args)
    }

    /// A command that must do its work for the search to mean anything.
    fn done(&self, args: &[&str]) {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    fn arm(&self, route: &str, status: u16, body: serde_json::Value) {
        let headers = BTreeMap::from([("x-request-id".to_owned(), format!("req_{KEY}"))]);
        let action = Action::Status { status, body, headers };
        self.emulator.faults().arm(Fault::next(route, action)).unwrap();
    }

    fn job(&self, name: &str, provider: &str) -> String {
        let base = if provider == "openai" { "gpt-4o-mini-2024-07-18" } else { "mistral" };
        let path = self.sandbox.path(&format!("{name}.json"));
        let job = json!({
            "name": name, "provider": provider, "baseModel": base, "dataset": "support.jsonl",
            "hyperparameters": { "method": "lora" },
        });
        std::fs::write(&path, job.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn key_is_in_no_output_log_or_store() {
    let service = Service::start();
    let job = service.job("kept-secret", "openai");
    service.done(&["config", "show"]);
    service.done(&["config", "show", "--json"]);
    service.done(&["plan", &job, "--json"]);
    let output = service.run(&["run", &job, "--yes", "--json"]);
    assert!(output.status.success());
    // There is a log to search, and standard output has none of it.
    let log = String::from_utf8(output.stderr).unwrap();
    for part in ["job{id=", "request{host=", "path=\"/fine_tuning/jobs\"", "status=200", "to=\"succeeded\""] {
        assert!(log.contains(part), "no {part} in\n{log}");
    }
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    service.done(&["run", &service.job("another", "openai"), "--yes"]);
    service.done(&["run", &service.job("baked", "ollama"), "--yes"]);
    service.done(&["run", &service.job("emulated", "openai"), "--emulate"]);
    service.done(&["jobs", "list"]);
    service.done(&["jobs", "list", "--json"]);
    service.done(&["models", "list", "--json"]);
    let jobs = service.run(&["jobs", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&jobs.stdout).unwrap();
    let ids: Vec<String> =
        list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 4, "{list}");
    for id in &ids {
        service.done(&["jobs", "show", id]);
        service.done(&["jobs", "show", id, "--json"]);
    }
    assert!(search_folder(service.sandbox.root()) > 20);
}

#[test]
fn key_repeated_by_a_service_is_redacted() {
    let service = Service::start();
    let says = |text: &str| json!({ "error": { "message": text, "type": "invalid_request_error", "param": KEY, "code": KEY } });
    let wrong =
        format!("Incorrect API key provided: {KEY}. You can find your API key at https://example.com.");
    let encoded = format!("bad header: {}", STANDARD.encode(format!("Bearer {KEY}")));
    for (number, (route, status, text)) in [
        ("GET /v1/models/{id}", 401, wrong.as_str()),
        ("POST /v1/files", 400, &wrong),
        ("POST /v1/fine_tuning/jobs", 403, &wrong),
        ("POST /v1/fine_tuning/jobs", 500, &encoded),
        ("GET /v1/fine_tuning/jobs/{id}", 400, &wrong),
        ("POST /v1/chat/completions", 400, &encoded),
    ]
    .into_iter()
    .enumerate()
    {
        service.emulator.faults().clear();
        service.arm(route, status, says(text));
        let job = service.job(&format!("repeated-{number}"), "openai");
        service.run(&["run", &job, "--yes", "--json"]);
        let fired = service.emulator.faults().armed()[0].fired;
        assert_eq!(fired, 1, "{route} was never asked");
    }
    service.emulator.faults().clear();
    service.emulator.change(|behaviour| behaviour.openai.closed = Some(Closed::Forbidden));
    service.run(&["run", &service.job("closed", "openai"), "--yes"]);
    service.done(&["jobs", "list", "--json"]);
    assert!(search_folder(service.sandbox.root()) > 20);
}

/// The searches of [`kept`] are of use only where tests make use of them.
#[test]
fn tests_with_a_key_search_their_files() {
    let mut with_a_key = 0;
    for entry in std::fs::read_dir(common::root().join("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if ["_KEY\"", "openai_key", ".emulator("].iter().any(|sign| text.contains(sign)) {
            with_a_key += 1;
            let searches = ["kept", "sandbox::Sandbox"].iter().any(|name| text.contains(name));
            assert!(searches, "{} has a key and no search for it", path.display());
            assert!(
                !text.contains(concat!("tempfile", "::tempdir")),
                "{}: a folder without a search",
                path.display()
            );
        }
    }
    assert!(with_a_key >= 6, "tests have a key: {with_a_key}");
}
