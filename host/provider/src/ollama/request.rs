//! The typed request to Ollama's `/api/create`.

use super::check::Baked;
use super::names::ModelName;
use super::parameters::Parameters;
use serde::{Deserialize, Serialize};
use tunesmith_core::contract::Message;

/// A request that creates a model over a base that is already on the server. In JSON
/// it is what Ollama expects, with every field under the name that Ollama uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    /// The model to create.
    pub model: ModelName,
    /// The base model.
    pub from: ModelName,
    /// The system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The parameters, typed as Ollama needs them.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// The examples, which Ollama puts between the system prompt and the
    /// conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// Whether progress comes as lines while it works.
    pub stream: bool,
}

/// Why a request cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The result would overwrite its base.
    #[error("model {model} would overwrite its own base {from}; give the result another name")]
    OverwritesBase {
        /// The model to create.
        model: ModelName,
        /// The base model.
        from: ModelName,
    },
}

impl CreateRequest {
    /// The request for a checked config.
    ///
    /// # Errors
    /// When the result would overwrite its base.
    pub fn new(model: ModelName, from: ModelName, baked: &Baked) -> Result<Self, RequestFault> {
        if model.is_same_model(&from) {
            return Err(RequestFault::OverwritesBase { model, from });
        }
        Ok(Self {
            model,
            from,
            system: baked.system.clone(),
            parameters: baked.parameters.clone(),
            messages: baked.messages(),
            stream: true,
        })
    }
}
