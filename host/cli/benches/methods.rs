//! What each built-in method takes to plan, on 100 rows and on 100,000.
//!
//! `cargo bench --bench methods`. Bar: at most 1 ms for each, as much on 100,000 rows
//! as on 100.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use tunesmith_core::contract::{DatasetView, JobSetting, MethodJob, Origin};
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::Dataset;
use tunesmith_plugin_host::{BuiltIn, Engine, Limits, Plugin, Registry, RegistryOptions};

fn main() {
    divan::main();
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    Registry::load(RegistryOptions {
        engine: Arc::new(Engine::new(Limits::default()).unwrap()),
        built_ins: tunesmith_builtin::METHODS
            .iter()
            .map(|method| BuiltIn { id: method.id, wasm: method.wasm })
            .collect(),
        directory: None,
        directory_may_be_missing: false,
        override_built_ins: false,
        cache: None,
        golden: None,
        worker: env!("CARGO_BIN_EXE_tunesmith").into(),
        on_event: Arc::new(|_| {}),
    })
    .unwrap()
});

fn view(rows: usize) -> Arc<dyn DatasetView> {
    let mut text = String::new();
    for row in 0..rows {
        let answer = "Please restart it and tell me what the display says. ".repeat(1 + row % 7);
        writeln!(
            text,
            r#"{{"messages":[{{"role":"system","content":"Task {}"}},{{"role":"user","content":"Question {row}?"}},{{"role":"assistant","content":"{answer}"}}]}}"#,
            row % 5
        )
        .unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let dataset = Dataset::open(file.path(), &tunesmith_dataset::ReadOptions::default()).unwrap();
    Arc::new(dataset.view(Tokenizer::Cautious, 42).unwrap())
}

fn job(plugin: &Plugin) -> MethodJob {
    let own = plugin.descriptor().settings.iter().filter_map(|setting| {
        let value = setting.default.clone()?;
        Some(JobSetting { name: setting.name.clone(), value, origin: Origin::Default })
    });
    MethodJob { name: "Bench".into(), base_model: "llama2".into(), settings: own.collect(), seed: 42 }
}

fn plan(bencher: Bencher, rows: usize, method: &str) {
    let plugin = Arc::clone(REGISTRY.snapshot().get(method).unwrap());
    let (job, view) = (job(&plugin), view(rows));
    bencher.bench(|| plugin.ollama_here(&job, Arc::clone(&view)).unwrap());
}

#[divan::bench(args = ["lora", "qlora", "prefix", "adapter", "full"])]
fn plan_100_rows(bencher: Bencher, method: &str) {
    plan(bencher, 100, method);
}

#[divan::bench(args = ["lora", "qlora", "prefix", "adapter", "full"])]
fn plan_100_000_rows(bencher: Bencher, method: &str) {
    plan(bencher, 100_000, method);
}
