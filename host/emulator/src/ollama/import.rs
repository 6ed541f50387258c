//! Files that become layers of a model: GGUF as it is, safetensors as each
//! generation takes them.

use super::Ollama;
use super::blobs::is_digest;
use super::gguf::{self, Entry, Header};
use super::models::{Layer, media};
use super::progress::{Progress, Stop};
use super::request::{FileKind, Files, is_valid_path, kind_of_files};
use super::wire::Failure;
use crate::behaviour::Generation;
use hyper::StatusCode;
use serde_json::Value;

/// The digest that progress of a conversion carries, whatever is converted.
const NO_DIGEST: &str = "0000000000000000000";

/// The largest JSON file beside safetensors that is read.
const MAX_CONFIG: u64 = 1 << 20;

/// What 0.33 converts to GGUF.
const CONVERTED: &[&str] = &[
    "BertModel",
    "CohereForCausalLM",
    "DeepseekV3ForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "GemmaForCausalLM",
    "GptOssForCausalLM",
    "Llama4ForConditionalGeneration",
    "LlamaForCausalLM",
    "Mistral3ForConditionalGeneration",
    "MixtralForCausalLM",
    "MllamaForConditionalGeneration",
    "NomicBertModel",
    "Olmo3ForCausalLM",
    "Phi3ForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen2_5_VLForConditionalGeneration",
];

/// The architectures that 0.33 converts adapters for.
const ADAPTED: &[&str] = &["llama", "gemma2"];

/// A layer on its way into a manifest.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) layer: Layer,
    /// What the client is told of it.
    pub(super) status: Option<String>,
    pub(super) header: Option<Header>,
    /// Whether this request brought it, rather than its base.
    pub(super) is_import: bool,
}

/// The model that `files` are.
pub(super) async fn model(
    ollama: &Ollama,
    files: &Files,
    generation: Generation,
    has_adapters: bool,
    progress: &Progress,
) -> Result<Vec<Built>, Stop> {
    match kind_of_files(files, &ollama.blobs, generation != Generation::V033)? {
        None => Err(Failure::bad_request("unknown type").into()),
        Some(FileKind::Gguf) => {
            let mut layers = Vec::new();
            for (name, digest) in files {
                layers.push(gguf_layer(ollama, name, digest, generation, media::MODEL, progress).await?);
            }
            Ok(layers)
        }
        Some(FileKind::Safetensors) if generation == Generation::V033 => {
            progress.status("converting model").await?;
            Ok(vec![converted_model(ollama, files)?])
        }
        Some(FileKind::Safetensors) if has_adapters => {
            Err(Failure::bad_request("safetensors imports do not support adapters").into())
        }
        // As on every machine that is not Apple's.
        Some(FileKind::Safetensors) => {
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "MLX runtime is not available").into())
        }
    }
}

/// The adapter that `adapters` are.
pub(super) async fn adapter(
    ollama: &Ollama,
    files: &Files,
    generation: Generation,
    base: Option<&Header>,
    progress: &Progress,
) -> Result<Built, Stop> {
    if let Some((name, _)) = files.iter().find(|(name, _)| !is_valid_path(name)) {
        return Err(Failure::bad_request(format!("file path must be relative: {name}")).into());
    }
    match kind_of_files(files, &ollama.blobs, generation != Generation::V033)? {
        None => Err(Failure::bad_request("unknown type").into()),
        Some(FileKind::Gguf) => match &files[..] {
            [(name, digest)] => gguf_layer(ollama, name, digest, generation, media::MODEL, progress).await,
            _ => Err(Failure::bad_request("only one adapter is currently supported").into()),
        },
        Some(FileKind::Safetensors) if generation == Generation::V033 => {
            progress.status("converting adapter").await?;
            Ok(converted_adapter(ollama, files, base)?)
        }
        Some(FileKind::Safetensors) => {
            Err(Failure::bad_request("safetensors imports do not support adapters").into())
        }
    }
}

pub(super) async fn gguf_layer(
    ollama: &Ollama,
    name: &str,
    digest: &str,
    generation: Generation,
    media_type: &'static str,
    progress: &Progress,
) -> Result<Built, Stop> {
    progress.status("parsing GGUF").await?;
    if !is_digest(digest) {
        return Err(Failure::bad_request("invalid digest format").into());
    }
    let size = ollama.blobs.size(digest)?;
    let Some(header) = gguf::read(&ollama.blobs.path(digest))? else {
        return Err(Failure::bad_request("supplied file was not in GGUF format").into());
    };
    if header.is_adapter() && generation == Generation::NoAdapters {
        let text = format!("LoRA adapters are no longer supported: {name} is a LoRA adapter");
        return Err(Failure::bad_request(text).into());
    }
    // What is not marked as an adapter is filed as one more model.
    let media_type = match header.text("general.type") {
        "adapter" => media::ADAPTER,
        "projector" | "mmproj" => media::PROJECTOR,
        _ => media_type,
    };
    let layer = Layer { media_type: media_type.to_owned(), digest: digest.replace('-', ":"), size };
    let status = format!("using existing layer {}", layer.digest);
    Ok(Built { layer, status: Some(status), header: Some(header), is_import: true })
}

