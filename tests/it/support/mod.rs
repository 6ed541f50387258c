//! What the plugin tests share: a registry over given plugins, a dataset and a job.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests and benches; none uses all of it"
)]

pub mod dataset;
pub mod entries;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tunesmith_core::contract::{
    DatasetView, Example, JobSetting, Message, MethodJob, Origin, Overview, Role, Row, Selection, Task, Value,
};
use tunesmith_plugin_host::{BuiltIn, Engine, Limits, LoadEvent, Plugin, Registry, RegistryOptions};

/// The program that compiles foreign files.
pub fn worker() -> PathBuf {
    env!("CARGO_BIN_EXE_tunesmith").into()
}

/// A guest of the hostile package.
pub fn guest(name: &str) -> &'static [u8] {
    tunesmith_hostile::rust(name).unwrap_or_else(|| panic!("no guest {name}"))
}

/// A place for plugin files and one for compiled code, and what happened there.
pub struct Place {
    pub root: TempDir,
    pub limits: Limits,
    pub events: Arc<Mutex<Vec<LoadEvent>>>,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("plugins")).unwrap();
        Self { root, limits: Limits::default(), events: Arc::default() }
    }

    pub fn plugins(&self) -> PathBuf {
        self.root.path().join("plugins")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.plugins().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn options(&self) -> RegistryOptions {
        let events = Arc::clone(&self.events);
        RegistryOptions {
            engine: Arc::new(Engine::new(self.limits.clone()).unwrap()),
            built_ins: vec![],
            directory: Some(self.plugins()),
            directory_may_be_missing: false,
            override_built_ins: false,
            cache: Some(self.cache()),
            worker: worker(),
            golden: None,
            on_event: Arc::new(move |event| events.lock().unwrap().push(event.clone())),
        }
    }

    pub fn load(&self) -> Registry {
        Registry::load(self.options()).unwrap()
    }

    /// A registry with these guests built in.
    pub fn with_built_ins(&self, built_ins: &[(&'static str, &'static str)]) -> Registry {
        let built_ins = built_ins.iter().map(|(id, name)| BuiltIn { id, wasm: guest(name) }).collect();
        Registry::load(RegistryOptions { built_ins, ..self.options() }).unwrap()
    }

    pub fn events(&self) -> Vec<LoadEvent> {
        self.events.lock().unwrap().clone()
    }
}

/// The plugin with an id.
pub fn get(registry: &Registry, id: &str) -> Arc<Plugin> {
    Arc::clone(
        registry
            .snapshot()
            .get(id)
            .unwrap_or_else(|| panic!("no plugin {id}: {:?}", registry.snapshot().rejections())),
    )
}

/// A job by this name, without settings.
pub fn job(name: &str) -> MethodJob {
    MethodJob { name: name.into(), base_model: "llama3.2".into(), settings: vec![], seed: 7 }
}

/// The same with another seed.
pub fn job_with_seed(name: &str, seed: u32) -> MethodJob {
    MethodJob { seed, ..job(name) }
}

/// A job that asks the well-behaved guest for so many shots.
pub fn job_with_shots(shots: i32) -> MethodJob {
    let setting = JobSetting { name: "shots".into(), value: Value::Integer(shots), origin: Origin::Given };
    MethodJob { settings: vec![setting], ..job("support") }
}

/// A dataset of equal rows of one task.
pub struct Rows(pub u32);

pub const SYSTEM: &str = "You help customers.";

pub fn row(id: u32) -> Row {
    let message = |role, content: String| Message { role, content };
    Row {
        id,
        tokens: 20,
        task: 0,
        example: Example {
            messages: vec![
                message(Role::System, SYSTEM.into()),
                message(Role::User, format!("question {id}")),
                message(Role::Assistant, format!("answer {id}")),
            ],
        },
    }
}

impl DatasetView for Rows {
    fn overview(&self) -> Overview {
        Overview {
            rows: self.0.into(),
            typed_rows: self.0.into(),
            messages: 3 * u64::from(self.0),
            bytes: 100 * u64::from(self.0),
            tokens: 20 * u64::from(self.0),
            longest_row_tokens: 20,
            more: vec![],
        }
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        let task = Task { system: SYSTEM.into(), rows: self.0.into() };
        if most == 0 { vec![] } else { vec![task] }
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        let fitting = which.token_budget.unwrap_or(u32::MAX) / 20;
        (0..self.0.min(which.count).min(fitting)).map(row).collect()
    }
}

pub fn rows(count: u32) -> Arc<dyn DatasetView> {
    Arc::new(Rows(count))
}

/// Whether a path is there.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
