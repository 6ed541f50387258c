//! The files that a plan works on: the dataset, transformed where the job says so, and
//! converted where the provider needs it. What is made lies in the cache under the
//! digest of its bytes, so that the same job finds it again.

use super::{BatchError, Context, MethodFacts, PlanError};
use crate::settings;
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tunesmith_core::contract::{Conversations, JobSetting, MethodJob, Note};
use tunesmith_core::digest::Hasher;
use tunesmith_core::fs::{Access, Durability};
use tunesmith_dataset::{
    self, Batch, Container, ConvertOptions, Dataset, DatasetError, Destination, FindingKind, Format,
    ReadOptions, Rules, Severity, TransformOptions, Transformed, UntypedRows,
};
use tunesmith_plugin_host::{Ability, Plugin};
use tunesmith_provider::facts;
use tunesmith_provider::plan::Ready;
use tunesmith_provider::{Warning, WarningCode};

/// Files that are kept, and for how long at least: a job that is being executed may be
/// about to upload one. The oldest beyond them go when another is made.
const KEPT_FILES: usize = 32;
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Changes whenever what is made of the same input changes within one version.
const LAYOUT: u32 = 1;

/// What a transform made of the dataset, in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransformFacts {
    /// The plugin.
    pub method: MethodFacts,
    /// Its settings, and who chose them.
    pub settings: Vec<JobSetting>,
    /// What happened to rows that it cannot see.
    pub untyped_rows: UntypedRows,
    /// Rows that it was given.
    pub rows: u64,
    /// Rows that came of it.
    pub rows_written: u64,
    /// Rows that it left out.
    pub rows_dropped: u64,
    /// Rows that it did not see.
    pub rows_untyped: u64,
    /// SHA-256 of the result.
    pub sha256: String,
    /// Bytes of the result.
    pub bytes: u64,
    /// What it told the user.
    pub notes: Vec<Note>,
}

/// What a transform took here.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransformRun {
    /// Whether the result was found in the cache.
    pub cached: bool,
    /// Wall time.
    pub wall: Duration,
    /// Calls of the plugin.
    pub batches: u64,
    /// The most linear memory of a call, in bytes.
    pub peak_memory: u64,
}

/// The dataset as the rest of the plan sees it.
pub(super) struct Source {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 and bytes of the file that the job names, where this is another.
    pub original: Option<(String, u64)>,
    pub transform: Option<(TransformFacts, TransformRun)>,
}

/// What is kept of an earlier transform or conversion beside the file.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    made: T,
    sha256: String,
    bytes: u64,
}

/// Transforms the dataset where the job says so.
pub(super) fn source(
    spec: &Spec,
    path: &Path,
    context: &Context<'_>,
    transform: Option<&Transforming<'_>>,
    seed: u32,
) -> Result<Source, PlanError> {
    let Some(Transforming { plugin, settings }) = transform else {
        return Ok(Source { path: path.to_owned(), original: None, transform: None });
    };
    let folder = context.kept_files()?;
    let options = context.options(Rules::default());
    // The whole verdict first: a transform would stop at the first bad row.
    let original = Dataset::open(path, &options).map_err(PlanError::Dataset)?;
    super::obey::dataset(context, &original)?;
    no_errors(&original, &[])?;
    let job = spec.method_job(settings.clone(), seed);
    let untyped = spec.untyped_rows;
    let key = key(&[
        "transform",
        original.digest(),
        &plugin.digest().to_string(),
        &serde_json::to_string(&job).map_err(PlanError::Encoding)?,
        &serde_json::to_string(&untyped).map_err(PlanError::Encoding)?,
    ]);
    let started = Instant::now();
    let mut run = TransformRun { cached: true, ..TransformRun::default() };
    let kept = match load::<Transformed>(&folder, &key) {
        Some(kept) => kept,
        None => {
            let made =
                apply(plugin, path, &options, &TransformOptions { job: &job, untyped }, &folder, &mut run)?;
            let kept = Kept { sha256: made.file.digest.clone(), bytes: made.file.bytes, made };
            store(&folder, &key, &kept);
            kept
        }
    };
    original.unchanged().map_err(PlanError::Dataset)?;
    // What a plan rests on is what was made, not what lies there now.
    tunesmith_dataset::open_exactly(&file(&folder, &kept.sha256), &kept.sha256).map_err(|error| {
        let _ = std::fs::remove_file(file(&folder, &kept.sha256));
        PlanError::Dataset(error)
    })?;
    run.wall = started.elapsed();
    let Kept { made, sha256, bytes } = kept;
    let facts = TransformFacts {
        method: MethodFacts::of(plugin),
        settings: job.settings,
        untyped_rows: untyped,
        rows: made.rows,
        rows_written: made.rows_written,
        rows_dropped: made.rows_dropped,
        rows_untyped: made.rows_untyped,
        bytes,
        notes: made.notes,
        sha256,
    };
    Ok(Source {
        path: file(&folder, &facts.sha256),
        original: Some((original.digest().to_owned(), original.bytes())),
        transform: Some((facts, run)),
    })
}

