//! Ctrl-C: asks once whether to leave the jobs running or to cancel them; the second
//! time this process ends at once and says how to go on.

use crate::view::events::Display;
use crate::view::output::Progress as Say;
use std::io::{BufRead as _, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tunesmith_core::failure::Kind;
use tunesmith_engine::execute::Executor;
use tunesmith_store::{Ask, JobId};

/// Waits for Ctrl-C, for SIGTERM, or for the terminal to go.
pub(crate) async fn asked() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        // Then only the system's own way of ending is left.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

/// Asks a question on the terminal and reads a line; none at the end of input.
pub(super) async fn ask(say: Say, question: String) -> Option<String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread of its own: tokio's would hold the process up while it waits for a line.
    std::thread::spawn(move || {
        say.question(&question);
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(read.ok().filter(|bytes| *bytes > 0).map(|_| line));
    });
    receiver.await.ok().flatten()
}

/// Does what the user wants after the first Ctrl-C. Gives what came of the jobs, and
/// whether this command was ended by that.
pub(crate) async fn handle<F: std::future::Future>(
    executor: &Executor,
    display: &Display,
    active: &Arc<Mutex<Vec<JobId>>>,
    mut work: std::pin::Pin<&mut F>,
) -> (F::Output, bool) {
    let ids = active.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let say = display.say();
    let is_asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !ids.is_empty();
    let choose = async {
        if !is_asked {
            return None;
        }
        display.pause();
        let question = match ids.len() {
            1 => format!("\n{} is not done. (l)eave it running, (c)ancel it, or go (o)n? [l] ", ids[0]),
            many => {
                format!("\n{many} jobs are not done. (l)eave them running, (c)ancel them, or go (o)n? [l] ")
            }
        };
        ask(say, question).await
    };
    let chosen = tokio::select! {
        chosen = choose => chosen,
        // The work goes on while the user thinks.
        results = &mut work => {
            // What comes next stands below the question.
            if is_asked {
                say.raw("");
            }
            display.go_on();
            return (results, false);
        }
        () = asked() => {
            if is_asked {
                say.raw("");
            }
            end_at_once(say, &ids)
        }
    };
    display.go_on();
    let is_interrupted = match chosen.as_deref().map(str::trim) {
        Some("o" | "on") => false,
        Some("c" | "cancel") => {
            let cancel = async {
                for id in &ids {
                    // One that has just ended needs no cancelling.
                    let _ = executor.store().request(id, Ask::Cancel).await;
                }
            };
            // The work may be in the middle of writing to the store, and must go on for
            // the request to have its turn.
            tokio::select! {
                () = cancel => {}
                results = &mut work => return (results, true),
                () = asked() => end_at_once(say, &ids),
            }
            true
        }
        _ => {
            executor.leave();
            true
        }
    };
    tokio::select! {
        results = work => (results, is_interrupted),
        () = asked() => end_at_once(say, &ids),
    }
}

/// The second Ctrl-C. Everything is in the store, so nothing is lost by ending here.
fn end_at_once(say: Say, ids: &[JobId]) -> ! {
    for id in ids {
        say.raw(&format!("left {id} as it is: tunesmith jobs resume {id} carries on"));
    }
    std::process::exit(Kind::Interrupted.exit_code().into());
}
