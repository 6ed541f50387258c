//! The control endpoint, `/_emulator`: faults, counters, time and behaviour, for
//! tests that run the emulator in a process of its own.
//!
//! ```text
//! GET    /_emulator             what this is, its addresses and its time
//! GET    /_emulator/counters    calls and effects by route
//! GET    /_emulator/faults      what is armed, seen and fired
//! POST   /_emulator/faults      arm one fault, or a list
//! DELETE /_emulator/faults      disarm all
//! POST   /_emulator/tick        {"seconds": 60}: move emulated time forward
//! GET    /_emulator/behaviour   how the services behave
//! PATCH  /_emulator/behaviour   change the fields that are given
//! ```

use super::faults::Fault;
use super::{Behaviour, Shared, body};
use axum::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// The largest control request: a thousand faults with bodies of their own.
const MAX_BODY: usize = 4 << 20;

/// The furthest that one tick may go, a year: beyond it, sums lose their fractions.
const MAX_TICK: f64 = 366.0 * 86_400.0;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Fault>),
    One(Fault),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tick {
    seconds: f64,
}

pub(super) async fn reply(shared: &Shared, path: &str, request: Request<Body>) -> Response<Body> {
    let method = request.method().clone();
    let reply = match (method, path) {
        (Method::GET, "" | "/") => Ok(json!({
            "emulator": "tunesmith",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "ollama_url": shared.ollama_url,
            "openai_url": shared.openai_url,
            "pace": shared.clock.pace(),
            "emulated_seconds": shared.clock.now(),
        })),
        (Method::GET, "/counters") => Ok(json!(shared.counters.counts())),
        (Method::GET, "/faults") => Ok(json!(shared.faults.armed())),
        (Method::DELETE, "/faults") => {
            shared.faults.clear();
            Ok(json!([]))
        }
        (Method::POST, "/faults") => arm(shared, request).await,
        (Method::POST, "/tick") => tick(shared, request).await,
        (Method::GET, "/behaviour") => Ok(json!(*shared.behaviour())),
        (Method::PATCH, "/behaviour") => change(shared, request).await,
        _ => Err((StatusCode::NOT_FOUND, "no such control; see GET /_emulator".to_owned())),
    };
    let (status, value) = match reply {
        Ok(value) => (StatusCode::OK, value),
        Err((status, message)) => (status, json!({ "error": message })),
    };
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

type Refused = (StatusCode, String);

fn refused(message: impl ToString) -> Refused {
    (StatusCode::BAD_REQUEST, message.to_string())
}

async fn parse<T: serde::de::DeserializeOwned>(request: Request<Body>) -> Result<T, Refused> {
    let bytes = body::whole(request.into_body(), MAX_BODY)
        .await
        .map_err(|_| refused(format!("the request is not whole, or above {MAX_BODY} bytes")))?;
    serde_json::from_slice(&bytes).map_err(refused)
}

async fn arm(shared: &Shared, request: Request<Body>) -> Result<Value, Refused> {
    // Through a value, since untagged enums hide what was wrong.
    let value: Value = parse(request).await?;
    let faults = match &value {
        Value::Array(_) => serde_json::from_value(value).map(OneOrMany::Many),
        _ => serde_json::from_value(value).map(OneOrMany::One),
    };
    match faults.map_err(refused)? {
        OneOrMany::One(fault) => shared.faults.arm(fault).map_err(refused)?,
        OneOrMany::Many(faults) => {
            for fault in faults {
                shared.faults.arm(fault).map_err(refused)?;
            }
        }
    }
    Ok(json!(shared.faults.armed()))
}

async fn tick(shared: &Shared, request: Request<Body>) -> Result<Value, Refused> {
    let Tick { seconds } = parse(request).await?;
    let now = shared.tick(seconds).map_err(refused)?;
    Ok(json!({ "emulated_seconds": now }))
}

/// Whether time may move on by so much.
pub(super) fn tick_is_sane(seconds: f64) -> bool {
    (0.0..=MAX_TICK).contains(&seconds)
}

async fn change(shared: &Shared, request: Request<Body>) -> Result<Value, Refused> {
    let changes: Value = parse(request).await?;
    let mut behaviour = shared.behaviour_mut();
    let mut merged = serde_json::to_value(&*behaviour).map_err(refused)?;
    merge(&mut merged, changes);
    let changed: Behaviour = serde_json::from_value(merged).map_err(refused)?;
    *behaviour = changed;
    Ok(json!(*behaviour))
}

/// Objects are merged key by key; anything else is replaced.
fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                match into.get_mut(&key) {
                    // A tagged value is one thing: {"kind": …} is not mixed with another kind.
                    Some(old) if old.is_object() && old.get("kind").is_none() => merge(old, change),
                    _ => {
                        into.insert(key, change);
                    }
                }
            }
        }
        (into, changes) => *into = changes,
    }
}
