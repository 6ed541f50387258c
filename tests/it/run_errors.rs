//! `tunesmith run` against nothing: no server, no key, no space, and whatever else is
//! missing or in the way. What the user reads is the test.

use crate::common;
use crate::common::kept;
use common::{said, tunesmith, unshared};
use kept::{Folder, KEY, WRONG_KEY};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tunesmith_emulator::{Action, Closed, Emulator, Fault, Key, Options};

/// A folder with a dataset and jobs, a store of its own, and services that misbehave.
struct Place {
    held: Folder,
    emulator: Emulator,
    variables: BTreeMap<&'static str, String>,
}

impl Place {
    fn new() -> Self {
        let held = Folder::new();
        let mut options = Options::new(held.path().join("emulator"));
        options.models = vec!["llama3.2".to_owned(), "mistral".to_owned()];
        options.openai_key = Some(Key::new(KEY));
        let emulator = Emulator::start(options).unwrap();
        let row = json!({ "messages": [
            { "role": "user", "content": "What is your name?" },
            { "role": "assistant", "content": "Ask me another." },
        ]});
        std::fs::write(held.path().join("support.jsonl"), format!("{row}\n").repeat(12)).unwrap();
        let variables = BTreeMap::from([
            ("OLLAMA_HOST", emulator.ollama_url.clone()),
            ("OPENAI_BASE_URL", emulator.openai_url.clone()),
            ("OPENAI_API_KEY", KEY.to_owned()),
        ]);
        Self { held, emulator, variables }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.held.path().join(name)
    }

    fn arm(&self, route: &str, status: u16, error: &str) {
        let action = Action::Status { status, body: json!({ "error": error }), headers: BTreeMap::new() };
        self.emulator.faults().arm(Fault::next(route, action)).unwrap();
    }

    /// A job file; `changes` are its fields.
    fn job(&self, provider: &str, changes: Value) -> PathBuf {
        let base = if provider == "openai" { "gpt-4o-mini-2024-07-18" } else { "mistral" };
        let mut job = json!({
            "name": "Support", "provider": provider, "baseModel": base, "dataset": "support.jsonl",
            "hyperparameters": { "method": "lora" },
        });
        job.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let path = self.path("job.json");
        std::fs::write(&path, job.to_string()).unwrap();
        path
    }

    fn ollama(&self) -> PathBuf {
        self.job("ollama", json!({}))
    }

    fn openai(&self) -> PathBuf {
        self.job("openai", json!({}))
    }

    fn with(&mut self, variable: &'static str, value: impl Into<String>) -> &mut Self {
        self.variables.insert(variable, value.into());
        self
    }

    fn without(&mut self, variable: &'static str) -> &mut Self {
        self.variables.remove(variable);
        self
    }

    fn command(&self, job: &Path, more: &[&str]) -> Command {
        let mut command = tunesmith();
        command.env("HOME", self.held.path()).envs(&self.variables);
        command.arg("run").arg(job).arg("--data-dir").arg(self.path("data"));
        command.args(["--today", "2026-11-24"]).args(more);
        command
    }

    /// The exit code and the words of a run that fails.
    fn failure(&self, job: &Path, more: &[&str]) -> String {
        self.read(kept::output(&mut self.command(job, more)))
    }

    fn read(&self, output: Output) -> String {
        let text = self.neutral(&said(output.stderr));
        assert!(!output.status.success(), "it succeeded:\n{text}");
        format!("exit {}\n{text}", output.status.code().unwrap())
    }

    /// Without this machine's paths and ports, and jobs by their order.
    fn neutral(&self, text: &str) -> String {
        let mut text = text.replace(self.held.path().to_str().unwrap(), "PLACE");
        for (number, id) in self.jobs().into_iter().enumerate() {
            text = text.replace(&id, &format!("job{number}"));
        }
        // Ollama's own port is one that hints name.
        text = text.replace("127.0.0.1:11434", "[ollama]");
        for (pattern, mask) in [
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"\[request req_\w+\]", "[request]"),
            (r"\.tmp\w+", ".tmp"),
        ] {
            text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
        }
        text = text.replace("[ollama]", "127.0.0.1:11434");
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// The ids of all jobs, the oldest first; none where no store can be read.
    fn jobs(&self) -> Vec<String> {
        let mut list = tunesmith();
        let output = list.arg("--data-dir").arg(self.path("data")).args(["jobs", "list", "--json"]).output();
        let list: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default();
        let ids = list["jobs"].as_array().into_iter().flatten().filter_map(|job| job["id"].as_str());
        let mut ids: Vec<String> = ids.map(str::to_owned).collect();
        ids.reverse();
        ids
    }

    /// No job was recorded, so nothing is left to tidy up.
    fn assert_no_job(&self) {
        assert_eq!(self.jobs(), Vec::<String>::new());
    }
}

/// An address at which nothing listens.
fn nowhere() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

