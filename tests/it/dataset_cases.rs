//! The cases of `tests/cases/dataset`: each folder has a dataset and what `tunesmith
//! dataset` says of it. A new folder with an `input.*` is a new case: run the test with
//! `INSTA_UPDATE=always` once, and read what it wrote to `expected.snap`.
//!
//! A file `command` holds other arguments than `check INPUT`. The command runs in a copy
//! of the folder, and files that it makes there are part of what is expected.

use crate::common;
use common::{root, tunesmith};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use tunesmith_dataset::{FindingKind, Severity};

/// Kinds that are an error for some input, and kinds that are a warning.
const ERRORS: &[FindingKind] = &[
    FindingKind::NotUtf8,
    FindingKind::Nul,
    FindingKind::RowTooLong,
    FindingKind::JsonSyntax,
    FindingKind::TooDeep,
    FindingKind::DuplicateKey,
    FindingKind::CsvRecord,
    FindingKind::NotAnObject,
    FindingKind::OtherFormat,
    FindingKind::MissingMessages,
    FindingKind::MissingField,
    FindingKind::WrongType,
    FindingKind::UnknownKey,
    FindingKind::UnknownRole,
    FindingKind::EmptyContent,
    FindingKind::MissingAssistant,
    FindingKind::UnansweredToolCall,
    FindingKind::AnswerWithoutCall,
    FindingKind::Weight,
    FindingKind::Image,
    FindingKind::Preference,
    FindingKind::SharedRow,
    FindingKind::FewRows,
    FindingKind::NoUsableRows,
    FindingKind::FormatNotTaken,
    FindingKind::ByteOrderMark,
];
const WARNINGS: &[FindingKind] = &[
    FindingKind::Nul,
    FindingKind::MissingField,
    FindingKind::WrongType,
    FindingKind::UnknownKey,
    FindingKind::DeveloperRole,
    FindingKind::EmptyContent,
    FindingKind::RoleOrder,
    FindingKind::UnansweredToolCall,
    FindingKind::AnswerWithoutCall,
    FindingKind::Weight,
    FindingKind::AllWeightsZero,
    FindingKind::Image,
    FindingKind::Preference,
    FindingKind::SameAnswers,
    FindingKind::DuplicateRow,
    FindingKind::SharedRow,
    FindingKind::TooManyTokens,
    FindingKind::FewRows,
    FindingKind::ByteOrderMark,
    FindingKind::CrLf,
    FindingKind::BlankLine,
];

struct Case {
    name: String,
    folder: PathBuf,
    /// The arguments after `dataset`.
    command: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = fs::read_dir(root().join("tests/cases/dataset"))
        .unwrap()
        .map(|entry| {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let command = fs::read_to_string(folder.join("command")).unwrap_or_else(|_| {
                let input = names(&folder).into_iter().find(|name| name.starts_with("input."));
                format!("check {}", input.unwrap_or_else(|| panic!("{name} has no input.*")))
            });
            Case { command: command.split_whitespace().map(str::to_owned).collect(), name, folder }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 70, "the cases are gone");
    cases
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs a case in a copy of its folder and gives what a user would see.
fn run(case: &Case) -> String {
    let copy = tempfile::tempdir().unwrap();
    let given = names(&case.folder);
    for name in &given {
        fs::copy(case.folder.join(name), copy.path().join(name)).unwrap();
    }
    let output = tunesmith().current_dir(copy.path()).arg("dataset").args(&case.command).output().unwrap();
    let mut text = format!("$ tunesmith dataset {}\n", case.command.join(" "));
    text += std::str::from_utf8(&output.stdout).unwrap();
    text += std::str::from_utf8(&output.stderr).unwrap();
    let _ = writeln!(text, "exit code {}", output.status.code().unwrap());
    for name in names(copy.path()).difference(&given) {
        let made = fs::read_to_string(copy.path().join(name)).unwrap();
        let _ = write!(text, "\n--- {name}\n{made}");
    }
    text
}

#[test]
fn each_case_is_judged_as_expected() {
    let mut failed = Vec::new();
    for case in cases() {
        let text = run(&case);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case.folder);
        settings.set_prepend_module_to_snapshot(false);
        let compare = || settings.bind(|| insta::assert_snapshot!("expected", text));
        let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare));
        if compared.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{} cases differ: {}", failed.len(), failed.join(", "));
}

#[test]
fn every_finding_kind_has_a_case() {
    let mut found: BTreeSet<(Severity, FindingKind)> = BTreeSet::new();
    for case in cases().iter().filter(|case| case.command.first().is_some_and(|verb| verb == "check")) {
        let output = tunesmith()
            .current_dir(&case.folder)
            .arg("dataset")
            .args(&case.command)
            .arg("--json")
            .output()
            .unwrap();
        for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let value: serde_json::Value = serde_json::from_slice(line).unwrap();
            for count in value["verdict"]["counts"].as_array().into_iter().flatten() {
                found.insert((
                    serde_json::from_value(count["severity"].clone()).unwrap(),
                    serde_json::from_value(count["kind"].clone()).unwrap(),
                ));
            }
        }
    }
    let expected: BTreeSet<(Severity, FindingKind)> = ERRORS
        .iter()
        .map(|&kind| (Severity::Error, kind))
        .chain(WARNINGS.iter().map(|&kind| (Severity::Warning, kind)))
        .collect();
    let without: Vec<_> = expected.difference(&found).collect();
    assert!(without.is_empty(), "no case has {without:?}");
    let unlisted: Vec<_> = found.difference(&expected).collect();
    assert!(unlisted.is_empty(), "list {unlisted:?} above");
    let unknown: Vec<_> =
        FindingKind::ALL.iter().filter(|kind| !expected.iter().any(|(_, known)| known == *kind)).collect();
    assert!(unknown.is_empty(), "no case is expected to have {unknown:?}");
}
