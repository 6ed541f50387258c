//! Models that the server has: listed, found, removed, given a second name.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::show::{Details, Shown};
use crate::http::lenient::Fields;
use crate::ollama::names::ModelName;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tunesmith_core::nearest::likeness;

/// A model as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tag {
    /// Its name, with its tag.
    pub name: String,
    /// The digest of its manifest: 64 hexadecimal digits. It changes with anything in
    /// the model.
    pub digest: String,
    /// The size of all its files, in bytes.
    pub size: Option<u64>,
    /// When it was last written, as the server says it.
    pub modified_at: Option<String>,
    /// For a model that runs elsewhere: where.
    pub remote_host: Option<String>,
    /// What kind of model it is.
    pub details: Details,
}

impl Tag {
    fn read(mut fields: Fields) -> Option<Self> {
        let digest = fields.text("digest").unwrap_or_default();
        Some(Self {
            name: fields.text("name").or_else(|| fields.text("model"))?,
            digest: digest.strip_prefix("sha256:").unwrap_or(&digest).to_owned(),
            size: fields.count("size"),
            modified_at: fields.text("modified_at"),
            remote_host: fields.text("remote_host").filter(|host| !host.is_empty()),
            details: Details::read(fields.object("details")),
        })
    }

    /// Whether it is the model that Ollama means by this name.
    pub fn is(&self, name: &ModelName) -> bool {
        ModelName::parse(&self.name).is_ok_and(|own| own.is_same_model(name))
    }
}

/// A base model as it is before anything is made of it; kept, so that what is made can
/// be compared with it afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// Its name.
    pub name: ModelName,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of its weights, `sha256:…`, where the server shows it.
    pub weights: Option<String>,
    /// The longest context that it was trained for, in tokens.
    pub context_length: Option<u64>,
    /// What it can do, such as `completion`; older servers say nothing.
    pub capabilities: Vec<String>,
    /// A system prompt of its own, which a model made of it inherits unless it has one.
    pub system: Option<String>,
    /// How many messages it has stored, which are inherited likewise.
    pub messages: usize,
}

impl Base {
    /// Whether it can be talked to. A model for embeddings cannot.
    pub fn can_chat(&self) -> bool {
        self.capabilities.is_empty() || self.capabilities.iter().any(|can| can == "completion")
    }
}

impl Client {
    /// The models that the server has, the latest first.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn models(&self) -> Result<Vec<Tag>, ApiError> {
        let operation = Operation::ListModels;
        let request = self.request(Method::GET, &["api", "tags"], None);
        let mut fields = self.fields(operation, request).await?;
        // Go writes an empty list as null in places.
        let has_list = fields.any("models");
        match has_list {
            None => Ok(Vec::new()),
            Some(serde_json::Value::Array(list)) => {
                Ok(list.into_iter().map(Fields::new).filter_map(Tag::read).collect())
            }
            Some(_) => Err(self.malformed(operation, "its models are no list")),
        }
    }

    /// The model of a name, if the server has it: Ollama ignores case, and understands
    /// `library/` and `:latest`.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn find(&self, name: &ModelName) -> Result<Option<Tag>, ApiError> {
        Ok(self.models().await?.into_iter().find(|tag| tag.is(name)))
    }

    /// A base model, which must be on the server: create would have the server fetch a
    /// missing one from wherever its name points.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingBase`], with what is there instead; [`ErrorKind::Remote`] for a
    /// model that the server only passes on; the server cannot be reached.
    pub async fn base(&self, name: &ModelName) -> Result<Base, ApiError> {
        let models = self.models().await?;
        let missing = |present: Vec<String>| {
            let mut error = ApiError::new(Operation::Show, self.endpoint(), ErrorKind::MissingBase);
            error.present = present;
            error.about(name.as_str())
        };
        let Some(tag) = models.iter().find(|tag| tag.is(name)) else {
            return Err(missing(likeliest(name, &models)));
        };
        let Some(shown) = self.show(name).await? else {
            return Err(missing(Vec::new()));
        };
        if let Some(host) = tag.remote_host.as_ref().or(shown.remote_host.as_ref()) {
            let error = ApiError::new(Operation::Show, self.endpoint(), ErrorKind::Remote);
            return Err(error.about(name.as_str()).because(format!("it runs at {host}")));
        }
        let Shown { weights, context_length, capabilities, system, messages, .. } = shown;
        Ok(Base {
            name: name.clone(),
            digest: tag.digest.clone(),
            weights,
            context_length,
            capabilities,
            system,
            messages: messages.len(),
        })
    }

    /// Removes a model; false where there is none.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn delete(&self, name: &ModelName) -> Result<bool, ApiError> {
        let body = json!({ "model": name });
        let request = self.request(Method::DELETE, &["api", "delete"], Some(&body));
        match self.begin(Operation::Delete, request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::MissingModel => Ok(false),
            Err(error) => Err(error.about(name.as_str())),
        }
    }

    /// Gives a model a second name, in place of what had it before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingModel`]; the server cannot be reached, or refuses.
    pub async fn copy(&self, from: &ModelName, to: &ModelName) -> Result<(), ApiError> {
        let body = json!({ "source": from, "destination": to });
        let request = self.request(Method::POST, &["api", "copy"], Some(&body));
        self.begin(Operation::Copy, request).await.map(drop).map_err(|error| error.about(from.as_str()))
    }
}

/// The names of models that are there, those that are most like the wanted one first.
fn likeliest(wanted: &ModelName, models: &[Tag]) -> Vec<String> {
    let stem = |name: &str| name.rsplit_once(':').map_or(name, |(stem, _)| stem).to_ascii_lowercase();
    let own = stem(wanted.as_str());
    let mut names: Vec<&Tag> = models.iter().filter(|tag| tag.remote_host.is_none()).collect();
    names.sort_by(|a, b| {
        let alike = |tag: &Tag| likeness(&own, &stem(&tag.name));
        alike(b).total_cmp(&alike(a)).then_with(|| a.name.cmp(&b.name))
    });
    names.into_iter().map(|tag| tag.name.clone()).collect()
}