/// Runs a plugin over a file, in parallel sandboxes.
fn apply(
    plugin: &Plugin,
    path: &Path,
    options: &ReadOptions,
    how: &TransformOptions<'_>,
    folder: &Path,
    run: &mut TransformRun,
) -> Result<Transformed, PlanError> {
    let measured = Mutex::new((0_u64, 0_u64));
    let transformed = tunesmith_dataset::transform(
        path,
        options,
        how,
        || |job: &MethodJob, rows: &Arc<Conversations>| batch(plugin, job, rows, &measured),
        Destination::ByDigest(folder),
    );
    let (batches, peak_memory) = measured.into_inner().unwrap_or_default();
    *run = TransformRun { cached: false, batches, peak_memory, ..*run };
    transformed.map_err(|error| PlanError::Transforming {
        method: plugin.id().to_owned(),
        path: path.to_owned(),
        error: Box::new(error),
    })
}

/// Transforms one batch in a sandbox of its own.
pub fn batch(
    plugin: &Plugin,
    job: &MethodJob,
    rows: &Arc<Conversations>,
    measured: &Mutex<(u64, u64)>,
) -> Result<Batch, BatchError> {
    let answer = plugin.transform(job, rows)?;
    if let Ok(mut measured) = measured.lock() {
        measured.0 += 1;
        measured.1 = measured.1.max(answer.receipt.measured.peak_memory);
    }
    let rows = answer.result.map_err(BatchError::Refused)?;
    Ok(Batch { rows, notes: answer.notes })
}

/// The plugin that transforms, and its settings.
pub(super) struct Transforming<'a> {
    plugin: &'a Plugin,
    settings: Vec<JobSetting>,
}

/// The plugin that the job names as its transform, if it can transform.
pub(super) fn transforming<'a>(
    spec: &Spec,
    context: &Context<'a>,
) -> Result<Option<Transforming<'a>>, PlanError> {
    let Some(asked) = &spec.transform else { return Ok(None) };
    let Some(plugin) = context.transform.filter(|plugin| plugin.id() == asked.method) else {
        return Err(PlanError::NoTransform { method: asked.method.clone() });
    };
    if !plugin.can(Ability::Transform) {
        return Err(PlanError::CannotTransform { method: asked.method.clone() });
    }
    let settings = settings::check(&asked.settings, plugin.descriptor()).map_err(PlanError::Settings)?;
    Ok(Some(Transforming { plugin, settings }))
}

/// What the user should know about how the dataset was made ready.
pub(super) fn warnings(spec: &Spec, ready: &Ready, source: &Source) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |message: String| warnings.push(Warning::new(WarningCode::Dataset, message));
    if let Some((facts, _)) = &source.transform
        && facts.rows_untyped > 0
    {
        let what = match facts.untyped_rows {
            UntypedRows::Pass => "were kept as they are",
            UntypedRows::Drop | UntypedRows::Refuse => "were left out",
        };
        warn(format!(
            "{} of {} rows are not plain texts: {} did not see them, and they {what} (untypedRows)",
            facts.rows_untyped, facts.rows, facts.method.id
        ));
    }
    for (what, count) in &ready.lost {
        warn(format!("conversion for OpenAI left out {what} ({count} times)"));
    }
    let facts = facts::of(spec.provider);
    if ready.format.is_preference() && !facts.uploads {
        warn(format!(
            "the rows are preference pairs, of which {} gets the preferred answers alone",
            facts.title
        ));
    }
    if spec.validation.is_some() && !facts.uploads {
        warn(format!("validation is not used by {}", spec.provider));
    }
    warnings
}

/// What a conversion made, kept beside the file.
#[derive(Serialize, Deserialize)]
struct Conversions {
    lost: Vec<(String, u64)>,
}

/// Reads a file for a provider that takes no file.
pub(super) fn ready(path: &Path, options: &ReadOptions) -> Result<Ready, PlanError> {
    let dataset = Dataset::open(path, options).map_err(PlanError::Dataset)?;
    no_errors(&dataset, &[])?;
    let given = (dataset.digest().to_owned(), dataset.bytes());
    let format = dataset.recognized().format;
    Ok(Ready { dataset, as_given: true, format, given, lost: Vec::new() })
}

