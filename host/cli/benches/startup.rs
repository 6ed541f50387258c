//! What a user waits for: `methods list` and a first plan, each as a process of its own.
//!
//! `cargo bench --bench startup`. Bars: `methods list` with warm compiled code at most
//! 25 ms; the first run ever under 2 s.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    divan::main();
}

fn tunesmith(cache: &Path, args: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_tunesmith"))
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap())
        .env("TUNESMITH_CACHE_DIR", cache)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    (folder, cache)
}

#[divan::bench(sample_count = 50)]
fn methods_list_warm(bencher: Bencher) {
    let (_folder, cache) = fresh();
    tunesmith(&cache, &["methods", "list"]);
    bencher.bench(|| tunesmith(&cache, &["methods", "list"]));
}

#[divan::bench(sample_count = 5)]
fn methods_list_first_run_ever(bencher: Bencher) {
    bencher.with_inputs(fresh).bench_values(|(folder, cache)| {
        tunesmith(&cache, &["methods", "list"]);
        folder
    });
}

#[divan::bench(sample_count = 20, args = ["lora-ollama", "lora-openai", "full-ollama"])]
fn plan_warm(bencher: Bencher, job: &str) {
    let (_folder, cache) = fresh();
    let job = format!("examples/jobs/{job}.json");
    tunesmith(&cache, &["plan", &job]);
    bencher.bench(|| tunesmith(&cache, &["plan", &job]));
}
