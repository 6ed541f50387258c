//! The dataset: opened below its root, read within limits, and screened.

use super::confine::{self, Refusal};
use super::report::DatasetFacts;
use super::screen;
use super::{Judge, Rule};
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use tunesmith_core::failure::Advice;
use tunesmith_core::text::grouped;
use tunesmith_dataset::{Dataset, DatasetError, ReadOptions, Severity};
use tunesmith_engine::spec::{DatasetRef, Spec};
use tunesmith_provider::AnyProvider;
use tunesmith_provider::facts;

/// Larger datasets are not read unless the policy allows it. 256 MiB: a second or two,
/// and more rows than most fine-tuning uses.
const MOST_BYTES: u64 = 256 << 20;

/// Rows that are screened, from the first on: some tenths of a second.
const SCREENED_ROWS: u64 = 5_000;

/// Bytes of text that are screened.
const SCREENED_BYTES: usize = 8 << 20;

/// A dataset that was read.
pub(super) struct ReadDataset {
    /// The open file; `path` refers to it.
    _file: File,
    /// A path to the open file, even if its name now refers to another one.
    pub path: PathBuf,
    /// The path in the job.
    pub shown: String,
    /// The validation file, if the job names one.
    pub validation: Option<(File, PathBuf)>,
    pub dataset: Dataset,
    screened: u64,
}

impl ReadDataset {
    pub fn facts(&self) -> DatasetFacts {
        let dataset = &self.dataset;
        DatasetFacts::new(&self.shown, dataset.digest(), dataset.bytes(), dataset.rows(), self.screened)
    }
}

