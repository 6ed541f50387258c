//! What the user reads when something goes wrong, and what nobody may read.

use super::*;
use crate::http::misbehaving::{Act, Misbehaving, http};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use tunesmith_core::failure::{Advice, Doubt, Service};

fn body(message: &str, kind: &str, code: Option<&str>) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

async fn refused(status: u16, body: Value) -> ApiError {
    let server = Server::start();
    let reply = answer(status).header("x-request-id", "req_123").json(body);
    server.add(Rule::when(method("POST")).answer(reply));
    client(&server.base).create_job(&request(), "run-1").await.unwrap_err()
}

#[tokio::test]
async fn refusals_say_what_the_server_said_and_what_to_do() {
    let request = "invalid_request_error";
    let said: Vec<String> = [
        refused(401, body("Incorrect API key provided.", request, Some("invalid_api_key"))).await,
        refused(403, body("Your organization may not create jobs.", request, None)).await,
        refused(404, body("The model `gpt-9` does not exist", request, Some("model_not_found"))).await,
        refused(429, body("You exceeded your quota.", "insufficient_quota", Some("insufficient_quota")))
            .await,
        refused(
            400,
            json!({"error": {"message": "'n_epochs' must be at least 1", "type": request, "code": null,
            "param": "hyperparameters.n_epochs"}}),
        )
        .await,
        refused(422, json!({ "detail": "field required" })).await,
    ]
    .iter()
    .map(said)
    .collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn the_closing_is_explained_for_openai_itself() {
    let endpoint = Endpoint::parse(Endpoint::OPENAI, false).unwrap();
    let mut error = ApiError::new(Operation::CreateJob, &endpoint, ErrorKind::Server);
    let text = body("Fine-tuning is not available.", "invalid_request_error", None).to_string();
    error.read_body(text.as_bytes(), &tunesmith_core::secret::Redactor::default());
    error.classify(403, true);
    insta::assert_snapshot!(said(&error));
    assert_eq!(tunesmith_core::failure::Failure::from(error).kind().exit_code(), 6);
}

#[test]
fn openai_without_a_key_is_not_contacted() {
    let options = Options::new(Endpoint::parse(Endpoint::OPENAI, false).unwrap());
    let error = Client::new(options).unwrap_err();
    insta::assert_snapshot!(said(&error), @r"
    cannot set up the connection: api.openai.com needs a key, and none is set
    SetKey
    UseEmulator
    ");
}

#[tokio::test]
async fn a_service_that_wants_a_key_says_so() {
    let server = Server::start();
    server.add(Rule::when(method("GET")).answer(answer(401)));
    let client = Client::new(Options { key: None, ..options(&server.base) }).unwrap();
    assert_eq!(client.models().await.unwrap_err().kind, ErrorKind::MissingKey);
}

#[tokio::test(start_paused = true)]
async fn failures_below_http_are_told_apart() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused_at = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let refused = client(&refused_at).model("m").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Refused);
    insta::assert_snapshot!(said(&refused));

    let dropped = Misbehaving::start(vec![Act::Drop]);
    assert_eq!(client(&dropped.base).model("m").await.unwrap_err().kind, ErrorKind::Dropped);

    let page = Misbehaving::start(vec![Act::Say(http("200 OK", "<!doctype html><html>Sign in</html>"))]);
    let error = client(&page.base).model("m").await.unwrap_err();
    insta::assert_snapshot!(said(&error));
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_fault() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1000]);
            let _ = std::io::Write::write_all(&mut stream, http("400 Bad Request", "no TLS here").as_bytes());
        }
    });
    // A machine without certificates says so when the client is made.
    let error = match Client::new(options(&base)) {
        Ok(client) => client.model("m").await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind, ErrorKind::Tls, "{error}");
    assert_eq!(error.advice(), [Advice::CheckAddress { service: Service::OpenAi, doubt: Doubt::Tls }]);
}

