//! What the store keeps of a job for carrying it out: the request out of its plan, and
//! where on this machine its files lie. Enough to go on after any crash.

use super::Error;
use crate::artifacts::Artifact;
use crate::plan::{Planned, PreparedFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tunesmith_provider::ollama::{CreateRequest, ParameterValue};
use tunesmith_store::{Job, JobId, Store};

/// Under this key the executor's own part lies beside the plan's measurements.
const EXECUTION: &str = "execution";

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
pub(super) enum Asked {
    Ollama(AskedOfOllama),
    OpenAi(AskedOfOpenAi),
    Local(serde::de::IgnoredAny),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskedOfOllama {
    pub(super) outcome: String,
    pub(super) request: CreateRequest,
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

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskedOfOpenAi {
    pub(super) outcome: String,
    /// As JSON: training file and run id are filled in when it is sent.
    pub(super) request: Value,
}

impl AskedOfOllama {
    /// The tokens that must fit the model's context.
    pub(super) fn needed_tokens(&self) -> u64 {
        let budget = &self.baked.budget;
        budget.system + budget.shots + budget.reserve
    }

    /// The context window that the request asks for.
    pub(super) fn context_window(&self) -> Option<u64> {
        match self.request.parameters.get("num_ctx")? {
            ParameterValue::Integer(tokens) => u64::try_from(*tokens).ok(),
            _ => None,
        }
    }
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileToUpload {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

/// The executor's own part of what is stored with a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Execution {
    /// The job file, for people.
    pub(super) job_file: Option<PathBuf>,
    /// An existing model of the name may be replaced.
    pub(super) replace: bool,
    /// A missing base model may be pulled.
    pub(super) pull: bool,
    /// The training file.
    pub(super) training: Option<FileToUpload>,
    /// The validation file.
    pub(super) validation: Option<FileToUpload>,
}

/// Everything that is needed to carry a job out.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) asked: Asked,
    pub(super) execution: Execution,
    document: String,
}

impl Recorded {
    /// Reads it back from the store.
    pub(super) async fn load(store: &Store, job: &JobId) -> Result<Self, Error> {
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

    /// The files that the plan leaves behind.
    pub(super) fn artifacts(&self) -> Vec<Artifact> {
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

/// A job to be carried out.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The job file, as JSON.
    pub spec: Value,
    /// Where the job file lies.
    pub job_file: Option<PathBuf>,
    /// The plan.
    pub planned: std::sync::Arc<Planned>,
    /// The dataset.
    pub dataset_path: PathBuf,
    /// Whether an existing model of the name may be replaced (Ollama).
    pub replace: bool,
    /// Whether a missing base model may be pulled (Ollama).
    pub pull: bool,
}

impl Submission {
    /// What the plan asks for, as it will be read back from the store.
    pub(super) fn recorded(&self) -> Result<Recorded, Error> {
        let bad = |error: serde_json::Error| Error::BadPlan {
            job: self.planned.plan.job.name.clone(),
            why: error.to_string(),
        };
        let Document { config } = serde_json::from_str(&self.planned.bytes).map_err(bad)?;
        Ok(Recorded { asked: config, execution: self.execution(), document: self.planned.bytes.clone() })
    }

    fn execution(&self) -> Execution {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = |file: &PreparedFile| FileToUpload {
            path: absolute(&file.path),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
        };
        let uploads = self.planned.uploads();
        Execution {
            job_file: self.job_file.as_deref().map(absolute),
            replace: self.replace,
            pull: self.pull,
            training: uploads.map(|uploads| file(&uploads.training)),
            validation: uploads.and_then(|uploads| uploads.validation.as_ref()).map(file),
        }
    }

    /// The job as the store takes it.
    pub(super) fn new_job(&self, service: String, emulated: bool) -> Result<tunesmith_store::NewJob, Error> {
        let plan = &self.planned.plan;
        let json = |value: serde_json::Result<Value>| {
            value.map_err(|error| Error::BadPlan { job: plan.job.name.clone(), why: error.to_string() })
        };
        let mut measured = json(serde_json::to_value(&self.planned.sidecar))?;
        if let Value::Object(fields) = &mut measured {
            fields.insert(EXECUTION.to_owned(), json(serde_json::to_value(self.execution()))?);
        }
        Ok(tunesmith_store::NewJob {
            name: plan.job.name.clone(),
            provider: plan.job.provider.as_str().to_owned(),
            service,
            method: plan.method.id.clone(),
            base_model: plan.job.base_model.clone(),
            emulated,
            spec: self.spec.clone(),
            dataset: tunesmith_store::NewDataset {
                digest: plan.dataset.sha256.clone(),
                path: self.dataset_path.display().to_string(),
                rows: plan.dataset.rows,
                bytes: plan.dataset.bytes,
            },
            plan: tunesmith_store::NewPlan {
                digest: self.planned.digest.clone(),
                document: self.planned.bytes.clone(),
                measured,
            },
        })
    }
}

/// The provider of a stored job.
pub(super) fn provider(job: &Job) -> Result<tunesmith_provider::Provider, Error> {
    job.provider.parse().map_err(|error: tunesmith_provider::UnknownProvider| Error::BadPlan {
        job: job.id.to_string(),
        why: error.to_string(),
    })
}
