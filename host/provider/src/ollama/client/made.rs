//! What became of a create whose answer was lost: Ollama has no run id, but it shows
//! what a model is made of.

use super::Client;
use super::error::ApiError;
use super::models::Tag;
use super::show::Shown;
use crate::ollama::request::CreateRequest;
use serde_json::Value;
use tunesmith_core::text::quoted;

/// Parameters are 32-bit floats in places; closer than this they are the same.
const FLOAT_TOLERANCE: f64 = 1e-6;

/// What stands under the name that a model was to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// Nothing.
    Absent,
    /// A model with everything that was asked for.
    AsAsked(Tag),
    /// Another model.
    Different {
        /// The model.
        tag: Tag,
        /// In what it differs, for people.
        differences: Vec<String>,
    },
}

impl Client {
    /// Looks whether the model of a request is there and is what was asked for.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses: then nothing is known.
    pub async fn made(&self, request: &CreateRequest) -> Result<Made, ApiError> {
        let Some(tag) = self.find(&request.model).await? else { return Ok(Made::Absent) };
        // Removed between the two looks.
        let Some(shown) = self.show(&request.model).await? else { return Ok(Made::Absent) };
        let differences = differences(request, &shown);
        Ok(if differences.is_empty() { Made::AsAsked(tag) } else { Made::Different { tag, differences } })
    }
}

/// In what a model is not what was asked for. What a request leaves out is inherited
/// from the base, and not compared.
fn differences(request: &CreateRequest, shown: &Shown) -> Vec<String> {
    let mut found = Vec::new();
    if request.system.is_some() && request.system != shown.system {
        found.push("another system prompt".to_owned());
    }
    if !request.messages.is_empty() {
        let asked = request.messages.iter().map(|message| (message.role.as_str(), message.content.as_str()));
        let there = shown.messages.iter().map(|message| (message.role.as_str(), message.content.as_str()));
        if !asked.eq(there) {
            found.push("other examples".to_owned());
        }
    }
    if let Ok(Value::Object(parameters)) = serde_json::to_value(&request.parameters) {
        for (name, value) in &parameters {
            let there = shown.parameters.get(name).map(Vec::as_slice).unwrap_or_default();
            let wanted = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            if wanted.len() != there.len()
                || !wanted.iter().zip(there).all(|(wanted, there)| same(wanted, there))
            {
                found.push(format!("another {}", quoted(name)));
            }
        }
    }
    found
}

fn same(wanted: &Value, there: &str) -> bool {
    match wanted {
        Value::String(text) => text == there,
        Value::Number(number) => match (number.as_f64(), there.parse::<f64>()) {
            (Some(wanted), Ok(there)) => (wanted - there).abs() <= FLOAT_TOLERANCE * wanted.abs().max(1.0),
            _ => false,
        },
        Value::Bool(wanted) => there == if *wanted { "true" } else { "false" },
        _ => false,
    }
}
