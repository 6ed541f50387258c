//! A method that misbehaves in the way that the job's name says, so that many cases
//! share one build. By any other name it behaves.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../../wit/method", world: "full-plugin" });

use exports::tunesmith::method::method::Descriptor;
use exports::tunesmith::method::ollama::{OllamaConfig, Shot};
use exports::tunesmith::method::openai::OpenaiConfig;
use exports::tunesmith::method::training::Recipe;
use std::hint::black_box;
use tunesmith::method::dataset::{self, Selection};
use tunesmith::method::diagnostics::{self, Level};
use tunesmith::method::types::{Example, InvalidSetting, Job, Message, Refusal, Role, Setting, Value};

struct Misbehaves;

impl exports::tunesmith::method::method::Guest for Misbehaves {
    fn describe() -> Descriptor {
        Descriptor {
            id: "misbehaves".into(),
            version: "0.1.0".into(),
            title: "Misbehaves".into(),
            summary: "Misbehaves in the way that the job's name says.".into(),
            docs: String::new(),
            settings: vec![],
        }
    }
}

impl exports::tunesmith::method::ollama::Guest for Misbehaves {
    fn configure(job: Job) -> Result<OllamaConfig, Refusal> {
        std::panic::set_hook(Box::new(|info| diagnostics::panicked(&info.to_string())));
        let mut config = OllamaConfig { system: None, shots: vec![], parameters: vec![], notes: vec![] };
        let number = |value| vec![Setting { name: "temperature".into(), value: Value::Number(value) }];
        match job.name.as_str() {
            "endless-loop" => spin(),
            "memory-bomb" => fill_memory(),
            "memory-grow" => grow_memory(),
            "deep-recursion" => {
                black_box(recurse(black_box(1)));
            }
            "deep-wasm-stack" => {
                black_box(recurse_in_registers(black_box(1)));
            }
            "panic" => panic!("the answer is {}, and a dash of \u{1b}[31mred", 42),
            "trap" => core::arch::wasm32::unreachable(),
            "endless-host-calls" => loop {
                black_box(dataset::describe());
            },
            "endless-diagnostics" => loop {
                diagnostics::note(Level::Info, "still here");
            },
            "giant-note" => diagnostics::note(Level::Info, &"x".repeat(6 << 20)),
            "greedy-sample" => {
                let which =
                    Selection { count: u32::MAX, token_budget: None, longest_row_tokens: None, task: None };
                let rows = dataset::sample(which).len();
                config.notes.push(format!("got {rows} rows"));
            }
            "giant-result" => config.system = Some("x".repeat(8 << 20)),
            "large-system" => config.system = Some("x".repeat(2 << 20)),
            "many-shots" => config.shots = (0..70_000).map(Shot::Row).collect(),
            "many-notes" => config.notes = vec![String::new(); 70_000],
            "escape-note" => config.notes.push("\u{1b}[2J\u{202e}gone".into()),
            "invalid-utf8" => {
                // SAFETY: none; a text that is not UTF-8 is what this guest is for.
                config.system = Some(unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe]) });
            }
            "nan" => config.parameters = number(f64::NAN),
            "infinity" => config.parameters = number(f64::INFINITY),
            "out-of-range" => config.parameters = number(1e9),
            "bad-row" => config.shots = vec![Shot::Row(u32::MAX)],
            "unknown-parameter" => {
                config.parameters = vec![Setting { name: "format_disk".into(), value: Value::Flag(true) }];
            }
            "control-name" => {
                config.parameters = vec![Setting { name: "temp\u{1b}[2J".into(), value: Value::Flag(true) }];
            }
            _ => {}
        }
        Ok(config)
    }
}

impl exports::tunesmith::method::openai::Guest for Misbehaves {
    fn configure(job: Job) -> Result<OpenaiConfig, Refusal> {
        let value = |value| vec![Setting { name: "learning_rate_multiplier".into(), value }];
        Ok(OpenaiConfig {
            objective: if job.name == "bad-objective" { "world domination" } else { "supervised" }.into(),
            suffix: (job.name == "giant-suffix").then(|| "x".repeat(100)),
            hyperparameters: match job.name.as_str() {
                "nan" => value(Value::Number(f64::NAN)),
                "infinity" => value(Value::Number(f64::NEG_INFINITY)),
                "out-of-range" => value(Value::Number(-5.0)),
                "wrong-type" => value(Value::Text("fast".into())),
                _ => vec![],
            },
            notes: vec![],
        })
    }
}