impl Judge<'_> {
    /// Opens, reads and screens the dataset; `None` if that is not possible.
    pub(super) fn dataset(&mut self, spec: &Spec) -> Option<ReadDataset> {
        let (shown, from, file) = match &spec.dataset {
            DatasetRef::Path(path) => ("dataset", path.clone(), self.below(path)),
            DatasetRef::Id(id) => {
                let name = format!("{id}.jsonl");
                let root = self.request.dataset_root.unwrap_or(self.request.datasets);
                ("datasetId", id.clone(), confine::open(root, Path::new(&name)))
            }
        };
        let file = self.opened(&format!("{}: {shown}", self.request.job.display()), &from, file);
        let validation = match &spec.validation {
            None => None,
            Some(path) => {
                let place = format!("{}: validation", self.request.job.display());
                let file = self.below(path);
                let file = self.opened(&place, path, file)?;
                let path = confine::path_of(&file);
                Some((file, path))
            }
        };
        let file = file?;
        let path = confine::path_of(&file);
        let dataset = self.read(spec, &from, &path)?;
        let screened = self.screen_rows(spec, &from, &dataset);
        Some(ReadDataset { _file: file, path, shown: from, validation, dataset, screened })
    }

    /// Opens a path of a job, which is relative to the job's folder and must stay below the
    /// root.
    fn below(&self, path: &str) -> Result<File, Refusal> {
        let folder = self.request.job.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Some(root) = self.request.dataset_root else {
            return confine::open(folder, &within(Path::new(""), path)?);
        };
        // A job outside of the root may still name files below it.
        let absolute = |path: &Path| std::fs::canonicalize(path).map_err(Refusal::Unreadable);
        let (folder, root) = (absolute(folder)?, absolute(root)?);
        let start = folder.strip_prefix(&root).unwrap_or(Path::new(""));
        confine::open(&root, &within(start, path)?)
    }

    fn opened(&mut self, place: &str, path: &str, file: Result<File, Refusal>) -> Option<File> {
        let refusal = match file {
            Ok(file) => {
                // The limit on what is read comes before reading.
                return self.small_enough(place, &file).then_some(file);
            }
            Err(refusal) => refusal,
        };
        let (rule, what) = match &refusal {
            Refusal::Absolute => (Rule::DatasetAbsolute, format!("{path:?} is an absolute path")),
            Refusal::Traversal => (Rule::DatasetTraversal, format!("{path:?} leads out of the dataset root")),
            Refusal::Link => (
                Rule::DatasetLink,
                format!("{path:?} goes through a symbolic link that leads out of the root or is a loop"),
            ),
            Refusal::Special(kind) => {
                (Rule::DatasetSpecial, format!("{path:?} is {kind}, not a regular file"))
            }
            Refusal::Directory => (Rule::DatasetUnreadable, format!("{path:?} is a directory")),
            Refusal::Missing => (Rule::DatasetUnreadable, format!("{path:?} does not exist")),
            Refusal::Unreadable(error) => {
                (Rule::DatasetUnreadable, format!("{path:?} cannot be read: {error}"))
            }
        };
        let root = matches!(refusal, Refusal::Traversal) && self.request.dataset_root.is_none();
        if root {
            self.findings.add_with(rule, place, &what, Advice::SetDatasetRoot);
        } else {
            self.findings.add(rule, place, &what);
        }
        None
    }

    /// The most bytes of a dataset that are read.
    fn most_bytes(&self) -> u64 {
        self.request.policy.largest_dataset.as_ref().map_or(MOST_BYTES, |rule| rule.allows)
    }

    fn small_enough(&mut self, place: &str, file: &File) -> bool {
        let Ok(metadata) = file.metadata() else { return true };
        self.bytes(place, metadata.len())
    }

    fn bytes(&mut self, place: &str, bytes: u64) -> bool {
        let policy = self.request.policy;
        self.obey(place, policy.dataset_bytes(bytes));
        let most = self.most_bytes();
        if bytes > most && policy.largest_dataset.is_none() {
            let (bytes, most) = (grouped(bytes.into()), grouped(most.into()));
            self.findings.add(Rule::DatasetOverBudget, place, &format!("{bytes} bytes; the limit is {most}"));
        }
        bytes <= most
    }

    fn read(&mut self, spec: &Spec, shown: &str, path: &Path) -> Option<Dataset> {
        let (rules, tokenizer) = AnyProvider(spec.provider).rules(&spec.base_model);
        let options = ReadOptions {
            rules,
            tokenizer,
            temporary: Some(self.request.cache.to_owned()),
            cache: Some(self.request.cache.join("datasets")),
            max_unpacked: Some(self.most_bytes()),
            ..ReadOptions::default()
        };
        let dataset = match Dataset::open(path, &options) {
            Ok(dataset) => dataset,
            Err(error) => {
                self.unread(shown, path, &error);
                return None;
            }
        };
        self.bytes(shown, dataset.bytes());
        let policy = self.request.policy;
        self.obey(shown, policy.dataset_rows(dataset.rows()));
        let errors = dataset.verdict().findings.iter().filter(|found| found.severity == Severity::Error);
        for error in errors {
            let place = match error.line {
                Some(line) => format!("{shown}, line {line}"),
                None => shown.to_owned(),
            };
            let field = if error.field.is_empty() { String::new() } else { format!("{}: ", error.field) };
            self.findings.add_with(
                Rule::DatasetInvalid,
                &place,
                &format!("{field}{}", error.reason),
                error.fix.clone(),
            );
        }
        Some(dataset)
    }

    /// Reports why a dataset could not be read; replaces `path`, the host's name for it.
    pub(super) fn unread(&mut self, shown: &str, path: &Path, error: &DatasetError) {
        let rule = match error {
            DatasetError::TooLarge { .. } => Rule::DatasetBomb,
            _ => Rule::DatasetUnreadable,
        };
        let what = error.to_string().replace(&path.display().to_string(), shown);
        self.findings.add(rule, shown, &what);
    }

    /// Screens the rows that would be uploaded or trained on; returns their number. What
    /// goes into a model on Ollama is in its config, which is screened completely.
    fn screen_rows(&mut self, spec: &Spec, shown: &str, dataset: &Dataset) -> u64 {
        if !facts::of(spec.provider).trains {
            return 0;
        }
        let mut bytes = 0;
        let rows = dataset.rows().min(SCREENED_ROWS);
        for row in 0..u32::try_from(rows).unwrap_or(u32::MAX) {
            // Rows that cannot be read again were reported when they could not be read.
            let Ok(example) = dataset.example(row) else { return u64::from(row) };
            for message in example.iter().flat_map(|example| &example.messages) {
                bytes += message.content.len();
                self.screen(
                    &format!("{shown}, row {row}, {} message", message.role.as_str()),
                    &message.content,
                );
            }
            if bytes > SCREENED_BYTES {
                return u64::from(row) + 1;
            }
        }
        rows
    }

    /// Screens a text for hidden content.
    pub(super) fn screen(&mut self, place: &str, text: &str) {
        let found = screen::characters(text);
        let kinds = [
            (Rule::BidiOverride, found.bidi),
            (Rule::TagCharacters, found.tag),
            (Rule::HiddenCharacters, found.hidden),
        ];
        for (rule, odd) in kinds {
            if let Some(odd) = odd {
                let what = format!(
                    "U+{:04X} on line {}, character {}",
                    u32::from(odd.character),
                    odd.at.line,
                    odd.at.column
                );
                self.findings.add(rule, place, &what);
            }
        }
        if let Some((line, kind)) = screen::secret(text) {
            self.findings.add(Rule::SecretText, place, &format!("line {line} seems to contain {kind}"));
        }
    }
}

/// Resolves `..` in a path from a folder on; it must stay below the root. Symbolic links
/// do not matter, since none is followed yet.
fn within(start: &Path, path: &str) -> Result<PathBuf, Refusal> {
    let mut parts = start.to_path_buf();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !parts.pop() {
                    return Err(Refusal::Traversal);
                }
            }
            Component::RootDir | Component::Prefix(_) => return Err(Refusal::Absolute),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_stays_below_the_root() {
        let found = |start: &str, path: &str| within(Path::new(start), path);
        assert_eq!(found("jobs", "../datasets/a.jsonl").unwrap(), Path::new("datasets/a.jsonl"));
        assert_eq!(found("", "a/../b").unwrap(), Path::new("b"));
        assert!(matches!(found("jobs", "../../a"), Err(Refusal::Traversal)));
        assert!(matches!(found("", "a/../../b"), Err(Refusal::Traversal)));
        assert!(matches!(found("jobs", "/a"), Err(Refusal::Absolute)));
    }
}
