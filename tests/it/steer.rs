//! `tunesmith jobs cancel|pause|resume|retry|follow` and `files`, from one shell and from
//! another, on an emulator in this process.

use crate::common;
use crate::common::kept;
use common::said;
use common::sandbox::Sandbox;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tunesmith_emulator::Emulator;

const OPENAI: &str = "examples/jobs/lora-openai.json";
const OLLAMA: &str = "examples/jobs/lora-ollama.json";

/// A sandbox with an emulator on which a job at OpenAI takes for ever, until it is told
/// otherwise.
struct Service {
    sandbox: Sandbox,
    emulator: Emulator,
}

impl std::ops::Deref for Service {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Service {
    fn new() -> Self {
        let mut sandbox = Sandbox::new();
        let emulator = sandbox.emulator(|options| options.behaviour.openai.max_running_seconds = 100_000.0);
        let service = Self { sandbox, emulator };
        service.slow();
        service
    }

    fn slow(&self) {
        self.emulator.change(|behaviour| behaviour.openai.step_seconds = 1_000.0);
    }

    /// Does something while a day passes at the service in each moment.
    fn while_time_flies<T>(&self, work: impl FnOnce() -> T) -> T {
        self.emulator.change(|behaviour| behaviour.openai.step_seconds = 1.0);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    self.emulator.tick(86_400.0).unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            // Also when it panics, or the scope would wait for ever.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            is_done.store(true, Ordering::Relaxed);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A job that was handed to OpenAI and that nobody attends to.
    fn detached(&self) -> String {
        let text = self.ok(&["run", OPENAI, "--yes", "--detach", "--json"]);
        let started = text.lines().map(object).find(|line| line["event"] == "started").unwrap();
        started["job"].as_str().unwrap().to_owned()
    }

    fn state(&self, id: &str) -> String {
        let job = self.json(&["jobs", "show", id, "--json"]);
        job["job"]["state"].as_str().unwrap().to_owned()
    }

    /// A process that carries a job on, once it has told of this state.
    fn owner(&self, args: &[&str], state: &str) -> (Child, String) {
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut id = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            let line = object(&line.unwrap());
            if let Some(job) = line["job"].as_str() {
                job.clone_into(&mut id);
            }
            if line["event"] == "state" && line["to"] == state {
                break;
            }
        }
        // Read to the end elsewhere, so that the child never waits for its reader.
        std::thread::spawn(move || lines.for_each(drop));
        (child, id)
    }
}

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
}

