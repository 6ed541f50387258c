//! How fast a dataset is judged, against a plain parse of the same file in the same run,
//! and how fast a transform in sandboxes is, against the same transform done natively.
//!
//! `cargo bench -p tunesmith --bench dataset` prints ratios of throughput; the bars are
//! 0.7 on one core and 1.5 on two for check and overview, on rows of about 110 bytes and
//! on rows of about 1.8 kB, and 0.75 for the transform. Each figure is the best of
//! several rounds, in which the contestants take turns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../../../tests/it/support/mod.rs"]
mod support;

use serde::Deserialize;
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Place, get, job};
use tunesmith_core::contract::{Conversations, Example, MethodJob, Turns};
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::{Batch, Dataset, Destination, ReadOptions, TransformOptions, UntypedRows};
use tunesmith_plugin_host::Plugin;

/// Bytes of each file, unless the environment variable `BENCH_MB` says otherwise: large
/// enough for a steady state.
const FILE_MB: usize = 96;

const ROUNDS: usize = 7;

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// The plain parse: the file in memory, each line into borrowed structs.
fn plain(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let mut messages = 0;
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let row: Row<'_> = serde_json::from_slice(line).unwrap();
        for message in &row.messages {
            black_box((&message.role, &message.content));
        }
        messages += row.messages.len();
    }
    black_box(messages);
}

fn options(threads: usize) -> ReadOptions {
    ReadOptions { threads: NonZeroUsize::new(threads), ..ReadOptions::default() }
}

fn check_and_overview(path: &Path, threads: usize, digest: bool) {
    let dataset = Dataset::open(path, &ReadOptions { digest, ..options(threads) }).unwrap();
    assert_eq!(dataset.verdict().errors(), 0);
    black_box(dataset.figures(Tokenizer::Cautious).unwrap());
}

fn transform_by(
    path: &Path,
    threads: usize,
    apply: impl Fn(&MethodJob, &Arc<Conversations>) -> Batch + Sync,
) {
    let job = job("bench");
    let out = path.with_extension("out");
    let apply = &apply;
    let how = TransformOptions { job: &job, untyped: UntypedRows::Refuse };
    tunesmith_dataset::transform(
        path,
        &options(threads),
        &how,
        || |job: &MethodJob, rows: &Arc<Conversations>| Ok::<_, Infallible>(apply(job, rows)),
        Destination::File { path: &out, replace: true },
    )
    .unwrap();
}

/// What the guest does.
fn trim(_: &MethodJob, rows: &Arc<Conversations>) -> Batch {
    let trim = |mut row: Example| {
        for message in &mut row.messages {
            message.content = message.content.trim().to_owned();
        }
        row.messages.iter().any(|message| !message.content.is_empty()).then_some(row)
    };
    let examples = rows.iter().flatten().map(Turns::example);
    Batch { rows: examples.map(trim).collect(), notes: Vec::new() }
}

fn by_plugin(plugin: &Plugin, job: &MethodJob, rows: &Arc<Conversations>) -> Batch {
    let answer = plugin.transform(job, rows).unwrap();
    Batch { rows: answer.result.unwrap(), notes: answer.notes }
}

/// The best time of each contestant.
fn best<const N: usize>(mut contestants: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        for (contestant, best) in contestants.iter_mut().zip(&mut best) {
            let start = Instant::now();
            contestant();
            *best = start.elapsed().min(*best);
        }
    }
    best
}

fn write(folder: &Path, name: &str, row: impl Fn(usize, &mut String)) -> PathBuf {
    let bytes = std::env::var("BENCH_MB").ok().and_then(|mb| mb.parse().ok()).unwrap_or(FILE_MB) << 20;
    let mut text = String::with_capacity(bytes + 4096);
    let mut n = 0;
    while text.len() < bytes {
        row(n, &mut text);
        n += 1;
    }
    println!("{name}: {n} rows of {} bytes", text.len() / n);
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn short(n: usize, text: &mut String) {
    let _ = writeln!(
        text,
        "{{\"messages\":[{{\"role\":\"user\",\"content\":\"What is {n}?\"}},{{\"role\":\"assistant\",\"content\":\"It is number {n}.\"}}]}}"
    );
}

/// Some escapes in each message, as code and paragraphs have them.
fn long(n: usize, text: &mut String) {
    const WORDS: [&str; 12] = [
        "the",
        "borrow checker",
        "says",
        "that",
        "`value`",
        "does",
        "not",
        "live",
        "long",
        "enough",
        "here,",
        "because",
    ];
    let say = |text: &mut String, length: usize, salt: usize| {
        let start = text.len();
        let mut word = n.wrapping_mul(31) + salt;
        while text.len() - start < length {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(WORDS[(word >> 33) % WORDS.len()]);
            text.push_str(if (word >> 40).is_multiple_of(24) { "\\n" } else { " " });
        }
    };
    text.push_str("{\"messages\":[{\"role\":\"system\",\"content\":\"You explain errors of the compiler.\"}");
    for (role, length) in [("user", 500), ("assistant", 700), ("user", 80), ("assistant", 250)] {
        let _ = write!(text, ",{{\"role\":\"{role}\",\"content\":\"");
        say(text, length, length);
        text.push_str("\"}");
    }
    text.push_str("]}\n");
}

fn main() {
    // `cargo test --benches` runs this to see whether it still works.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    // `-- check` and `-- transform` measure one of both.
    let asked = |what: &str| {
        let mut words = std::env::args().filter(|arg| matches!(&**arg, "check" | "transform")).peekable();
        words.peek().is_none() || words.any(|word| word == what)
    };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let registry = place.with_built_ins(&[("trims", "trims")]);
    let plugin = get(&registry, "trims");
    let speed =
        |path: &Path, time: Duration| path.metadata().unwrap().len() as f64 / 1e6 / time.as_secs_f64();
    for path in [write(folder.path(), "short.jsonl", short), write(folder.path(), "long.jsonl", long)] {
        let name = path.file_name().unwrap().to_str().unwrap();
        if asked("check") {
            let [parse, one, two] =
                best([&mut || plain(&path), &mut || check_and_overview(&path, 1, true), &mut || {
                    check_and_overview(&path, 2, true)
                }]);
            for (threads, time, bar) in [(1, one, 0.7), (2, two, 1.5)] {
                println!(
                    "{name}: check and overview on {threads}: {:.0} MB/s, plain parse {:.0} MB/s, ratio {:.2} (bar {bar})",
                    speed(&path, time),
                    speed(&path, parse),
                    parse.as_secs_f64() / time.as_secs_f64()
                );
            }
        }
        for threads in [1, 2] {
            if !asked("transform") {
                break;
            }
            let [native, sandbox] = best([&mut || transform_by(&path, threads, trim), &mut || {
                transform_by(&path, threads, |job, rows| by_plugin(&plugin, job, rows))
            }]);
            println!(
                "{name}: transform on {threads}: sandbox {:.0} MB/s, native {:.0} MB/s, ratio {:.2} (bar 0.75)",
                speed(&path, sandbox),
                speed(&path, native),
                native.as_secs_f64() / sandbox.as_secs_f64()
            );
        }
    }
}