/// Makes of a file one that OpenAI takes: chat rows or preference pairs, one a line.
/// Errors of a kind in `tolerated` do not matter.
pub(super) fn uploadable(
    path: &Path,
    context: &Context<'_>,
    options: &ReadOptions,
    tolerated: &[FindingKind],
) -> Result<Ready, PlanError> {
    let before = ReadOptions { rules: options.rules.before_conversion(), ..options.clone() };
    let given = Dataset::open(path, &before).map_err(PlanError::Dataset)?;
    super::obey::dataset(context, &given)?;
    no_errors(&given, tolerated)?;
    let known = given.recognized();
    let format = known.format;
    let lines = [FindingKind::ByteOrderMark, FindingKind::CrLf, FindingKind::BlankLine];
    let as_given = matches!(format, Format::OpenAi | Format::OpenAiPreference)
        && known.container == Container::Jsonl
        && given.compression().is_none()
        && lines.iter().all(|&kind| given.verdict().count(kind) == 0);
    let original = (given.digest().to_owned(), given.bytes());
    if as_given {
        return Ok(Ready { dataset: given, as_given, format, given: original, lost: Vec::new() });
    }
    let to = if format.is_preference() { Format::OpenAiPreference } else { Format::OpenAi };
    let folder = context.kept_files()?;
    let key = key(&["convert", given.digest(), to.name(), format.name()]);
    let kept = match load::<Conversions>(&folder, &key) {
        Some(kept) => kept,
        None => {
            let conversion = ConvertOptions { to: Some(to), ..ConvertOptions::default() };
            let made = tunesmith_dataset::convert(path, options, &conversion, Destination::ByDigest(&folder))
                .map_err(PlanError::Convert)?;
            if let Some((line, reason)) = made.dropped_rows.into_iter().next() {
                return Err(PlanError::Unconvertible { path: path.to_owned(), line, reason, to });
            }
            let lost = made.lost.into_iter().map(|(what, count)| (what.to_owned(), count)).collect();
            let kept = Kept { made: Conversions { lost }, sha256: made.file.digest, bytes: made.file.bytes };
            store(&folder, &key, &kept);
            kept
        }
    };
    given.unchanged().map_err(PlanError::Dataset)?;
    let dataset = open_kept(&folder, &kept.sha256, options)?;
    no_errors(&dataset, tolerated)?;
    Ok(Ready { dataset, as_given, format, given: original, lost: kept.made.lost })
}

/// Makes the validation file ready, as the training file was made, with which it must
/// share no rows.
pub(super) fn validation(
    spec: &Spec,
    path: &Path,
    context: &Context<'_>,
    transform: Option<&Transforming<'_>>,
    seed: u32,
    training: &Ready,
    options: &ReadOptions,
) -> Result<Ready, PlanError> {
    let source = source(spec, path, context, transform, seed)?;
    // How few rows are too few is said of training files alone.
    let ready = uploadable(&source.path, context, options, &[FindingKind::FewRows])?;
    if ready.dataset.recognized().format != training.dataset.recognized().format {
        return Err(PlanError::OtherFormat { path: path.to_owned() });
    }
    let mut compared = training.dataset.clone();
    compared.compare(ready.dataset.path(), options).map_err(PlanError::Dataset)?;
    no_errors(&compared, &[])?;
    Ok(ready)
}

/// Reads a kept file, which must be as it was made.
fn open_kept(folder: &Path, sha256: &str, options: &ReadOptions) -> Result<Dataset, PlanError> {
    let path = file(folder, sha256);
    let dataset = Dataset::open(&path, options).map_err(PlanError::Dataset)?;
    if dataset.digest() != sha256 {
        // The next run makes it again.
        let _ = std::fs::remove_file(&path);
        return Err(PlanError::Dataset(DatasetError::Changed { path }));
    }
    Ok(dataset)
}

/// Fails where a dataset has errors of other kinds than these.
pub(super) fn no_errors(dataset: &Dataset, tolerated: &[FindingKind]) -> Result<(), PlanError> {
    let errors = dataset.verdict().counts.iter().filter(|count| count.severity == Severity::Error);
    if errors.filter(|count| !tolerated.contains(&count.kind)).count() == 0 {
        return Ok(());
    }
    Err(PlanError::DatasetErrors {
        path: dataset.path().to_owned(),
        verdict: Box::new(dataset.verdict().clone()),
    })
}

/// Stands for everything that decides what is made.
fn key(parts: &[&str]) -> String {
    let mut hasher = Hasher::default();
    for part in [env!("CARGO_PKG_VERSION"), &LAYOUT.to_string()].iter().chain(parts) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finish().to_string()
}

fn file(folder: &Path, sha256: &str) -> PathBuf {
    folder.join(format!("{sha256}.jsonl"))
}

/// What was made earlier, if its file is still there. Its digest is checked when it is
/// read.
fn load<T: for<'a> Deserialize<'a>>(folder: &Path, key: &str) -> Option<Kept<T>> {
    let record = folder.join(format!("{key}.json"));
    let kept: Kept<T> = serde_json::from_slice(&std::fs::read(&record).ok()?).ok()?;
    let path = file(folder, &kept.sha256);
    if path.metadata().ok()?.len() != kept.bytes {
        return None;
    }
    // In use again: they must not be the next to go.
    for path in [&record, &path] {
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    }
    Some(kept)
}

/// Keeps what was made. That it could not be kept costs only time.
fn store<T: Serialize>(folder: &Path, key: &str, kept: &Kept<T>) {
    let Ok(content) = serde_json::to_vec(kept) else { return };
    let record = folder.join(format!("{key}.json"));
    if tunesmith_core::fs::replace(&record, &content, Access::Private, Durability::Cached).is_ok() {
        forget_oldest(folder);
    }
}

fn forget_oldest(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(2 * KEPT_FILES);
    let old = SystemTime::now() - KEPT_FOR;
    for (_, path) in files.into_iter().take(surplus).filter(|(modified, _)| *modified < old) {
        // Another process may have been faster.
        let _ = std::fs::remove_file(path);
    }
}
