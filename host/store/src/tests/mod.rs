//! Tests of the store.

mod jobs;
mod machine;
mod opening;
mod processes;
mod records;

use super::*;
use serde_json::json;
use std::path::PathBuf;

/// 2026-11-23, about 05:00 UTC.
const NOW_MS: i64 = 1_795_410_000_000;

struct Fixture {
    directory: PathBuf,
    clock: Arc<ManualClock>,
    _held: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let directory = held.path().join("state");
        Self { directory, clock: Arc::new(ManualClock::at(NOW_MS)), _held: held }
    }

    fn options(&self) -> Options {
        Options { clock: self.clock.clone(), redactor: Redactor::default() }
    }

    async fn open(&self) -> Store {
        Store::open(&self.directory, self.options()).await.unwrap()
    }
}

fn new_job(name: &str) -> NewJob {
    NewJob {
        name: name.into(),
        provider: "openai".into(),
        service: "http://127.0.0.1:9/v1".into(),
        method: "lora".into(),
        base_model: "gpt-4.1-mini-2025-04-14".into(),
        emulated: true,
        spec: json!({"name": name}),
        dataset: NewDataset { digest: "d1".into(), path: "support.jsonl".into(), rows: 85, bytes: 9000 },
        plan: NewPlan { digest: "p1".into(), document: "{\"a\": 1}".into(), measured: json!({"ms": 3}) },
    }
}

fn done(remote_id: &str) -> Outcome {
    Outcome::Done { remote_id: Some(remote_id.into()) }
}

fn model(name: &str) -> NewModel {
    NewModel { name: name.into(), made: "fine-tuned".into(), digest: None }
}

fn upload(remote_id: &str) -> NewUpload {
    NewUpload {
        remote_id: remote_id.into(),
        file_name: "train.jsonl".into(),
        purpose: "fine-tune".into(),
        sha256: "abc".into(),
        bytes: 9000,
        expires_ms: None,
    }
}

/// The path that a job takes at OpenAI, as an executor would write it: the changes in
/// order, each given the intent that the one before recorded.
fn openai_path(step: usize, before: Option<&Intent>) -> Option<Change> {
    let before = || before.expect("an intent before this step").id;
    Some(match step {
        0 => Change::to(State::Uploading).intend(Operation::Upload, "h-upload"),
        1 => Change::to(State::Creating)
            .settle(before(), done("file-1"))
            .uploaded(upload("file-1"))
            .intend(Operation::Create, "h-create"),
        2 => Change::to(State::Submitted).settle(before(), done("ftjob-1")),
        3 => Change::to(State::Running),
        4 => Change::to(State::Verifying).model(model("ft:model")),
        5 => Change::to(State::Succeeded).verified("ft:model").release(),
        _ => return None,
    })
}

/// Takes a job along the path, at most this many steps.
async fn advance(store: &Store, claim: &Claim, steps: usize) -> Job {
    let mut intent = None;
    let mut job = store.job(claim.job().as_str()).await.unwrap();
    for step in 0..steps {
        let Some(change) = openai_path(step, intent.as_ref()) else { break };
        let applied = store.apply(claim, change).await.unwrap();
        (job, intent) = (applied.job, applied.intent);
    }
    job
}
