//! Lists with pages, and finding a run's job in them.

use super::*;
use std::collections::HashSet;

const JOBS: &str = "/v1/fine_tuning/jobs";
const EVENTS: &str = "/v1/fine_tuning/jobs/ftjob-1/events";

/// Serves pages by `after`, whatever the filter, as a compatible service may.
struct Paged {
    items: Vec<Value>,
    size: usize,
}

impl Paged {
    fn answer(&self, request: &Request) -> Answer {
        let after =
            request.url.query_pairs().find(|(name, _)| name == "after").map(|(_, id)| id.into_owned());
        let from = after
            .map_or(0, |after| self.items.iter().position(|item| item["id"] == after.as_str()).unwrap() + 1);
        let to = (from + self.size).min(self.items.len());
        answer(200).json(page(self.items[from..to].to_vec(), to < self.items.len()))
    }
}

async fn paged(at: &str, items: Vec<Value>, size: usize) -> (Server, Client) {
    let server = Server::start();
    let pages = Paged { items, size };
    server.add(Rule::when(method("GET")).and(path(at)).answer_by(move |request| pages.answer(request)));
    let client = client(&server.base);
    (server, client)
}

fn run(id: &str, created_at: i64, run: Option<&str>) -> Value {
    let metadata = run.map_or(json!(null), |run| json!({ "tunesmith_run": run }));
    job(id, json!({ "created_at": created_at, "metadata": metadata, "training_file": "file-1" }))
}

