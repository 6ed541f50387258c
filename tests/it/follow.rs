//! Following a plugin directory as users do: `plan --watch` in one shell, `plugin list`
//! in another, and Ctrl-C at the wrong moment.

use crate::common;
use common::sandbox::Sandbox;
use common::{root, skip, unshared};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tunesmith_hostile::{cases, describes, rust};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(120);

/// A sandbox with a job, a dataset and plugins.
struct Workspace(Sandbox);

impl Workspace {
    fn new(method: &str) -> Self {
        let workspace = Self(Sandbox::new());
        std::fs::create_dir(workspace.plugins()).unwrap();
        std::fs::copy(root().join("examples/datasets/support.jsonl"), workspace.path("rows.jsonl")).unwrap();
        workspace.job(method, 2);
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn plugins(&self) -> PathBuf {
        self.path("plugins")
    }

    /// Writes the job, as an editor does.
    fn job(&self, method: &str, temperature: u32) {
        let job = serde_json::json!({
            "name": "Support", "dataset": "rows.jsonl", "baseModel": "llama2", "provider": "ollama",
            "hyperparameters": { "method": method, "temperature": f64::from(temperature) / 10.0 },
        });
        std::fs::write(self.path("draft"), job.to_string()).unwrap();
        std::fs::rename(self.path("draft"), self.path("job.json")).unwrap();
    }

    fn plugin(&self, way: &str) {
        let bytes = describes(rust("describes").unwrap(), way).unwrap();
        std::fs::write(self.path("draft"), bytes).unwrap();
        std::fs::rename(self.path("draft"), self.plugins().join("method.wasm")).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        command.arg("--plugins").arg(self.plugins());
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `plan --watch --json` in a process group of its own, as a shell starts it.
    fn watch(&self) -> Watching {
        let mut command = self.command(&["plan", "--watch", "--json"]);
        command.arg(self.path("job.json")).process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Watching { child, lines }
    }
}

/// The lines that a process prints, as objects.
fn lines(stdout: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Watching {
    child: Child,
    lines: Receiver<Value>,
}

impl Watching {
    /// The next line for which this holds.
    fn next(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if is(&line) {
                return line;
            }
            others.push(line["message"].clone());
        }
        panic!("no line is {what}: {others:?}")
    }

    fn event(&self, event: &str) -> Value {
        self.next(event, |line| line["event"] == event)
    }

    fn change(&self, action: &str) -> Value {
        self.next(action, |line| line["event"] == "plugin" && line["action"] == action)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Presses Ctrl-C: the terminal signals the whole group.
fn interrupt(child: &Child) {
    signal(child, Signal::INT);
}

fn signal(child: &Child, signal: Signal) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process_group(group, signal).unwrap();
}

/// What ends a program that does nothing about it: Ctrl-C, except where whoever started
/// these tests ignores it, as shells do for what they put into the background.
fn ending() -> Signal {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    // The first signal is the lowest bit, and SIGINT the second.
    if ignored & 0b10 == 0 { Signal::INT } else { Signal::TERM }
}

fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The compile workers of a process that have begun to compile.
fn busy_workers(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        // After the name in parentheses: state, parent, and further on the user time.
        let stat = read("stat");
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let time = fields.get(11).and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
        fields.get(1) == Some(&parent.to_string().as_str())
            && read("cmdline").contains("__compile-worker")
            && time >= 20
    })
    .collect()
}

fn until_compiling(child: &mut Child) -> u32 {
    let end = Instant::now() + PATIENCE;
    loop {
        if let [worker] = busy_workers(child.id())[..] {
            return worker;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(Instant::now() < end, "nothing is compiled");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn until_gone(pid: u32) {
    let end = Instant::now() + PATIENCE;
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Ended and not yet waited for by whoever adopted it is gone as well.
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    while is_there() {
        assert!(Instant::now() < end, "the compile worker outlives its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn put_bomb(directory: &Path) -> PathBuf {
    let bomb = cases().unwrap().into_iter().find(|case| case.name == "compile-bomb").unwrap();
    bomb.put(directory).unwrap()
}

#[test]
fn watch_shows_what_a_save_changes() {
    let workspace = Workspace::new("describes");
    workspace.plugin("v=1");
    let watching = workspace.watch();
    let first = watching.event("planned");
    assert_eq!(first["differences"], Value::Null);
    assert_eq!(first["plan"]["method"]["version"], "0.1.1");

    workspace.job("describes", 9);
    let second = watching.event("planned");
    let differences = second["differences"].as_array().unwrap();
    assert!(differences.iter().any(|found| found["after"] == 0.9), "{differences:?}");
    assert_ne!(second["digest"], first["digest"]);

    workspace.plugin("v=2");
    let third = watching.event("planned");
    let text = third["differences"].to_string();
    assert!(text.contains("method.version") && text.contains("0.1.2"), "{text}");

    let mut rows = std::fs::read_to_string(workspace.path("rows.jsonl")).unwrap();
    rows += rows.lines().next().unwrap().to_owned().as_str();
    std::fs::write(workspace.path("rows.jsonl"), rows).unwrap();
    let text = watching.event("planned")["differences"].to_string();
    assert!(text.contains("dataset.sha256"), "{text}");

    // What is wrong is said, and the next change gives it another chance.
    workspace.job("describse", 9);
    assert!(watching.event("error")["error"]["message"].as_str().unwrap().contains("describse"));
    workspace.plugin("bad-id");
    assert_eq!(watching.change("rejected")["rule"], "descriptor");
    workspace.job("describes", 9);
    assert_eq!(watching.event("planned")["plan"]["method"]["version"], "0.1.2");
}

/// In a user namespace that allows no watches at all.
#[test]
fn directory_is_polled_without_inotify() {
    let workspace = Workspace::new("describes");
    workspace.plugin("v=1");
    let mut plan = workspace.command(&["plan", "--watch", "--json"]);
    plan.arg(workspace.path("job.json"));
    let no_watches = "echo 0 > /proc/sys/user/max_inotify_instances";
    let mut command = unshared("-r", no_watches, &workspace.plugins(), &plan);
    let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return skip("`unshare -r`");
    };
    let lines = lines(child.stdout.take().unwrap());
    let mut watching = Watching { child, lines };
    let Ok(first) = watching.lines.recv_timeout(PATIENCE) else {
        assert_ne!(wait(&mut watching.child).code(), Some(0));
        return skip("`unshare -r` and a limit on inotify in it");
    };
    assert_eq!(first["event"], "planned");
    let polling = watching.change("polling");
    assert!(polling["message"].as_str().unwrap().contains("checking it periodically"), "{polling}");
    workspace.plugin("v=2");
    assert_eq!(watching.change("reloaded")["version"], "0.1.2");
    std::fs::remove_file(workspace.plugins().join("method.wasm")).unwrap();
    watching.change("removed");
}

/// More jobs than a run keeps the plans of, so that some are planned again when their turn
/// comes, and more than fit into a pipe, so that the program plans no faster than this
/// test reads.
#[test]
fn run_reloads_plugins_saved_while_planning() {
    const JOBS: usize = 200;
    let workspace = Workspace::new("describes");
    workspace.plugin("v=1");
    let mut command = workspace.command(&["run", "--emulate", "--json"]);
    for number in 0..JOBS {
        let job = serde_json::json!({
            "name": format!("Support {number}"), "dataset": "rows.jsonl", "baseModel": "llama2",
            "provider": "ollama", "hyperparameters": { "method": "describes" },
        });
        let path = workspace.path(&format!("{number:03}.json"));
        std::fs::write(&path, job.to_string()).unwrap();
        command.arg(path);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::with_capacity(1024, child.stdout.take().unwrap()).lines();
    let (mut methods, mut succeeded, mut reloaded) = (Vec::new(), 0, false);
    for line in lines {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match line["event"].as_str().unwrap() {
            "planned" => methods.push(line["method"].as_str().unwrap().to_owned()),
            "plugin" => reloaded |= line["action"] == "reloaded",
            "result" => succeeded += usize::from(line["state"] == "succeeded"),
            _ => {}
        }
        if methods.len() == 1 {
            workspace.plugin("v=2");
        }
        if !reloaded {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // Each was carried out with what it was shown with, or it would have been refused.
    assert_eq!((wait(&mut child).code(), methods.len(), succeeded), (Some(0), JOBS, JOBS));
    assert!(reloaded, "nothing was taken up");
    let at = methods.iter().position(|method| method == "describes 0.1.2").unwrap();
    assert!(at > 0 && methods[..at].iter().all(|method| method == "describes 0.1.1"), "{methods:?}");
    assert!(methods[at..].iter().all(|method| method == "describes 0.1.2"), "{methods:?}");
}

#[test]
fn another_shell_lists_served_and_rejected_plugins() {
    let workspace = Workspace::new("describes");
    workspace.plugin("v=1");
    let mut watching = workspace.watch();
    watching.event("planned");
    workspace.plugin("v=2");
    let reloaded = watching.change("reloaded");
    workspace.plugin("bad-id");
    watching.change("rejected");
    let pid = watching.child.id();

    let of = |listed: &Value| {
        let plugins = listed["plugins"].as_array().unwrap().clone();
        plugins.into_iter().find(|plugin| plugin["id"] == "describes")
    };
    // The present content of the file is no plugin; the process goes on with the one before.
    let end = Instant::now() + PATIENCE;
    let listed = loop {
        let listed = workspace.json(&["plugin", "list"]);
        if listed["following"].as_array().is_some_and(|following| !following.is_empty()) {
            break listed;
        }
        assert!(Instant::now() < end, "nothing is recorded: {listed}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(of(&listed).is_none());
    let following = &listed["following"][0];
    assert_eq!((&following["pid"], &following["plugin"]), (&pid.into(), &"describes".into()));
    assert_eq!(following["generation"], reloaded["generation"]);
    assert_eq!(listed["rejected"][0]["file"], "method.wasm");
    assert!(listed["rejected"][0]["reason"].as_str().unwrap().contains("../../lora"), "{listed}");

    workspace.plugin("v=3");
    let reloaded = watching.change("reloaded");
    let end = Instant::now() + PATIENCE;
    let row = loop {
        let row = of(&workspace.json(&["plugin", "list"])).unwrap();
        if row["serving"][0]["generation"] == reloaded["generation"] {
            break row;
        }
        assert!(Instant::now() < end, "{row}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(row["serving"][0]["digest"], row["digest"]);
    assert_eq!(row["tier"], "pure");
    assert!(row["lastRejection"]["reason"].as_str().unwrap().contains("method.wasm"), "{row}");

    // For people, and without the process.
    let output = workspace.command(&["plugin", "list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("{} in process {pid}", reloaded["generation"])), "{text}");
    interrupt(&watching.child);
    assert_eq!(wait(&mut watching.child).code(), Some(130));
    let row = of(&workspace.json(&["plugin", "list"])).unwrap();
    assert_eq!(row["serving"], Value::Array(vec![]));
}

#[test]
fn ctrl_c_during_compile_ends_the_worker() {
    let workspace = Workspace::new("lora");
    put_bomb(&workspace.plugins());
    let cache = workspace.path("cache");
    let list = || {
        let mut command = workspace.command(&["methods", "list"]);
        command.env("TUNESMITH_CACHE_DIR", &cache).process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut child = list();
    let worker = until_compiling(&mut child);
    let ending = ending();
    signal(&child, ending);
    let status = wait(&mut child);
    // As shells show Ctrl-C, 130.
    assert!(status.signal() == Some(ending.as_raw()) || status.code() == Some(130), "{status}");
    until_gone(worker);
    // And so it is when it is killed.
    let mut child = list();
    let worker = until_compiling(&mut child);
    child.kill().unwrap();
    wait(&mut child);
    until_gone(worker);
    // Nothing of it is taken for code.
    let left: Vec<_> = std::fs::read_dir(cache.join("code"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(".tunesmith-"))
        .collect();
    let built_ins = left.iter().filter(|name| name.ends_with(".seal")).count();
    assert_eq!(left.len(), 2 * built_ins, "{left:?}");
}

#[test]
fn ctrl_c_during_watch_rejects_no_file() {
    let workspace = Workspace::new("lora");
    let mut watching = workspace.watch();
    watching.event("planned");
    put_bomb(&workspace.plugins());
    let worker = until_compiling(&mut watching.child);
    interrupt(&watching.child);
    assert_eq!(wait(&mut watching.child).code(), Some(130));
    until_gone(worker);
    let rest: Vec<Value> = watching.lines.try_iter().collect();
    assert!(rest.iter().all(|line| line["action"] != "rejected"), "{rest:?}");
}
