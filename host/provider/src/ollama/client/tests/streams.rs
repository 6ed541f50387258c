//! Streams of progress from servers that keep to no rule.

use super::*;
use crate::http::misbehaving::{Act, Misbehaving};
use std::time::Duration;

/// An answer of lines, ended properly.
fn lines(text: &str) -> Act {
    Act::Say(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    ))
}

async fn create(act: Act) -> Result<Created, ApiError> {
    let server = Misbehaving::start(vec![act]);
    client(&server.base).create(&request("mine"), |_| {}).await
}

#[tokio::test]
async fn success_counts_only_as_the_very_last_word() {
    let manifest = "{\"status\":\"writing manifest\"}\n";
    for text in [
        format!("{manifest}{{\"status\":\"success\"}}\n"),
        format!("{manifest}{{\"status\":\"success\"}}"),
        format!(
            "\r\n{{\"status\":\"thinking about it\",\"more\":[1]}}\r\n\r\n{manifest}{{\"status\":\"success\"}}\r\n"
        ),
        "{\"status\":\"success\"}\n{\"ping\":1}\n".to_owned(),
    ] {
        let created = create(lines(&text)).await.unwrap();
        assert!(matches!(created, Created::Done(_)), "{text}: {created:?}");
    }
    // A pull inside a create has a success of its own; so may a version to come.
    for text in [
        "{\"status\":\"success\"}\n{\"status\":\"parsing GGUF\"}\n",
        "{\"status\":\"parsing GGUF\"}\n",
        "{\"status\":\"success\"}\n{\"status\":\"wri",
        "",
    ] {
        let created = create(lines(text)).await.unwrap();
        let Created::Unclear(error) = created else { panic!("{text}") };
        assert_eq!(error.kind, ErrorKind::Truncated, "{text}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_success_is_unclear() {
    let act = Act::Say(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n15\r\n{\"status\":\"success\"}\n\r\n"
            .to_owned(),
    );
    let Created::Unclear(error) = create(act).await.unwrap() else { panic!() };
    assert_eq!(error.kind, ErrorKind::Dropped, "{error}");
}

#[tokio::test]
async fn an_error_line_is_a_failure_whatever_the_status() {
    for text in [
        "{\"status\":\"parsing GGUF\"}\n{\"error\":\"unsupported architecture\"}\n",
        "{\"error\":\"template error: x\",\"status\":400}\n",
        "{\"error\":{\"message\":\"oops\"}}\n",
        "{\"status\":\"success\",\"error\":\"no\"}\n",
    ] {
        let error = create(lines(text)).await.unwrap_err();
        assert!(!error.may_have_happened() && error.message.is_some(), "{text}: {error}");
    }
    // Once the manifest is being written the model may be there all the same.
    let text = "{\"status\":\"writing manifest\"}\n{\"error\":\"sync: input/output error\"}\n";
    assert!(matches!(create(lines(text)).await.unwrap(), Created::Unclear(_)));
}

#[tokio::test]
async fn what_is_no_progress_is_unclear_and_bounded() {
    for text in ["<html>\n", "[1]\n", "{\"status\":\"a\"}\nnonsense\n"] {
        let Created::Unclear(error) = create(lines(text)).await.unwrap() else { panic!("{text}") };
        assert_eq!(error.kind, ErrorKind::Malformed, "{text}: {error}");
    }
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let Created::Unclear(error) = create(Act::Flood(endless)).await.unwrap() else { panic!() };
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

#[tokio::test]
async fn a_long_line_is_read_whole() {
    let text = format!(
        "{{\"status\":\"reading\",\"note\":\"{}\"}}\n{{\"status\":\"success\"}}\n",
        "x".repeat(5_000_000)
    );
    assert!(matches!(create(lines(&text)).await.unwrap(), Created::Done(_)));
}

#[tokio::test]
async fn a_stalled_stream_is_a_timeout_and_unclear() {
    let stalled = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"status\":\"parsing GGUF\"}\n".to_owned();
    let (listener, server) = stalling(stalled);
    let mut options = Options::new(Endpoint::ollama(&listener).unwrap());
    options.timeouts.response = Some(Duration::from_millis(200));
    let client = Client::new(options).unwrap();
    let created = client.create(&request("mine"), |_| {}).await.unwrap();
    let Created::Unclear(error) = created else { panic!("{created:?}") };
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    drop(server);
}

/// A server that says this much and then nothing, for as long as the sender lives.
fn stalling(text: String) -> (String, std::sync::mpsc::Sender<()>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (keep, kept) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 65_536]);
        let _ = stream.write_all(text.as_bytes());
        let _ = kept.recv();
    });
    (base, keep)
}
