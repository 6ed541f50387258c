//! OpenAI's fine-tuning jobs, from their creation to a model that answers.

use super::{Bench, read};
use crate::{Closed, Odd, Outcome};
use base64::Engine;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PATH: &str = "/fine_tuning/jobs";

/// Emulated seconds from a job's creation until it runs.
const UNTIL_RUNNING: f64 = 40.0;

#[tokio::test]
async fn job_runs_from_validation_to_answering_model() {
    let bench = Bench::start();
    let fields = json!({
        "suffix": "lora", "seed": 7, "metadata": { "run": "1" },
        "method": { "type": "supervised", "supervised": { "hyperparameters": {
            "n_epochs": 2, "batch_size": 5, "learning_rate_multiplier": 0.5,
        }}},
    });
    let id = bench.job(10, fields).await;
    let tick = |seconds: f64| bench.emulator.tick(seconds).unwrap();
    assert_eq!(bench.status_of(&id).await, "validating_files");
    tick(20.0);
    assert_eq!(bench.status_of(&id).await, "queued");
    tick(20.0);
    assert_eq!(bench.status_of(&id).await, "running");
    // Four steps of four seconds.
    tick(9.0);
    let (_, events) = bench.openai_get(&format!("{PATH}/{id}/events")).await;
    let events = events["data"].as_array().unwrap();
    assert_eq!(events[0]["message"].as_str().unwrap().split(':').next(), Some("Step 2/4"), "newest first");
    let losses: Vec<f64> = events.iter().filter_map(|event| event["data"]["train_loss"].as_f64()).collect();
    assert!(losses.len() == 2 && losses[0] < losses[1], "{losses:?}");
    assert_eq!(events[0]["data"]["total_steps"], 4);
    let (_, job) = bench.openai_get(&format!("{PATH}/{id}")).await;
    assert!(
        job["fine_tuned_model"].is_null() && job["finished_at"].is_null() && job["estimated_finish"].is_i64()
    );
    tick(7.0);
    let (_, job) = bench.openai_get(&format!("{PATH}/{id}")).await;
    assert_eq!((&job["status"], &job["error"]), (&json!("succeeded"), &Value::Null), "{job}");
    assert_eq!(
        job["hyperparameters"],
        json!({ "n_epochs": 2, "batch_size": 5, "learning_rate_multiplier": 0.5 })
    );
    assert_eq!(job["seed"], 7);
    let model = job["fine_tuned_model"].as_str().unwrap().to_owned();
    assert!(model.starts_with("ft:gpt-4o-mini-2024-07-18:emulator:lora:"), "{model}");
    assert!(job["trained_tokens"].as_u64().unwrap() > 0);

    // The model is not there at once.
    let chat = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 1 });
    assert_eq!(bench.openai_post("/chat/completions", chat.clone()).await.0, StatusCode::NOT_FOUND);
    tick(10.0);
    let (status, answer) = bench.openai_post("/chat/completions", chat).await;
    assert_eq!((status, &answer["choices"][0]["finish_reason"]), (StatusCode::OK, &json!("length")));
    assert_eq!(answer["usage"]["completion_tokens"], 1);
    assert_eq!(bench.openai_get(&format!("/models/{model}")).await.0, StatusCode::OK);

    let (_, checkpoints) = bench.openai_get(&format!("{PATH}/{id}/checkpoints")).await;
    let data = checkpoints["data"].as_array().unwrap();
    let steps: Vec<u64> = data.iter().map(|one| one["step_number"].as_u64().unwrap()).collect();
    assert_eq!(steps, [4, 2]);
    assert_eq!(data[0]["fine_tuned_model_checkpoint"], model);
    assert_eq!(data[1]["fine_tuned_model_checkpoint"], format!("{model}:ckpt-step-2"));

    let result = job["result_files"][0].as_str().unwrap();
    let content = bench.openai(Method::GET, &format!("/files/{result}/content")).send().await.unwrap();
    let encoded = content.text().await.unwrap();
    let (_, file) = bench.openai_get(&format!("/files/{result}")).await;
    assert_eq!((&file["bytes"], &file["purpose"]), (&json!(encoded.len()), &json!("fine-tune-results")));
    let csv = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap();
    assert_eq!(
        csv.lines().next(),
        Some("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy")
    );
    assert_eq!(csv.lines().count(), 5);

    let deleted = bench.openai(Method::DELETE, &format!("/models/{model}")).send().await.unwrap();
    assert_eq!(read(deleted).await.1["deleted"], true);
    assert_eq!(bench.openai_get(&format!("/models/{model}")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_are_paged_without_loss_or_repetition() {
    let bench = Bench::start();
    let fields = json!({ "hyperparameters": { "n_epochs": 3, "batch_size": 1 } });
    let id = bench.job(20, fields).await;
    bench.emulator.tick(1_000.0).unwrap();
    let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (_, page) = bench.openai_get(&format!("{PATH}/{id}/events?limit=10{after}")).await;
        let data = page["data"].as_array().unwrap();
        seen.extend(data.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        pages += 1;
        if page["has_more"] == false {
            break;
        }
        after = format!("&after={}", seen.last().unwrap());
    }
    // Sixty steps and what is said around them.
    assert!(seen.len() > 60 && pages == seen.len().div_ceil(10), "{} in {pages}", seen.len());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    let (_, first) = bench.openai_get(&format!("{PATH}/{id}/events?limit=1")).await;
    assert_eq!(first["data"][0]["message"], "The job has successfully completed");
    for bad in ["limit=0", "limit=101", "limit=x", "after=ftevent-none"] {
        assert_eq!(
            bench.openai_get(&format!("{PATH}/{id}/events?{bad}")).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_long_job_reports_some_of_its_steps() {
    let bench = Bench::start();
    let id = bench.job(3_000, json!({ "hyperparameters": { "n_epochs": 50, "batch_size": 1 } })).await;
    bench.emulator.tick(1_000.0).unwrap();
    let (_, job) = bench.openai_get(&format!("{PATH}/{id}")).await;
    assert_eq!(job["status"], "succeeded");
    let result = job["result_files"][0].as_str().unwrap();
    let (_, file) = bench.openai_get(&format!("/files/{result}")).await;
    assert!(file["bytes"].as_u64().unwrap() < 100_000, "{file}");
    let (_, newest) = bench.openai_get(&format!("{PATH}/{id}/events?limit=100")).await;
    let last = newest["data"].as_array().unwrap().iter().find(|event| event["type"] == "metrics").unwrap();
    assert_eq!(last["data"]["step"], 150_000);
}

#[tokio::test]
async fn jobs_pause_resume_and_cancel() {
    let bench = Bench::start();
    let id = bench.job(10, json!({ "hyperparameters": { "n_epochs": 4, "batch_size": 1 } })).await;
    let ask = |verb: &str| {
        let request = bench.openai(Method::POST, &format!("{PATH}/{id}/{verb}"));
        async { read(request.send().await.unwrap()).await }
    };
    let refused = ask("pause").await;
    assert_eq!(refused.0, StatusCode::BAD_REQUEST, "while it is validating");
    assert_eq!(ask("resume").await.0, StatusCode::BAD_REQUEST);
    bench.emulator.tick(UNTIL_RUNNING + 40.0).unwrap();
    assert_eq!(ask("pause").await.1["status"], "paused");
    let steps = || async {
        let (_, events) = bench.openai_get(&format!("{PATH}/{id}/events?limit=100")).await;
        events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "metrics").count()
    };
    assert_eq!(steps().await, 10);
    bench.emulator.tick(500.0).unwrap();
    assert_eq!((bench.status_of(&id).await.as_str(), steps().await), ("paused", 10));
    assert_eq!(ask("resume").await.1["status"], "queued");
    bench.emulator.tick(20.0 + 8.0).unwrap();
    assert_eq!((bench.status_of(&id).await.as_str(), steps().await), ("running", 12));
    let (_, cancelled) = ask("cancel").await;
    assert_eq!((&cancelled["status"], &cancelled["finished_at"]), (&json!("cancelled"), &Value::Null));
    bench.emulator.tick(500.0).unwrap();
    assert_eq!((bench.status_of(&id).await.as_str(), steps().await), ("cancelled", 12));
    let (status, error) = ask("cancel").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error["error"]["message"].as_str().unwrap().starts_with("Job has already completed"), "{error}");
    let (status, error) = bench.openai_post(&format!("{PATH}/ftjob-none/cancel"), json!({})).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::NOT_FOUND, &json!("fine_tune_not_found")));
}

#[tokio::test]
async fn jobs_are_listed_by_page_and_metadata() {
    let bench = Bench::start();
    let file = bench.training_file(10).await;
    let mut ids = Vec::new();
    for run in ["a", "b", "a"] {
        let body = json!({ "model": "gpt-4o-mini", "training_file": file, "metadata": { "host run": run } });
        ids.push(bench.openai_post(PATH, body).await.1["id"].clone());
    }
    bench.openai_post(PATH, json!({ "model": "gpt-4o-mini", "training_file": file })).await;
    let listed = |query: &str| {
        let path = format!("{PATH}?{query}");
        let bench = &bench;
        async move {
            let (_, list) = bench.openai_get(&path).await;
            let jobs = list["data"].as_array().unwrap();
            (jobs.iter().map(|job| job["id"].clone()).collect::<Vec<_>>(), list["has_more"].clone())
        }
    };
    assert_eq!(
        listed("metadata%5Bhost%20run%5D=a").await,
        (vec![ids[2].clone(), ids[0].clone()], json!(false))
    );
    assert_eq!(listed("metadata[host+run]=b").await.0, [ids[1].clone()]);
    assert_eq!(listed("metadata[host+run]=c").await.0, Vec::<Value>::new());
    assert_eq!(listed("metadata=null").await.0.len(), 1);
    let (first, more) = listed("limit=3").await;
    assert_eq!((first.len(), more), (3, json!(true)));
    let after = first[2].as_str().unwrap();
    assert_eq!(listed(&format!("limit=3&after={after}")).await, (vec![ids[0].clone()], json!(false)));
    bench.emulator.change(|behaviour| behaviour.openai.odd.extend([Odd::IgnoresMetadataFilter]));
    assert_eq!(listed("metadata[host+run]=b").await.0.len(), 4);
    bench.emulator.change(|behaviour| behaviour.openai.list_delay_seconds = 30.0);
    bench.openai_post(PATH, json!({ "model": "gpt-4o-mini", "training_file": file })).await;
    assert_eq!(listed("limit=100").await.0.len(), 4);
    bench.emulator.tick(30.0).unwrap();
    assert_eq!(listed("limit=100").await.0.len(), 5);
}

#[tokio::test]
async fn requests_are_checked_field_by_field() {
    let bench = Bench::start();
    let file = bench.training_file(10).await;
    let base = json!({ "model": "gpt-4o-mini", "training_file": file });
    let mut refusals = String::new();
    for change in [
        json!({ "model": null }),
        json!({ "model": "gpt-9" }),
        json!({ "model": "gpt-3.5-turbo-0125" }),
        json!({ "training_file": "file-none" }),
        json!({ "validation_file": file }),
        json!({ "epochs": 3 }),
        json!({ "suffix": "" }),
        json!({ "suffix": "x".repeat(65) }),
        json!({ "seed": -1 }),
        json!({ "seed": 2_147_483_648_u64 }),
        json!({ "hyperparameters": { "n_epochs": 51 } }),
        json!({ "hyperparameters": { "n_epochs": "3" } }),
        json!({ "hyperparameters": { "batch_size": 0 } }),
        json!({ "hyperparameters": { "learning_rate_multiplier": 0 } }),
        json!({ "hyperparameters": { "learning_rate": 0.1 } }),
        json!({ "method": { "type": "lora" } }),
        json!({ "method": { "type": "dpo", "dpo": { "hyperparameters": { "beta": 3 } } } }),
        json!({ "method": { "type": "reinforcement" } }),
        json!({ "metadata": { "a": 1 } }),
        json!({ "metadata": { "k".repeat(65): "v" } }),
        json!({ "integrations": [{ "type": "other" }] }),
    ] {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, error) = bench.openai_post(PATH, body).await;
        let text = error["error"].to_string().replace(&file, "FILE").replace(&"k".repeat(65), "k…");
        let change = change
            .to_string()
            .replace(&file, "FILE")
            .replace(&"x".repeat(65), "x…")
            .replace(&"k".repeat(65), "k…");
        refusals += &format!("{change}\n  {} {text}\n", status.as_u16());
    }
    insta::assert_snapshot!(refusals);
    assert_eq!(bench.emulator.counts().effects_of("POST /v1/fine_tuning/jobs"), 0);
    let (status, error) = read(bench.openai(Method::POST, PATH).body("{").send().await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        error["error"]["message"].as_str().unwrap().starts_with("We could not parse the JSON body"),
        "{error}"
    );
}

