//! The job file: what a user asks for, read strictly.

use super::bounded::{self, Fault};
use super::place::{Object, Place};
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use tunesmith_core::ProviderId;
use tunesmith_core::contract::MethodJob;
use tunesmith_core::failure::{self, Advice, Code, Failure};
use tunesmith_core::nearest::nearest;
use tunesmith_core::text::visible;
pub use tunesmith_dataset::UntypedRows;

/// A job file holds a page of settings. A larger one is a mistake (often a dataset
/// given in its place), and reading it would only waste memory.
pub const MAX_JOB_BYTES: u64 = 256 * 1024;

/// Names become file names, model names and headings.
pub const MAX_NAME_CHARS: usize = 100;

/// Longer than any provider's model name.
pub const MAX_BASE_MODEL_CHARS: usize = 350;

/// The fields of a job file, in the order in which the examples have them.
pub const FIELDS: [&str; 10] = [
    "$schema",
    "name",
    "dataset",
    "datasetId",
    "validation",
    "baseModel",
    "provider",
    "hyperparameters",
    "transform",
    "untypedRows",
];

/// Where the dataset is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatasetRef {
    /// A path, as the job file writes it: relative to the job file.
    Path(String),
    /// An id, looked up by the operator's configuration.
    Id(String),
}

/// A value that the user gave for a setting.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenSetting {
    /// The name as given.
    pub name: String,
    /// The value as given.
    pub value: serde_json::Value,
    /// Where it was given, in words: `job.json, line 8, column 5` or `--set`.
    pub place: String,
}

/// The plugin that transforms the dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformSpec {
    /// Its id.
    pub method: String,
    /// Where it was named, for messages.
    pub place: String,
    /// Its settings as given.
    pub settings: Vec<GivenSetting>,
}

/// A job, parsed but not yet checked against its method.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The job's name.
    pub name: String,
    /// Where the dataset is.
    pub dataset: DatasetRef,
    /// The base model, as the provider names it.
    pub base_model: String,
    /// The provider.
    pub provider: ProviderId,
    /// The method's id.
    pub method: String,
    /// Where the method was named, for messages.
    pub method_place: String,
    /// The settings as given, in the order of the file, then of `--set`.
    pub settings: Vec<GivenSetting>,
    /// The plugin that transforms the dataset first.
    pub transform: Option<TransformSpec>,
    /// What happens to rows that a transform cannot see.
    pub untyped_rows: UntypedRows,
    /// The path of a validation file, as the job file writes it: relative to the job
    /// file.
    pub validation: Option<String>,
    /// The text of the job file.
    pub source: String,
}

/// Why a job file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file could not be read.
    #[error("cannot read the job file {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The path is a directory, a device or a pipe.
    #[error("the job file {path} is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// The file is too large.
    #[error("the job file {path} is larger than {} KiB, which no job needs", MAX_JOB_BYTES / 1024)]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The file is not UTF-8.
    #[error("the job file {path} is not UTF-8 (first bad byte at offset {offset})")]
    NotUtf8 {
        /// The file.
        path: String,
        /// The offset of the first bad byte.
        offset: usize,
    },
    /// The file is not JSON.
    #[error("{}, line {line}, column {column}: {}", visible(.path), visible(.reason))]
    Syntax {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A field is wrong.
    #[error("{}: {}: {}", visible(.place), visible(.field), visible(.reason))]
    Field {
        /// Where.
        place: String,
        /// Which field.
        field: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        advice: Option<Box<Advice>>,
    },
}

