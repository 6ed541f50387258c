//! `POST /api/create`: a model from another, from files, and from texts.

use super::gguf;
use super::import::Built;
use super::models::{Config, Layer, Model, media};
use super::name::Name;
use super::progress::{self, Progress, Stop};
use super::request::{CreateRequest, invalid_name};
use super::wire::{self, Failure};
use super::{Ollama, import, pull, template};
use crate::behaviour::Generation;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn post(State(ollama): State<Arc<Ollama>>, request: Request<Body>) -> Response {
    let fields = match wire::read(request, "CreateRequest").await {
        Ok(fields) => fields,
        Err(failure) => return failure.into_response(),
    };
    let (generation, pause) = {
        let behaviour = ollama.shared.behaviour();
        (behaviour.ollama.generation, Duration::from_millis(behaviour.ollama.step_ms))
    };
    let request = match CreateRequest::read(&fields, generation, &ollama.blobs) {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    progress::reply(request.stream, pause, |progress| create(ollama, request, generation, progress)).await
}

async fn create(
    ollama: Arc<Ollama>,
    request: CreateRequest,
    generation: Generation,
    progress: Progress,
) -> Result<(), Stop> {
    let _writing = ollama.models.writing();
    let mut config = Config { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..Config::default() };
    let mut built = Vec::new();
    if !request.from.is_empty() {
        let from = request.from.strip_suffix(":local").unwrap_or(&request.from);
        let from = Name::parse(from).ok_or_else(invalid_name)?;
        if !request.remote_host.is_empty() || from.is_cloud() {
            config.remote_model = request.from.clone();
            config.remote_host = match request.remote_host.as_str() {
                "" => "https://ollama.com:443".to_owned(),
                given => given.to_owned(),
            };
        } else {
            let base = match ollama.models.find(&from) {
                Some(base) => base,
                None => pulled(&ollama, &from, &progress).await?,
            };
            config = base.config.clone();
            built = inherited(&ollama, &base)?;
        }
    } else if let Some(files) = &request.files {
        let has_adapters = request.adapters.is_some();
        built = import::model(&ollama, files, generation, has_adapters, &progress).await?;
    } else {
        return Err(Failure::bad_request("neither 'from' or 'files' was specified").into());
    }
    for (name, digest) in request.draft_files.iter().flatten() {
        let draft = import::gguf_layer(&ollama, name, digest, generation, media::DRAFT, &progress).await?;
        built.push(draft);
    }
    if let Some(adapters) = &request.adapters {
        let base = built.iter().find(|layer| layer.layer.media_type == media::MODEL);
        let base = base.and_then(|layer| layer.header.as_ref());
        built.push(import::adapter(&ollama, adapters, generation, base, &progress).await?);
    }
    if generation == Generation::V033 {
        for layer in built.iter_mut().filter(|layer| layer.layer.media_type == media::MODEL) {
            import::finish_033(&ollama, layer, &request.quantize, &progress).await?;
        }
    }
    configure(&mut config, &request, &built)?;
    let built = with_texts(&ollama, built, &request)?;
    for status in built.iter().filter_map(|layer| layer.status.as_ref()) {
        progress.status(status).await?;
    }
    progress.status("writing manifest").await?;
    if progress.is_gone() {
        return Err(Stop::Gone);
    }
    let layers = built.into_iter().map(|layer| layer.layer).collect();
    let (store, name) = (ollama.clone(), request.name);
    // Counted with it: whoever waits for it may be gone before it is done.
    tokio::task::spawn_blocking(move || {
        store.models.write(&name, &config, layers)?;
        store.shared.counters.effect("POST /api/create");
        Ok::<_, Failure>(())
    })
    .await
    .map_err(Failure::internal)??;
    progress.status("success").await
}

/// The base, fetched first because it is missing, with all the lines of a pull.
async fn pulled(ollama: &Arc<Ollama>, name: &Name, progress: &Progress) -> Result<Arc<Model>, Stop> {
    pull::pull(ollama, name, progress).await?;
    let missing = || Failure::internal(format!("open {name}: no such file or directory"));
    Ok(ollama.models.find(name).ok_or_else(missing)?)
}

fn inherited(ollama: &Ollama, base: &Model) -> Result<Vec<Built>, Stop> {
    let mut layers = Vec::new();
    for layer in &base.manifest.layers {
        ollama.blobs.size(&layer.digest)?;
        let is_gguf = matches!(layer.media_type.as_str(), media::MODEL | media::ADAPTER | media::PROJECTOR);
        let header = if is_gguf { gguf::read(&ollama.blobs.path(&layer.digest))? } else { None };
        let status = Some(format!("using existing layer {}", layer.digest));
        layers.push(Built { layer: layer.clone(), status, header, is_import: false });
    }
    Ok(layers)
}

/// Fills in what the configuration leaves open, from the request and the layers.
fn configure(config: &mut Config, request: &CreateRequest, built: &[Built]) -> Result<(), Failure> {
    let or = |field: &mut String, given: &str| {
        if !given.is_empty() {
            given.clone_into(field);
        }
    };
    or(&mut config.renderer, &request.renderer);
    or(&mut config.parser, &request.parser);
    or(&mut config.requires, &request.requires);
    let models = built.iter().filter(|layer| layer.layer.media_type == media::MODEL);
    for header in models.filter_map(|layer| layer.header.as_ref()) {
        let architecture = header.architecture();
        let fill = |field: &mut String, value: &str| {
            if field.is_empty() {
                value.clone_into(field);
            }
        };
        fill(&mut config.model_format, "gguf");
        fill(&mut config.model_family, architecture);
        fill(&mut config.model_type, "unknown");
        fill(&mut config.file_type, header.file_type());
        if !request.quantize.is_empty() {
            header.file_type().clone_into(&mut config.file_type);
        }
        if !config.model_families.iter().any(|family| family == architecture) {
            config.model_families.push(architecture.to_owned());
        }
    }
    request.info.as_ref().map_or(Ok(()), |info| apply_info(config, info))
}

fn apply_info(config: &mut Config, info: &Map<String, Value>) -> Result<(), Failure> {
    if let Some(capabilities) = info.get("capabilities") {
        let Value::Array(list) = capabilities else {
            return Err(Failure::bad_request("info field \"capabilities\" must be an array of strings"));
        };
        let texts = list.iter().enumerate().map(|(at, item)| {
            item.as_str().map(str::to_owned).ok_or_else(|| {
                let text = format!("info field \"capabilities\" element {at} must be a string");
                Failure::bad_request(text)
            })
        });
        config.capabilities = texts.collect::<Result<_, _>>()?;
    }
    let text = |key: &str| match info.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Failure::bad_request(format!("info field {key:?} must be a string"))),
    };
    if let Some(family) = text("model_family")? {
        config.model_families = if family.is_empty() { Vec::new() } else { vec![family.clone()] };
        config.model_family = family;
    }
    for (key, field) in [
        ("base_name", &mut config.base_name),
        ("quantization_level", &mut config.file_type),
        ("parameter_size", &mut config.model_type),
    ] {
        if let Some(given) = text(key)? {
            *field = given;
        }
    }
    for (key, field) in
        [("context_length", &mut config.context_length), ("embedding_length", &mut config.embedding_length)]
    {
        match info.get(key) {
            None => {}
            Some(Value::Number(number)) => {
                let whole = number.as_u64().or_else(|| {
                    let number = number.as_f64()?;
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
                    (number >= 0.0 && number.fract() == 0.0 && number < 9e18).then_some(number as u64)
                });
                *field = whole.ok_or_else(|| {
                    Failure::bad_request(format!("info field {key:?} must be a non-negative integer"))
                })?;
            }
            Some(_) => return Err(Failure::bad_request(format!("info field {key:?} must be a number"))),
        }
    }
    Ok(())
}

