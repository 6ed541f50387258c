//! The JSON Schema of a job file, made from the methods that are installed.

use super::spec::{MAX_BASE_MODEL_CHARS, MAX_NAME_CHARS};
use serde_json::{Map, Value as Json, json};
use tunesmith_core::ProviderId;
use tunesmith_core::contract::{Descriptor, Kind, Value};
use tunesmith_provider::settings::COMMON;

/// The dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of one setting.
pub fn setting(kind: &Kind, doc: &str, default: Option<&Value>) -> Json {
    let mut schema = match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number { least, most, least_excluded: true } => {
            json!({ "type": "number", "exclusiveMinimum": least, "maximum": most })
        }
        Kind::Number { least, most, least_excluded: false } => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        // The host counts bytes; no text has more characters than bytes.
        Kind::Text(most) => json!({ "type": "string", "maxLength": most }),
        Kind::Choice(choices) => json!({ "enum": choices }),
        Kind::Texts(most) => json!({ "type": "array", "items": { "type": "string" }, "maxItems": most }),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".into(), doc.into());
        if let Some(default) = default {
            object.insert("default".into(), json!(default));
        }
    }
    schema
}

/// The schema of a method's own settings.
pub fn method(descriptor: &Descriptor) -> Json {
    let properties: Map<String, Json> = descriptor
        .settings
        .iter()
        .map(|own| (own.name.clone(), setting(&own.kind, &own.doc, own.default.as_ref())))
        .collect();
    json!({
        "$schema": DIALECT,
        "title": descriptor.title,
        "description": descriptor.summary,
        "type": "object",
        "properties": properties,
    })
}

/// The schema of a job file. A method that is not among `methods` is not refused by
/// the schema, since it may be installed elsewhere; its settings are then checked by
/// the host alone.
pub fn job(methods: &[&Descriptor]) -> Json {
    let ids: Vec<&str> = methods.iter().map(|method| method.id.as_str()).collect();
    let mut common = Map::new();
    common.insert(
        "method".into(),
        json!({
            "description": "The method's id.",
            "anyOf": [{ "enum": ids }, { "type": "string", "pattern": "^[a-z][a-z0-9-]*$" }],
        }),
    );
    for known in &COMMON {
        common.insert(known.name.to_owned(), setting(&known.accepts.kind(), known.doc, None));
    }
    let by_method: Vec<Json> = methods
        .iter()
        .map(|method| {
            let mut names: Vec<&str> = vec!["method"];
            names.extend(COMMON.iter().map(|known| known.name));
            names.extend(method.settings.iter().map(|own| own.name.as_str()));
            let own: Map<String, Json> = method
                .settings
                .iter()
                .map(|own| (own.name.clone(), setting(&own.kind, &own.doc, own.default.as_ref())))
                .collect();
            json!({
                "if": { "properties": { "method": { "const": method.id } }, "required": ["method"] },
                "then": { "properties": own, "propertyNames": { "enum": names } },
            })
        })
        .collect();
    json!({
        "$schema": DIALECT,
        "title": "tunesmith job",
        "description": "What to tune, on which data, by which method, and where.",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "baseModel", "provider", "hyperparameters"],
        "oneOf": [{ "required": ["dataset"] }, { "required": ["datasetId"] }],
        "properties": {
            "$schema": { "type": "string", "description": "For editors; not read by tunesmith." },
            "name": {
                "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS, "pattern": "[A-Za-z0-9]",
                "description": "The job's name; model and file names are made from it.",
            },
            "dataset": {
                "type": "string", "minLength": 1,
                "description": "The path of a chat dataset, relative to the job file.",
            },
            "datasetId": {
                "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", "maxLength": MAX_NAME_CHARS,
                "description": "A dataset by id, in place of a path; whoever plans the job says which file it is.",
            },
            "baseModel": {
                "type": "string", "minLength": 1, "maxLength": MAX_BASE_MODEL_CHARS, "pattern": "^[!-~]+$",
                "description": "The model to start from, as the provider names it.",
            },
            "provider": {
                "enum": ProviderId::ALL,
                "description": "Where the model is made: an Ollama server, OpenAI or a compatible service, or this machine.",
            },
            "hyperparameters": {
                "type": "object",
                "description": "The method and its settings.",
                "required": ["method"],
                "properties": common,
                "allOf": by_method,
            },
            "transform": {
                "description": "A plugin that transforms the dataset before anything else sees it: its id, or an object of method and settings.",
                "anyOf": [
                    { "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS },
                    {
                        "type": "object", "required": ["method"],
                        "properties": { "method": { "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS } },
                    },
                ],
            },
            "validation": {
                "type": "string", "minLength": 1,
                "description": "The path of a validation file, relative to the job file; used by OpenAI.",
            },
            "untypedRows": {
                "enum": ["refuse", "pass", "drop"], "default": "refuse",
                "description": "What happens to rows that a transform cannot see (tool calls, images).",
            },
        },
    })
}
