//! `tunesmith run` against nothing: no server, no key, no space, and whatever else is
//! missing or in the way. What the user reads is the test.

use crate::common;
use crate::common::kept;
use crate::common::sandbox::Sandbox;
use crate::common::skip;
use common::{said, tunesmith, unshared};
use kept::{KEY, WRONG_KEY};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tunesmith_emulator::{Action, Closed, Emulator, Fault};

/// A sandbox with a dataset and jobs, and services that misbehave.
struct Services {
    sandbox: Sandbox,
    emulator: Emulator,
}

impl std::ops::Deref for Services {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl std::ops::DerefMut for Services {
    fn deref_mut(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }
}

impl Services {
    fn new() -> Self {
        let mut sandbox = Sandbox::home();
        let emulator =
            sandbox.emulator(|options| options.models = vec!["llama3.2".to_owned(), "mistral".to_owned()]);
        let row = json!({ "messages": [
            { "role": "user", "content": "What is your name?" },
            { "role": "assistant", "content": "Ask me another." },
        ]});
        std::fs::write(sandbox.path("support.jsonl"), format!("{row}\n").repeat(12)).unwrap();
        Self { sandbox, emulator }
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

    fn command(&self, job: &Path, more: &[&str]) -> Command {
        let mut command = self.sandbox.command(&["run"]);
        command.arg(job).arg("--data-dir").arg(self.path("data"));
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
        let mut text = text.replace(self.root().to_str().unwrap(), "PLACE");
        for (number, id) in self.jobs().into_iter().enumerate() {
            text = text.replace(&id, &format!("job{number}"));
        }
        // Ollama's own port is one that hints name.
        text = text.replace("127.0.0.1:11434", "[ollama]");
        for (pattern, mask) in [
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"\[request req_\w+\]", "[request]"),
            (r"\.tunesmith-\w+", ".tunesmith-"),
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
    let mut services = Services::new();
    services.set("OLLAMA_HOST", nowhere());
    insta::assert_snapshot!(services.failure(&services.ollama(), &[]));
    services.assert_no_job();
}

#[test]
fn the_port_of_ollama_is_another_programs() {
    let mut services = Services::new();
    let openai = services.emulator.openai_url.trim_end_matches("/v1").to_owned();
    services.set("OLLAMA_HOST", openai);
    let mut all = vec![services.failure(&services.ollama(), &[])];
    for other in [
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n<html><p>It works!</p></html>",
        "220 mail.example ESMTP\r\n",
    ] {
        services.set("OLLAMA_HOST", saying(other));
        all.push(services.failure(&services.ollama(), &[]));
    }
    insta::assert_snapshot!(all.join("\n"));
    services.assert_no_job();
}

#[test]
fn ollama_is_too_old() {
    let services = Services::new();
    services.arm("POST /api/create", 400, "path or Modelfile are required");
    insta::assert_snapshot!(services.failure(&services.ollama(), &[]));
}

#[test]
fn the_base_model_is_missing() {
    let services = Services::new();
    let job = services.job("ollama", json!({ "baseModel": "llama3.1:8b" }));
    insta::assert_snapshot!(services.failure(&job, &[]));
    assert_eq!(services.emulator.counts().requests_of("POST /api/pull"), 0, "nobody asked for a pull");
    services.assert_no_job();
}

#[test]
fn the_base_model_cannot_be_fetched() {
    let services = Services::new();
    let job = services.job("ollama", json!({ "baseModel": "no-such-model" }));
    insta::assert_snapshot!(services.failure(&job, &["--pull"]));
}

#[test]
fn the_base_model_runs_elsewhere() {
    let services = Services::new();
    let names: Vec<String> =
        ["gpt-oss:120b-cloud", "hf.co/someone/model:Q4_K_M", "https://ollama.com/library/mistral"]
            .iter()
            .map(|name| services.failure(&services.job("ollama", json!({ "baseModel": name })), &[]))
            .collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn the_name_is_taken() {
    let services = Services::new();
    let first = kept::output(&mut services.command(&services.ollama(), &[]));
    assert!(first.status.success(), "{}", said(first.stderr));
    insta::assert_snapshot!(services.failure(&services.ollama(), &[]));
    let replaced = kept::output(&mut services.command(&services.ollama(), &["--replace"]));
    assert!(replaced.status.success(), "{}", said(replaced.stderr));
}

#[test]
fn the_servers_disk_is_full() {
    let services = Services::new();
    let full = json!({
        "route": "POST /api/create", "call": 2,
        "action": { "kind": "status", "status": 500,
            "body": { "error": "write /usr/share/ollama/.ollama/models/blobs/sha256-12: no space left on device" } },
    });
    services.emulator.faults().arm(serde_json::from_value(full).unwrap()).unwrap();
    insta::assert_snapshot!(services.failure(&services.ollama(), &[]));
}

#[test]
fn the_model_does_not_load() {
    let services = Services::new();
    services.arm(
        "POST /api/chat",
        500,
        "model requires more system memory (9.1 GiB) than is available (3.2 GiB)",
    );
    insta::assert_snapshot!(services.failure(&services.ollama(), &[]));
}

#[test]
fn openai_without_a_key() {
    let mut services = Services::new();
    services.unset("OPENAI_API_KEY").unset("OPENAI_BASE_URL");
    let mut all = vec![services.failure(&services.openai(), &["--yes"])];
    // A compatible service is asked, and says so itself.
    let url = services.emulator.openai_url.clone();
    services.set("OPENAI_BASE_URL", url);
    all.push(services.failure(&services.openai(), &["--yes"]));
    insta::assert_snapshot!(all.join("\n"));
    services.assert_no_job();
}

#[test]
fn the_key_is_wrong() {
    let mut services = Services::new();
    services.set("OPENAI_API_KEY", WRONG_KEY);
    insta::assert_snapshot!(services.failure(&services.openai(), &["--yes"]));
    services.assert_no_job();
}

#[test]
#[cfg(unix)]
fn the_key_file_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut services = Services::new();
    let file = services.path("key");
    std::fs::write(&file, KEY).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    services.unset("OPENAI_API_KEY");
    let path = file.to_str().unwrap().to_owned();
    insta::assert_snapshot!(services.failure(&services.openai(), &["--yes", "--openai-key-file", &path]));
}

#[test]
fn openai_cannot_be_reached() {
    let mut services = Services::new();
    services.set("OPENAI_BASE_URL", format!("http://{}/v1", nowhere()));
    insta::assert_snapshot!(services.failure(&services.openai(), &["--yes"]));
    services.assert_no_job();
}

#[test]
fn the_base_url_is_a_web_site() {
    let mut services = Services::new();
    let page =
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n<html><p>It works!</p></html>";
    services.set("OPENAI_BASE_URL", format!("http://{}", saying(page)));
    insta::assert_snapshot!(services.failure(&services.openai(), &["--yes"]));
}

#[test]
fn the_platform_is_closed() {
    let services = Services::new();
    let mut all = Vec::new();
    for closed in [Closed::Forbidden, Closed::NotFound] {
        services.emulator.change(|behaviour| behaviour.openai.closed = Some(closed));
        all.push(services.failure(&services.openai(), &["--yes"]));
    }
    insta::assert_snapshot!(all.join("\n"));
    assert_eq!(services.emulator.counts().effects_of("POST /v1/fine_tuning/jobs"), 0);
}

#[test]
fn no_credit_is_left() {
    let services = Services::new();
    services.emulator.change(|behaviour| behaviour.openai.quota_exceeded = true);
    insta::assert_snapshot!(services.failure(&services.openai(), &["--yes"]));
    assert_eq!(
        services.emulator.counts().requests_of("POST /v1/fine_tuning/jobs"),
        1,
        "asking again does not help"
    );
}

#[test]
fn openais_base_model_is_gone_or_unknown() {
    let services = Services::new();
    let all: Vec<String> = ["gpt-3.5-turbo-0125", "gpt-9-mini"]
        .iter()
        .map(|name| services.failure(&services.job("openai", json!({ "baseModel": name })), &["--yes"]))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
    services.assert_no_job();
}

#[test]
fn the_dataset_is_bad() {
    let services = Services::new();
    let job = services.ollama();
    let data = services.path("support.jsonl");
    std::fs::remove_file(&data).unwrap();
    let mut all = vec![services.failure(&job, &[])];
    for text in [
        "",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello\"}]}\n{\"messages\": [{\"role\": \"user\"",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n{\"messages\": [{\"role\": \"robot\", \"content\": \"Hi\"}]}\n",
        "PK\u{3}\u{4}\u{0}\u{0}",
    ] {
        std::fs::write(&data, text).unwrap();
        all.push(services.failure(&job, &[]));
    }
    insta::assert_snapshot!(all.join("\n"));
    services.assert_no_job();
}

#[test]
fn the_local_trainer_is_not_there_yet() {
    let services = Services::new();
    let job = services.job("local", json!({ "baseModel": "llama3.2:1b" }));
    insta::assert_snapshot!(services.failure(&job, &[]));
}

#[test]
fn data_directory_is_unusable() {
    let services = Services::new();
    std::fs::write(services.path("data"), "a file").unwrap();
    let mut all =
        vec![services.failure(&services.ollama(), &[]), services.failure(&services.ollama(), &["--emulate"])];
    std::fs::remove_file(services.path("data")).unwrap();
    std::fs::create_dir(services.path("data")).unwrap();
    std::fs::write(services.path("data/tunesmith.db"), "not a database, but long enough to look at").unwrap();
    all.push(services.failure(&services.ollama(), &[]));
    insta::assert_snapshot!(all.join("\n"));
}

/// Runs with the data directory on a file system of its own, prepared by a shell
/// command that has its place as `$D`; none where this machine does not let a user mount
/// one.
#[cfg(target_os = "linux")]
fn on_its_own_disk(services: &Services, prepare: &str, more: &[&str]) -> Option<String> {
    let data = services.path("data");
    std::fs::create_dir(&data).unwrap();
    let run = services.command(&services.ollama(), more);
    let output = unshared("-rm", prepare, &data, &run).output().ok().map(kept::searched);
    let output = output.filter(|output| {
        output.status.code() != Some(99) && !said(output.stderr.clone()).starts_with("unshare:")
    });
    if output.is_none() {
        skip("`unshare -rm` and mounts in it");
    }
    output.map(|output| services.read(output))
}

#[test]
#[cfg(target_os = "linux")]
fn the_disk_is_full() {
    let services = Services::new();
    let prepare = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$D\"";
    let Some(said) = on_its_own_disk(&services, prepare, &[]) else { return };
    insta::assert_snapshot!(said);
    assert_eq!(services.emulator.counts().effects_of("POST /api/create"), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn the_store_is_read_only() {
    let services = Services::new();
    let prepare = "mount -t tmpfs -o mode=700 tmpfs \"$D\" && mount -o remount,ro \"$D\"";
    let Some(said) = on_its_own_disk(&services, prepare, &[]) else { return };
    insta::assert_snapshot!(said);
    assert_eq!(services.emulator.counts().effects_of("POST /api/create"), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn the_emulators_disk_is_full() {
    let services = Services::new();
    let prepare = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$D\"";
    let Some(said) = on_its_own_disk(&services, prepare, &["--emulate"]) else { return };
    insta::assert_snapshot!(said);
}
