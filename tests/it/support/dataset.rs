//! What holds for any bytes that are given as a dataset. Shared by the property tests
//! and the fuzz target.
#![allow(dead_code, reason = "tests use one entry or the other")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tunesmith_core::contract::{Conversations, DatasetView as _, MethodJob, Selection};
use tunesmith_core::tokens::Tokenizer;
use tunesmith_dataset::{
    Batch, Container, ConvertError, ConvertOptions, Dataset, Destination, Format, ReadOptions, Rules,
    Severity, SplitOptions, Target, TransformError, TransformOptions, UntypedRows,
};

/// Rows that a file of lines has, counted apart from the program.
fn lines_with_rows(bytes: &[u8]) -> u64 {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let has_row = |line: &&[u8]| line.iter().any(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    bytes.split(|&byte| byte == b'\n').filter(has_row).count() as u64
}

/// Names matter: what ends in `.txt` may be read as lines of text.
const NAMES: [&str; 3] = ["data.jsonl", "data.txt", "data.csv"];

/// Any bytes as a dataset: the first says under which name, the rest are the file.
pub fn named(bytes: &[u8]) {
    let Some((&first, file)) = bytes.split_first() else { return };
    holds(file, NAMES[usize::from(first) % NAMES.len()]);
}

/// Gives bytes to everything that reads a dataset.
///
/// # Panics
/// When a row is lost or invented, or two readings differ.
pub fn holds(bytes: &[u8], name: &str) {
    // In memory where that is possible: what is written is synced, which takes a disk long.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join(name);
    fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    for target in [Target::Any, Target::OpenAi] {
        let options = ReadOptions {
            rules: Rules::new(target, Some(50)),
            temporary: Some(folder.path().to_owned()),
            ..ReadOptions::default()
        };
        let dataset = match Dataset::open(&path, &options) {
            Ok(dataset) => dataset,
            // Refused as a whole, with a message.
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        judged(&dataset, bytes);
        if target == Target::Any {
            seen(&dataset);
            copied(&dataset, &options, folder.path());
            made(&dataset, &options, folder.path());
        }
    }
}

fn judged(dataset: &Dataset, bytes: &[u8]) {
    let plain = dataset.compression().is_none();
    match dataset.recognized().container {
        Container::Jsonl | Container::Lines if plain => assert_eq!(dataset.rows(), lines_with_rows(bytes)),
        Container::Array if plain => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            if let Ok(rows) = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(text) {
                assert_eq!(dataset.rows(), rows.len() as u64);
            }
        }
        _ => {}
    }
    let verdict = dataset.verdict();
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
    for finding in &verdict.findings {
        assert!(!finding.reason.is_empty());
        if let (Some(line), true) = (finding.line, plain) {
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {finding:?}");
        }
        if let Some(row) = finding.row {
            assert!(row < dataset.rows(), "{finding:?}");
        }
    }
    let figures = dataset.figures(Tokenizer::Cautious).unwrap();
    assert_eq!(figures.rows, dataset.rows());
    assert_eq!(figures.tokens.histogram.iter().map(|bar| bar.rows).sum::<u64>(), dataset.rows());
}

/// The view of methods has each row once, and each as the dataset has it.
fn seen(dataset: &Dataset) {
    let view = dataset.view(Tokenizer::Cautious, 3).unwrap();
    let sample = view.sample(&Selection { count: 50, ..Selection::default() });
    assert!(view.failure().is_none());
    let ids: BTreeSet<u32> = sample.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), sample.len());
    for row in &sample {
        assert_eq!(dataset.example(row.id).unwrap().as_ref(), Some(&row.example));
    }
    let typed =
        (0..dataset.rows()).filter(|&id| dataset.example(id as u32).unwrap().is_some()).count() as u64;
    assert!(typed >= dataset.typed_rows(), "{typed} of {}", dataset.typed_rows());
}

/// Only rows with errors are dropped from a copy: reading for a verdict and
/// reading to convert agree.
fn copied(dataset: &Dataset, options: &ReadOptions, folder: &Path) {
    let errors = || dataset.verdict().findings.iter().filter(|found| found.severity == Severity::Error);
    if errors().count() as u64 != dataset.verdict().errors() {
        return; // Not all are named.
    }
    let bad: BTreeSet<u64> = errors().filter_map(|found| found.row).collect();
    let out = folder.join("copied.jsonl");
    let conversion = ConvertOptions { to: None, drop_invalid: true, fix: false };
    let destination = Destination::File { path: &out, replace: true };
    match tunesmith_dataset::convert(dataset.path(), options, &conversion, destination) {
        Ok(made) => assert_eq!(made.dropped.values().sum::<u64>(), bad.len() as u64, "{bad:?}"),
        Err(ConvertError::Nothing { .. }) => assert_eq!(bad.len() as u64, dataset.rows()),
        Err(ConvertError::Dataset(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// What is written has every row, or says which it has not.
fn made(dataset: &Dataset, options: &ReadOptions, folder: &Path) {
    let rows = dataset.rows();
    let path = dataset.path();
    let into_each = Format::ALL.map(|to| ConvertOptions { to: Some(to), drop_invalid: true, fix: false });
    let fixed = ConvertOptions { to: None, drop_invalid: true, fix: true };
    for conversion in into_each.into_iter().chain([fixed]) {
        let out = folder.join("converted.jsonl");
        let destination = Destination::File { path: &out, replace: true };
        match tunesmith_dataset::convert(path, options, &conversion, destination) {
            Ok(made) => {
                assert_eq!(made.rows, rows);
                let dropped: u64 = made.dropped.values().sum();
                let duplicates = made.fixed.get("removed duplicates of earlier rows").copied();
                assert_eq!(made.rows_written + dropped + duplicates.unwrap_or(0), rows);
                assert_eq!(lines_with_rows(&fs::read(&out).unwrap()), made.rows_written);
                let again = Dataset::open(&out, options).unwrap();
                assert_eq!(again.rows(), made.rows_written);
                assert_eq!(again.verdict().errors(), 0, "{:?}", again.verdict().findings);
            }
            Err(ConvertError::Nothing { .. } | ConvertError::Dataset(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let (training, validation) = (folder.join("training.jsonl"), folder.join("validation.jsonl"));
    let division = SplitOptions { validation: 0.3, seed: 1, replace: true };
    if let Ok(divided) = tunesmith_dataset::split(path, options, &division, &training, &validation) {
        assert_eq!(divided.training_rows + divided.validation_rows, rows);
        if divided.training_rows > 0 && divided.validation_rows > 0 {
            assert_eq!(tunesmith_dataset::shared_rows(&training, &validation, options).unwrap().count, 0);
        }
    }
    let job = MethodJob { name: "x".into(), base_model: "x".into(), settings: vec![], seed: 0 };
    let how = TransformOptions { job: &job, untyped: UntypedRows::Pass };
    let same = |_: &MethodJob, rows: &Arc<Conversations>| {
        Ok::<_, std::convert::Infallible>(Batch { rows: (**rows).clone(), notes: vec![] })
    };
    let out = folder.join("transformed.jsonl");
    let destination = Destination::File { path: &out, replace: true };
    match tunesmith_dataset::transform(path, options, &how, || same, destination) {
        Ok(made) => {
            assert_eq!((made.rows, made.rows_written), (rows, rows));
            assert_eq!(lines_with_rows(&fs::read(&out).unwrap()), rows);
        }
        Err(TransformError::Invalid { line, .. }) => assert!(line >= 1),
        Err(error) => panic!("{error}"),
    }
}
