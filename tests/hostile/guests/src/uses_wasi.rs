//! A method of the std tier: it uses what a language's runtime would, in the way
//! that the job's name says.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({
    path: ["../../../wit/method", "wit"],
    world: "tunesmith:hostile-std/uses-wasi",
    generate_all,
});

use exports::tunesmith::method::method::Descriptor;
use exports::tunesmith::method::ollama::OllamaConfig;
use std::hint::black_box;
use tunesmith::method::types::{Example, Job, Refusal};
use wasi::cli::{environment, exit, stderr, stdout};
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::filesystem::preopens;
use wasi::io::poll;
use wasi::random::random;

/// An hour in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

struct UsesWasi;

impl exports::tunesmith::method::method::Guest for UsesWasi {
    fn describe() -> Descriptor {
        Descriptor {
            id: "uses-wasi".into(),
            version: "0.1.0".into(),
            title: "Uses WASI".into(),
            summary: "Uses what a language's runtime would.".into(),
            docs: String::new(),
            settings: vec![],
        }
    }
}

fn print(text: &str) {
    let _ = stderr::get_stderr().blocking_write_and_flush(text.as_bytes());
}

impl exports::tunesmith::method::ollama::Guest for UsesWasi {
    fn configure(job: Job) -> Result<OllamaConfig, Refusal> {
        let mut notes = Vec::new();
        match job.name.as_str() {
            "sleeps" => monotonic_clock::subscribe_duration(HOUR).block(),
            "polls" => {
                let (one, two) =
                    (monotonic_clock::subscribe_duration(HOUR), monotonic_clock::subscribe_duration(HOUR));
                black_box(poll::poll(&[&one, &two]));
            }
            "polls-without-end" => loop {
                let ready = monotonic_clock::subscribe_duration(0);
                black_box(poll::poll(&[&ready]));
            },
            "prints-without-end" => {
                let out = stdout::get_stdout();
                let mut line = 0;
                loop {
                    line += 1;
                    let _ = out.blocking_write_and_flush(format!("line {line}\n").as_bytes());
                }
            }
            "leaks-handles" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(black_box(monotonic_clock::subscribe_duration(0)));
                }
            }
            "exits" => {
                print("Traceback (most recent call last):\n  method.py, line 3\nValueError: no\n");
                exit::exit(Err(()));
            }
            "traps-after-printing" => {
                print("about to fail\u{1b}[31m\n");
                core::arch::wasm32::unreachable();
            }
            "greedy-random" => {
                black_box(random::get_random_bytes(u64::MAX));
            }
            "looks-around" => notes = looks_around(),
            _ => {}
        }
        Ok(OllamaConfig { system: None, shots: vec![], parameters: vec![], notes })
    }
}

impl exports::tunesmith::method::transform::Guest for UsesWasi {
    fn apply(job: Job, batch: Vec<Example>) -> Result<Vec<Option<Example>>, Refusal> {
        if job.name == "sleeps" {
            monotonic_clock::subscribe_duration(HOUR).block();
        }
        print("transforms");
        Ok(batch.into_iter().map(Some).collect())
    }
}

/// Says what there is to see.
fn looks_around() -> Vec<String> {
    let now = wall_clock::now();
    vec![
        format!("environment {:?}", environment::get_environment()),
        format!("arguments {:?}", environment::get_arguments()),
        format!("directories {}", preopens::get_directories().len()),
        format!("wall clock {}.{:09}", now.seconds, now.nanoseconds),
        format!("monotonic clock {}", monotonic_clock::now()),
        format!("random {:016x} {:?}", random::get_random_u64(), random::get_random_bytes(4)),
    ]
}

export!(UsesWasi);