/// A service that says this to whoever comes.
fn saying(text: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(text.as_bytes());
        }
    });
    address
}

#[test]
fn ollama_does_not_run() {
    let mut place = Place::new();
    place.with("OLLAMA_HOST", nowhere());
    insta::assert_snapshot!(place.failure(&place.ollama(), &[]));
    place.assert_no_job();
}

#[test]
fn the_port_of_ollama_is_another_programs() {
    let mut place = Place::new();
    let openai = place.emulator.openai_url.trim_end_matches("/v1").to_owned();
    place.with("OLLAMA_HOST", openai);
    let mut all = vec![place.failure(&place.ollama(), &[])];
    for other in [
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n<html><p>It works!</p></html>",
        "220 mail.example ESMTP\r\n",
    ] {
        place.with("OLLAMA_HOST", saying(other));
        all.push(place.failure(&place.ollama(), &[]));
    }
    insta::assert_snapshot!(all.join("\n"));
    place.assert_no_job();
}

#[test]
fn ollama_is_too_old() {
    let place = Place::new();
    place.arm("POST /api/create", 400, "path or Modelfile are required");
    insta::assert_snapshot!(place.failure(&place.ollama(), &[]));
}

#[test]
fn the_base_model_is_missing() {
    let place = Place::new();
    let job = place.job("ollama", json!({ "baseModel": "llama3.1:8b" }));
    insta::assert_snapshot!(place.failure(&job, &[]));
    assert_eq!(place.emulator.counts().requests_of("POST /api/pull"), 0, "nobody asked for a pull");
    place.assert_no_job();
}

#[test]
fn the_base_model_cannot_be_fetched() {
    let place = Place::new();
    let job = place.job("ollama", json!({ "baseModel": "no-such-model" }));
    insta::assert_snapshot!(place.failure(&job, &["--pull"]));
}

#[test]
fn the_base_model_runs_elsewhere() {
    let place = Place::new();
    let names: Vec<String> =
        ["gpt-oss:120b-cloud", "hf.co/someone/model:Q4_K_M", "https://ollama.com/library/mistral"]
            .iter()
            .map(|name| place.failure(&place.job("ollama", json!({ "baseModel": name })), &[]))
            .collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn the_name_is_taken() {
    let place = Place::new();
    let first = kept::output(&mut place.command(&place.ollama(), &[]));
    assert!(first.status.success(), "{}", said(first.stderr));
    insta::assert_snapshot!(place.failure(&place.ollama(), &[]));
    let replaced = kept::output(&mut place.command(&place.ollama(), &["--replace"]));
    assert!(replaced.status.success(), "{}", said(replaced.stderr));
}

#[test]
fn the_servers_disk_is_full() {
    let place = Place::new();
    let full = json!({
        "route": "POST /api/create", "call": 2,
        "action": { "kind": "status", "status": 500,
            "body": { "error": "write /usr/share/ollama/.ollama/models/blobs/sha256-12: no space left on device" } },
    });
    place.emulator.faults().arm(serde_json::from_value(full).unwrap()).unwrap();
    insta::assert_snapshot!(place.failure(&place.ollama(), &[]));
}

#[test]
fn the_model_does_not_load() {
    let place = Place::new();
    place.arm(
        "POST /api/chat",
        500,
        "model requires more system memory (9.1 GiB) than is available (3.2 GiB)",
    );
    insta::assert_snapshot!(place.failure(&place.ollama(), &[]));
}

#[test]
fn openai_without_a_key() {
    let mut place = Place::new();
    place.without("OPENAI_API_KEY").without("OPENAI_BASE_URL");
    let mut all = vec![place.failure(&place.openai(), &["--yes"])];
    // A compatible service is asked, and says so itself.
    let url = place.emulator.openai_url.clone();
    place.with("OPENAI_BASE_URL", url);
    all.push(place.failure(&place.openai(), &["--yes"]));
    insta::assert_snapshot!(all.join("\n"));
    place.assert_no_job();
}

#[test]
fn the_key_is_wrong() {
    let mut place = Place::new();
    place.with("OPENAI_API_KEY", WRONG_KEY);
    insta::assert_snapshot!(place.failure(&place.openai(), &["--yes"]));
    place.assert_no_job();
}

#[test]
#[cfg(unix)]
fn the_key_file_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut place = Place::new();
    let file = place.path("key");
    std::fs::write(&file, KEY).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    place.without("OPENAI_API_KEY");
    let path = file.to_str().unwrap().to_owned();
    insta::assert_snapshot!(place.failure(&place.openai(), &["--yes", "--openai-key-file", &path]));
}

#[test]
fn openai_cannot_be_reached() {
    let mut place = Place::new();
    place.with("OPENAI_BASE_URL", format!("http://{}/v1", nowhere()));
    insta::assert_snapshot!(place.failure(&place.openai(), &["--yes"]));
    place.assert_no_job();
}

