//! The key is in no output, log, store, artifact or cache, whatever was done with it and
//! whatever a service says of it.
#![allow(clippy::unwrap_used)] // A test that cannot go on should stop.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::tunesmith;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use tunesmith::emulator::{Action, Closed, Emulator, Fault, Key, Options, Pace};

/// Nothing else looks like its middle.
const KEY: &str = "sk-proj-KEEP+Th1s/0ut0fEv3ryth1ng-AbCdEf0123456789";

/// What must turn up nowhere: the key's tail, which shortened forms keep, and the forms in
/// which it could travel.
fn traces() -> Vec<Vec<u8>> {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let middle = "Th1s/0ut0fEv3ryth1ng";
    let mut traces: Vec<Vec<u8>> = vec![
        middle.into(),
        "0ut0fEv3ryth1ng-AbCdEf".into(),
        middle.replace('/', "%2F").into(),
        middle.replace('/', "\\/").into(),
        utf16(middle),
        middle.bytes().rev().collect(),
        middle.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    ];
    // Base64 of the middle, at each place in a group of three.
    for shift in 0..3 {
        let encoded = STANDARD.encode(format!("{}{middle}", "x".repeat(shift)));
        traces.push(encoded.as_bytes()[4..encoded.len() - 6].to_vec());
    }
    traces
}

fn search(what: &str, bytes: &[u8]) {
    for trace in traces() {
        let found = bytes.windows(trace.len()).position(|window| window == trace);
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())];
            panic!("{what} holds the key:\n{}", String::from_utf8_lossy(around));
        }
    }
}

fn search_folder(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        search("a file name", path.as_os_str().as_encoded_bytes());
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files += search_folder(&path);
        } else if path.is_file() {
            search(&path.display().to_string(), &std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    files
}

struct Place {
    held: tempfile::TempDir,
    emulator: Emulator,
}

impl Place {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = tunesmith();
        let home = self.held.path();
        command.env("HOME", home).env("TUNESMITH_CACHE_DIR", home.join("cache")).env("RUST_LOG", "trace");
        command.env("OLLAMA_HOST", &self.emulator.ollama_url);
        command.env("OPENAI_BASE_URL", &self.emulator.openai_url).env("OPENAI_API_KEY", KEY);
        let output = command.args(args).output().unwrap();
        search(&format!("the output of {args:?}"), &output.stdout);
        search(&format!("what {args:?} says"), &output.stderr);
        output
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
        let path = self.held.path().join(format!("{name}.json"));
        let job = json!({
            "name": name, "provider": provider, "baseModel": base, "dataset": "support.jsonl",
            "hyperparameters": { "method": "lora" },
        });
        std::fs::write(&path, job.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn place() -> Place {
    let held = tempfile::tempdir().unwrap();
    let mut options = Options::new(held.path().join("emulator"));
    options.openai_key = Some(Key::new(KEY));
    options.pace = Pace::Times(1_000.0);
    let emulator = Emulator::start(options).unwrap();
    let row = json!({ "messages": [
        { "role": "user", "content": "What is your name?" },
        { "role": "assistant", "content": "Ask me another." },
    ]});
    std::fs::write(held.path().join("support.jsonl"), format!("{row}\n").repeat(12)).unwrap();
    Place { held, emulator }
}

#[test]
fn the_key_is_in_no_output_log_store_or_artifact() {
    let place = place();
    let job = place.job("kept-secret", "openai");
    place.done(&["config", "show"]);
    place.done(&["config", "show", "--json"]);
    place.done(&["plan", &job, "--json"]);
    place.done(&["run", &job, "--yes", "--json"]);
    place.done(&["run", &place.job("another", "openai"), "--yes"]);
    place.done(&["run", &place.job("baked", "ollama"), "--yes"]);
    place.done(&["run", &place.job("emulated", "openai"), "--emulate"]);
    place.done(&["jobs", "list"]);
    place.done(&["jobs", "list", "--json"]);
    place.done(&["models", "list", "--json"]);
    let jobs = place.run(&["jobs", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&jobs.stdout).unwrap();
    let ids: Vec<String> =
        list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 4, "{list}");
    for id in &ids {
        place.done(&["jobs", "show", id]);
        place.done(&["jobs", "show", id, "--json"]);
    }
    assert!(search_folder(place.held.path()) > 20);
}

#[test]
fn a_service_that_repeats_the_key_is_not_repeated() {
    let place = place();
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
        place.emulator.faults().clear();
        place.arm(route, status, says(text));
        let job = place.job(&format!("repeated-{number}"), "openai");
        place.run(&["run", &job, "--yes", "--json"]);
        let fired = place.emulator.faults().armed()[0].fired;
        assert_eq!(fired, 1, "{route} was never asked");
    }
    place.emulator.faults().clear();
    place.emulator.change(|behaviour| behaviour.openai.closed = Some(Closed::Forbidden));
    place.run(&["run", &place.job("closed", "openai"), "--yes"]);
    place.done(&["jobs", "list", "--json"]);
    assert!(search_folder(place.held.path()) > 20);
}
