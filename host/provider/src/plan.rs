//! Plans: what a provider is given to plan from, and what it makes of it.

mod error;

pub use error::{LONGEST_REFUSAL, PlanError, report_to_author};

use crate::prices::PriceTable;
use crate::{Violations, Warning};
use std::path::PathBuf;
use std::sync::Arc;
use tunesmith_core::contract::{MethodJob, Note};
use tunesmith_core::time::Date;
use tunesmith_dataset::{Dataset, DatasetError, Format, View};
use tunesmith_plugin_host::{Answer, CallError, Plugin, Receipt};

/// A file that is ready to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFile {
    /// Where it lies: the dataset itself, or a file in the cache.
    pub path: PathBuf,
    /// The name to upload it under, which carries its digest.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

impl PreparedFile {
    /// Opens it, once its digest shows that it is what was planned.
    ///
    /// # Errors
    /// When it is gone or has changed; planning the job again makes it again.
    pub fn open(&self) -> Result<std::fs::File, DatasetError> {
        tunesmith_dataset::open_exactly(&self.path, &self.sha256)
    }
}

/// The files to upload for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// For training.
    pub training: PreparedFile,
    /// For validation, where the job names a file for it.
    pub validation: Option<PreparedFile>,
}

/// A file that a plan works on.
pub struct Ready {
    /// The file, read: what methods see, what is counted, and what is uploaded.
    pub dataset: Dataset,
    /// Whether it is the one that was given.
    pub as_given: bool,
    /// The format that was given.
    pub format: Format,
    /// Digest and bytes on disk of the one that was given.
    pub given: (String, u64),
    /// What conversion left out, with how often.
    pub lost: Vec<(String, u64)>,
}

/// What the part for a provider works with.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The method's plugin.
    pub plugin: &'a Plugin,
    /// The job's name.
    pub name: &'a str,
    /// The base model.
    pub base_model: &'a str,
    /// Whether a transform made the dataset.
    pub transformed: bool,
    /// The job, as methods see it.
    pub job: &'a MethodJob,
    /// The dataset.
    pub ready: &'a Ready,
    /// The validation file.
    pub validation: Option<&'a Ready>,
    /// The dataset, as methods see it.
    pub view: &'a Arc<View>,
    /// The day of planning.
    pub today: Date,
    /// What training costs.
    pub prices: &'a PriceTable,
}

/// What a provider makes of a job: its own plan, and what else belongs to the whole one.
pub struct Made<P> {
    /// What the provider is asked for.
    pub plan: P,
    /// What the method told the user.
    pub notes: Vec<Note>,
    /// What the user should know before going on.
    pub warnings: Vec<Warning>,
    /// What the plugin call cost.
    pub receipt: Receipt,
    /// What is about to close, as of the day of planning.
    pub closing: Vec<String>,
    /// The files to upload.
    pub uploads: Option<Uploads>,
}

impl<P> Made<P> {
    /// The same with another form of the plan.
    pub fn map<Q>(self, to: impl FnOnce(P) -> Q) -> Made<Q> {
        let Self { plan, notes, warnings, receipt, closing, uploads } = self;
        Made { plan: to(plan), notes, warnings, receipt, closing, uploads }
    }
}

/// Why no base model can have a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseModelFault {
    /// What it would do, for a judge of jobs.
    pub kind: FaultKind,
    /// The same in words.
    pub reason: String,
}

/// What a base model's name would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It makes the service fetch from a host of its own.
    ForeignHost,
    /// It runs in the service's cloud.
    Cloud,
    /// It is no name.
    Name,
}

impl Part<'_> {
    /// The checked answer of the method, or why there is none.
    pub(crate) fn answer<T>(
        &self,
        answer: Result<Answer<T>, CallError>,
    ) -> Result<(T, Vec<Note>, Receipt), PlanError> {
        let answer = answer.map_err(|error| PlanError::Call(Box::new(error)))?;
        match answer.result {
            Ok(value) => Ok((value, answer.notes, answer.receipt)),
            Err(refusal) => Err(PlanError::Refused { method: self.plugin.id().to_owned(), refusal }),
        }
    }

    /// The error for an answer that breaks the rules.
    pub(crate) fn broken_rules(&self, violations: Violations) -> PlanError {
        PlanError::BrokenRules {
            method: self.plugin.id().to_owned(),
            sha256: self.plugin.digest().to_string(),
            violations: Box::new(violations),
        }
    }
}
