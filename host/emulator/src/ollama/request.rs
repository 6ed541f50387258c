//! The request of `POST /api/create`, and what is refused before any work starts.

use super::blobs::{Blobs, is_digest};
use super::gguf;
use super::name::Name;
use super::wire::{Failure, Fields};
use crate::behaviour::Generation;
use serde_json::{Map, Value};
use std::io;

/// Files that one request may name in newer generations (Ollama's own limit).
const MAX_FILES: usize = 1_024;

const NO_QUANTIZATION: &str = "create-time quantization is only supported for safetensors imports; quantize GGUF models with llama.cpp tools before importing";

pub(super) type Files = Vec<(String, String)>;

/// A request that passed the first checks.
#[derive(Debug)]
pub(super) struct CreateRequest {
    pub(super) name: Name,
    pub(super) stream: bool,
    pub(super) quantize: String,
    pub(super) from: String,
    pub(super) remote_host: String,
    pub(super) files: Option<Files>,
    pub(super) draft_files: Option<Files>,
    pub(super) adapters: Option<Files>,
    pub(super) template: String,
    pub(super) licenses: Licenses,
    pub(super) system: String,
    pub(super) parameters: Map<String, Value>,
    pub(super) messages: Vec<Value>,
    pub(super) renderer: String,
    pub(super) parser: String,
    pub(super) requires: String,
    pub(super) info: Option<Map<String, Value>>,
}

/// Licences are only looked at when they are needed.
pub(super) type Licenses = Result<Vec<String>, Failure>;

/// Kinds of files to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Gguf,
    Safetensors,
}

impl FileKind {
    fn name(self) -> &'static str {
        match self {
            Self::Gguf => "gguf",
            Self::Safetensors => "safetensors",
        }
    }
}

impl CreateRequest {
    /// Checks in the server's order; every refusal is a 400.
    pub(super) fn read(fields: &Fields, generation: Generation, blobs: &Blobs) -> Result<Self, Failure> {
        let request = Self::fields(fields)?;
        let (mut request, given_name, draft_quantize) = request;
        let strict = generation != Generation::V033;
        if generation == Generation::NoAdapters && request.parameters.contains_key("typical_p") {
            return Err(Failure::bad_request(
                "typical_p is deprecated and cannot be set as a model parameter; pass it as a request option instead",
            ));
        }
        check_files(request.files.as_ref(), strict)?;
        check_files(request.draft_files.as_ref(), strict)?;
        if generation == Generation::NoAdapters {
            if request.adapters.as_ref().is_some_and(|adapters| !adapters.is_empty()) {
                return Err(Failure::bad_request("LoRA adapters are no longer supported"));
            }
            request.adapters = None;
            if let Err(failure) = &request.licenses {
                return Err(Failure::bad_request(failure.message.clone()));
            }
        }
        if !draft_quantize.is_empty() && request.draft_files.as_ref().is_none_or(Vec::is_empty) {
            return Err(Failure::bad_request("--draft-quantize requires a DRAFT model"));
        }
        if strict {
            check_files(request.adapters.as_ref(), true)?;
        } else if request.adapters.iter().flatten().any(|(_, digest)| digest.is_empty()) {
            return Err(Failure::bad_request("invalid digest format"));
        }
        request.name = Name::parse(&given_name).ok_or_else(invalid_name)?;
        if strict {
            let kind = match &request.files {
                Some(files) => kind_of_files(files, blobs, true)?,
                None => None,
            };
            let of_gguf = kind == Some(FileKind::Gguf) || (kind.is_none() && !request.from.is_empty());
            if of_gguf && !request.quantize.is_empty() {
                return Err(Failure::bad_request(NO_QUANTIZATION));
            }
        }
        Ok(request)
    }

