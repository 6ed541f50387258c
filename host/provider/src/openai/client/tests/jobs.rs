//! What is sent to create a job, and what answers are understood.

use super::*;

const JOBS: &str = "/v1/fine_tuning/jobs";

#[tokio::test]
async fn create_carries_the_run_id_the_key_and_the_operators_headers() {
    let server = Server::start();
    server.on("POST", JOBS, answer(200).json(job("ftjob-1", json!({}))));
    let options = Options {
        organization: Some("org-1".to_owned()),
        project: Some("proj_2".to_owned()),
        ..options(&server.base)
    };
    let created = Client::new(options).unwrap().create_job(&request(), "run-1").await.unwrap();
    assert!(matches!(created, Created::Job(job) if job.id == "ftjob-1"));
    let requests = server.requests();
    let header = |name: &str| requests[0].headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("authorization"), Some(format!("Bearer {KEY}")));
    assert_eq!(header("openai-organization").as_deref(), Some("org-1"));
    assert_eq!(header("openai-project").as_deref(), Some("proj_2"));
    assert_eq!(header("user-agent").as_deref(), Some(http::USER_AGENT));
    let body: Value = requests[0].body_json().unwrap();
    let metadata = json!({ "team": "support", "tunesmith_run": "run-1" });
    assert_eq!(body, json!({ "model": "gpt-4.1-mini", "training_file": "file-1", "metadata": metadata }));
}

#[tokio::test]
async fn a_service_without_keys_is_asked_without_one() {
    let server = Server::start();
    server.on("GET", "/v1/models", answer(200).json(json!({"data": [{"id": "m"}]})));
    let client = Client::new(Options { key: None, ..options(&server.base) }).unwrap();
    assert_eq!(client.models().await.unwrap()[0].id, "m");
    assert!(server.requests()[0].headers.get("authorization").is_none());
}

async fn read(answered: Value) -> Job {
    let server = Server::start();
    server.add(Rule::when(method("GET")).answer(answer(200).json(answered)));
    client(&server.base).job("ftjob-1").await.unwrap()
}

#[tokio::test]
async fn odd_shapes_of_a_job_are_understood() {
    for error in
        [json!(null), json!({}), json!({"code": null, "message": null, "param": null}), json!(""), json!(7.5)]
    {
        let job = read(job("ftjob-1", json!({ "error": error }))).await;
        assert!(job.error.is_none() || error == json!(7.5), "{error}");
    }
    let failed = json!({"status": "failed", "error": {"code": "invalid_n_examples", "message": "too few", "param": "training_file"}});
    let failed = read(job("ftjob-1", failed)).await;
    let error = failed.error.unwrap();
    assert_eq!(
        (error.code.as_deref(), error.message.as_deref()),
        (Some("invalid_n_examples"), Some("too few"))
    );
    assert_eq!(
        read(job("ftjob-1", json!({"error": "boom"}))).await.error.unwrap().message.as_deref(),
        Some("boom")
    );

    for (status, terminal) in [
        ("validating_files", false),
        ("queued", false),
        ("running", false),
        ("paused", false),
        ("pausing", false),
        ("post_training_moderation", false),
        ("succeeded", true),
        ("failed", true),
        ("cancelled", true),
    ] {
        let job = read(job("ftjob-1", json!({ "status": status }))).await;
        assert_eq!((job.status.as_str(), job.status.is_terminal()), (status, terminal));
    }
    let bare = read(json!({ "id": "ftjob-1" })).await;
    assert_eq!((bare.status.as_str(), bare.status.is_terminal()), ("unknown", false));

    let odd = json!({
        "fine_tuned_model": "", "hyperparameters": null, "method": {"type": "reinforcement"}, "seed": "7",
        "created_at": 1.7e9, "trained_tokens": null, "result_files": null, "validation_file": null,
        "metadata": null, "usage_metrics": {"x": 1}, "estimated_finish": ["no"]
    });
    let odd = read(job("ftjob-1", odd)).await;
    assert_eq!((odd.fine_tuned_model, odd.hyperparameters, odd.seed), (None, None, Some(7)));
    assert_eq!((odd.created_at, odd.trained_tokens, odd.result_files.len()), (Some(1_700_000_000), None, 0));
    assert_eq!(odd.method, Some(json!({"type": "reinforcement"})));
    assert_eq!(
        (&odd.extra["usage_metrics"], &odd.extra["estimated_finish"]),
        (&json!({"x": 1}), &json!(["no"]))
    );
}

#[tokio::test]
async fn an_id_that_would_lead_elsewhere_is_not_sent() {
    let server = Server::start();
    let client = client(&server.base);
    for id in ["", ".", "..", "a b", "a\nb", &"x".repeat(1000)] {
        assert_eq!(client.job(id).await.unwrap_err().kind, ErrorKind::Local, "{id}");
    }
    let _ = client.delete_file("../models/m?x=1").await;
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url.path(), "/v1/files/..%2Fmodels%2Fm%3Fx=1");
}

#[tokio::test]
async fn a_model_tells_when_it_is_shut_down() {
    let server = Server::start();
    let model = json!({"id": "ft:gpt:org::1", "created": 1, "owned_by": "org", "shutdown_date": "2027-01-14", "more": 1});
    server.on("GET", "/v1/models/ft:gpt:org::1", answer(200).json(model));
    let model = client(&server.base).model("ft:gpt:org::1").await.unwrap();
    assert_eq!(model.shutdown_date.as_deref(), Some("2027-01-14"));
    assert_eq!(model.extra["more"], json!(1));
}
