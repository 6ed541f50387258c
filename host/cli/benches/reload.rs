//! Hot reload as its users feel it: how long from save to live, what it costs in
//! memory, and what others notice.
//!
//! `cargo bench --bench reload [-- PART…]` on a machine with nothing else to do; the
//! parts are `save`, `slow`, `load`, `memory` and `spin`. Bars: an atomic rename of a pure Rust
//! plugin is live after at most 120 ms (median) and 250 ms (99th percentile of 100);
//! no call of 10,000 beside 100 reloads fails or mixes generations; between the 200th
//! and the 1,000th reload memory grows by at most 1 KB a reload, and the store of code
//! stays within its bound; beside a spinning plugin another's calls are delayed by at
//! most 20 ms (99th percentile).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tunesmith_core::contract::{
    DatasetView, Example, Message, MethodJob, Overview, Role, Row, Selection, Task,
};
use tunesmith_core::digest::Digest;
use tunesmith_hostile::{describes, rust, variant};
use tunesmith_plugin_host::{Change, Engine, Limits, Registry, RegistryOptions, Watch, WatchOptions};

/// Reloads of a part.
const RELOADS: usize = 100;

/// The bound on the store of code in the part about memory: some sixty entries.
const CODE_STORE: u64 = 16 << 20;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let parts: [(&str, fn()); 5] = [
        ("save", save_to_live),
        ("slow", slow_write),
        ("load", under_load),
        ("memory", memory),
        ("spin", beside_a_spinner),
    ];
    for (name, part) in parts {
        if asked.is_empty() || asked.iter().any(|part| part == name) {
            part();
        }
    }
}

/// A followed directory.
struct Place {
    root: tempfile::TempDir,
    registry: Arc<Registry>,
    changes: mpsc::Receiver<Arc<Change>>,
    _watch: Watch,
}

impl Place {
    fn new(files: &[(&str, &[u8])], limits: Limits) -> Self {
        let root = tempfile::tempdir().unwrap();
        let plugins = root.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        for (name, bytes) in files {
            std::fs::write(plugins.join(name), bytes).unwrap();
        }
        let options = RegistryOptions {
            engine: Arc::new(Engine::new(limits).unwrap()),
            built_ins: vec![],
            directory: Some(plugins),
            directory_may_be_missing: false,
            override_built_ins: false,
            cache: Some(root.path().join("cache")),
            worker: env!("CARGO_BIN_EXE_tunesmith").into(),
            golden: None,
            on_event: Arc::new(|_| {}),
        };
        let registry = Arc::new(Registry::load(options).unwrap());
        assert!(registry.snapshot().rejections().is_empty(), "{:?}", registry.snapshot());
        let changes = registry.changes();
        let watch = registry.watch(WatchOptions::default());
        // The first look at everything, and a worker that is ready.
        std::thread::sleep(Duration::from_millis(500));
        Self { root, registry, changes, _watch: watch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("plugins").join(name)
    }

    /// Renames new content into place, and waits until it serves.
    fn replace(&self, name: &str, id: &str, bytes: &[u8]) -> Duration {
        let draft = self.root.path().join("draft");
        std::fs::write(&draft, bytes).unwrap();
        let digest = Digest::of(bytes);
        let saved = Instant::now();
        std::fs::rename(&draft, self.path(name)).unwrap();
        self.until_serves(id, digest);
        saved.elapsed()
    }

    fn until_serves(&self, id: &str, digest: Digest) {
        loop {
            let change = self.changes.recv_timeout(Duration::from_secs(60)).unwrap();
            let serves = self.registry.snapshot().get(id).is_some_and(|plugin| plugin.digest() == digest);
            if serves {
                return;
            }
            assert_ne!(change.action(), "rejected", "{change}");
        }
    }
}

fn lora() -> &'static [u8] {
    tunesmith_builtin::METHODS.iter().find(|method| method.id == "lora").unwrap().wasm
}

fn good(way: &str) -> Vec<u8> {
    describes(rust("describes").unwrap(), way).unwrap()
}

fn figures(mut times: Vec<Duration>) -> (Duration, Duration, Duration) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    (at(0.5), at(0.99), at(1.0))
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn save_to_live() {
    let place = Place::new(&[("lora.wasm", lora())], Limits::default());
    let times: Vec<_> = (0..RELOADS)
        .map(|number| {
            // As a person saves: not at once after the last time.
            std::thread::sleep(Duration::from_millis(150));
            place.replace("lora.wasm", "lora", &variant(lora(), &number.to_string()))
        })
        .collect();
    let (median, p99, most) = figures(times);
    println!(
        "save to live, lora ({} bytes), atomic rename, {RELOADS} reloads: median {}, p99 {}, most {} (bars 120 and 250 ms)",
        lora().len(),
        ms(median),
        ms(p99),
        ms(most)
    );
}

fn slow_write() {
    use std::io::Write as _;
    let place = Place::new(&[("lora.wasm", lora())], Limits::default());
    let times = (0..10)
        .map(|number| {
            let bytes = variant(lora(), &number.to_string());
            let mut file = std::fs::File::create(place.path("lora.wasm")).unwrap();
            for part in bytes.chunks(bytes.len() / 8 + 1) {
                file.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(15));
            }
            drop(file);
            let saved = Instant::now();
            place.until_serves("lora", Digest::of(&bytes));
            saved.elapsed()
        })
        .collect();
    let (median, _, most) = figures(times);
    println!(
        "from the end of a slow write in place (8 parts, 15 ms apart) to live: median {}, most {}",
        ms(median),
        ms(most)
    );
}