    fn fields(fields: &Fields) -> Result<(Self, String, String), Failure> {
        let placeholder = Name::parse("unnamed").ok_or_else(invalid_name)?;
        let request = Self {
            name: placeholder,
            stream: fields.flag("stream")?.unwrap_or(true),
            quantize: fields.text_or("quantize", "quantization")?,
            from: fields.text("from")?,
            remote_host: fields.text("remote_host")?,
            files: fields.texts("files")?,
            draft_files: fields.texts("draft_files")?,
            adapters: fields.texts("adapters")?,
            template: fields.text("template")?,
            licenses: licenses(fields.get("license")),
            system: fields.text("system")?,
            parameters: fields.object("parameters")?.cloned().unwrap_or_default(),
            messages: fields.messages()?,
            renderer: fields.text("renderer")?,
            parser: fields.text("parser")?,
            requires: fields.text("requires")?,
            info: fields.object("info")?.cloned(),
        };
        Ok((request, fields.text_or("model", "name")?, fields.text("draft_quantize")?))
    }
}

pub(super) fn invalid_name() -> Failure {
    Failure::bad_request("invalid model name")
}

fn licenses(given: Option<&Value>) -> Licenses {
    let wrong = |kind: &str| {
        Failure::internal(format!("json: cannot unmarshal {kind} into Go value of type []string"))
    };
    match given {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) => {
            list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong("value"))).collect()
        }
        Some(Value::Object(_)) => Err(wrong("object")),
        Some(Value::Number(_)) => Err(wrong("number")),
        Some(_) => Err(wrong("bool")),
    }
}

fn check_files(files: Option<&Files>, strict: bool) -> Result<(), Failure> {
    let Some(files) = files else { return Ok(()) };
    if strict && files.len() > MAX_FILES {
        let count = files.len();
        return Err(Failure::bad_request(format!("too many files: {count} exceeds maximum {MAX_FILES}")));
    }
    for (path, digest) in files {
        if strict && (path == "." || !is_valid_path(path) || path.contains(['\\', ':'])) {
            return Err(Failure::bad_request(format!("file path must be relative: {path}")));
        }
        if !is_valid_path(path) {
            return Err(Failure::bad_request("file path must be relative"));
        }
        if digest.is_empty() {
            return Err(Failure::bad_request("invalid digest format"));
        }
        if strict && !is_digest(digest) {
            return Err(Failure::bad_request(format!("invalid digest for {path}: invalid digest format")));
        }
    }
    Ok(())
}

/// Go's `fs.ValidPath`: relative, without empty parts, `.` or `..`.
pub(super) fn is_valid_path(path: &str) -> bool {
    path == "." || path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The kind of some files; none where there is no telling.
pub(super) fn kind_of_files(files: &Files, blobs: &Blobs, strict: bool) -> Result<Option<FileKind>, Failure> {
    let mut kind: Option<FileKind> = None;
    for (path, digest) in files {
        let this = kind_of_file(path, digest, blobs, strict)?;
        match (kind, this) {
            (Some(kind), Some(this)) if strict && kind != this => {
                return Err(Failure::bad_request(format!(
                    "mixed model file types: found both {} and {} inputs",
                    kind.name(),
                    this.name()
                )));
            }
            // The older server takes whichever it meets first in a random order; a
            // emulator takes the first by name.
            (None, this) => kind = this,
            _ => {}
        }
    }
    Ok(kind)
}

fn kind_of_file(path: &str, digest: &str, blobs: &Blobs, strict: bool) -> Result<Option<FileKind>, Failure> {
    if path.ends_with(".safetensors") {
        return Ok(Some(FileKind::Safetensors));
    }
    if path.ends_with(".gguf") {
        return Ok(Some(FileKind::Gguf));
    }
    if !is_digest(digest) {
        return Err(Failure::bad_request("invalid digest format"));
    }
    let blob = blobs.path(digest);
    match gguf::has_magic(&blob) {
        Ok(is_gguf) => Ok(is_gguf.then_some(FileKind::Gguf)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && strict => {
            Err(Failure::bad_request(format!(
                "blob not found for {path} (digest {digest}): open {}: no such file or directory",
                blob.display()
            )))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_plain() {
        for path in ["a", "a/b.gguf", ".", "...", "a b"] {
            assert!(is_valid_path(path), "{path:?}");
        }
        for path in ["", "/a", "a/", "../a", "a/../b", "a//b", "./a"] {
            assert!(!is_valid_path(path), "{path:?}");
        }
    }
}
