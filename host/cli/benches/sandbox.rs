//! What a sandbox costs, and how soon a hostile guest is stopped.
//!
//! `cargo bench --bench sandbox` prints the figures. The bars: a fresh sandbox with
//! `describe` at most 100 µs (median, on the calling thread); a guest's part of a plan
//! the same on 100,000 rows as on 100; a hostile guest stopped within the deadline and
//! 100 ms.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/it/support/mod.rs"]
mod support;

use divan::Bencher;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use support::{Place, get, guest, job, job_with_shots, row, rows};
use tunesmith_plugin_host::{Limits, Plugin, Registry};

fn main() {
    divan::main();
}

/// A deadline for those that only the clock stops.
const DEADLINE: Duration = Duration::from_millis(100);

const BUILT_INS: [(&str, &str); 2] = [("well-behaved", "well_behaved"), ("misbehaves", "misbehaves")];

/// Plugins that stay loaded, with the place that their code lies in.
struct Loaded {
    registry: Registry,
    place: Place,
}

impl Loaded {
    fn new(limits: Limits) -> Self {
        let place = Place { limits, ..Place::new() };
        place.put("uses-wasi.wasm", guest("uses_wasi"));
        Self { registry: place.with_built_ins(&BUILT_INS), place }
    }

    fn get(&self, id: &str) -> Arc<Plugin> {
        get(&self.registry, id)
    }

    /// The plugin of a new registry, whose failures nobody has counted yet: one that is
    /// quarantined is not called at all.
    fn fresh(&self, id: &str) -> Arc<Plugin> {
        get(&self.place.with_built_ins(&BUILT_INS), id)
    }
}

static ORDINARY: LazyLock<Loaded> = LazyLock::new(|| Loaded::new(Limits::default()));

/// With more fuel than the deadline lets anyone burn.
static BY_CLOCK: LazyLock<Loaded> = LazyLock::new(|| {
    Loaded::new(Limits {
        plan_deadline: DEADLINE,
        transform_deadline: DEADLINE,
        fuel: 1_000_000_000_000,
        ..Limits::default()
    })
});

#[divan::bench]
fn fresh_sandbox_describe_drop(bencher: Bencher<'_, '_>) {
    let plugin = ORDINARY.get("well-behaved");
    bencher.bench_local(|| plugin.describe_here().unwrap());
}

#[divan::bench]
fn fresh_std_sandbox_describe_drop(bencher: Bencher<'_, '_>) {
    let plugin = ORDINARY.get("uses-wasi");
    bencher.bench_local(|| plugin.describe_here().unwrap());
}

#[divan::bench(args = [100, 100_000])]
fn plan_on_rows(bencher: Bencher<'_, '_>, count: u32) {
    let plugin = ORDINARY.get("well-behaved");
    let (job, rows) = (job_with_shots(16), rows(count));
    bencher.bench_local(|| plugin.ollama_here(&job, Arc::clone(&rows)).unwrap());
}

#[divan::bench]
fn plan_on_a_thread_of_its_own(bencher: Bencher<'_, '_>) {
    let plugin = ORDINARY.get("well-behaved");
    let (job, rows) = (job_with_shots(16), rows(100));
    bencher.bench_local(|| plugin.ollama(&job, Arc::clone(&rows)).unwrap());
}

#[divan::bench]
fn transform_a_batch_of_256(bencher: Bencher<'_, '_>) {
    let plugin = ORDINARY.get("well-behaved");
    let batch: Vec<_> = (0..256).map(|id| row(id).example).collect();
    bencher.bench_local(|| plugin.transform_examples(&job("support"), batch.clone()).unwrap());
}

/// How long it takes until a call of a fresh plugin is stopped.
fn time_to_stop_one(bencher: Bencher<'_, '_>, loaded: &Loaded, id: &str, name: &str) {
    let rows = rows(100);
    bencher.with_inputs(|| loaded.fresh(id)).bench_local_refs(|plugin| {
        let error = plugin.ollama(&job(name), Arc::clone(&rows)).unwrap_err();
        assert_ne!(error.stopped.rule(), "quarantined");
        error
    });
}

/// Stopped by a limit of its own, whatever the deadline.
#[divan::bench(sample_count = 5, sample_size = 1, args = [
    "endless-loop", "memory-bomb", "memory-grow", "deep-recursion", "deep-wasm-stack", "panic", "trap",
    "endless-host-calls", "endless-diagnostics", "giant-note", "giant-result", "many-shots",
])]
fn time_to_stop(bencher: Bencher<'_, '_>, name: &str) {
    time_to_stop_one(bencher, &ORDINARY, "misbehaves", name);
}

/// Stopped by the clock: 100 ms and what is on top of it.
#[divan::bench(sample_count = 5, sample_size = 1, args = ["endless-loop"])]
fn time_to_stop_at_100_ms(bencher: Bencher<'_, '_>, name: &str) {
    time_to_stop_one(bencher, &BY_CLOCK, "misbehaves", name);
}

/// The same for a std plugin that waits in a host function, or comes back from one
/// all the time.
#[divan::bench(sample_count = 5, sample_size = 1, args = ["sleeps", "polls", "polls-without-end"])]
fn time_to_stop_std_at_100_ms(bencher: Bencher<'_, '_>, name: &str) {
    time_to_stop_one(bencher, &BY_CLOCK, "uses-wasi", name);
}

/// A registry with one built-in, compiled in this process.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn load_built_in_cold(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(Place::new)
        .bench_local_refs(|place| place.with_built_ins(&[("well-behaved", "well_behaved")]));
}

/// The same from the store of compiled code.
#[divan::bench]
fn load_built_in_warm(bencher: Bencher<'_, '_>) {
    let place = Place::new();
    place.with_built_ins(&[("well-behaved", "well_behaved")]);
    bencher.bench_local(|| place.with_built_ins(&[("well-behaved", "well_behaved")]));
}

/// A registry with one file of all abilities, compiled by the worker, trial calls
/// included.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn load_file_cold(bencher: Bencher<'_, '_>) {
    let with_file = || {
        let place = Place::new();
        place.put("method.wasm", guest("well_behaved"));
        place
    };
    bencher.with_inputs(with_file).bench_local_refs(|place| place.load());
}

/// The same from the store of compiled code.
#[divan::bench]
fn load_file_warm(bencher: Bencher<'_, '_>) {
    let place = Place::new();
    place.put("method.wasm", guest("well_behaved"));
    place.load();
    bencher.bench_local(|| place.load());
}
