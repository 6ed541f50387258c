//! `tunesmith jobs cancel|pause|resume|retry|follow` and `files`, from one shell and from
//! another, on an emulator in this process.

use crate::common;
use crate::common::kept;
use common::{said, tunesmith};
use kept::{Folder, KEY};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tunesmith_emulator::{Emulator, Key, Options};

const OPENAI: &str = "examples/jobs/lora-openai.json";
const OLLAMA: &str = "examples/jobs/lora-ollama.json";

struct Place {
    held: Folder,
    emulator: Emulator,
}

impl Place {
    /// An emulator on which a job at OpenAI takes for ever, until it is told otherwise.
    fn new() -> Self {
        let held = Folder::new();
        let mut options = Options::new(held.path().join("emulator"));
        options.openai_key = Some(Key::new(KEY));
        options.behaviour.openai.max_running_seconds = 100_000.0;
        let emulator = Emulator::start(options).unwrap();
        let place = Self { held, emulator };
        place.slow();
        place
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

    fn command(&self, args: &[&str]) -> Command {
        let mut command = tunesmith();
        command.env("TUNESMITH_DIRECTORIES_DATA", self.held.path().join("data"));
        command.env("TUNESMITH_DIRECTORIES_STATE", self.held.path().join("state"));
        command.env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", &self.emulator.openai_url);
        command.env("OLLAMA_HOST", &self.emulator.ollama_url).stdin(Stdio::null()).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        kept::output(&mut self.command(args))
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code, with all that a command that does not succeed says.
    fn failure(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args);
        let text = String::from_utf8(output.stdout).unwrap() + &said(output.stderr);
        (output.status.code().unwrap(), text)
    }

    /// A job that was handed to OpenAI and that nobody attends to.
    fn detached(&self) -> String {
        let text = self.ok(&["run", OPENAI, "--yes", "--detach", "--json"]);
        let started = text.lines().map(object).find(|line| line["event"] == "started").unwrap();
        started["job"].as_str().unwrap().to_owned()
    }

    fn state(&self, id: &str) -> String {
        let job = object(&self.ok(&["jobs", "show", id, "--json"]));
        job["job"]["state"].as_str().unwrap().to_owned()
    }

    /// A process that carries a job on, once it has told of this state.
    fn owner(&self, args: &[&str], state: &str) -> (Child, String) {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
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
fn a_job_that_nobody_has_is_paused_resumed_followed_and_its_file_deleted() {
    let place = Place::new();
    let id = place.detached();
    let prefix = &id[..5];
    // At the service it may have to begin first.
    let paused = loop {
        let output = place.run(&["jobs", "pause", prefix]);
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        assert!(["submitted", "running"].contains(&place.state(&id).as_str()), "{output:?}");
    };
    assert!(paused.contains(&format!("{id} (")) && paused.contains("is paused"), "{paused}");
    assert!(place.ok(&["jobs", "list"]).contains("paused"));
    let (code, text) = place.failure(&["jobs", "follow", &id]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is paused") && text.contains(&format!("tunesmith jobs resume {id}")), "{text}");

    let (code, text) = place.failure(&["files", "remove", "file-"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains(&format!("is needed by job {id}")), "{text}");

    let resumed = place.while_time_flies(|| place.ok(&["jobs", "resume", &id, "--json"]));
    let resumed: Vec<Value> = resumed.lines().map(object).collect();
    let result = resumed.last().unwrap();
    assert_eq!((&result["event"], &result["state"]), (&"result".into(), &"succeeded".into()), "{result}");
    assert_eq!(result["outcome"]["made"], "fine-tuned");
    assert!(resumed.iter().all(|line| line["job"] == id.as_str()), "{resumed:?}");

    let followed: Vec<Value> =
        place.ok(&["jobs", "follow", &id, "--json", "--tail", "1000"]).lines().map(object).collect();
    let states: Vec<&str> = followed
        .iter()
        .filter(|line| line["event"] == "state")
        .filter_map(|line| line["to"].as_str())
        .collect();
    assert_eq!((states.first(), states.last()), (Some(&"planned"), Some(&"succeeded")), "{states:?}");
    assert!(states.contains(&"paused"), "{states:?}");
    let shown = place.ok(&["jobs", "show", &id]);
    assert!(shown.contains("Loss") && shown.contains("training loss"), "{shown}");
    assert!(place.ok(&["models", "list"]).contains("fine-tuned"));

    let files = object(&place.ok(&["files", "list", "--json"]));
    let file = files["files"][0]["remoteId"].as_str().unwrap().to_owned();
    assert!(place.ok(&["files", "list"]).contains(&file));
    let deleted = place.ok(&["files", "remove", "--unused"]);
    assert!(deleted.contains(&format!("deleted {file} at ")), "{deleted}");
    assert_eq!(place.ok(&["files", "list"]), "no uploaded files\n");
    assert_eq!(place.ok(&["files", "remove", "--unused"]), "nothing to delete\n");
    let (code, text) = place.failure(&["files", "remove", &file]);
    assert_eq!(code, 2, "{text}");
}

#[test]
fn a_cancel_from_another_shell_reaches_the_owner_and_whoever_follows() {
    let place = Place::new();
    let (mut owner, id) = place.owner(&["run", OPENAI, "--yes", "--json"], "running");
    let follower = place
        .command(&["jobs", "follow", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let cancelled = place.ok(&["jobs", "cancel", &id]);
    assert!(cancelled.contains("is cancelled"), "{cancelled}");
    assert_eq!(owner.wait().unwrap().code(), Some(1));
    let followed = kept::searched(follower.wait_with_output().unwrap());
    assert_eq!(followed.status.code(), Some(1), "{followed:?}");
    assert!(String::from_utf8_lossy(&followed.stdout).contains(&format!("tunesmith jobs retry {id}")));
    let (code, text) = place.failure(&["jobs", "cancel", &id]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("it cannot be asked to cancel") && text.contains("jobs retry"), "{text}");

    let retried = place.while_time_flies(|| place.ok(&["jobs", "retry", &id, "--json"]));
    let retried: Vec<Value> = retried.lines().map(object).collect();
    assert_eq!(retried.last().unwrap()["state"], "succeeded");
    let shown = place.ok(&["jobs", "show", &id]);
    assert!(shown.contains("Attempts"), "{shown}");
    let (code, text) = place.failure(&["jobs", "retry", &id]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("only a failed or cancelled job can be tried again"), "{text}");
}

#[test]
fn a_job_whose_process_was_killed_is_taken_over() {
    let place = Place::new();
    let (mut owner, id) = place.owner(&["run", OPENAI, "--yes", "--json"], "running");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let list = place.ok(&["jobs", "list"]);
    assert!(list.contains("running, unattended") && list.contains(&format!("jobs resume {id}")), "{list}");
    let doctor = place.ok(&["doctor"]);
    assert!(doctor.contains(&format!("tunesmith jobs resume {id}")), "{doctor}");
    // Following takes it over, as it goes on at the service.
    let followed = place.while_time_flies(|| place.ok(&["jobs", "follow", &id]));
    assert!(followed.contains("is ready"), "{followed}");
    assert_eq!(place.state(&id), "succeeded");
    let creates = place.emulator.counts().effects_of("POST /v1/fine_tuning/jobs");
    assert_eq!(creates, 1);
}

#[test]
fn all_that_nobody_attends_to_is_carried_on_together() {
    let place = Place::new();
    let ids = [place.detached(), place.detached()];
    let text = place.while_time_flies(|| place.ok(&["jobs", "resume", "--all"]));
    for id in &ids {
        assert_eq!(place.state(id), "succeeded", "{text}");
    }
    let nothing = place.ok(&["jobs", "resume", "--all"]);
    assert_eq!(nothing, "every job that is not over has a process that attends to it\n");
}

#[test]
fn on_ollama_a_pause_is_refused_with_the_reason_and_a_cancel_leaves_no_model() {
    let place = Place::new();
    place.emulator.change(|behaviour| behaviour.ollama.step_ms = 3_000);
    let (mut owner, id) = place.owner(&["run", OLLAMA, "--yes", "--json"], "creating");
    let (code, text) = place.failure(&["jobs", "pause", &id]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("refused to pause") && text.contains("nothing to pause"), "{text}");
    place.ok(&["jobs", "cancel", &id]);
    assert_eq!(owner.wait().unwrap().code(), Some(1));
    assert_eq!(place.state(&id), "cancelled");
    assert_eq!(place.ok(&["models", "list"]), "no models yet: `tunesmith run JOB.json` makes one\n");
    place.emulator.change(|behaviour| behaviour.ollama.step_ms = 1);
    let retried = place.ok(&["jobs", "retry", &id, "--detach"]);
    assert!(retried.contains("goes on without this command") || retried.contains(&id), "{retried}");
    let followed = place.ok(&["jobs", "follow", &id]);
    assert!(followed.contains("is ready"), "{followed}");
}

#[test]
fn a_job_of_another_service_is_not_looked_for_at_this_one() {
    let place = Place::new();
    let id = place.detached();
    let mut resume = place.command(&["jobs", "resume", &id]);
    let output = kept::output(resume.env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"));
    let text = said(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("belongs to") && text.contains("127.0.0.1:9"), "{text}");
}
