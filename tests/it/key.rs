//! The key is in no output, log, store, artifact or cache, whatever was done with it and
//! whatever a service says of it.

use crate::common;
use crate::common::kept;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::tunesmith;
use kept::{Folder, KEY, search_folder};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::Output;
use tunesmith_emulator::{Action, Closed, Emulator, Fault, Key, Options, Pace};

struct Place {
    held: Folder,
    emulator: Emulator,
}

impl Place {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = tunesmith();
        let home = self.held.path();
        command.env("HOME", home).env("TUNESMITH_CACHE_DIR", home.join("cache")).env("RUST_LOG", "trace");
        command.env("OLLAMA_HOST", &self.emulator.ollama_url);
        command.env("OPENAI_BASE_URL", &self.emulator.openai_url).env("OPENAI_API_KEY", KEY);
        kept::output(command.args(args))
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
    let held = Folder::new();
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

/// The searches of [`kept`] are of use only where tests make use of them.
#[test]
fn tests_that_have_a_key_search_what_they_leave_behind() {
    let mut with_a_key = 0;
    for entry in std::fs::read_dir(common::root().join("host/tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if ["_KEY\"", "openai_key"].iter().any(|sign| text.contains(sign)) {
            with_a_key += 1;
            assert!(text.contains("mod kept;"), "{} has a key and no search for it", path.display());
            assert!(
                !text.contains(concat!("tempfile", "::tempdir")),
                "{}: a folder without a search",
                path.display()
            );
        }
    }
    assert!(with_a_key >= 6, "tests have a key: {with_a_key}");
}
