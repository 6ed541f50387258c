//! `POST /api/chat` and `/api/generate`: answers that prove what is baked in.

use super::list::{KEEP_ALIVE, Loaded};
use super::models::{Model, media};
use super::options::Options;
use super::progress::{as_line, ndjson};
use super::prompt::{self, content, role};
use super::show::Texts;
use super::wire::{self, Failure, Fields, json_reply};
use super::{Ollama, gguf};
use crate::clock::rfc3339;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::{Request, StatusCode};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tunesmith_core::time::Timestamp;

/// Which of the two routes, whose replies differ in shape alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Chat,
    Generate,
}

pub(super) async fn chat(State(ollama): State<Arc<Ollama>>, request: Request<Body>) -> Response {
    match answer(&ollama, request, Route::Chat).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

pub(super) async fn generate(State(ollama): State<Arc<Ollama>>, request: Request<Body>) -> Response {
    match answer(&ollama, request, Route::Generate).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn answer(ollama: &Ollama, request: Request<Body>, route: Route) -> Result<Response, Failure> {
    let started = Instant::now();
    let type_name = if route == Route::Chat { "ChatRequest" } else { "GenerateRequest" };
    let fields = wire::read(request, type_name).await?;
    let given = fields.text("model")?;
    if given.is_empty() {
        return Err(Failure::bad_request("model is required"));
    }
    let stream = fields.flag("stream")?.unwrap_or(true);
    let model = ollama.model(&given)?;
    if !model.config.remote_host.is_empty() {
        let text = format!("the emulator does not contact {}", model.config.remote_host);
        return Err(Failure::new(StatusCode::BAD_GATEWAY, text));
    }
    let mut texts = ollama.texts(&model)?;
    let given_messages = messages(&fields, route, &mut texts)?;
    let empty = Map::new();
    let trained = ollama.load(&model)?;
    let options = Options::of(&texts.params, fields.object("options")?.unwrap_or(&empty), trained)?;
    let keep_alive = keep_alive(fields.get("keep_alive"));
    ollama.remember(&model, keep_alive, options.context);
    let reply = Reply { model: given, route, started };
    if given_messages.is_empty() {
        let reason = if keep_alive.is_zero() { "unload" } else { "load" };
        return Ok(json_reply(StatusCode::OK, &reply.last("", reason, None)));
    }
    let all = with_stored(&texts, given_messages);
    let truncate = fields.flag("truncate")?.unwrap_or(true);
    let (messages, tokens) = prompt::fit(all, options.context, truncate)?;
    if fields.flag("_debug_render_only")?.unwrap_or(false) {
        return Ok(json_reply(StatusCode::OK, &reply.rendered(&messages)));
    }
    let text = prompt::answer(&model.name.to_string(), &messages);
    let stopped =
        options.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min();
    let text = stopped.map_or(&text[..], |end| &text[..end]);
    let (text, cut) = options.predict.map_or((text, false), |tokens| prompt::cut(text, tokens));
    let reason = if cut { "length" } else { "stop" };
    let counts = Some((tokens, prompt::count(text).max(1)));
    if !stream {
        return Ok(json_reply(StatusCode::OK, &reply.last(text, reason, counts)));
    }
    let mut lines = Vec::new();
    for piece in text.split_inclusive(' ') {
        lines.extend(as_line(&reply.piece(piece)));
    }
    lines.extend(as_line(&reply.last("", reason, counts)));
    Ok(ndjson(Body::from(lines)))
}

/// The request's messages; a prompt is one of the user. None is a request to load.
fn messages(fields: &Fields, route: Route, texts: &mut Texts) -> Result<Vec<Value>, Failure> {
    if route == Route::Chat {
        return fields.messages();
    }
    let (prompt, system) = (fields.text("prompt")?, fields.text("system")?);
    if !system.is_empty() {
        texts.system = system;
    }
    if fields.flag("raw")?.unwrap_or(false) {
        *texts = Texts { params: std::mem::take(&mut texts.params), ..Texts::default() };
    }
    if fields.get("context").is_some() {
        texts.messages.clear();
    }
    Ok(if prompt.is_empty() { Vec::new() } else { vec![json!({ "role": "user", "content": prompt })] })
}

/// The system prompt, unless the request starts with one, then the stored messages,
/// then the request's.
fn with_stored(texts: &Texts, given: Vec<Value>) -> Vec<Value> {
    let mut all = texts.messages.clone();
    let own_system = given.first().is_some_and(|first| role(first) == "system");
    if !own_system && !texts.system.is_empty() {
        all.insert(0, json!({ "role": "system", "content": texts.system }));
    }
    all.extend(given);
    all
}

/// `keep_alive` as seconds or as Go writes durations, in its common forms; below zero
/// is for ever.
fn keep_alive(given: Option<&Value>) -> Duration {
    const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
    let seconds = match given {
        None => return KEEP_ALIVE,
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => match text.chars().last() {
            Some('s') => text.trim_end_matches('s').parse().ok(),
            Some('m') => text.trim_end_matches('m').parse().ok().map(|minutes: f64| minutes * 60.0),
            Some('h') => text.trim_end_matches('h').parse().ok().map(|hours: f64| hours * 3_600.0),
            _ => text.parse().ok(),
        },
        Some(_) => None,
    };
    match seconds {
        None => KEEP_ALIVE,
        Some(seconds) if seconds < 0.0 => FOR_EVER,
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(FOR_EVER).min(FOR_EVER),
    }
}

impl Ollama {
    /// Does what loading checks: that there is a model, and that adapters fit it. The
    /// context that it was trained for; 0 where that is not known.
    fn load(&self, model: &Model) -> Result<u64, Failure> {
        let failed = |reason: &str| {
            let text = format!("llama runner process has terminated: error loading model: {reason}");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text)
        };
        let header = |digest: &str| {
            self.blobs.size(digest)?;
            Ok::<_, Failure>(gguf::read(&self.blobs.path(digest))?)
        };
        let Some(layer) = model.layers(media::MODEL).next() else {
            return Err(failed("no model layer"));
        };
        let Some(base) = header(&layer.digest)? else { return Err(failed("invalid GGUF")) };
        for adapter in model.layers(media::ADAPTER) {
            let Some(adapter) = header(&adapter.digest)? else { return Err(failed("invalid GGUF")) };
            if adapter.architecture() != base.architecture() {
                return Err(failed("model arch and LoRA arch mismatch"));
            }
            if adapter.text("adapter.type") != "lora" {
                return Err(failed("expect adapter.type to be 'lora'"));
            }
        }
        Ok(base.own_number("context_length").unwrap_or(0))
    }

    fn remember(&self, model: &Model, keep_alive: Duration, context: u64) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if keep_alive.is_zero() {
            loaded.remove(&model.name.key());
        } else {
            let until = Timestamp::now() + keep_alive;
            loaded.insert(model.name.key(), Loaded { until, context });
        }
    }
}