impl SpecError {
    /// Why a job file could not be read; `shown` is its name for people.
    pub fn of_file(fault: Fault, shown: &str) -> Self {
        let path = shown.to_owned();
        match fault {
            Fault::Read(source) => Self::Read { path, source },
            Fault::NotAFile => Self::NotAFile { path },
            Fault::TooLarge => Self::TooLarge { path },
            Fault::NotUtf8(offset) => Self::NotUtf8 { path, offset },
        }
    }

    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Read { .. } | Self::NotAFile { .. } | Self::TooLarge { .. } | Self::NotUtf8 { .. } => {
                Code::JobFileUnreadable
            }
            Self::Syntax { .. } | Self::Field { .. } => Code::JobFileInvalid,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Field { advice, .. } => advice.as_deref().cloned(),
            Self::Syntax { .. } => Some(Advice::PrintSchema),
            Self::TooLarge { .. } => Some("was a dataset given in place of a job file?".into()),
            Self::NotAFile { .. } => Some("give the path of a job file, such as job.json".into()),
            Self::NotUtf8 { .. } => Some("save it as UTF-8".into()),
            Self::Read { path, source } => match source.kind() {
                std::io::ErrorKind::NotFound => Some(match beside(Path::new(path)) {
                    Some(near) => format!("did you mean {}?", visible(&near)).into(),
                    None => "check the path".into(),
                }),
                std::io::ErrorKind::PermissionDenied => Some("make the file readable for this user".into()),
                _ => None,
            },
        }
    }

    /// Where in the job file it is, where that is known.
    fn file_place(&self) -> Option<failure::Place> {
        match self {
            Self::Syntax { path, line, column, .. } => {
                Some(failure::Place { file: path.clone(), line: Some(*line), column: Some(*column) })
            }
            Self::Read { path, .. }
            | Self::NotAFile { path }
            | Self::TooLarge { path }
            | Self::NotUtf8 { path, .. } => {
                Some(failure::Place { file: path.clone(), line: None, column: None })
            }
            Self::Field { .. } => None,
        }
    }
}

/// The file that a path which leads nowhere was probably meant to name. Only for a path
/// that the user typed: a job must not learn what else lies on the disk.
fn beside(path: &Path) -> Option<String> {
    /// Names that are compared at most; a folder may have millions.
    const MOST: usize = 4096;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names: Vec<String> =
        entries.take(MOST).flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = nearest(names.iter().map(String::as_str), path.file_name()?.to_str()?)?;
    Some(path.with_file_name(near).display().to_string())
}

/// What the caller changes in a job.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Another provider.
    pub provider: Option<ProviderId>,
    /// What errors in the settings name as their place.
    pub place: String,
    /// Other settings, in order.
    pub settings: Vec<(String, serde_json::Value)>,
}

impl Spec {
    /// Reads a job file.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, SpecError> {
        let shown = path.display().to_string();
        let text = bounded::text(path, MAX_JOB_BYTES).map_err(|fault| SpecError::of_file(fault, &shown))?;
        Self::parse(&text, &shown, overrides)
    }

    /// Parses the text of a job file; `path` is for messages.
    pub fn parse(text: &str, path: &str, overrides: &Overrides) -> Result<Self, SpecError> {
        let reader = Reader { text, path };
        let top = reader.object(text, None)?;
        for (name, value) in &top.fields {
            if !FIELDS.contains(&name.as_str()) {
                return Err(reader.unknown(name, value, &FIELDS));
            }
        }
        let name = reader.name(reader.required(&top, "name")?)?;
        let dataset = reader.dataset(&top)?;
        let base_model = reader.base_model(reader.required(&top, "baseModel")?)?;
        let provider = match (overrides.provider, field(&top, "provider")) {
            (Some(provider), _) => provider,
            (None, Some(value)) => reader.provider(value)?,
            (None, None) => {
                return Err(reader.missing("provider", Some("one of ollama, openai, local".into())));
            }
        };
        let mut transform = match field(&top, "transform") {
            None => None,
            Some(value) => Some(reader.transform(value)?),
        };
        let validation = match field(&top, "validation") {
            None => None,
            Some(value) => Some(reader.plain_text(value, "validation", 4096)?),
        };
        let untyped_rows = match field(&top, "untypedRows") {
            None => UntypedRows::default(),
            Some(value) => match reader.plain_text(value, "untypedRows", MAX_NAME_CHARS)?.as_str() {
                "refuse" => UntypedRows::Refuse,
                "pass" => UntypedRows::Pass,
                "drop" => UntypedRows::Drop,
                other => {
                    let reason = format!("{other:?} is not one of refuse, pass, drop");
                    return Err(reader.wrong(value, "untypedRows", reason, None));
                }
            },
        };
        let hyperparameters = reader.required(&top, "hyperparameters")?;
        let object = reader.object(hyperparameters.get(), Some(("hyperparameters", hyperparameters)))?;
        let mut settings = Vec::new();
        let mut method = None;
        for (name, value) in &object.fields {
            let place = format!("{path}, {}", Place::of(text, value.get()));
            if name == "method" {
                method = Some((reader.plain_text(value, "hyperparameters.method", MAX_NAME_CHARS)?, place));
                continue;
            }
            settings.push(GivenSetting { name: name.clone(), value: reader.json(value)?, place });
        }
        for (name, value) in &overrides.settings {
            let place = overrides.place.clone();
            if name == "method" {
                let Some(id) = value.as_str() else {
                    return Err(SpecError::Field {
                        place,
                        field: "method".into(),
                        reason: format!("must be a text, not {value}"),
                        advice: None,
                    });
                };
                method = Some((id.to_owned(), place));
                continue;
            }
            if let Some(name) = name.strip_prefix("transform.") {
                let Some(transform) = &mut transform else {
                    return Err(SpecError::Field {
                        place,
                        field: format!("transform.{name}"),
                        reason: "the job has no transform".into(),
                        advice: None,
                    });
                };
                transform.settings.retain(|known| known.name != *name);
                transform.settings.push(GivenSetting { name: name.to_owned(), value: value.clone(), place });
                continue;
            }
            settings.retain(|known| known.name != *name);
            settings.push(GivenSetting { name: name.clone(), value: value.clone(), place });
        }
        let Some((method, method_place)) = method else {
            return Err(reader.missing("hyperparameters.method", Some(Advice::ListMethods)));
        };
        Ok(Self {
            name,
            dataset,
            base_model,
            provider,
            method,
            method_place,
            settings,
            transform,
            untyped_rows,
            validation,
            source: text.to_owned(),
        })
    }

    /// The path of the dataset, where the job names one: relative paths start at the
    /// folder of the job file.
    pub fn dataset_path(&self, job_file: &Path) -> Option<PathBuf> {
        match &self.dataset {
            DatasetRef::Path(path) => Some(job_file.parent().unwrap_or(Path::new("")).join(path)),
            DatasetRef::Id(_) => None,
        }
    }

    /// The path of the validation file, where the job names one.
    pub fn validation_path(&self, job_file: &Path) -> Option<PathBuf> {
        let path = self.validation.as_ref()?;
        Some(job_file.parent().unwrap_or(Path::new("")).join(path))
    }

    /// What a method is told, given its checked settings.
    pub fn method_job(&self, settings: Vec<tunesmith_core::contract::JobSetting>, seed: u32) -> MethodJob {
        MethodJob { name: self.name.clone(), base_model: self.base_model.clone(), settings, seed }
    }
}

