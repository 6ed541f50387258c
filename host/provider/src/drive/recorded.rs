//! What the store keeps of a job for carrying it out: the request out of its plan, and
//! where on this machine its files lie. Enough to go on after any crash.

use super::Error;
use crate::artifacts::Artifact;
use crate::ollama::{CreateRequest, ParameterValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use tunesmith_store::{Job, JobId, Store};

/// Under this key the executor's own part lies beside the plan's measurements.
pub const EXECUTION: &str = "execution";

/// What the plan asks of its provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    config: Asked,
}

/// The config of a plan, as far as carrying it out needs it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::large_enum_variant)] // There is one per job in hand.
pub enum Asked {
    /// An Ollama server.
    Ollama(AskedOfOllama),
    /// OpenAI or a compatible service.
    OpenAi(AskedOfOpenAi),
    /// The trainer on this machine.
    Local(serde::de::IgnoredAny),
}

/// What an Ollama server would be asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedOfOllama {
    /// What is made, in one sentence.
    pub outcome: String,
    /// The request to `/api/create`.
    pub request: CreateRequest,
    baked: Baked,
    modelfile: Modelfile,
}

#[derive(Debug, Clone, Deserialize)]
struct Baked {
    budget: Budget,
}

#[derive(Debug, Clone, Deserialize)]
struct Budget {
    system: u64,
    shots: u64,
    reserve: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Modelfile {
    name: String,
    text: Option<String>,
}

/// What the service would be asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedOfOpenAi {
    /// What is made, in one sentence.
    pub outcome: String,
    /// As JSON: training file and run id are filled in when it is sent.
    pub request: Value,
}

impl AskedOfOllama {
    /// The tokens that must fit the model's context.
    pub fn needed_tokens(&self) -> u64 {
        let budget = &self.baked.budget;
        budget.system + budget.shots + budget.reserve
    }

    /// The context window that the request asks for.
    pub fn context_window(&self) -> Option<u64> {
        match self.request.parameters.get("num_ctx")? {
            ParameterValue::Integer(tokens) => u64::try_from(*tokens).ok(),
            _ => None,
        }
    }
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileToUpload {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

/// The executor's own part of what is stored with a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// The job file, for people.
    pub job_file: Option<PathBuf>,
    /// An existing model of the name may be replaced.
    pub replace: bool,
    /// A missing base model may be pulled.
    pub pull: bool,
    /// The training file.
    pub training: Option<FileToUpload>,
    /// The validation file.
    pub validation: Option<FileToUpload>,
}

/// Everything that is needed to carry a job out.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What the plan asks of its provider.
    pub asked: Asked,
    /// The executor's own part.
    pub execution: Execution,
    document: String,
}

impl Recorded {
    /// Reads it back from the store.
    pub async fn load(store: &Store, job: &JobId) -> Result<Self, Error> {
        let plan = store.plan(job).await?;
        let bad = |why: &dyn std::fmt::Display| Error::BadPlan { job: job.to_string(), why: why.to_string() };
        let Document { config } = serde_json::from_str(&plan.document).map_err(|error| bad(&error))?;
        let execution = plan.measured.get(EXECUTION).cloned().unwrap_or_default();
        let execution = match execution {
            Value::Null => Execution::default(),
            given => serde_json::from_value(given).map_err(|error| bad(&error))?,
        };
        Ok(Self { asked: config, execution, document: plan.document })
    }

    /// What a plan asks for, as it will be read back from the store.
    ///
    /// # Errors
    /// The plan cannot be read.
    pub fn of(document: &str, execution: Execution) -> Result<Self, serde_json::Error> {
        let Document { config } = serde_json::from_str(document)?;
        Ok(Self { asked: config, execution, document: document.to_owned() })
    }

    /// The files that the plan leaves behind.
    pub fn artifacts(&self) -> Vec<Artifact> {
        let mut artifacts = Vec::new();
        let request = match &self.asked {
            Asked::Ollama(asked) => {
                if let Some(text) = &asked.modelfile.text {
                    artifacts.push(Artifact { name: asked.modelfile.name.clone(), content: text.clone() });
                }
                serde_json::to_string_pretty(&asked.request).ok().map(|text| ("create.json", text))
            }
            Asked::OpenAi(asked) => {
                serde_json::to_string_pretty(&asked.request).ok().map(|text| ("job.json", text))
            }
            Asked::Local(_) => None,
        };
        if let Some((name, text)) = request {
            artifacts.push(Artifact { name: name.into(), content: format!("{text}\n") });
        }
        artifacts.push(Artifact { name: "plan.json".into(), content: format!("{}\n", self.document) });
        artifacts
    }
}

/// The provider of a stored job.
pub fn provider(job: &Job) -> Result<tunesmith_core::ProviderId, Error> {
    job.provider.parse().map_err(|error: tunesmith_core::UnknownProvider| Error::BadPlan {
        job: job.id.to_string(),
        why: error.to_string(),
    })
}