fn under_load() {
    const CALLS: u64 = 10_000;
    let place = Place::new(&[("method.wasm", &good("v=0"))], Limits::default());
    let (made, failed, mixed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) || made.load(Ordering::Relaxed) < CALLS {
                    let plugin = Arc::clone(place.registry.snapshot().get("describes").unwrap());
                    let version = plugin.descriptor().version.trim_start_matches("0.1.").to_owned();
                    match plugin
                        .ollama(&job(), Arc::new(Rows))
                        .map(|answer| (answer.receipt.sha256, answer.result))
                    {
                        Ok((digest, Ok(config))) => {
                            let one = digest == plugin.digest() && config.notes == [format!("v={version}")];
                            mixed.fetch_add(u64::from(!one), Ordering::Relaxed);
                        }
                        _ => {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=RELOADS {
            times.push(place.replace("method.wasm", "describes", &good(&format!("v={number}"))));
        }
        done.store(true, Ordering::Relaxed);
    });
    let (median, p99, _) = figures(times);
    println!(
        "beside {} calls of 8 tasks in {:.1} s, {RELOADS} reloads (median {}, p99 {}): {} failed, {} mixed",
        made.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64(),
        ms(median),
        ms(p99),
        failed.load(Ordering::Relaxed),
        mixed.load(Ordering::Relaxed)
    );
}

fn memory() {
    let limits = Limits { code_store: CODE_STORE, ..Limits::default() };
    let place = Place::new(&[("method.wasm", &good("v=0"))], limits);
    let mut at_200 = 0;
    let mut largest_store = 0;
    for number in 1..=1_000 {
        place.replace("method.wasm", "describes", &good(&format!("v={number}")));
        if number % 50 == 0 {
            largest_store = largest_store.max(code(&place.root.path().join("cache")));
        }
        if number == 200 {
            at_200 = resident();
        }
    }
    let grown = resident() - at_200;
    println!(
        "reloads 200 to 1,000: memory grew by {} KiB, {:.2} KB a reload (bar 1); store of code at most {} KiB of {} KiB",
        grown / 1024,
        grown as f64 / 1e3 / 800.0,
        largest_store >> 10,
        CODE_STORE >> 10
    );
}

/// Bytes of memory that this process has.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Bytes of compiled code in a cache.
fn code(cache: &Path) -> u64 {
    let entries = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "cwasm"))
        .map(|entry| entry.metadata().map_or(0, |metadata| metadata.len()))
        .sum()
}

fn beside_a_spinner() {
    let spinner = rust("misbehaves").unwrap();
    // Fuel would stop it every half second; the clock, every ten.
    let limits = Limits { fuel: u64::MAX / 2, ..Limits::default() };
    let place = Place::new(&[("good.wasm", lora()), ("spins.wasm", spinner)], limits);
    let snapshot = place.registry.snapshot();
    let (good, spins) = (snapshot.get("lora").unwrap(), snapshot.get("misbehaves").unwrap());
    let measure = || -> Vec<Duration> {
        (0..1_000)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(2));
                let called = Instant::now();
                good.ollama(&job(), Arc::new(Rows)).unwrap();
                called.elapsed()
            })
            .collect()
    };
    let (alone, alone_p99, _) = figures(measure());
    let done = AtomicBool::new(false);
    let (beside, beside_p99, most) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let job = MethodJob { name: "endless-loop".into(), ..job() };
            while !done.load(Ordering::Relaxed) {
                let _ = spins.ollama(&job, Arc::new(Rows));
            }
        });
        std::thread::sleep(Duration::from_millis(100));
        let times = figures(measure());
        done.store(true, Ordering::Relaxed);
        times
    });
    println!(
        "a call alone: median {}, p99 {}; beside a spinning plugin: median {}, p99 {}, most {}: delayed at p99 by {} (bar 20 ms)",
        ms(alone),
        ms(alone_p99),
        ms(beside),
        ms(beside_p99),
        ms(most),
        ms(beside_p99.saturating_sub(alone))
    );
}

fn job() -> MethodJob {
    MethodJob { name: "support".into(), base_model: "llama3.2".into(), settings: vec![], seed: 7 }
}

/// Ten equal rows of one task.
struct Rows;

impl DatasetView for Rows {
    fn overview(&self) -> Overview {
        Overview {
            rows: 10,
            typed_rows: 10,
            messages: 20,
            bytes: 400,
            tokens: 200,
            longest_row_tokens: 20,
            more: vec![],
        }
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        vec![Task { system: "You help customers.".into(), rows: 10 }]
            .into_iter()
            .take(most as usize)
            .collect()
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        let message = |role, content: &str| Message { role, content: content.into() };
        (0..which.count.min(10))
            .map(|id| Row {
                id,
                tokens: 20,
                task: 0,
                example: Example {
                    messages: vec![
                        message(Role::User, "Where is my order?"),
                        message(Role::Assistant, "On its way."),
                    ],
                },
            })
            .collect()
    }
}