#[tokio::test]
async fn a_stalled_answer_is_a_timeout() {
    let stalled = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_owned();
    for act in [Act::Hang, Act::Flood(stalled)] {
        let server = Misbehaving::start(vec![act.clone()]);
        let mut options = options(&server.base);
        options.timeouts.response = Some(Duration::from_millis(50));
        let created = Client::new(options).unwrap().create_job(&request(), "run-1").await.unwrap();
        let Created::Unclear(error) = created else { panic!("{created:?}") };
        let kind = if matches!(act, Act::Hang) { ErrorKind::Timeout } else { ErrorKind::Malformed };
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let elsewhere = Server::start();
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start();
        let target = format!("{}/v1/models/m", elsewhere.base);
        server.add(Rule::when(method("GET")).answer(answer(status).header("location", &target)));
        let error = client(&server.base).model("m").await.unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::Redirect, Some(status)));
        assert!(error.to_string().contains("it points to 127.0.0.1"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_answer_beyond_its_bound_is_cut_off() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_owned();
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for head in [announced, endless.clone()] {
        let server = Misbehaving::start(vec![Act::Flood(head)]);
        let error = client(&server.base).model("m").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    }
    // A refusal's body is bounded too, and its status still counts.
    let server = Misbehaving::start(vec![Act::Flood(endless.replace("200 OK", "401 Unauthorized"))]);
    let error = client(&server.base).model("m").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongKey);
    assert!(error.to_string().len() < 500, "{error}");
}

#[tokio::test]
async fn the_key_is_in_no_error_and_in_no_value() {
    let base64 = STANDARD.encode(format!("x{KEY}"));
    let percent = KEY.replace('+', "%2B").replace('/', "%2F");
    for echo in [KEY.to_owned(), format!("Bearer {KEY}"), base64, percent] {
        let server = Server::start();
        let reply = answer(401)
            .header("x-request-id", format!("req {echo}").as_str())
            .json(json!({"error": {"message": format!("wrong: {echo}"), "type": &echo, "code": &echo, "param": &echo}}));
        server.on("POST", "/v1/fine_tuning/jobs", reply);
        server.on("GET", "/v1/models/text", answer(400).text(format!("plain {echo}")));
        let escaped =
            job("ftjob-1", json!({"error": {"message": &echo}, "metadata": {&echo: &echo}, "more": [&echo]}));
        let escaped = escaped.to_string().replace("sk-", "\\u0073\\u006b\\u002d");
        server.on("GET", "/v1/fine_tuning/jobs/ftjob-1", answer(200).text(escaped));
        let client = client(&server.base);
        let error = client.create_job(&request(), "run-1").await.unwrap_err();
        assert!(error.to_string().contains("[redacted]"), "{error}");
        let text = client.model("text").await.unwrap_err();
        let job = client.job("ftjob-1").await.unwrap();
        assert!(job.error.as_ref().unwrap().message.as_ref().unwrap().contains("[redacted]"), "{job:?}");
        for shown in [
            said(&error),
            format!("{error:#?}"),
            format!("{text} {text:?}"),
            format!("{job:?}"),
            serde_json::to_string(&job).unwrap(),
            format!("{client:?} {:?}", client.redactor()),
        ] {
            assert_no_key(&shown);
            assert!(!shown.contains(&echo), "{shown}");
        }
    }
    assert_no_key(&format!("{:?}", options("http://127.0.0.1:1")));
}

#[tokio::test]
async fn what_a_server_says_cannot_move_the_cursor() {
    let error = refused(400, body("\u{1b}[2Jgone\r\n\u{202e}evil", "\u{7}", Some("a\nb"))).await;
    let text = error.to_string();
    assert!(!text.contains(tunesmith_core::text::is_hidden), "{text:?}");
    assert!(text.contains("\\u{1b}[2Jgone\\r\\n\\u{202e}evil"), "{text}");
    let long = refused(400, body(&"long ".repeat(100_000), "x", None)).await;
    assert!(long.to_string().len() < 3000);
}