#[tokio::test]
async fn bad_training_file_fails_the_job() {
    let bench = Bench::start();
    let id = bench.job(5, json!({})).await;
    assert_eq!(bench.status_of(&id).await, "validating_files");
    bench.emulator.tick(20.0).unwrap();
    let (_, job) = bench.openai_get(&format!("{PATH}/{id}")).await;
    assert_eq!(job["status"], "failed");
    assert_eq!(
        job["error"],
        json!({
            "code": "invalid_n_examples",
            "message": "Training file has 5 example(s), but must have at least 10 examples.",
            "param": "training_file",
        })
    );
    let (_, events) = bench.openai_get(&format!("{PATH}/{id}/events?limit=1")).await;
    assert_eq!(events["data"][0]["level"], "error");
    assert_eq!(events["data"][0]["data"]["error_code"], "invalid_n_examples");
}

#[tokio::test]
async fn jobs_end_as_they_are_told_to() {
    let bench = Bench::start();
    let (code, message) = ("server_error".to_owned(), "out of memory".to_owned());
    let outcome = Outcome::FailAtStep { step: 3, code, message };
    bench.emulator.change(|behaviour| behaviour.openai.outcome = outcome);
    let failing = bench.job(10, json!({ "hyperparameters": { "n_epochs": 1, "batch_size": 1 } })).await;
    bench.emulator.change(|behaviour| behaviour.openai.outcome = Outcome::Stall);
    let stalling = bench.job(10, json!({})).await;
    bench.emulator.tick(10_000.0).unwrap();
    let (_, job) = bench.openai_get(&format!("{PATH}/{failing}")).await;
    assert_eq!((&job["status"], &job["error"]["message"]), (&json!("failed"), &json!("out of memory")));
    let (_, events) = bench.openai_get(&format!("{PATH}/{failing}/events")).await;
    let steps = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "metrics").count();
    assert_eq!(steps, 3);
    assert_eq!(bench.status_of(&stalling).await, "running");
}

