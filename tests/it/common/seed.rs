//! A store with jobs in it, made through the library, as tests of what reads it need.

#![allow(dead_code)] // Each test file uses its own part.

use std::collections::BTreeMap;
use std::path::Path;
use tunesmith_core::ProviderId;
use tunesmith_store::{
    Batch, Change, Checkpoint, Claim, Event, Job, Kept, MetricPoint, NewArtifact, NewDataset, NewEvent,
    NewJob, NewModel, NewPlan, NewUpload, Operation, Options, Outcome, State, Store,
};

/// 2026-11-23, about 05:00 UTC.
pub const NOW_MS: i64 = 1_795_410_000_000;

/// Runs a future to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub async fn open(directory: &Path) -> Store {
    Store::open(directory, Options::default()).await.unwrap()
}

/// A job for OpenAI.
pub fn new_job(name: &str) -> NewJob {
    NewJob {
        name: name.into(),
        provider: ProviderId::OpenAi,
        service: "https://tuning.example/v1".into(),
        method: "lora".into(),
        base_model: "gpt-4.1-mini-2025-04-14".into(),
        emulated: false,
        remote: true,
        spec: serde_json::json!({"name": name, "dataset": "support.jsonl"}),
        dataset: NewDataset { digest: "d1".into(), path: "support.jsonl".into(), rows: 85, bytes: 9000 },
        plan: NewPlan {
            digest: "sha256:p1".into(),
            document: "{\"trainingFile\":{\"sha256\":\"abc\"}}".into(),
            measured: serde_json::json!({"ms": 3}),
        },
    }
}

/// A job for Ollama.
pub fn ollama_job(name: &str) -> NewJob {
    NewJob {
        provider: ProviderId::Ollama,
        service: "http://127.0.0.1:11434".into(),
        base_model: "llama3.2".into(),
        ..new_job(name)
    }
}

fn done(remote_id: &str) -> Outcome {
    Outcome::Done { remote_id: Some(remote_id.into()) }
}

/// Takes an OpenAI job to a state, by the path that the executor takes.
pub async fn advance(store: &Store, claim: &Claim, to: State) {
    let apply = async |change: Change| store.apply(claim, change).await.unwrap();
    if to == State::Planned {
        return;
    }
    if to == State::Cancelled {
        apply(Change::to(State::Cancelled).because("asked to")).await;
        return;
    }
    let upload = apply(Change::to(State::Uploading).intend(Operation::Upload, "h")).await.intent.unwrap();
    let file = NewUpload {
        remote_id: format!("file-{}", claim.job()),
        file_name: "train-0123456789abcdef.jsonl".into(),
        purpose: "fine-tune".into(),
        sha256: "abc".into(),
        bytes: 9000,
        expires_ms: None,
    };
    let change = Change::to(State::Creating).settle(upload.id, done(&file.remote_id)).uploaded(file);
    let create = apply(change.intend(Operation::Create, "h")).await.intent.unwrap();
    if to == State::Failed {
        let refused = Outcome::Refused { detail: "no credit is left".into() };
        apply(Change::to(State::Failed).settle(create.id, refused).because("no credit is left")).await;
        return;
    }
    apply(Change::to(State::Submitted).settle(create.id, done("ftjob-7"))).await;
    apply(Change::to(State::Running)).await;
    if matches!(to, State::Paused | State::Running) {
        if to == State::Paused {
            apply(Change::to(State::Paused)).await;
        }
        return;
    }
    let model = format!("ft:gpt-4.1-mini:org::{}", claim.job());
    let made = NewModel { name: model.clone(), made: "fine-tuned".into(), digest: None };
    apply(Change::to(State::Verifying).model(made)).await;
    apply(Change::to(State::Succeeded).verified(model)).await;
}

/// A job in a state, owned by nobody.
pub async fn job(store: &Store, new: &NewJob, state: State) -> Job {
    let (job, claim) = store.create_owned(new).await.unwrap();
    advance(store, &claim, state).await;
    store.release(claim).await.unwrap();
    store.job(job.id.as_str()).await.unwrap()
}

/// A job that has trained: events, losses, checkpoints and an artifact.
pub async fn trained(store: &Store, new: &NewJob, steps: u64) -> Job {
    let (job, claim) = store.create_owned(new).await.unwrap();
    advance(store, &claim, State::Running).await;
    let mut batch = Batch { progress: Some((steps, steps)), ..Batch::default() };
    for step in 1..=steps {
        let along = step as f64 / steps as f64;
        let loss = 0.4 + 2.0 * (-4.0 * along).exp();
        let mut figures = BTreeMap::from([("train_loss".to_owned(), loss)]);
        if step % 5 == 0 {
            figures.insert("valid_loss".to_owned(), loss + 0.2);
        }
        batch.metrics.push(MetricPoint { step, figures: figures.clone() });
        batch.events.push(NewEvent {
            at_ms: NOW_MS + 1000 * step as i64,
            event: Event::Metrics { step, figures },
            remote_id: Some(format!("e{step}")),
        });
    }
    batch.checkpoints.push(Checkpoint {
        kept: Kept::Remote { id: "ftckpt-1".into(), model: "ft:gpt-4.1-mini:org::c:ckpt-step-10".into() },
        step: steps / 2,
        figures: BTreeMap::from([("valid_loss".to_owned(), 0.9)]),
        made_ms: NOW_MS,
    });
    batch.artifacts.push(NewArtifact {
        name: "plan.json".into(),
        path: "/somewhere/plan.json".into(),
        sha256: "00".into(),
        bytes: 1234,
    });
    store.append(&claim, &batch).await.unwrap();
    let apply = async |change: Change| store.apply(&claim, change).await.unwrap();
    let made = NewModel { name: "ft:gpt-4.1-mini:org::x1".into(), made: "fine-tuned".into(), digest: None };
    apply(Change::to(State::Verifying).model(made)).await;
    apply(Change::to(State::Succeeded).verified("ft:gpt-4.1-mini:org::x1")).await;
    store.release(claim).await.unwrap();
    store.job(job.id.as_str()).await.unwrap()
}
