//! Replies that come as lines of progress, or as the last of them.

use super::wire::{Failure, json_reply};
use crate::body::{self, AbortOnDrop, Pieces};
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a piece of work sends to its client.
#[derive(Debug)]
enum Line {
    Progress(Value),
    Failure(Failure),
}

/// Why a piece of work ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client has gone: nothing more is to be done.
    Gone,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Where a piece of work reports to.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    lines: mpsc::Sender<Line>,
    pause: Duration,
}

impl Progress {
    pub(super) async fn send(&self, line: Value) -> Result<(), Stop> {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        self.lines.send(Line::Progress(line)).await.map_err(|_| Stop::Gone)
    }

    pub(super) async fn status(&self, status: &str) -> Result<(), Stop> {
        self.send(json!({ "status": status })).await
    }

    /// A status with an amount; a completed amount of zero is left out, as Go does.
    pub(super) async fn amount(&self, status: &str, digest: &str, total: u64, done: u64) -> Result<(), Stop> {
        let mut line = json!({ "status": status, "digest": digest, "total": total });
        if done > 0 {
            line["completed"] = json!(done);
        }
        self.send(line).await
    }

    /// Whether nobody listens any more.
    pub(super) fn is_gone(&self) -> bool {
        self.lines.is_closed()
    }
}

/// Does a piece of work and replies with its lines, or with the last one. It ends when
/// the client goes. A failure before the first line has its own status; later ones are
/// lines under a status of 200.
pub(super) async fn reply<F>(stream: bool, pause: Duration, work: impl FnOnce(Progress) -> F) -> Response
where
    F: Future<Output = Result<(), Stop>> + Send + 'static,
{
    let (lines, mut receive) = mpsc::channel(1);
    let work = work(Progress { lines: lines.clone(), pause });
    let task = tokio::spawn(async move {
        if let Err(Stop::Failed(failure)) = work.await {
            let _ = lines.send(Line::Failure(failure)).await;
        }
    });
    let guard = AbortOnDrop(task.abort_handle());
    if !stream {
        let mut last = json!({ "status": "" });
        while let Some(line) = receive.recv().await {
            match line {
                Line::Progress(line) => last = line,
                Line::Failure(failure) => return failure.into_response(),
            }
        }
        return json_reply(StatusCode::OK, &last);
    }
    let first = match receive.recv().await {
        Some(Line::Failure(failure)) => return failure.into_response(),
        Some(Line::Progress(line)) => Some(line),
        None => None,
    };
    let (pieces, body) = body::channel();
    let forward = tokio::spawn(async move {
        let _work = guard;
        forward(first, receive, pieces).await;
    });
    ndjson(body::streamed(body, Some(AbortOnDrop(forward.abort_handle()))))
}

async fn forward(first: Option<Value>, mut receive: mpsc::Receiver<Line>, pieces: Pieces) {
    let mut next = first.map(Line::Progress);
    loop {
        let line = match next.take() {
            Some(line) => line,
            None => match receive.recv().await {
                Some(line) => line,
                None => return,
            },
        };
        let (value, last) = match line {
            Line::Progress(value) => (value, false),
            Line::Failure(failure) => (json!({ "error": failure.message }), true),
        };
        if pieces.send(Ok(as_line(&value))).await.is_err() || last {
            return;
        }
    }
}

/// A value on a line of its own.
pub(super) fn as_line(value: &Value) -> Bytes {
    let mut line = value.to_string();
    line.push('\n');
    line.into()
}

/// A reply of lines.
pub(super) fn ndjson(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
