//! What outlives the emulator: its state, also when it is killed in the middle.

use super::{Bench, read};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn models_files_and_jobs_survive_a_restart() {
    let bench = Bench::start();
    let create = json!({ "model": "mine", "from": "mistral", "system": "x", "stream": false });
    bench.ollama_post("/api/create", create).await;
    bench.ollama(Method::DELETE, "/api/delete").json(&json!({ "model": "llama3.2" })).send().await.unwrap();
    let (_, before) = read(bench.ollama(Method::GET, "/api/tags").send().await.unwrap()).await;
    let id = bench.job(10, json!({ "metadata": { "run": "1" } })).await;
    bench.emulator.tick(45.0).unwrap();
    let (_, job) = bench.openai_get(&format!("/fine_tuning/jobs/{id}")).await;

    let bench = bench.restart();
    let (_, after) = read(bench.ollama(Method::GET, "/api/tags").send().await.unwrap()).await;
    let names = |tags: &serde_json::Value| {
        let models = tags["models"].as_array().unwrap().iter();
        let mut names: Vec<String> =
            models.map(|model| format!("{} {}", model["name"], model["digest"])).collect();
        names.sort();
        names
    };
    assert_eq!(names(&before), names(&after), "a base model that was deleted stays away");
    let (_, again) = bench.openai_get(&format!("/fine_tuning/jobs/{id}")).await;
    assert_eq!((&again["status"], &again), (&json!("running"), &job));
    bench.emulator.tick(1_000.0).unwrap();
    assert_eq!(bench.status_of(&id).await, "succeeded");
}

#[tokio::test]
async fn half_done_work_is_cleared_or_resumed() {
    let bench = Bench::start();
    let id = bench.job(10, json!({})).await;
    let root = bench.state.path().to_owned();
    let Bench { emulator, state, .. } = bench;
    emulator.stop();
    // As if killed during an upload, before a file's record, and before a verdict.
    std::fs::write(root.join("incoming/.tmp1"), "half").unwrap();
    std::fs::write(root.join("openai/data/data-orphan"), "whole, but nobody's").unwrap();
    let path = root.join(format!("openai/jobs/{id}.json"));
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["verdict"] = json!(null);
    std::fs::write(&path, record.to_string()).unwrap();

    let bench = Bench { emulator: super::start(&state, |_| {}), state, http: reqwest::Client::new() };
    assert_eq!(std::fs::read_dir(root.join("incoming")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(root.join("openai/data")).unwrap().count(), 1);
    bench.verdict_of(&id).await;
    bench.emulator.tick(1_000.0).unwrap();
    assert_eq!(bench.status_of(&id).await, "succeeded");
}

#[test]
fn a_damaged_record_is_named() {
    let bench = Bench::start();
    let Bench { emulator, state, .. } = bench;
    emulator.stop();
    std::fs::create_dir_all(state.path().join("openai/jobs")).unwrap();
    std::fs::write(state.path().join("openai/jobs/ftjob-x.json"), "{").unwrap();
    let error = crate::Emulator::start(crate::Options::new(state.path())).unwrap_err();
    assert!(error.to_string().contains("ftjob-x.json: EOF while parsing"), "{error}");
}

#[tokio::test]
async fn concurrent_clients_get_their_own_answers() {
    let bench = std::sync::Arc::new(Bench::start());
    let file = bench.training_file(10).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (bench, file) = (bench.clone(), file.clone());
        tasks.spawn(async move {
            let create = json!({ "model": format!("m{number}"), "from": "mistral", "system": format!("s{number}"), "stream": false });
            assert_eq!(bench.ollama_post("/api/create", create).await.0, StatusCode::OK);
            // One name for all: the last wins, and it is whole.
            let shared = json!({ "model": "shared", "from": "mistral", "system": format!("s{number}"), "stream": false });
            assert_eq!(bench.ollama_post("/api/create", shared).await.0, StatusCode::OK);
            let job = json!({ "model": "gpt-4o-mini", "training_file": file });
            assert_eq!(bench.openai_post("/fine_tuning/jobs", job).await.0, StatusCode::OK);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for model in ["m0", "m23", "shared"] {
        let (status, shown) = bench.ollama_post("/api/show", json!({ "model": model })).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        assert!(shown["system"].as_str().unwrap().starts_with('s'));
    }
    let (_, list) = bench.openai_get("/fine_tuning/jobs?limit=100").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 24);
}