struct Reply {
    model: String,
    route: Route,
    started: Instant,
}

impl Reply {
    fn piece(&self, text: &str) -> Value {
        let mut line = json!({ "model": self.model, "created_at": rfc3339(Timestamp::now()) });
        match self.route {
            Route::Chat => line["message"] = json!({ "role": "assistant", "content": text }),
            Route::Generate => line["response"] = json!(text),
        }
        line["done"] = json!(false);
        line
    }

    fn last(&self, text: &str, reason: &str, counts: Option<(u64, u64)>) -> Value {
        let mut line = self.piece(text);
        line["done"] = json!(true);
        line["done_reason"] = json!(reason);
        if let Some((prompt, answer)) = counts {
            let nanoseconds = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
            line["total_duration"] = json!(nanoseconds);
            line["load_duration"] = json!(1);
            line["prompt_eval_count"] = json!(prompt);
            line["prompt_eval_duration"] = json!(1);
            line["eval_count"] = json!(answer);
            line["eval_duration"] = json!(1);
        }
        line
    }

    fn rendered(&self, messages: &[Value]) -> Value {
        let text = messages.iter().fold(String::new(), |mut text, message| {
            // Writing to a String does not fail.
            let _ = write!(text, "<|{}|>\n{}\n", role(message), content(message));
            text
        });
        json!({
            "model": self.model,
            "created_at": rfc3339(Timestamp::now()),
            "_debug_info": { "rendered_template": text },
        })
    }
}
