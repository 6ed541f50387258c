//! A planned job, as the store takes it.

use super::stored::EXECUTION;
use crate::plan::{Planned, PreparedFile};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tunesmith_provider::drive::{Error, Execution, FileToUpload};
use tunesmith_provider::facts;

/// A job to be carried out.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The text of the job file, which the store keeps for people.
    pub spec: String,
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
    pub(super) fn execution(&self) -> Execution {
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
    pub(crate) fn new_job(&self, service: String, emulated: bool) -> Result<tunesmith_store::NewJob, Error> {
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
            provider: plan.job.provider,
            service,
            method: plan.method.id.clone(),
            base_model: plan.job.base_model.clone(),
            emulated,
            remote: !facts::of(plan.job.provider).trains_here(),
            spec: json(serde_json::from_str(&self.spec))?,
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
