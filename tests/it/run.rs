//! `tunesmith run` as users meet it: on the built-in emulator, and on one in a process of
//! its own.

use crate::common;
use crate::common::kept;
use crate::mock;
use common::{root, said, tunesmith};
use mock::{Answer, Rule, Server, method};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A place for jobs of its own.
struct Place(kept::Folder);

impl Place {
    fn new() -> Self {
        Self(kept::Folder::new())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = tunesmith();
        command.args(args).env("TUNESMITH_DIRECTORIES_DATA", self.0.path().join("data"));
        command.env("TUNESMITH_DIRECTORIES_STATE", self.0.path().join("state"));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        kept::output(&mut self.command(args))
    }

    /// Runs the program, which must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The objects that the program printed, one a line.
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        objects(&self.ok(args))
    }

    fn job(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["jobs", "show", id, "--json"])).unwrap()
    }

    /// Waits until the job is in this state.
    fn until(&self, id: &str, state: &str) -> Value {
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            let job = self.job(id);
            let shown = job.to_string();
            if job.pointer("/job/state").or_else(|| job.get("state")) == Some(&Value::from(state)) {
                return job;
            }
            assert!(Instant::now() < patience, "{id} did not become {state}: {shown}");
            std::thread::sleep(Duration::from_millis(100));
        }
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
    let place = Place::new();
    let mut args = vec!["run".to_owned(), "--emulate".into(), "--json".into()];
    let mut jobs: Vec<String> = std::fs::read_dir(root().join("examples/jobs"))
        .unwrap()
        .map(|entry| format!("examples/jobs/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    jobs.sort();
    args.extend(jobs.iter().cloned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let lines = place.lines(&args);
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
fn a_run_says_what_it_made_and_that_it_was_emulated() {
    let place = Place::new();
    let output = place.run(&["run", "examples/jobs/lora-ollama.json", "--emulate"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let data = place.0.path().display().to_string();
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
    let place = Place::new();
    let job = "examples/jobs/prefix-ollama.json";
    place.ok(&["run", job, "--emulate"]);
    let output = place.run(&["run", job, "--emulate"]);
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("already has a model customer-support-prefix") && text.contains("--replace"),
        "{text}"
    );
    let replaced = place.ok(&["run", job, "--emulate", "--replace"]);
    assert!(replaced.contains("customer-support-prefix is ready"), "{replaced}");
}

#[test]
fn jobs_that_would_make_the_same_model_are_refused_together() {
    let place = Place::new();
    let job = "examples/jobs/prefix-ollama.json";
    let output = place.run(&["run", job, job, "--emulate"]);
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("would both make the model"), "{text}");
}

#[test]
fn one_job_that_cannot_be_planned_keeps_all_from_starting() {
    let place = Place::new();
    let output =
        place.run(&["run", "examples/jobs/lora-ollama.json", "no-such-job.json", "--emulate", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = objects(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(events(&lines, "failed").len(), 1);
    assert!(events(&lines, "started").is_empty());
}

#[test]
fn what_costs_money_is_not_started_without_a_yes() {
    let server = Server::start();
    let model = serde_json::json!({"id": "gpt-4.1-mini-2025-04-14", "object": "model"});
    server.add(Rule::when(method("GET")).answer(Answer::new(200).json(model)));
    let place = Place::new();
    let output = place
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
fn a_detached_job_on_ollama_goes_on_in_a_runner() {
    let place = Place::new();
    let text = place.ok(&["run", "examples/jobs/qlora-ollama.json", "--emulate", "--detach", "--json"]);
    let id = started(&text);
    assert_eq!(events(&objects(&text), "detached").len(), 1);
    place.until(&id, "succeeded");
}

#[test]
fn a_detached_job_at_openai_is_submitted_and_can_be_carried_on() {
    let place = Place::new();
    let text = place.ok(&["run", "examples/jobs/prefix-openai.json", "--emulate", "--detach", "--json"]);
    let id = started(&text);
    let detached = objects(&text);
    assert_eq!(events(&detached, "detached")[0]["state"], "submitted");
    place.ok(&["runner", "--emulate"]);
    place.until(&id, "succeeded");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_the_job_at_the_service_and_says_how_to_go_on() {
    use std::io::{BufRead as _, BufReader};
    let place = Place::new();
    let mut child = place
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
    place.ok(&["runner", "--emulate", &id]);
    place.until(&id, "succeeded");
}

#[test]
fn the_next_run_looks_after_what_a_killed_one_left() {
    let place = Place::new();
    let mut child = place
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
    let lines = place.lines(&["run", "examples/jobs/adapter-ollama.json", "--emulate", "--json"]);
    let recovered = events(&lines, "recovered");
    assert_eq!(recovered.len(), 1, "{lines:?}");
    assert_eq!(recovered[0]["job"].as_str(), Some(id.as_str()));
    assert_eq!(recovered[0]["error"], Value::Null);
    place.ok(&["runner", "--emulate"]);
    place.until(&id, "succeeded");
}