/// The layers of the request's texts, after those of the base: a template, a system
/// prompt and messages replace the base's, licences are added to them, parameters
/// are merged key by key.
fn with_texts(ollama: &Ollama, mut built: Vec<Built>, request: &CreateRequest) -> Result<Vec<Built>, Stop> {
    let add = |built: &mut Vec<Built>, media_type: &str, bytes: &[u8]| -> Result<(), Stop> {
        let (digest, there) = ollama.blobs.put(bytes)?;
        let verb = if there { "using existing" } else { "creating new" };
        let status = Some(format!("{verb} layer {digest}"));
        let layer = Layer { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 };
        built.push(Built { layer, status, header: None, is_import: true });
        Ok(())
    };
    let remove = |built: &mut Vec<Built>, media_type: &str| {
        built.retain(|layer| layer.layer.media_type != media_type);
    };
    if !request.template.is_empty() {
        template::check(&request.template)
            .map_err(|reason| Failure::bad_request(format!("template error: {reason}")))?;
        remove(&mut built, media::TEMPLATE);
        add(&mut built, media::TEMPLATE, request.template.as_bytes())?;
    }
    if !request.system.is_empty() {
        remove(&mut built, media::SYSTEM);
        add(&mut built, media::SYSTEM, request.system.as_bytes())?;
    }
    for license in request.licenses.clone()? {
        add(&mut built, media::LICENSE, license.as_bytes())?;
    }
    if !request.parameters.is_empty() {
        let mut merged = request.parameters.clone();
        for layer in built.iter().filter(|layer| layer.layer.media_type == media::PARAMS) {
            let stored: Map<String, Value> = serde_json::from_slice(&ollama.blobs.read(&layer.layer.digest)?)
                .map_err(Failure::internal)?;
            for (key, value) in stored {
                merged.entry(key).or_insert(value);
            }
        }
        merged.sort_keys();
        remove(&mut built, media::PARAMS);
        add(&mut built, media::PARAMS, format!("{}\n", Value::Object(merged)).as_bytes())?;
    }
    if !request.messages.is_empty() {
        remove(&mut built, media::MESSAGES);
        add(&mut built, media::MESSAGES, format!("{}\n", json!(request.messages)).as_bytes())?;
    }
    Ok(built)
}
