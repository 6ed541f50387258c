//! What is sent again, when, and what never is.

use super::*;
use crate::http::Rate;
use crate::http::misbehaving::{Act, Misbehaving, http};
use jiff::fmt::rfc2822::DateTimePrinter;
use std::time::Duration;
use tokio::time::Instant;
use tunesmith_core::time::Timestamp;

const JOBS: &str = "/v1/fine_tuning/jobs";

#[tokio::test]
async fn with_the_reply_to_create_dropped_one_request_was_sent_and_the_outcome_is_unclear() {
    let server = Misbehaving::start(vec![Act::Drop]);
    let outcome = client(&server.base).create_job(&request(), "run-1").await.unwrap();
    let Created::Unclear(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind, error.attempts), (ErrorKind::Dropped, 1));
    assert_eq!(server.requests(), ["POST /v1/fine_tuning/jobs"]);
}

#[tokio::test]
async fn a_create_that_is_not_answered_in_time_is_unclear() {
    let server = Misbehaving::start(vec![Act::Hang]);
    let mut options = options(&server.base);
    options.timeouts.response = Some(Duration::from_millis(100));
    let outcome = Client::new(options).unwrap().create_job(&request(), "run-1").await.unwrap();
    assert!(matches!(outcome, Created::Unclear(error) if error.kind == ErrorKind::Timeout));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn whatever_leaves_a_create_unclear_is_not_sent_again() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\": \"ftjob-1\"".to_owned();
    let cases = [
        (http("500 Internal Server Error", "{}"), ErrorKind::Server),
        (http("502 Bad Gateway", "<html>nginx</html>"), ErrorKind::Server),
        (http("503 Service Unavailable\r\nretry-after: 1\r\nx-should-retry: true", ""), ErrorKind::Server),
        (http("408 Request Timeout", ""), ErrorKind::Timeout),
        (http("409 Conflict", ""), ErrorKind::Conflict),
        (http("200 OK", "not json"), ErrorKind::Malformed),
        (http("200 OK", "{\"status\": \"queued\"}"), ErrorKind::Malformed),
        (http("200 OK", "{\"id\": \"../files\"}"), ErrorKind::Malformed),
        (cut, ErrorKind::Dropped),
    ];
    for (reply, kind) in cases {
        let server = Misbehaving::start(vec![Act::Say(reply.clone())]);
        let outcome = client(&server.base).create_job(&request(), "run-1").await.unwrap();
        if reply.contains("../files") {
            assert!(
                matches!(&outcome, Created::Job(job) if job.id == "../files")
                    || matches!(outcome, Created::Unclear(_))
            );
        } else {
            assert!(
                matches!(&outcome, Created::Unclear(error) if error.kind == kind),
                "{reply}: {outcome:?}"
            );
        }
        assert_eq!(server.requests().len(), 1, "{reply}");
    }
}

#[tokio::test]
async fn a_refused_create_is_an_error_and_no_job() {
    for (status, kind) in [
        (400, ErrorKind::Invalid),
        (401, ErrorKind::WrongKey),
        (403, ErrorKind::Closed),
        (404, ErrorKind::Closed),
        (422, ErrorKind::Invalid),
    ] {
        let server = Server::start();
        server.on("POST", JOBS, answer(status).header("x-should-retry", "true"));
        let error = client(&server.base).create_job(&request(), "run-1").await.unwrap_err();
        assert_eq!((error.kind, error.may_have_happened()), (kind, false), "{status}");
        assert_eq!(server.seen("POST", JOBS), 1, "{status}");
    }
}

