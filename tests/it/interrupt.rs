//! Ctrl-C in a terminal while a job runs: what is asked, and what each answer does.
//!
//! The terminal is that of `script`, which is on nearly every Linux.

use crate::common;
use crate::common::kept;
use common::sandbox::Sandbox;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tunesmith_emulator::Emulator;

/// What the tests wait for takes a second; a busy machine may need more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job at an emulated OpenAI that runs until it is told otherwise, watched in a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
    sandbox: Sandbox,
    emulator: Emulator,
    job: String,
}

impl Terminal {
    /// A terminal in which the job has been submitted; none without `script`.
    fn start() -> Option<Self> {
        if Command::new("script").arg("--version").output().is_err() {
            common::skip("`script`");
            return None;
        }
        let mut sandbox = Sandbox::new();
        let emulator = sandbox.emulator(|options| {
            options.behaviour.openai.max_running_seconds = 100_000.0;
            options.behaviour.openai.step_seconds = 1_000.0;
        });
        let run = sandbox.command(&["run", "examples/jobs/lora-openai.json", "--yes"]);
        let words: Vec<String> = std::iter::once(run.get_program())
            .chain(run.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut script = Command::new("script");
        // In place of the shell, which would take the Ctrl-C for itself as well.
        let words = format!("exec {}", words.join(" "));
        script.args(["--quiet", "--flush", "--return", "--command", &words, "/dev/null"]);
        for (name, value) in run.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.env("SHELL", "/bin/sh").current_dir(run.get_current_dir().unwrap());
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = output.read(&mut bytes) {
                    kept::search("the screen", &bytes[..read]);
                    screen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
                }
            }
        });
        let mut terminal = Self { child, keys, screen, sandbox, emulator, job: String::new() };
        terminal.wait("the job to run", |terminal| {
            let list = terminal.json(&["jobs", "list", "--json"]);
            let job = list["jobs"].get(0).filter(|job| job["state"] == "running");
            job.map(|job| job["id"].as_str().unwrap().to_owned()).map(|id| terminal.job = id).is_some()
        });
        Some(terminal)
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.sandbox.run(args);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn state(&self) -> String {
        self.json(&["jobs", "show", &self.job, "--json"])["job"]["state"].as_str().unwrap().to_owned()
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "waited for {what} in vain; on the screen:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Presses Ctrl-C and waits for the question.
    fn interrupt(&mut self) {
        self.press("\u{3}");
        self.wait("the question", |terminal| terminal.shown().contains("(l)eave it running"));
    }

    /// Waits until the program has ended; its exit code.
    fn ended(&mut self) -> i32 {
        let mut code = None;
        self.wait("the end", |terminal| {
            code = terminal.child.try_wait().unwrap().map(|status| status.code().unwrap());
            code.is_some()
        });
        code.unwrap()
    }

    /// Lets a day pass at the service every moment until the program has ended.
    fn ended_in_time(&mut self) -> i32 {
        self.emulator.change(|behaviour| behaviour.openai.step_seconds = 1.0);
        let mut code = None;
        self.wait("the end", |terminal| {
            terminal.emulator.tick(86_400.0).unwrap();
            code = terminal.child.try_wait().unwrap().map(|status| status.code().unwrap());
            code.is_some()
        });
        code.unwrap()
    }

    fn jobs_at_the_service(&self) -> u64 {
        self.emulator.counts().effects_of("POST /v1/fine_tuning/jobs")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn leave_keeps_the_job_running() {
    let Some(mut terminal) = Terminal::start() else { return };
    terminal.interrupt();
    terminal.press("l\n");
    assert_eq!(terminal.ended(), 130, "{}", terminal.shown());
    assert_eq!(terminal.state(), "running");
    assert!(terminal.shown().contains("tunesmith jobs follow"), "{}", terminal.shown());
    assert_eq!(terminal.emulator.counts().effects_of("POST /v1/fine_tuning/jobs/{id}/cancel"), 0);
}

/// The request goes to a store that the job itself may be writing to, and must not wait
/// for a turn that never comes.
#[test]
fn cancel_cancels_the_job_and_exits() {
    let Some(mut terminal) = Terminal::start() else { return };
    terminal.interrupt();
    terminal.press("c\n");
    assert_eq!(terminal.ended(), 130, "{}", terminal.shown());
    assert_eq!(terminal.state(), "cancelled");
    assert_eq!(terminal.emulator.counts().effects_of("POST /v1/fine_tuning/jobs/{id}/cancel"), 1);
}

#[test]
fn continue_runs_to_the_end() {
    let Some(mut terminal) = Terminal::start() else { return };
    terminal.interrupt();
    terminal.press("o\n");
    assert_eq!(terminal.ended_in_time(), 0, "{}", terminal.shown());
    assert_eq!((terminal.state().as_str(), terminal.jobs_at_the_service()), ("succeeded", 1));
}

#[test]
fn job_ending_during_question_is_reported() {
    let Some(mut terminal) = Terminal::start() else { return };
    terminal.interrupt();
    assert_eq!(terminal.ended_in_time(), 0, "{}", terminal.shown());
    assert_eq!(terminal.state(), "succeeded");
    let shown = terminal.shown();
    let question = shown.lines().find(|line| line.contains("(l)eave it running")).unwrap();
    assert!(question.trim_end().ends_with("[l]"), "{question:?} in\n{shown}");
}

#[test]
fn second_interrupt_exits_with_resume_command() {
    let Some(mut terminal) = Terminal::start() else { return };
    terminal.interrupt();
    terminal.press("\u{3}");
    assert_eq!(terminal.ended(), 130, "{}", terminal.shown());
    assert_eq!(terminal.state(), "running");
    let how = format!("tunesmith jobs resume {}", terminal.job);
    assert!(terminal.shown().contains(&how), "{}", terminal.shown());
    // And so it does, without a second job at the service.
    let mut resume = terminal.sandbox.command(&["jobs", "resume", &terminal.job]);
    let mut resumed = resume.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    terminal.emulator.change(|behaviour| behaviour.openai.step_seconds = 1.0);
    terminal.wait("the end", |terminal| {
        terminal.emulator.tick(86_400.0).unwrap();
        resumed.try_wait().unwrap().is_some()
    });
    assert_eq!((terminal.state().as_str(), terminal.jobs_at_the_service()), ("succeeded", 1));
}
