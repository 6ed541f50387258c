//! Tests of the executor, against the emulator in this process.

mod ollama;
mod openai;

use super::*;
use crate::kept::{Folder, KEY};
use crate::stored;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::Failure;
use tunesmith_emulator::{Action, Emulator, Fault, Options as EmulatorOptions, Pace};
use tunesmith_provider::http::Endpoint;
use tunesmith_provider::ollama::client as ollama_client;
use tunesmith_provider::openai::client as openai_client;
use tunesmith_store::{Answer, Ask, Event, JobId, NewDataset, NewJob, NewPlan, State, Transfer};

/// The services of an emulator.
struct Services {
    ollama: ollama_client::Client,
    openai: openai_client::Client,
}

impl Connect for Services {
    fn is_emulated(&self) -> bool {
        true
    }

    fn ollama(&self) -> Result<ollama_client::Client, Failure> {
        Ok(self.ollama.clone())
    }

    fn openai(&self) -> Result<openai_client::Client, Failure> {
        Ok(self.openai.clone())
    }
}

/// An emulator, a store, and an executor over both.
struct Place {
    emulator: Emulator,
    executor: Executor,
    progress: Arc<Mutex<Vec<Event>>>,
    root: Folder,
}

impl Place {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut EmulatorOptions)) -> Self {
        let root = Folder::new();
        let mut options = EmulatorOptions::new(root.path().join("emulator"));
        // A job of some minutes takes a second.
        options.pace = Pace::Times(300.0);
        change(&mut options);
        let emulator = Emulator::start(options).unwrap();
        let executor = executor(&emulator, root.path()).await;
        let (executor, progress) = executor;
        Self { emulator, executor, progress, root }
    }

    /// The same store and services as another process would have them.
    async fn again(&mut self) {
        (self.executor, self.progress) = executor(&self.emulator, self.root.path()).await;
    }

    /// As [`Place::again`], once this process has died: work that was aborted holds on to
    /// its store until its last write is done.
    async fn after_its_death(&mut self) {
        self.again().await;
        let store = self.executor.store();
        loop {
            let jobs = store.jobs(&tunesmith_store::JobFilter::default(), None, 100).await.unwrap().items;
            let unfinished = jobs.iter().filter(|job| !job.state.is_final()).count();
            if store.orphans().await.unwrap().len() == unfinished {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn fault(&self, route: &str, action: Action) {
        self.emulator.faults().arm(Fault::next(route, action)).unwrap();
    }

    fn effects(&self, route: &str) -> u64 {
        self.emulator.counts().effects_of(route)
    }

    async fn openai_job(&self, name: &str) -> Ticket {
        let path = self.root.path().join("train.jsonl");
        let row = json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]});
        let rows = format!("{row}\n").repeat(12);
        std::fs::write(&path, &rows).unwrap();
        let sha256 = Digest::of(&rows).to_string();
        let config = stored::openai(&sha256, rows.len());
        let training = json!({"path": path, "sha256": sha256, "bytes": rows.len()});
        self.ticket(name, "openai", &config, json!({ "training": training })).await
    }

    async fn ollama_job(&self, name: &str, execution: Value) -> Ticket {
        let config = stored::ollama(name, "llama3.2");
        self.ticket(name, "ollama", &config, execution).await
    }

    async fn ticket(&self, name: &str, provider: &str, config: &Value, execution: Value) -> Ticket {
        let new = NewJob {
            name: name.into(),
            provider: provider.parse().unwrap(),
            service: EMULATOR_SERVICE.into(),
            method: "lora".into(),
            base_model: "base".into(),
            emulated: true,
            remote: true,
            spec: json!({ "name": name }),
            dataset: NewDataset { digest: "d".into(), path: "train.jsonl".into(), rows: 12, bytes: 900 },
            plan: NewPlan {
                digest: format!("plan of {name}"),
                document: stored::plan(name, provider, config),
                measured: json!({ "execution": execution }),
            },
        };
        let (job, claim) = self.executor.store().create_owned(&new).await.unwrap();
        Ticket { job, claim }
    }

    async fn job(&self, id: &JobId) -> Job {
        self.executor.store().job(id.as_str()).await.unwrap()
    }

    /// Waits until a job is in one of these states.
    async fn until(&self, id: &JobId, states: &[State]) -> Job {
        loop {
            let job = self.job(id).await;
            if states.contains(&job.state) {
                return job;
            }
            assert!(!job.state.is_final(), "{:?} {:?}", job.state, job.reason);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn executor(emulator: &Emulator, root: &std::path::Path) -> (Executor, Arc<Mutex<Vec<Event>>>) {
    let store = Store::open(&root.join("data"), tunesmith_store::Options::default()).await.unwrap();
    let openai = Endpoint::parse(&emulator.openai_url, false).unwrap();
    let ollama = Endpoint::ollama(&emulator.ollama_url).unwrap();
    let key = crate::secret::from_env("KEY", KEY.as_ref()).ok();
    let services = Services {
        ollama: ollama_client::Client::new(ollama_client::Options::new(ollama)).unwrap(),
        openai: openai_client::Client::new(openai_client::Options {
            key,
            ..openai_client::Options::new(openai)
        })
        .unwrap(),
    };
    let progress = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&progress);
    let options = Options {
        patience: Some(Patience {
            grace: Duration::from_millis(300),
            look: Duration::from_millis(50),
            poll: Duration::from_millis(50),
            longest_poll: Duration::from_millis(200),
            contact: Duration::from_secs(2),
            probe: Duration::from_secs(20),
        }),
        artifacts: Some(root.join("artifacts")),
        on_progress: Arc::new(move |_, progress| heard.lock().unwrap().push(progress.event.clone())),
    };
    (Executor::new(store, Arc::new(services), options), progress)
}
