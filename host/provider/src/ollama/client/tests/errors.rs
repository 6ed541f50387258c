//! What the user reads when something goes wrong.

use super::*;
use crate::http::misbehaving::{Act, Misbehaving, http};

async fn connecting(act: Act) -> String {
    let server = Misbehaving::start(vec![act]);
    said(&client(&server.base).connect().await.unwrap_err())
}

#[tokio::test]
async fn nothing_there_or_something_else_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused_at = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let mut all = vec![said(&client(&refused_at).connect().await.unwrap_err())];
    for act in [
        Act::Say(http("200 OK", "<!doctype html><html>Welcome</html>")),
        Act::Say(http("200 OK", "{\"version\":7,\"name\":\"other\"}")),
        Act::Say(http("404 Not Found", "{\"error\":{\"message\":\"Invalid URL (GET /api/version)\"}}")),
        Act::Say(http("404 Not Found", "404 page not found")),
        Act::Say(http("400 Bad Request", "Client sent an HTTP request to an HTTPS server.")),
        Act::Say("SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
        Act::Say(
            http("301 Moved", "").replace("connection", "location: https://proxy.example/x\r\nconnection"),
        ),
        Act::Say(http("403 Forbidden", "")),
        Act::Drop,
    ] {
        all.push(connecting(act).await);
    }
    insta::assert_snapshot!(all.join("\n\n"));
}

#[tokio::test]
async fn a_version_without_numbers_is_still_ollama() {
    let server = Misbehaving::start(vec![Act::Say(http("200 OK", "{\"version\":\"7\",\"extra\":1}"))]);
    let server = client(&server.base).connect().await.unwrap();
    assert_eq!(
        (server.version.as_str(), server.emulated, server.typed_create),
        ("7", false, Support::Unknown)
    );
}

#[tokio::test]
async fn refusals_of_a_create_say_what_the_server_said_and_what_to_do() {
    let bench = Bench::start();
    let mut all = Vec::new();
    for (code, text) in [
        (400, "invalid model name"),
        (500, "write /root/.ollama/models/blobs/sha256-1: no space left on device"),
        (500, "something \u{1b}[2Jodd\nhappened"),
        (405, "405 method not allowed"),
        (401, "unauthorized"),
        (429, "slow down"),
    ] {
        bench.arm(CREATE, status(code, json!({ "error": text })));
        all.push(said(&bench.client.create(&request("mine"), |_| {}).await.unwrap_err()));
    }
    bench.arm(CREATE, Action::DropAfter);
    let Created::Unclear(error) = bench.client.create(&request("mine"), |_| {}).await.unwrap() else {
        panic!()
    };
    all.push(said(&error));
    insta::assert_snapshot!(all.join("\n\n"));
    assert_eq!(tunesmith_core::failure::Failure::from(error).kind().exit_code(), 6);
}
