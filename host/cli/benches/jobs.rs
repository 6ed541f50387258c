//! Many jobs through `tunesmith run`, each to a verified model on the emulator: how many
//! a second, how much memory more of them take, and how often a job waits for the disk.
//!
//! `cargo bench --bench jobs`. Bars: 1,000 jobs all finish, with at most 1.5 times the
//! memory of 100; at most 12 synced transactions a job.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tunesmith_store::{JobFilter, Options, State, Store};

/// How often the memory of the program is read.
const LOOK: Duration = Duration::from_millis(20);

/// How many times faster than the service the emulated jobs at OpenAI go: what is
/// measured is tunesmith, which looks at them now and then.
const SPEED: &str = "1000";

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let few = run("ollama", 100);
    let many = run("ollama", 1000);
    let ratio = many.peak_kib as f64 / few.peak_kib as f64;
    println!("ollama: 1,000 jobs take {ratio:.2} of the memory of 100 (bar 1.50)");
    run("openai", 100);
}

struct Run {
    peak_kib: u64,
}

/// Runs so many jobs in one command, against an emulator in a process of its own.
fn run(provider: &str, count: usize) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (_emulator, addresses) = emulator(&folder.path().join("emulator"));
    let row = json!({ "messages": [
        { "role": "user", "content": "What is your name?" },
        { "role": "assistant", "content": "Ask me another." },
    ]});
    std::fs::write(folder.path().join("support.jsonl"), format!("{row}\n").repeat(85)).unwrap();
    let jobs: Vec<PathBuf> = (0..count).map(|number| job(folder.path(), provider, number)).collect();
    let data = folder.path().join("data");
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tunesmith"))
        .args(["run", "--json", "--yes", "--today", "2026-11-24", "--data-dir"])
        .arg(&data)
        .args(&jobs)
        .env("HOME", folder.path())
        .env("OLLAMA_HOST", addresses["ollama_url"].as_str().unwrap())
        .env("OPENAI_BASE_URL", addresses["openai_url"].as_str().unwrap())
        .env("OPENAI_API_KEY", "sk-emulated")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    let took = start.elapsed();
    assert!(status.success(), "{status}");
    let synced = synced(&data, count);
    let most = synced.iter().max().unwrap();
    let mean = synced.iter().sum::<u32>() as f64 / count as f64;
    println!(
        "{provider}: {count} jobs in {:.2} s, {:.1} jobs/s; peak {:.1} MB; synced transactions a job: {mean:.1}, at most {most} (bar 12)",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        peak_kib as f64 * 1024.0 / 1e6
    );
    Run { peak_kib }
}

fn job(folder: &Path, provider: &str, number: usize) -> PathBuf {
    let base = if provider == "openai" { "gpt-4o-mini-2024-07-18" } else { "mistral" };
    let path = folder.join(format!("job-{number}.json"));
    let job = json!({
        "name": format!("Support {number}"), "provider": provider, "baseModel": base,
        "dataset": "support.jsonl", "hyperparameters": { "method": "lora" },
    });
    std::fs::write(&path, job.to_string()).unwrap();
    path
}

/// How often each job waited for the disk. All of them succeeded.
fn synced(data: &Path, count: usize) -> Vec<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(data, Options::default()).await.unwrap();
        let (mut synced, mut after) = (Vec::new(), None);
        loop {
            let page = store.jobs(&JobFilter::default(), after, 1000).await.unwrap();
            for job in &page.items {
                assert_eq!(job.state, State::Succeeded, "{job:?}");
                synced.push(job.synced);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(synced.len(), count);
        synced
    })
}

/// An emulator that ends with this value.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn emulator(state: &Path) -> (Emulator, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tunesmith"))
        .args([
            "emulate",
            "--json",
            "--until-stdin-closes",
            "--model",
            "mistral",
            "--speed",
            SPEED,
            "--state",
        ])
        .arg(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses = serde_json::from_str(&line).unwrap();
    (Emulator(child), addresses)
}

/// The peak of a process's memory so far; none once it is over.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