#[test]
fn job_without_owner_is_paused_resumed_followed() {
    let service = Service::new();
    let id = service.detached();
    let prefix = &id[..5];
    // At the service it may have to begin first.
    let paused = loop {
        let output = service.run(&["jobs", "pause", prefix]);
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        assert!(["submitted", "running"].contains(&service.state(&id).as_str()), "{output:?}");
    };
    assert!(paused.contains(&format!("{id} (")) && paused.contains("is paused"), "{paused}");
    assert!(service.ok(&["jobs", "list"]).contains("paused"));
    let (code, text) = service.failure(&["jobs", "follow", &id]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is paused") && text.contains(&format!("tunesmith jobs resume {id}")), "{text}");

    let (code, text) = service.failure(&["files", "remove", "file-"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains(&format!("is needed by job {id}")), "{text}");

    let resumed = service.while_time_flies(|| service.ok(&["jobs", "resume", &id, "--json"]));
    let resumed: Vec<Value> = resumed.lines().map(object).collect();
    let result = resumed.last().unwrap();
    assert_eq!((&result["event"], &result["state"]), (&"result".into(), &"succeeded".into()), "{result}");
    assert_eq!(result["outcome"]["made"], "fine-tuned");
    assert!(resumed.iter().all(|line| line["job"] == id.as_str()), "{resumed:?}");

    let followed: Vec<Value> =
        service.ok(&["jobs", "follow", &id, "--json", "--tail", "1000"]).lines().map(object).collect();
    let states: Vec<&str> = followed
        .iter()
        .filter(|line| line["event"] == "state")
        .filter_map(|line| line["to"].as_str())
        .collect();
    assert_eq!((states.first(), states.last()), (Some(&"planned"), Some(&"succeeded")), "{states:?}");
    assert!(states.contains(&"paused"), "{states:?}");
    let shown = service.ok(&["jobs", "show", &id]);
    assert!(shown.contains("Loss") && shown.contains("training loss"), "{shown}");
    assert!(service.ok(&["models", "list"]).contains("fine-tuned"));

    let files = object(&service.ok(&["files", "list", "--json"]));
    let file = files["files"][0]["remoteId"].as_str().unwrap().to_owned();
    assert!(service.ok(&["files", "list"]).contains(&file));
    let deleted = service.ok(&["files", "remove", "--unused"]);
    assert!(deleted.contains(&format!("deleted {file} at ")), "{deleted}");
    assert_eq!(service.ok(&["files", "list"]), "no uploaded files\n");
    assert_eq!(service.ok(&["files", "remove", "--unused"]), "nothing to delete\n");
    let (code, text) = service.failure(&["files", "remove", &file]);
    assert_eq!(code, 2, "{text}");
}

#[test]
fn cancel_reaches_the_owner_and_followers() {
    let service = Service::new();
    let (mut owner, id) = service.owner(&["run", OPENAI, "--yes", "--json"], "running");
    let follower = service
        .command(&["jobs", "follow", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let cancelled = service.ok(&["jobs", "cancel", &id]);
    assert!(cancelled.contains("is cancelled"), "{cancelled}");
    assert_eq!(owner.wait().unwrap().code(), Some(1));
    let followed = kept::searched(follower.wait_with_output().unwrap());
    assert_eq!(followed.status.code(), Some(1), "{followed:?}");
    assert!(String::from_utf8_lossy(&followed.stdout).contains(&format!("tunesmith jobs retry {id}")));
    let (code, text) = service.failure(&["jobs", "cancel", &id]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("it cannot be asked to cancel") && text.contains("jobs retry"), "{text}");

    let retried = service.while_time_flies(|| service.ok(&["jobs", "retry", &id, "--json"]));
    let retried: Vec<Value> = retried.lines().map(object).collect();
    assert_eq!(retried.last().unwrap()["state"], "succeeded");
    let shown = service.ok(&["jobs", "show", &id]);
    assert!(shown.contains("Attempts"), "{shown}");
    let (code, text) = service.failure(&["jobs", "retry", &id]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("only a failed or canceled job can be retried"), "{text}");
}

#[test]
fn job_of_killed_process_is_recovered() {
    let service = Service::new();
    let (mut owner, id) = service.owner(&["run", OPENAI, "--yes", "--json"], "running");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let list = service.ok(&["jobs", "list"]);
    assert!(list.contains("running, unattended") && list.contains(&format!("jobs resume {id}")), "{list}");
    let doctor = service.ok(&["doctor"]);
    assert!(doctor.contains(&format!("tunesmith jobs resume {id}")), "{doctor}");
    // Following takes it over, as it goes on at the service.
    let followed = service.while_time_flies(|| service.ok(&["jobs", "follow", &id]));
    assert!(followed.contains("is ready"), "{followed}");
    assert_eq!(service.state(&id), "succeeded");
    let creates = service.emulator.counts().effects_of("POST /v1/fine_tuning/jobs");
    assert_eq!(creates, 1);
}

#[test]
fn resume_all_resumes_every_job_without_owner() {
    let service = Service::new();
    let ids = [service.detached(), service.detached()];
    let text = service.while_time_flies(|| service.ok(&["jobs", "resume", "--all"]));
    for id in &ids {
        assert_eq!(service.state(id), "succeeded", "{text}");
    }
    let nothing = service.ok(&["jobs", "resume", "--all"]);
    assert_eq!(nothing, "every job that is not over has a process that attends to it\n");
}

#[test]
fn ollama_refuses_pause_and_cancel_leaves_no_model() {
    let service = Service::new();
    service.emulator.change(|behaviour| behaviour.ollama.step_ms = 3_000);
    let (mut owner, id) = service.owner(&["run", OLLAMA, "--yes", "--json"], "creating");
    let (code, text) = service.failure(&["jobs", "pause", &id]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("refused to pause") && text.contains("nothing to pause"), "{text}");
    service.ok(&["jobs", "cancel", &id]);
    assert_eq!(owner.wait().unwrap().code(), Some(1));
    assert_eq!(service.state(&id), "cancelled");
    assert_eq!(service.ok(&["models", "list"]), "no models yet: `tunesmith run JOB.json` makes one\n");
    service.emulator.change(|behaviour| behaviour.ollama.step_ms = 1);
    let retried = service.ok(&["jobs", "retry", &id, "--detach"]);
    assert!(retried.contains("goes on without this command") || retried.contains(&id), "{retried}");
    let followed = service.ok(&["jobs", "follow", &id]);
    assert!(followed.contains("is ready"), "{followed}");
}

#[test]
fn job_of_another_service_is_refused() {
    let service = Service::new();
    let id = service.detached();
    let mut resume = service.command(&["jobs", "resume", &id]);
    let output = kept::output(resume.env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"));
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("belongs to") && text.contains("127.0.0.1:9"), "{text}");
}