fn ids(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

#[tokio::test]
async fn a_run_is_found_although_the_service_ignores_the_filter() {
    let mut jobs: Vec<Value> = (0..25).map(|n| run(&format!("other-{n}"), 1000 - n, Some("run-2"))).collect();
    jobs.insert(3, run("double", 990, Some("run-1")));
    jobs.push(run("oldest", 10, Some("run-1")));
    let (server, client) = paged(JOBS, jobs, 10).await;
    let found = client.find_by_run_id("run-1", "file-1", 0).await.unwrap();
    assert_eq!(ids(&found.matches), ["oldest", "double"]);
    let (adopted, doubles) = found.adopt().unwrap();
    assert_eq!((adopted.id.as_str(), ids(&doubles)), ("oldest", vec!["double"]));
    let first = &server.requests()[0];
    let filter = first.url.query_pairs().find(|(name, _)| name == "metadata[tunesmith_run]").unwrap();
    assert_eq!(filter.1, "run-1");
}

#[tokio::test]
async fn a_filter_that_finds_nothing_or_is_refused_is_not_believed() {
    for filtered in [answer(200).json(page(vec![], false)), answer(400)] {
        let server = Server::start();
        let with = parameter("metadata[tunesmith_run]", "run-1");
        server.add(Rule::when(path(JOBS)).and(with).answer(filtered));
        let without = no_parameter("metadata[tunesmith_run]");
        let all = page(vec![run("a", 5, Some("run-2")), run("b", 6, Some("run-1"))], false);
        server.add(Rule::when(path(JOBS)).and(without).answer(answer(200).json(all)));
        let found = client(&server.base).find_by_run_id("run-1", "file-1", 0).await.unwrap();
        assert_eq!(ids(&found.matches), ["b"]);
    }
}

#[tokio::test]
async fn a_service_that_drops_metadata_yields_likely_jobs_only() {
    let other_file = job("other-file", json!({ "created_at": 5000, "training_file": "file-9" }));
    let jobs = vec![
        run("later", 6000, None),
        run("in-time", 5000, None),
        run("another-run", 5000, Some("run-2")),
        run("too-old", 100, None),
        other_file,
    ];
    let (_server, client) = paged(JOBS, jobs, 10).await;
    let found = client.find_by_run_id("run-1", "file-1", 5000).await.unwrap();
    assert_eq!((ids(&found.matches), ids(&found.likely)), (vec![], vec!["in-time", "later"]));
    assert_eq!(found.looked_at, 5);
    assert!(found.adopt().is_none());
}

#[tokio::test]
async fn a_list_without_end_is_an_error_and_not_a_loop() {
    // The same page for ever.
    let server = Server::start();
    let same = page(vec![job("ftjob-1", json!({}))], true);
    server.on("GET", JOBS, answer(200).json(same));
    let error = client(&server.base).jobs(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EndlessList);
    assert_eq!(server.requests().len(), 2);

    // A new entry for ever.
    let server = Server::start();
    server.add(Rule::when(method("GET")).answer_by(|request| {
        let after = request.url.query_pairs().find(|(name, _)| name == "after");
        let last: u64 = after.map_or(0, |(_, id)| id.parse().unwrap());
        answer(200).json(page(vec![json!({ "id": (last + 1).to_string() })], true))
    }));
    let error = client(&server.base).jobs(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EndlessList);
    assert!(error.to_string().contains("more than 1000 pages"), "{error}");
}

#[tokio::test]
async fn a_list_of_enormous_pages_is_cut_off() {
    let server = Server::start();
    let much = "x".repeat(15 << 20);
    server.add(Rule::when(method("GET")).answer_by(move |request| {
        // The cursor before it, and one letter more.
        let after = request.url.query_pairs().find(|(name, _)| name == "after");
        let id = format!("{}x", after.map(|(_, id)| id.into_owned()).unwrap_or_default());
        answer(200).json(page(vec![json!({ "id": id, "more": much })], true))
    }));
    let error = client(&server.base).jobs(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EndlessList);
    assert!(error.to_string().contains("more than 67108864 bytes"), "{error}");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_list_ends_without_more_or_with_an_empty_page() {
    for end in [
        json!({ "data": [] }),
        json!({ "data": [], "has_more": true }),
        json!({ "data": [], "has_more": null }),
    ] {
        let server = Server::start();
        server.on("GET", JOBS, answer(200).json(&end));
        assert_eq!(client(&server.base).jobs(None).await.unwrap().len(), 0, "{end}");
    }
    let server = Server::start();
    server.on("GET", JOBS, answer(200).json(json!({ "object": "list" })));
    assert_eq!(client(&server.base).jobs(None).await.unwrap_err().kind, ErrorKind::Malformed);
}

fn event(id: &str, created_at: i64, more: Value) -> Value {
    let mut event = json!({ "object": "fine_tuning.job.event", "id": id, "created_at": created_at, "level": "info",
        "message": id, "type": "message", "data": null });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

#[tokio::test]
async fn events_come_oldest_first_and_once_and_reading_ends_where_all_is_known() {
    // Newest first, as the service lists them; of one second, the later one first.
    let mut events: Vec<Value> =
        (0..30).rev().map(|n| event(&format!("e{n:02}"), 100 + n / 3, json!({}))).collect();
    events.insert(12, events[11].clone());
    let (server, client) = paged(EVENTS, events, 10).await;
    let all = client.events("ftjob-1", &HashSet::new()).await.unwrap();
    let expected: Vec<String> = (0..30).map(|n| format!("e{n:02}")).collect();
    assert_eq!(all.iter().map(|event| event.id.clone()).collect::<Vec<_>>(), expected);
    server.reset();
    let items: Vec<Value> =
        (0..32).rev().map(|n| event(&format!("e{n:02}"), 100 + n / 3, json!({}))).collect();
    let pages = Paged { items, size: 10 };
    server.add(Rule::when(path(EVENTS)).answer_by(move |request| pages.answer(request)));
    let known: HashSet<String> = expected.into_iter().collect();
    let new = client.events("ftjob-1", &known).await.unwrap();
    assert_eq!(new.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["e30", "e31"]);
    assert_eq!(server.requests().len(), 2, "the second page was known, so the last was not read");
}

#[tokio::test]
async fn odd_events_are_understood() {
    let metrics = json!({"type": "metrics", "data": {"step": 3, "total_steps": 30, "train_loss": 0.5,
        "train_mean_token_accuracy": 0.9, "note": "x", "valid_loss": null}});
    let items = vec![
        event("m", 5, metrics),
        event("moderation", 4, json!({"type": "moderation_checks", "data": {"blocked": false}})),
        event(
            "failed",
            3,
            json!({"level": "error", "data": {"error_code": "invalid_file", "error_param": "x"}}),
        ),
        event("empty", 2, json!({"data": {}, "type": null})),
        json!({"created_at": 1, "message": "without an id"}),
        json!("not an event"),
    ];
    let (_server, client) = paged(EVENTS, items, 10).await;
    let events = client.events("ftjob-1", &HashSet::new()).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_deref()).collect();
    assert_eq!(kinds, [None, None, Some("message"), Some("moderation_checks"), Some("metrics")]);
    assert!(events[0].id.starts_with("content-") && events[0].level == "info");
    assert_eq!(events[2].extra["data"]["error_code"], json!("invalid_file"));
    let metrics = events[4].metrics.clone().unwrap();
    assert_eq!((metrics.step, metrics.total_steps), (Some(3), Some(30)));
    let values: Vec<(&str, f64)> =
        metrics.values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(values, [("train_loss", 0.5), ("train_mean_token_accuracy", 0.9)]);
}

#[tokio::test]
async fn checkpoints_come_by_step_with_whatever_figures_they_have() {
    let checkpoint = |id: &str, step: u64, metrics: Value| {
        json!({"id": id, "created_at": 1, "fine_tuned_model_checkpoint": format!("ft:m:ckpt-step-{step}"),
            "step_number": step, "metrics": metrics})
    };
    let items = vec![checkpoint("b", 20, json!({"train_loss": 0.5})), checkpoint("a", 10, json!(null))];
    let (_server, client) = paged("/v1/fine_tuning/jobs/ftjob-1/checkpoints", items, 1).await;
    let checkpoints = client.checkpoints("ftjob-1").await.unwrap();
    let read: Vec<_> =
        checkpoints.iter().map(|c| (c.step, c.model.as_deref(), c.metrics.values.len())).collect();
    assert_eq!(read, [(Some(10), Some("ft:m:ckpt-step-10"), 0), (Some(20), Some("ft:m:ckpt-step-20"), 1)]);
}
