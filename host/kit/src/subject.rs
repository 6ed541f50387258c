//! The dataset of a call: the plugin's view of it, and its rows.

use std::path::Path;
use std::sync::Arc;
use tunesmith_core::ProviderId;
use tunesmith_core::contract::{DatasetView, Example, Overview, Row, Selection, Task};
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_dataset::{Dataset, DatasetError, Finding, Severity};

/// A dataset for a call.
pub trait Subject {
    /// The dataset as a method sees it.
    fn view(&self) -> Arc<dyn DatasetView>;

    /// A row by id; `None` if there is none or the typed view cannot express it.
    fn row(&self, id: u32) -> Option<Example>;

    /// The conversations of one batch, for `transform.apply`.
    fn batch(&self) -> Vec<Example>;
}

/// A dataset without rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRows;

impl Subject for NoRows {
    fn view(&self) -> Arc<dyn DatasetView> {
        Arc::new(*self)
    }

    fn row(&self, _: u32) -> Option<Example> {
        None
    }

    fn batch(&self) -> Vec<Example> {
        Vec::new()
    }
}

impl DatasetView for NoRows {
    fn overview(&self) -> Overview {
        Overview {
            rows: 0,
            typed_rows: 0,
            messages: 0,
            bytes: 0,
            tokens: 0,
            longest_row_tokens: 0,
            more: Vec::new(),
        }
    }

    fn tasks(&self, _: u32) -> Vec<Task> {
        Vec::new()
    }

    fn sample(&self, _: &Selection) -> Vec<Row> {
        Vec::new()
    }
}

/// A dataset file, read as for a plan.
pub struct RowsFile {
    dataset: Dataset,
    view: Arc<tunesmith_dataset::View>,
}

/// Why a dataset cannot be used for a call.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// It cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// It has errors: no plan would be made from it.
    #[error("dataset {path} has errors, first on {first}")]
    Errors {
        path: String,
        /// The first error, with its line.
        first: String,
        /// What to do about that one.
        fix: Advice,
    },
}

impl RowsFile {
    /// Reads a dataset by the rules of a provider and the tokenizer of a model.
    ///
    /// # Errors
    /// When it cannot be read or has errors.
    pub fn open(
        path: &Path,
        provider: ProviderId,
        base_model: &str,
        seed: u32,
    ) -> Result<Self, SubjectError> {
        let (rules, tokenizer) = tunesmith_provider::AnyProvider(provider).rules(base_model);
        let options =
            tunesmith_dataset::ReadOptions { rules, tokenizer, ..tunesmith_dataset::ReadOptions::default() };
        let dataset = Dataset::open(path, &options)?;
        // Too few rows for training are enough for a call.
        let serious = |finding: &&Finding| finding.severity == Severity::Error && finding.line.is_some();
        if let Some(first) = dataset.verdict().findings.iter().find(serious) {
            let line = first.line.map_or(String::new(), |line| format!("line {line}: "));
            return Err(SubjectError::Errors {
                path: path.display().to_string(),
                first: format!("{line}{}", first.reason),
                fix: first.fix.clone(),
            });
        }
        let view = Arc::new(dataset.view(tokenizer, seed)?);
        Ok(Self { dataset, view })
    }

    /// An error while the plugin read it.
    pub fn failure(&self) -> Option<DatasetError> {
        self.view.failure()
    }
}

impl Subject for RowsFile {
    fn view(&self) -> Arc<dyn DatasetView> {
        Arc::clone(&self.view) as Arc<dyn DatasetView>
    }

    fn row(&self, id: u32) -> Option<Example> {
        self.dataset.example(id).ok().flatten()
    }

    fn batch(&self) -> Vec<Example> {
        let rows = u32::try_from(self.dataset.rows()).unwrap_or(u32::MAX);
        (0..rows).filter_map(|id| self.row(id)).take(tunesmith_dataset::BATCH_ROWS).collect()
    }
}

impl SubjectError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Dataset(error) => error.code(),
            Self::Errors { .. } => Code::DatasetInvalid,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Dataset(error) => error.advice().into_iter().collect(),
            Self::Errors { path, fix, .. } => {
                vec![fix.clone(), Advice::CheckDataset { path: Some(path.into()) }]
            }
        }
    }
}

impl From<SubjectError> for Failure {
    fn from(error: SubjectError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}
