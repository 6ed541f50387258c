//! `tunesmith run` as users meet it: on the built-in emulator, and on one in a process of
//! its own.

use crate::common;
use crate::common::kept;
use crate::common::sandbox::Sandbox;
use crate::mock;
use common::{root, said};
use mock::{Answer, Rule, Server, method};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tunesmith_emulator::{Lease, Running};

/// The objects that the program printed, one a line.
fn lines(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    objects(&sandbox.ok(args))
}

/// Waits until the job is in this state.
fn until(sandbox: &Sandbox, id: &str, state: &str) {
    let patience = Instant::now() + Duration::from_secs(120);
    loop {
        let job = sandbox.json(&["jobs", "show", id, "--json"]);
        if job["job"]["state"] == state {
            return;
        }
        assert!(Instant::now() < patience, "{id} did not become {state}: {job}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

fn events<'l>(lines: &'l [Value], name: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["event"] == name).collect()
}

/// The id of the job that a command began.
fn started(text: &str) -> String {
    let lines = objects(text);
    events(&lines, "started")[0]["job"].as_str().unwrap().to_owned()
}

#[test]
fn every_example_runs_to_a_verified_outcome() {
    let sandbox = Sandbox::new();
    let mut args = vec!["run".to_owned(), "--emulate".into(), "--json".into()];
    let mut jobs: Vec<String> = std::fs::read_dir(root().join("examples/jobs"))
        .unwrap()
        .map(|entry| format!("examples/jobs/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    jobs.sort();
    args.extend(jobs.iter().cloned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let lines = lines(&sandbox, &args);
    let results = events(&lines, "result");
    assert_eq!(results.len(), jobs.len());
    assert!(jobs.len() >= 10);
    for result in results {
        assert_eq!(result["state"], "succeeded", "{result}");
        let outcome = &result["outcome"];
        assert_eq!(outcome["emulated"], true);
        let file = result["file"].as_str().unwrap();
        let made = if file.contains("ollama") { "prompt-baked" } else { "fine-tuned" };
        assert_eq!(outcome["made"], made, "{result}");
        assert!(outcome["notes"].to_string().contains("answered"), "{result}");
        for artifact in outcome["artifacts"].as_array().unwrap() {
            assert!(Path::new(artifact.as_str().unwrap()).is_file(), "{artifact}");
        }
    }
    let documentation = std::fs::read_to_string(root().join("docs/run.md")).unwrap();
    for line in &lines {
        let row = format!("| `{}` |", line["event"].as_str().unwrap());
        let row = documentation.lines().find(|documented| documented.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("an undocumented event: {line}"));
        for field in line.as_object().unwrap().keys().filter(|field| *field != "event") {
            assert!(row.contains(&format!("`{field}`")), "{field} is not documented: {line}");
        }
    }
    let summary = lines.last().unwrap();
    assert_eq!((&summary["event"], &summary["succeeded"]), (&"summary".into(), &jobs.len().into()));
    assert!(events(&lines, "metrics").iter().any(|line| line["figures"]["train_loss"].is_number()));
}

#[test]
fn run_reports_model_and_emulation() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["run", "examples/jobs/lora-ollama.json", "--emulate"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let data = sandbox.root().display().to_string();
    let id = text.split("jobs show ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let steady = |text: &str| {
        let text = text.replace(&data, "[place]").replace(&id, "[job]");
        // Digests differ with the emulator's version.
        let words = text.split(' ').map(|word| {
            let digits = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_digest = digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit());
            if is_digest { word.replace(digits, "[digest]") } else { word.to_owned() }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!("run-lora-ollama", steady(&text));
    insta::assert_snapshot!("run-lora-ollama-said", steady(&said(output.stderr)));
}

#[test]
fn an_existing_model_is_replaced_only_when_asked() {
    let sandbox = Sandbox::new();
    let job = "examples/jobs/prefix-ollama.json";
    sandbox.ok(&["run", job, "--emulate"]);
    let output = sandbox.run(&["run", job, "--emulate"]);
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("already has a model customer-support-prefix") && text.contains("--replace"),
        "{text}"
    );
    let replaced = sandbox.ok(&["run", job, "--emulate", "--replace"]);
    assert!(replaced.contains("customer-support-prefix is ready"), "{replaced}");
}

#[test]
fn jobs_making_the_same_model_are_refused() {
    let sandbox = Sandbox::new();
    let job = "examples/jobs/prefix-ollama.json";
    let output = sandbox.run(&["run", job, job, "--emulate"]);
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("would both make the model"), "{text}");
}

#[test]
fn byte_order_mark_leaves_the_job_file_stored() {
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(root().join("examples/jobs/prefix-ollama.json")).unwrap();
    let datasets = root().join("examples/datasets");
    let text = text.replace("../datasets", datasets.to_str().unwrap());
    let job = sandbox.path("job.json");
    std::fs::write(&job, format!("\u{feff}{text}")).unwrap();
    let id = started(&sandbox.ok(&["run", job.to_str().unwrap(), "--emulate", "--json"]));
    let shown = sandbox.json(&["jobs", "show", &id, "--json"]);
    assert_eq!(shown["plan"]["spec"]["name"], "Customer Support Prefix");
    assert_eq!(shown["plan"]["spec"]["hyperparameters"]["prefix_length"], 6);
}

#[test]
fn one_unplannable_job_stops_all() {
    let sandbox = Sandbox::new();
    let output =
        sandbox.run(&["run", "examples/jobs/lora-ollama.json", "no-such-job.json", "--emulate", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = objects(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(events(&lines, "failed").len(), 1);
    assert!(events(&lines, "started").is_empty());
}

#[test]
fn paid_job_needs_a_yes() {
    let server = Server::start();
    let model = serde_json::json!({"id": "gpt-4.1-mini-2025-04-14", "object": "model"});
    server.add(Rule::when(method("GET")).answer(Answer::new(200).json(model)));
    let sandbox = Sandbox::new();
    let output = sandbox
        .command(&["run", "examples/jobs/lora-openai.json"])
        .env("OPENAI_BASE_URL", format!("{}/v1", server.base))
        .env("OPENAI_API_KEY", kept::KEY)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cost money") && text.contains("--yes"), "{text}");
    assert!(server.requests().iter().all(|request| request.method == "GET"), "something was sent");
}

#[test]
fn detached_ollama_job_continues_in_a_runner() {
    let sandbox = Sandbox::new();
    let job = "examples/jobs/qlora-ollama.json";
    // Often, since the command and its runner race for the job.
    for _ in 0..20 {
        let text = sandbox.ok(&["run", job, "--emulate", "--detach", "--replace", "--json"]);
        let id = started(&text);
        assert_eq!(events(&objects(&text), "detached").len(), 1);
        until(&sandbox, &id, "succeeded");
    }
}

#[test]
fn detached_openai_job_is_submitted_and_resumable() {
    let sandbox = Sandbox::new();
    let text = sandbox.ok(&["run", "examples/jobs/prefix-openai.json", "--emulate", "--detach", "--json"]);
    let id = started(&text);
    let detached = objects(&text);
    assert_eq!(events(&detached, "detached")[0]["state"], "submitted");
    sandbox.ok(&["runner", "--emulate"]);
    until(&sandbox, &id, "succeeded");
}

#[cfg(unix)]
#[test]
fn interrupt_leaves_the_job_resumable() {
    use std::io::{BufRead as _, BufReader};
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["run", "examples/jobs/full-openai.json", "--emulate", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut id = None;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["event"] == "started" {
            id = line["job"].as_str().map(str::to_owned);
        }
        if line["event"] == "state" && line["to"] == "submitted" {
            break;
        }
    }
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(events(&rest, "detached").len(), 1, "{rest:?}");
    let id = id.unwrap();
    sandbox.ok(&["runner", "--emulate", &id]);
    until(&sandbox, &id, "succeeded");
}

#[test]
fn next_run_recovers_jobs_of_killed_run() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["run", "examples/jobs/full-openai.json", "--emulate", "--json"])
        .env("TUNESMITH_FAILPOINT", "openai.create:after")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = {
        use std::io::Read as _;
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        text
    };
    let id = started(&output);
    let lines = lines(&sandbox, &["run", "examples/jobs/adapter-ollama.json", "--emulate", "--json"]);
    let recovered = events(&lines, "recovered");
    assert_eq!(recovered.len(), 1, "{lines:?}");
    assert_eq!(recovered[0]["job"].as_str(), Some(id.as_str()));
    assert_eq!(recovered[0]["error"], Value::Null);
    sandbox.ok(&["runner", "--emulate"]);
    until(&sandbox, &id, "succeeded");
}

/// Whether an emulator has the state directory of a sandbox.
fn is_emulator_running(sandbox: &Sandbox) -> bool {
    Running::of(&sandbox.data().join("emulator")).is_some()
}

fn wait_for_the_emulators_end(sandbox: &Sandbox) {
    let patience = Instant::now() + Duration::from_secs(30);
    while is_emulator_running(sandbox) {
        assert!(Instant::now() < patience, "the emulator has no user and does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn emulator_ends_with_its_last_user() {
    let sandbox = Sandbox::new();
    let lease = Lease::take(&sandbox.data().join("emulator")).unwrap();
    let job = "examples/jobs/lora-ollama.json";
    sandbox.ok(&["run", job, "--emulate"]);
    let first = Running::of(&sandbox.data().join("emulator")).unwrap();
    // The next one uses the same.
    sandbox.ok(&["run", job, "--emulate", "--replace"]);
    assert_eq!(Running::of(&sandbox.data().join("emulator")), Some(first));
    drop(lease);
    wait_for_the_emulators_end(&sandbox);
    // Its state is there for the next one.
    let (code, text) = sandbox.failure(&["run", job, "--emulate"]);
    assert_eq!(code, 2, "{text}");
    wait_for_the_emulators_end(&sandbox);
}

#[test]
fn emulators_of_killed_users_end() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.command(&["run", "examples/jobs/full-openai.json", "--emulate", "--json"]);
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_emulator_running(&sandbox) {
        assert!(Instant::now() < patience, "no emulator is started");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for_the_emulators_end(&sandbox);
}

#[test]
fn concurrent_runs_share_one_emulator() {
    let sandbox = Sandbox::new();
    std::thread::scope(|scope| {
        let jobs = ["lora-ollama", "qlora-ollama", "prefix-ollama"];
        let runs = jobs.map(|name| {
            let sandbox = &sandbox;
            scope.spawn(move || sandbox.ok(&["run", &format!("examples/jobs/{name}.json"), "--emulate"]))
        });
        for run in runs {
            run.join().unwrap();
        }
    });
    assert_eq!(sandbox.json(&["models", "list", "--json"])["models"].as_array().unwrap().len(), 3);
}

#[test]
fn emulator_has_any_model_to_pull() {
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(root().join("examples/jobs/lora-ollama.json")).unwrap();
    let mut job: Value = serde_json::from_str(&text).unwrap();
    job["baseModel"] = "somebody/some-model:1b".into();
    job["dataset"] = root().join("examples/datasets/support.jsonl").to_str().unwrap().into();
    std::fs::write(sandbox.path("job.json"), job.to_string()).unwrap();
    sandbox.ok(&["run", sandbox.path("job.json").to_str().unwrap(), "--emulate", "--pull"]);
}