#[tokio::test]
async fn closed_platform_and_empty_account_refuse_jobs() {
    let bench = Bench::start();
    let body = json!({ "model": "gpt-4o-mini", "training_file": bench.training_file(10).await });
    for (closed, status) in
        [(Closed::Forbidden, StatusCode::FORBIDDEN), (Closed::NotFound, StatusCode::NOT_FOUND)]
    {
        bench.emulator.change(|behaviour| behaviour.openai.closed = Some(closed));
        let (got, error) = bench.openai_post(PATH, body.clone()).await;
        assert_eq!(got, status);
        assert!(error["error"]["message"].as_str().unwrap().contains("wound down"), "{error}");
    }
    bench.emulator.change(|behaviour| behaviour.openai.quota_exceeded = true);
    let (status, error) = bench.openai_post(PATH, body).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("insufficient_quota"))
    );
    assert_eq!(bench.emulator.counts().effects_of("POST /v1/fine_tuning/jobs"), 0);
}

#[tokio::test]
async fn odd_shapes_are_sent_on_demand() {
    let bench = Bench::start();
    let id = bench.job(10, json!({ "metadata": { "a": "b" } })).await;
    bench.emulator.tick(UNTIL_RUNNING + 1.0).unwrap();
    let job = |odd: &[Odd]| {
        bench.emulator.change(|behaviour| behaviour.openai.odd = odd.iter().copied().collect());
        let path = format!("{PATH}/{id}");
        let bench = &bench;
        async move { bench.openai_get(&path).await.1 }
    };
    assert_eq!(job(&[Odd::ErrorEmpty]).await["error"], json!({}));
    assert_eq!(
        job(&[Odd::ErrorNulls]).await["error"],
        json!({ "code": null, "message": null, "param": null })
    );
    assert!(job(&[Odd::NoHyperparameters]).await.get("hyperparameters").is_none());
    assert!(job(&[Odd::NullHyperparameters]).await["hyperparameters"].is_null());
    assert_eq!(job(&[Odd::BareMethod]).await["method"], json!({ "type": "supervised" }));
    assert_eq!(job(&[Odd::UnknownStatus]).await["status"], "pausing");
    assert!(job(&[Odd::NoMetadata]).await.get("metadata").is_none());
    job(&[Odd::EventData, Odd::NoHasMore, Odd::BareListItems, Odd::NoShutdownDate]).await;
    let (_, events) = bench.openai_get(&format!("{PATH}/{id}/events")).await;
    assert!(events.get("has_more").is_none());
    assert_eq!(
        (&events["data"][0]["type"], &events["data"][0]["data"]["error_code"]),
        (&json!("custom"), &json!("none"))
    );
    let (_, list) = bench.openai_get(PATH).await;
    assert!(list["data"][0].get("error").is_none() && list["data"][0].get("seed").is_none());
    let (_, model) = bench.openai_get("/models/gpt-4o-mini").await;
    assert!(model.get("shutdown_date").is_none());
    job(&[Odd::PlainResults]).await;
    bench.emulator.tick(1_000.0).unwrap();
    let done = job(&[Odd::PlainResults]).await;
    let result = done["result_files"][0].as_str().unwrap();
    let content = bench.openai(Method::GET, &format!("/files/{result}/content")).send().await.unwrap();
    assert!(content.text().await.unwrap().starts_with("step,"));
}

#[tokio::test]
async fn a_tuned_model_can_be_tuned_again() {
    let bench = Bench::start();
    let first = bench.job(10, json!({ "suffix": "one" })).await;
    bench.emulator.tick(1_000.0).unwrap();
    let (_, job) = bench.openai_get(&format!("{PATH}/{first}")).await;
    let second = bench.job(10, json!({ "model": job["fine_tuned_model"], "suffix": "two" })).await;
    bench.emulator.tick(1_000.0).unwrap();
    let (_, job) = bench.openai_get(&format!("{PATH}/{second}")).await;
    let model = job["fine_tuned_model"].as_str().unwrap();
    assert!(model.starts_with("ft:gpt-4o-mini-2024-07-18:emulator:two:"), "{model}");
}