/// How long a call took by the paused clock, when the server first asks to wait.
async fn waited(header: &str, value: &str, verb: &str) -> Duration {
    let server = Server::start();
    let asks = answer(429).header(header, value);
    server.add(Rule::when(method(verb)).answer(asks).times(2));
    server.add(Rule::when(method(verb)).answer(answer(200).json(job("ftjob-1", json!({})))));
    let start = Instant::now();
    let client = client(&server.base);
    if verb == "POST" {
        assert!(matches!(client.create_job(&request(), "run-1").await.unwrap(), Created::Job(_)));
    } else {
        client.job("ftjob-1").await.unwrap();
    }
    assert_eq!(server.requests().len(), 3);
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_the_server_asks_for_is_kept() {
    for verb in ["GET", "POST"] {
        let whole = |wait: Duration| wait.as_millis();
        assert_eq!(whole(waited("retry-after", "7", verb).await), 14_000, "{verb}");
        assert_eq!(whole(waited("retry-after", "1.5", verb).await), 3_000, "{verb}");
        assert_eq!(whole(waited("retry-after-ms", "250", verb).await), 500, "{verb}");
        let then = Timestamp::now() + Duration::from_secs(60);
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&then).unwrap();
        let twice = waited("retry-after", &date, verb).await;
        assert!((Duration::from_secs(100)..=Duration::from_secs(120)).contains(&twice), "{verb}: {twice:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_more_than_two_minutes_is_reported_instead() {
    let server = Server::start();
    server.add(Rule::when(method("GET")).answer(answer(429).header("retry-after", "3600")));
    let error = client(&server.base).job("ftjob-1").await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (ErrorKind::RateLimited, 1));
    assert!(error.to_string().contains("it asks to wait 3600 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_asked_wait_holds_up_every_client_of_the_provider() {
    let server = Server::start();
    let asks = answer(429).header("retry-after", "30");
    server.add(Rule::when(path("/v1/fine_tuning/jobs/one")).answer(asks).times(1));
    server.add(Rule::when(method("GET")).answer(answer(200).json(job("x", json!({})))));
    let limiter = Arc::new(Limiter::new(Some(Rate { per_second: 10.0, burst: 2 })));
    let make = || Client::new(Options { limiter: Arc::clone(&limiter), ..options(&server.base) }).unwrap();
    let (one, other) = (make(), make());
    let start = Instant::now();
    let first = tokio::spawn(async move { one.job("one").await.map(|_| start.elapsed()) });
    // Until the first job has begun to wait. The paused clock stands still meanwhile,
    // since this task never rests.
    while !limiter.is_paused() {
        tokio::task::yield_now().await;
    }
    other.job("two").await.unwrap();
    let second = start.elapsed();
    let first = first.await.unwrap().unwrap();
    assert!(first >= Duration::from_secs(30) && second >= Duration::from_secs(30), "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn reads_are_sent_again_after_failures_that_pass() {
    let ok = Act::Say(http("200 OK", &job("ftjob-1", json!({})).to_string()));
    let cut = Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{".to_owned());
    let acts = vec![Act::Drop, Act::Say(http("503 Service Unavailable", "")), cut, ok];
    let server = Misbehaving::start(acts);
    let job = client(&server.base).job("ftjob-1").await.unwrap();
    assert_eq!(job.id, "ftjob-1");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn reads_are_given_up_after_half_a_minute_of_failures() {
    let server = Misbehaving::start(vec![Act::Drop]);
    let start = Instant::now();
    let error = client(&server.base).job("ftjob-1").await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (ErrorKind::Dropped, 6));
    assert_eq!(server.requests().len(), 6);
    let waited = start.elapsed().as_secs_f64();
    assert!((11.6..=15.6).contains(&waited), "the waits and their jitter: {waited}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_refused_is_tried_again_even_for_create() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&format!("http://{address}"));
    let error = client.create_job(&request(), "run-1").await.unwrap_err();
    assert_eq!((error.kind, error.attempts, error.may_have_happened()), (ErrorKind::Refused, 4, false));
}

#[tokio::test]
async fn an_empty_account_is_asked_once() {
    let body = json!({"error": {"message": "You exceeded your current quota.", "type": "insufficient_quota",
        "param": null, "code": "insufficient_quota"}});
    for verb in ["GET", "POST"] {
        let server = Server::start();
        let reply = answer(429).header("retry-after", "1").json(&body);
        server.add(Rule::when(method(verb)).answer(reply));
        let client = client(&server.base);
        let error = match verb {
            "GET" => client.job("ftjob-1").await.unwrap_err(),
            _ => client.create_job(&request(), "run-1").await.unwrap_err(),
        };
        assert_eq!(error.kind, ErrorKind::Quota);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_unclear_reply_to_control_is_settled_by_looking() {
    for (control, status, done) in [
        (Control::Cancel, "cancelled", true),
        (Control::Cancel, "running", false),
        (Control::Pause, "paused", true),
        (Control::Pause, "pausing", true),
        (Control::Resume, "queued", true),
        (Control::Resume, "paused", false),
    ] {
        let now = Act::Say(http("200 OK", &job("ftjob-1", json!({ "status": status })).to_string()));
        let server = Misbehaving::start(vec![Act::Drop, now]);
        let outcome = client(&server.base).control_job("ftjob-1", control).await.unwrap();
        assert_eq!(matches!(&outcome, Controlled::Done(_)), done, "{control:?} {status}: {outcome:?}");
        let verbs: Vec<String> =
            server.requests().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(verbs, ["POST", "GET"], "{control:?} {status}");
    }
}

#[tokio::test]
async fn cancelling_what_is_cancelled_already_is_no_error() {
    let server = Server::start();
    let cancelled = job("ftjob-1", json!({ "status": "cancelled" }));
    server.on("POST", "/v1/fine_tuning/jobs/ftjob-1/cancel", answer(400));
    server.on("GET", "/v1/fine_tuning/jobs/ftjob-1", answer(200).json(&cancelled));
    let client = client(&server.base);
    assert!(matches!(client.control_job("ftjob-1", Control::Cancel).await.unwrap(), Controlled::Done(_)));
    server.on("POST", "/v1/fine_tuning/jobs/ftjob-1/pause", answer(400));
    let error = client.control_job("ftjob-1", Control::Pause).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Invalid, Operation::PauseJob));
}

#[tokio::test(start_paused = true)]
async fn a_tuned_model_is_probed_with_patience() {
    let server = Server::start();
    let chat = "/v1/chat/completions";
    let answered = json!({"model": "ft:m", "choices": [{"message": {"role": "assistant", "content": "Hi"}}]});
    server.add(Rule::when(path(chat)).answer(answer(404)).times(3));
    server.on("POST", chat, answer(200).json(&answered));
    let mut failures = 0;
    let client = client(&server.base);
    let probe = client.probe("ft:m", Duration::from_secs(600), |_| failures += 1).await.unwrap();
    assert_eq!(
        (probe.answer.as_str(), probe.model.as_deref(), probe.tries, failures),
        ("Hi", Some("ft:m"), 4, 3)
    );
    let body: Value = server.requests()[0].body_json().unwrap();
    assert_eq!((&body["model"], &body["max_tokens"]), (&json!("ft:m"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_a_lasting_failure_ends_it_at_once() {
    let server = Server::start();
    server.add(Rule::when(method("POST")).answer(answer(404)));
    let start = Instant::now();
    let error = client(&server.base).probe("ft:m", Duration::from_secs(60), |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UnknownModel);
    assert!(start.elapsed() <= Duration::from_secs(60) && error.attempts > 3, "{error}");
    server.reset();
    server.add(Rule::when(method("POST")).answer(answer(401)));
    let error = client(&server.base).probe("ft:m", Duration::from_secs(60), |_| {}).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (ErrorKind::WrongKey, 1));
}

#[tokio::test]
async fn a_model_that_knows_only_the_longer_name_of_the_limit_is_asked_by_it() {
    let server = Server::start();
    let refusal = json!({"error": {"message": "m", "type": "invalid_request_error", "param": "max_tokens",
        "code": "unsupported_parameter"}});
    let answered = json!({"choices": [{"message": {"content": ""}}]});
    server.add(Rule::when(method("POST")).answer(answer(400).json(&refusal)).times(1));
    server.add(Rule::when(method("POST")).answer(answer(200).json(&answered)));
    client(&server.base).probe("o9", Duration::ZERO, |_| {}).await.unwrap();
    let requests = server.requests();
    let body: Value = requests[1].body_json().unwrap();
    assert_eq!(body["max_completion_tokens"], json!(1));
    assert_eq!(body.get("max_tokens"), None);
}