fn field<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    object.fields.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// Reads fields and says where they are wrong.
struct Reader<'a> {
    text: &'a str,
    path: &'a str,
}

impl<'a> Reader<'a> {
    fn place(&self, value: &RawValue) -> String {
        format!("{}, {}", self.path, Place::of(self.text, value.get()))
    }

    fn wrong(&self, value: &RawValue, field: &str, reason: String, advice: Option<Advice>) -> SpecError {
        SpecError::Field {
            place: self.place(value),
            field: field.to_owned(),
            reason,
            advice: advice.map(Box::new),
        }
    }

    fn missing(&self, field: &str, advice: Option<Advice>) -> SpecError {
        SpecError::Field {
            place: self.path.to_owned(),
            field: field.to_owned(),
            reason: "is missing".into(),
            advice: advice.map(Box::new),
        }
    }

    fn unknown(&self, name: &str, value: &RawValue, known: &[&str]) -> SpecError {
        let advice = match nearest(known.iter().copied(), name) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("the fields are {}", known[1..].join(", ")),
        };
        self.wrong(value, name, "no such field".into(), Some(advice.into()))
    }

    fn object(&self, part: &'a str, field: Option<(&str, &RawValue)>) -> Result<Object<'a>, SpecError> {
        if let Some((name, value)) = field
            && !part.starts_with('{')
        {
            return Err(self.wrong(value, name, format!("must be an object, not {}", kind_of(part)), None));
        }
        serde_json::from_str(part).map_err(|error| {
            // Positions within a nested value count from its own start.
            let start = Place::of(self.text, part);
            let (line, column) = if error.line() <= 1 {
                (start.line, start.column + error.column().saturating_sub(1))
            } else {
                (start.line + error.line() - 1, error.column())
            };
            let full = error.to_string();
            let reason = full.split(" at line ").next().unwrap_or(&full).to_owned();
            SpecError::Syntax { path: self.path.to_owned(), line, column, reason }
        })
    }

    fn json(&self, value: &RawValue) -> Result<serde_json::Value, SpecError> {
        serde_json::from_str(value.get())
            .map_err(|error| self.wrong(value, "hyperparameters", error.to_string(), None))
    }

    fn required(&self, object: &Object<'a>, name: &str) -> Result<&'a RawValue, SpecError> {
        field(object, name).ok_or_else(|| self.missing(name, None))
    }

    fn plain_text(&self, value: &RawValue, field: &str, most: usize) -> Result<String, SpecError> {
        let text: String = serde_json::from_str(value.get()).map_err(|_| {
            self.wrong(value, field, format!("must be a text, not {}", kind_of(value.get())), None)
        })?;
        if text.trim().is_empty() {
            return Err(self.wrong(value, field, "is empty".into(), None));
        }
        if text.chars().count() > most {
            return Err(self.wrong(value, field, format!("is longer than {most} characters"), None));
        }
        if let Some(bad) = text.chars().find(|c| tunesmith_core::text::is_hidden(*c)) {
            let reason = format!("holds the invisible character U+{:04X}", u32::from(bad));
            return Err(self.wrong(value, field, reason, Some("remove it".into())));
        }
        Ok(text)
    }

    fn name(&self, value: &RawValue) -> Result<String, SpecError> {
        let name = self.plain_text(value, "name", MAX_NAME_CHARS)?;
        if !name.chars().any(|c| c.is_ascii_alphanumeric()) {
            let advice = "model and file names are made from it".to_owned();
            let reason = "needs at least one ASCII letter or digit".to_owned();
            return Err(self.wrong(value, "name", reason, Some(advice.into())));
        }
        Ok(name)
    }

    fn base_model(&self, value: &RawValue) -> Result<String, SpecError> {
        let name = self.plain_text(value, "baseModel", MAX_BASE_MODEL_CHARS)?;
        if let Some(bad) = name.chars().find(|c| !c.is_ascii_graphic()) {
            let reason = format!("holds {bad:?}, which no model name has");
            return Err(self.wrong(value, "baseModel", reason, None));
        }
        Ok(name)
    }

    /// A transform: its id, or an object of `method` and settings.
    fn transform(&self, value: &'a RawValue) -> Result<TransformSpec, SpecError> {
        let place = |value: &RawValue| format!("{}, {}", self.path, Place::of(self.text, value.get()));
        if !value.get().starts_with('{') {
            let method = self.plain_text(value, "transform", MAX_NAME_CHARS)?;
            return Ok(TransformSpec { method, place: place(value), settings: Vec::new() });
        }
        let object = self.object(value.get(), Some(("transform", value)))?;
        let mut transform = None;
        let mut settings = Vec::new();
        for (name, value) in &object.fields {
            if name == "method" {
                let method = self.plain_text(value, "transform.method", MAX_NAME_CHARS)?;
                transform = Some((method, place(value)));
            } else {
                let given = self.json(value)?;
                settings.push(GivenSetting { name: name.clone(), value: given, place: place(value) });
            }
        }
        let Some((method, place)) = transform else {
            let reason = "names no method".to_owned();
            let advice = "write {\"method\": ID, and its settings}".to_owned();
            return Err(self.wrong(value, "transform", reason, Some(advice.into())));
        };
        Ok(TransformSpec { method, place, settings })
    }

    fn provider(&self, value: &RawValue) -> Result<ProviderId, SpecError> {
        let name = self.plain_text(value, "provider", MAX_NAME_CHARS)?;
        name.parse().map_err(|_| {
            let names = ProviderId::ALL.map(ProviderId::as_str);
            let advice = match nearest(names, &name) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("the providers are {}", names.join(", ")),
            };
            self.wrong(value, "provider", format!("{name:?} is not a provider"), Some(advice.into()))
        })
    }

    fn dataset(&self, top: &Object<'a>) -> Result<DatasetRef, SpecError> {
        match (field(top, "dataset"), field(top, "datasetId")) {
            (Some(_), Some(id)) => {
                let reason = "a job has either dataset or datasetId, not both".to_owned();
                Err(self.wrong(id, "datasetId", reason, Some("remove one of them".into())))
            }
            (Some(path), None) => Ok(DatasetRef::Path(self.plain_text(path, "dataset", 4096)?)),
            (None, Some(value)) => {
                let id = self.plain_text(value, "datasetId", MAX_NAME_CHARS)?;
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if !id.chars().all(plain) || id.starts_with('.') {
                    let reason = format!("{id:?} is not an id: letters, digits, -, _ and . only");
                    let advice = "a path goes in dataset instead".to_owned();
                    return Err(self.wrong(value, "datasetId", reason, Some(advice.into())));
                }
                Ok(DatasetRef::Id(id))
            }
            (None, None) => {
                Err(self.missing("dataset", Some("the path of a dataset, relative to the job file".into())))
            }
        }
    }
}

/// What kind of JSON value a raw text is, in words.
pub(super) fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        let failure = Self::new(error.code(), error.to_string()).advise_all(error.advice());
        Self { place: error.file_place(), ..failure }
    }
}
