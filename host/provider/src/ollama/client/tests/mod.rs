//! The client against the emulator, and against servers that misbehave more than it
//! does.

mod creating;
mod errors;
mod models;
mod streams;

use super::*;
use crate::ollama::{CreateRequest, ModelName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tunesmith_emulator::{Action, Emulator, Fault, Options as EmulatorOptions};

/// An emulator with a state of its own, and a client for it.
struct Bench {
    emulator: Emulator,
    client: Client,
    _state: TempDir,
}

impl Bench {
    fn start() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut EmulatorOptions)) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut options = EmulatorOptions::new(state.path());
        options.models = vec!["llama3.2".to_owned(), "mistral".to_owned()];
        change(&mut options);
        let emulator = Emulator::start(options).unwrap();
        let client = client(&emulator.ollama_url);
        Self { emulator, client, _state: state }
    }

    fn arm(&self, route: &str, action: Action) {
        self.emulator.faults().arm(Fault::next(route, action)).unwrap();
    }

    fn made(&self) -> u64 {
        self.emulator.counts().effects_of(CREATE)
    }
}

const CREATE: &str = "POST /api/create";

fn client(base: &str) -> Client {
    Client::new(Options::new(Endpoint::ollama(base).unwrap())).unwrap()
}

fn name(text: &str) -> ModelName {
    ModelName::parse(text).unwrap()
}

/// A request as a plan has it.
fn request(model: &str) -> CreateRequest {
    serde_json::from_value(json!({
        "model": model, "from": "mistral", "system": "Be kind.\u{200d}", "stream": true,
        "parameters": { "num_ctx": 2048, "temperature": 0.2, "stop": ["[INST]", "say \"x\""] },
        "messages": [{ "role": "user", "content": "Hi" }, { "role": "assistant", "content": "Hello" }],
    }))
    .unwrap()
}

/// A status that a server answers with, once.
fn status(status: u16, body: Value) -> Action {
    Action::Status { status, body, headers: Default::default() }
}

/// The error and what it advises, without the server's port.
fn said(error: &ApiError) -> String {
    let port = error.host.rsplit_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
    let mut text = error.to_string();
    for advice in error.advice() {
        text.push_str(&format!("\n{advice:?}"));
    }
    if port.is_empty() { text } else { text.replace(&port, ":PORT") }
}
