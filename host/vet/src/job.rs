//! The job file: read within limits, screened and parsed; and the names in it.

use super::confine::{self, Refusal};
use super::screen;
use super::{Judge, Rule};
use serde_json::Value;
use std::path::Path;
use tunesmith_engine::bounded::{self, Fault};
use tunesmith_engine::policy::Breach;
use tunesmith_engine::spec::{FIELDS, MAX_JOB_BYTES, Overrides, Spec, SpecError};
use tunesmith_provider::AnyProvider;
use tunesmith_provider::plan::FaultKind;

/// Fields that only the operator may set, in lowercase without `_` and `-`.
const OF_THE_OPERATOR: [&str; 26] = [
    "adapter",
    "adapters",
    "apikey",
    "authorization",
    "baseurl",
    "cachedir",
    "datadir",
    "endpoint",
    "files",
    "from",
    "headers",
    "host",
    "key",
    "limits",
    "modelfile",
    "ollamahost",
    "openaiapikey",
    "openaibaseurl",
    "organization",
    "plugin",
    "plugins",
    "policy",
    "project",
    "proxy",
    "token",
    "url",
];

impl Judge<'_> {
    /// Reads the job file; `None` if it is not a job.
    pub(super) fn job(&mut self) -> Option<Spec> {
        let path = self.request.job;
        let shown = path.display().to_string();
        let text = match text(path) {
            Ok(text) => text,
            Err(JobFileError::Link) => {
                self.findings.add(
                    Rule::JobLink,
                    &shown,
                    "the file is a symbolic link that leads out of its folder",
                );
                return None;
            }
            Err(JobFileError::Fault(fault)) => {
                let error = SpecError::of_file(fault, &shown);
                self.findings.add(Rule::JobUnreadable, &shown, &error.to_string());
                return None;
            }
        };
        if let Ok(value) = serde_json::from_str(&text) {
            self.fields(&shown, &value);
            self.texts_of_job(&shown, &value, &mut Vec::new());
        }
        match Spec::parse(&text, &shown, &Overrides::default()) {
            Ok(spec) => Some(spec),
            Err(error) => {
                let fix = error.advice();
                let (place, what) = match &error {
                    SpecError::Field { place, field, reason, .. } => {
                        (place.clone(), format!("{field}: {reason}"))
                    }
                    SpecError::Syntax { path, line, column, reason } => {
                        (format!("{path}, line {line}, column {column}"), format!("is not JSON: {reason}"))
                    }
                    other => (shown, other.to_string()),
                };
                let fix = fix.unwrap_or_else(|| Rule::JobInvalid.fix());
                self.findings.add_with(Rule::JobInvalid, &place, &what, fix);
                None
            }
        }
    }

    /// Reports fields that only the operator may set.
    fn fields(&mut self, shown: &str, job: &Value) {
        for name in job.as_object().into_iter().flat_map(|object| object.keys()) {
            let plain: String =
                name.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_ascii_lowercase();
            if OF_THE_OPERATOR.contains(&plain.as_str()) && !FIELDS.contains(&name.as_str()) {
                let what = format!("the job sets {name:?}, which only the operator may set");
                self.findings.add(Rule::JobOversteps, &format!("{shown}: {name}"), &what);
            }
        }
    }

    /// Screens every string of the job, including field names.
    fn texts_of_job(&mut self, shown: &str, value: &Value, path: &mut Vec<String>) {
        match value {
            Value::String(text) => self.text_of_job(shown, text, path),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.texts_of_job(shown, item, path);
                    path.pop();
                }
            }
            Value::Object(fields) => {
                for (name, item) in fields {
                    path.push(name.clone());
                    self.text_of_job(shown, name, path);
                    self.texts_of_job(shown, item, path);
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text_of_job(&mut self, shown: &str, text: &str, path: &[String]) {
        let place = format!("{shown}: {}", path.join("."));
        let found = screen::characters(text);
        if let Some(odd) = found.bidi.or(found.tag).or(found.hidden) {
            let what = format!("contains U+{:04X} at character {}", u32::from(odd.character), odd.at.column);
            self.findings.add(Rule::JobHiddenCharacters, &place, &what);
        }
        if let Some((_, kind)) = screen::secret(text) {
            self.findings.add(Rule::SecretText, &place, &format!("seems to contain {kind}"));
        }
    }

    /// Checks the base model's name, and provider and base model against the policy.
    pub(super) fn names(&mut self, spec: &Spec) {
        let place = format!("{}: baseModel", self.request.job.display());
        let name = spec.base_model.as_str();
        let fault = if name.contains("://") {
            Some((Rule::BaseModelHost, format!("{name:?} is a URL")))
        } else {
            AnyProvider(spec.provider).base_model(name).err().map(|fault| {
                let rule = match fault.kind {
                    FaultKind::ForeignHost => Rule::BaseModelHost,
                    FaultKind::Cloud => Rule::BaseModelCloud,
                    FaultKind::Name => Rule::BaseModelName,
                };
                (rule, fault.reason)
            })
        };
        if let Some((rule, what)) = fault {
            self.findings.add(rule, &place, &what);
        }
        let policy = self.request.policy;
        self.obey(&format!("{}: provider", self.request.job.display()), policy.provider(spec.provider));
        self.obey(&place, policy.base_model(name));
    }

    /// Reports a breach of the policy.
    pub(super) fn obey(&mut self, place: &str, checked: Result<(), Breach>) {
        if let Err(breach) = checked {
            let what = format!("{} ({})", breach.what, breach.place);
            self.findings.add(Rule::of_policy(breach.rule), place, &what);
        }
    }
}

/// Why the job file could not be read.
enum JobFileError {
    Link,
    Fault(Fault),
}

fn text(path: &Path) -> Result<String, JobFileError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(name) = path.file_name() else { return Err(JobFileError::Fault(Fault::NotAFile)) };
    let file = confine::open(folder, Path::new(name)).map_err(|refusal| match refusal {
        Refusal::Link => JobFileError::Link,
        Refusal::Missing => JobFileError::Fault(Fault::Read(std::io::ErrorKind::NotFound.into())),
        Refusal::Unreadable(error) => JobFileError::Fault(Fault::Read(error)),
        Refusal::Directory | Refusal::Special(_) | Refusal::Absolute | Refusal::Traversal => {
            JobFileError::Fault(Fault::NotAFile)
        }
    })?;
    bounded::text_of(file, MAX_JOB_BYTES).map_err(JobFileError::Fault)
}