impl exports::tunesmith::method::training::Guest for Misbehaves {
    fn plan(job: Job) -> Result<Recipe, Refusal> {
        let rank = |value| vec![Setting { name: "rank".into(), value }];
        Ok(Recipe {
            technique: if job.name == "unknown-technique" { "alchemy" } else { "lora" }.into(),
            settings: match job.name.as_str() {
                "nan" => rank(Value::Number(f64::NAN)),
                "out-of-range" => rank(Value::Integer(-8)),
                _ => vec![],
            },
            notes: vec![],
        })
    }
}

impl exports::tunesmith::method::transform::Guest for Misbehaves {
    fn apply(job: Job, batch: Vec<Example>) -> Result<Vec<Option<Example>>, Refusal> {
        match job.name.as_str() {
            "endless-loop" => spin(),
            "memory-bomb" => fill_memory(),
            "lost-rows" => return Ok(vec![]),
            "more-rows" => {
                let row = Example { messages: vec![Message { role: Role::User, content: "more".into() }] };
                return Ok((0..=batch.len()).map(|_| Some(row.clone())).collect());
            }
            "tell-job" => return Ok(batch.iter().map(|_| Some(told(&job))).collect()),
            "refuse-setting" => {
                let refused = InvalidSetting { name: "shots".into(), reason: "too many".into() };
                return Err(Refusal::InvalidSetting(refused));
            }
            "refuse-dataset" => return Err(Refusal::UnsuitableDataset("not to my taste".into())),
            "refuse-all" => return Err(Refusal::Unsupported(String::new())),
            "refuse-otherwise" => return Err(Refusal::Other("\u{1f980}".into())),
            "drop-odd" => return Ok((0..).zip(batch).map(|(n, row)| (n % 2 == 0).then_some(row)).collect()),
            "no-utf8" => {
                // SAFETY: none; a text that is not UTF-8 is what this guest is for.
                let content = unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe]) };
                let row = Example { messages: vec![Message { role: Role::User, content }] };
                return Ok(batch.iter().map(|_| Some(row.clone())).collect());
            }
            "no-messages" => return Ok(batch.iter().map(|_| Some(Example { messages: vec![] })).collect()),
            "many-texts" => {
                let row = Example { messages: (0..2_000_000).map(|_| empty()).collect() };
                return Ok(vec![Some(row)]);
            }
            "giant-text" => {
                let message = Message { role: Role::User, content: "x".repeat(2 << 20) };
                return Ok(batch.iter().map(|_| Some(Example { messages: vec![message.clone()] })).collect());
            }
            _ => {}
        }
        Ok(batch.into_iter().map(Some).collect())
    }
}

fn empty() -> Message {
    Message { role: Role::User, content: String::new() }
}

/// A conversation that says what the job is.
fn told(job: &Job) -> Example {
    let mut messages = vec![
        Message { role: Role::System, content: job.name.clone() },
        Message { role: Role::User, content: job.base_model.clone() },
        Message { role: Role::Assistant, content: job.seed.to_string() },
    ];
    for setting in &job.settings {
        let content = format!("{} {:?} {:?}", setting.name, setting.origin, setting.value);
        messages.push(Message { role: Role::User, content });
    }
    Example { messages }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn fill_memory() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

/// Asks for memory past the allocator.
fn grow_memory() {
    loop {
        if core::arch::wasm32::memory_grow::<0>(256) == usize::MAX {
            return;
        }
    }
}

/// Runs out of the stack that Rust keeps in linear memory.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == 0 {
        return frame[0];
    }
    recurse(depth + 1) + frame[depth as usize % 64]
}

/// Runs out of the stack of WebAssembly frames: nothing here lives in memory.
#[inline(never)]
fn recurse_in_registers(depth: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    recurse_in_registers(depth.wrapping_add(1)).wrapping_mul(depth).rotate_left(7) ^ depth
}

export!(Misbehaves);