/// What 0.33 does with an imported model before it is laid down: quantize it, or have
/// it validated.
pub(super) async fn finish_033(
    ollama: &Ollama,
    built: &mut Built,
    quantize: &str,
    progress: &Progress,
) -> Result<(), Stop> {
    let Some(header) = built.header.clone() else { return Ok(()) };
    let total = built.layer.size;
    if quantize.is_empty() {
        if built.is_import {
            progress.amount("validating GGUF model", NO_DIGEST, total, 0).await?;
            progress.amount("validating GGUF model", NO_DIGEST, total, total).await?;
            progress.status("verifying conversion").await?;
        }
        return Ok(());
    }
    let to = quantize.to_ascii_uppercase();
    let to = if to == "Q4_K" { "Q4_K_M" } else { &to };
    if !["F32", "F16", "BF16", "Q4_K_S", "Q4_K_M", "Q8_0"].contains(&to) {
        return Err(Failure::internal(format!(
            "unsupported quantization type {to} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0"
        ))
        .into());
    }
    let from = header.file_type();
    if from == to {
        return Ok(());
    }
    if !["F32", "F16", "BF16"].contains(&from) {
        return Err(Failure::internal("quantization is only supported for F16, BF16 and F32 models").into());
    }
    let status = format!("quantizing {from} model to {to}");
    progress.amount(&status, NO_DIGEST, total, 0).await?;
    progress.amount(&status, NO_DIGEST, total, total).await?;
    progress.status("verifying conversion").await?;
    let context = header.own_number("context_length").unwrap_or(0);
    let source = built.layer.digest.clone();
    *built = stand_in(ollama, header.architecture(), "model", to, context, &source)?;
    Ok(())
}

/// A layer in place of a conversion that an emulator cannot do. Its content depends on
/// its sources, so that equal sources give equal digests.
fn stand_in(
    ollama: &Ollama,
    architecture: &str,
    kind: &str,
    file_type: &str,
    context: u64,
    sources: &str,
) -> Result<Built, Stop> {
    let context_key = format!("{architecture}.context_length");
    let mut entries = vec![
        ("general.architecture", Entry::Text(architecture)),
        ("general.type", Entry::Text(kind)),
        ("general.description", Entry::Text("a stand-in without weights, by the tunesmith emulator")),
        ("general.file_type", Entry::Number(gguf::file_type_number(file_type))),
        (&context_key, Entry::Number(u32::try_from(context).unwrap_or(0))),
        ("tunesmith.emulator.sources", Entry::Text(sources)),
    ];
    if kind == "adapter" {
        entries.push(("adapter.type", Entry::Text("lora")));
    }
    let bytes = gguf::write(&entries);
    let (digest, there) = ollama.blobs.put(&bytes)?;
    let header = gguf::read(&ollama.blobs.path(&digest))?;
    let verb = if there { "using existing" } else { "creating new" };
    let media_type = if kind == "adapter" { media::ADAPTER } else { media::MODEL };
    let status = Some(format!("{verb} layer {digest}"));
    let layer = Layer { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 };
    Ok(Built { layer, status, header, is_import: kind != "adapter" })
}

fn converted_model(ollama: &Ollama, files: &Files) -> Result<Built, Stop> {
    let config = json_file(ollama, files, "config.json")?;
    let architecture = config["architectures"][0].as_str().unwrap_or_default();
    if !CONVERTED.contains(&architecture) {
        return Err(Failure::internal(format!("unsupported architecture {architecture:?}")).into());
    }
    let has = |name: &str| files.iter().any(|(path, _)| path == name);
    if !has("tokenizer.json") && !has("tokenizer.model") {
        return Err(Failure::internal("unknown tokenizer format").into());
    }
    let family = match config["model_type"].as_str().unwrap_or("llama") {
        "mistral" | "mixtral" => "llama",
        other => other,
    };
    let context = config["max_position_embeddings"].as_u64().unwrap_or(0);
    stand_in(ollama, family, "model", "F16", context, &digests(files))
}

fn converted_adapter(ollama: &Ollama, files: &Files, base: Option<&Header>) -> Result<Built, Stop> {
    let config = json_file(ollama, files, "adapter_config.json")?;
    let alpha = match (&config["lora_alpha"], &config["lora_parameters"]["alpha"]) {
        (Value::Null, mlx) => mlx,
        (alpha, _) => alpha,
    };
    if !alpha.is_null() && alpha.as_u64().is_none_or(|alpha| u32::try_from(alpha).is_err()) {
        return Err(Failure::internal(format!(
            "json: cannot unmarshal number {alpha} into Go struct field AdapterParameters.lora_alpha of type uint32"
        ))
        .into());
    }
    let architecture = base.map_or("", Header::architecture);
    if !ADAPTED.contains(&architecture) {
        return Err(Failure::bad_request("unsupported architecture").into());
    }
    stand_in(ollama, architecture, "adapter", "F16", 0, &digests(files))
}

fn digests(files: &Files) -> String {
    files.iter().map(|(_, digest)| digest.as_str()).collect::<Vec<_>>().join(" ")
}

fn json_file(ollama: &Ollama, files: &Files, name: &str) -> Result<Value, Stop> {
    let missing = || Failure::bad_request(format!("open {name}: no such file or directory"));
    let (_, digest) = files.iter().find(|(path, _)| path == name).ok_or_else(missing)?;
    if !is_digest(digest) {
        return Err(Failure::bad_request("invalid digest format").into());
    }
    if ollama.blobs.size(digest)? > MAX_CONFIG {
        return Err(Failure::internal(format!("{name} is above {MAX_CONFIG} bytes")).into());
    }
    let bytes = ollama.blobs.read(digest)?;
    Ok(serde_json::from_slice(&bytes).map_err(Failure::internal)?)
}