#[test]
fn the_base_url_is_a_web_site() {
    let mut place = Place::new();
    let page =
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n<html><p>It works!</p></html>";
    place.with("OPENAI_BASE_URL", format!("http://{}", saying(page)));
    insta::assert_snapshot!(place.failure(&place.openai(), &["--yes"]));
}

#[test]
fn the_platform_is_closed() {
    let place = Place::new();
    let mut all = Vec::new();
    for closed in [Closed::Forbidden, Closed::NotFound] {
        place.emulator.change(|behaviour| behaviour.openai.closed = Some(closed));
        all.push(place.failure(&place.openai(), &["--yes"]));
    }
    insta::assert_snapshot!(all.join("\n"));
    assert_eq!(place.emulator.counts().effects_of("POST /v1/fine_tuning/jobs"), 0);
}

#[test]
fn no_credit_is_left() {
    let place = Place::new();
    place.emulator.change(|behaviour| behaviour.openai.quota_exceeded = true);
    insta::assert_snapshot!(place.failure(&place.openai(), &["--yes"]));
    assert_eq!(
        place.emulator.counts().requests_of("POST /v1/fine_tuning/jobs"),
        1,
        "asking again does not help"
    );
}

#[test]
fn openais_base_model_is_gone_or_unknown() {
    let place = Place::new();
    let all: Vec<String> = ["gpt-3.5-turbo-0125", "gpt-9-mini"]
        .iter()
        .map(|name| place.failure(&place.job("openai", json!({ "baseModel": name })), &["--yes"]))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
    place.assert_no_job();
}

#[test]
fn the_dataset_is_bad() {
    let place = Place::new();
    let job = place.ollama();
    let data = place.path("support.jsonl");
    std::fs::remove_file(&data).unwrap();
    let mut all = vec![place.failure(&job, &[])];
    for text in [
        "",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello\"}]}\n{\"messages\": [{\"role\": \"user\"",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n{\"messages\": [{\"role\": \"robot\", \"content\": \"Hi\"}]}\n",
        "PK\u{3}\u{4}\u{0}\u{0}",
    ] {
        std::fs::write(&data, text).unwrap();
        all.push(place.failure(&job, &[]));
    }
    insta::assert_snapshot!(all.join("\n"));
    place.assert_no_job();
}

#[test]
fn the_local_trainer_is_not_there_yet() {
    let place = Place::new();
    let job = place.job("local", json!({ "baseModel": "llama3.2:1b" }));
    insta::assert_snapshot!(place.failure(&job, &[]));
}

#[test]
fn the_store_cannot_be_where_it_is_to_be() {
    let place = Place::new();
    std::fs::write(place.path("data"), "a file").unwrap();
    let mut all = vec![place.failure(&place.ollama(), &[]), place.failure(&place.ollama(), &["--emulate"])];
    std::fs::remove_file(place.path("data")).unwrap();
    std::fs::create_dir(place.path("data")).unwrap();
    std::fs::write(place.path("data/tunesmith.db"), "not a database, but long enough to look at").unwrap();
    all.push(place.failure(&place.ollama(), &[]));
    insta::assert_snapshot!(all.join("\n"));
}

/// Runs with the data directory on a file system of its own, prepared by a shell
/// command that has its place as `$D`; none where this machine does not let a user mount
/// one.
#[cfg(target_os = "linux")]
fn on_its_own_disk(place: &Place, prepare: &str, more: &[&str]) -> Option<String> {
    let data = place.path("data");
    std::fs::create_dir(&data).unwrap();
    let run = place.command(&place.ollama(), more);
    let output = kept::searched(unshared("-rm", prepare, &data, &run).output().ok()?);
    let is_ours = output.status.code() != Some(99) && !said(output.stderr.clone()).starts_with("unshare:");
    is_ours.then(|| place.read(output))
}

#[test]
#[cfg(target_os = "linux")]
fn the_disk_is_full() {
    let place = Place::new();
    let prepare = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$D\"";
    let Some(said) = on_its_own_disk(&place, prepare, &[]) else { return };
    insta::assert_snapshot!(said);
    assert_eq!(place.emulator.counts().effects_of("POST /api/create"), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn the_store_is_read_only() {
    let place = Place::new();
    let prepare = "mount -t tmpfs -o mode=700 tmpfs \"$D\" && mount -o remount,ro \"$D\"";
    let Some(said) = on_its_own_disk(&place, prepare, &[]) else { return };
    insta::assert_snapshot!(said);
    assert_eq!(place.emulator.counts().effects_of("POST /api/create"), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn the_emulators_disk_is_full() {
    let place = Place::new();
    let prepare = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$D\"";
    let Some(said) = on_its_own_disk(&place, prepare, &["--emulate"]) else { return };
    insta::assert_snapshot!(said);
}
