//! `tunesmith dataset` as a user meets it.
#![allow(clippy::unwrap_used)] // A test that cannot go on should stop.

mod common;

use common::{run, stdout};

#[test]
fn the_example_dataset_has_no_problems() {
    let shown = stdout(&["dataset", "check", "examples/datasets/support.jsonl"]);
    assert!(shown.contains("85 rows") && shown.contains("no problems found"), "{shown}");
}

#[test]
fn each_problem_is_named_with_its_line_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.jsonl");
    std::fs::write(&file, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n{bad\n").unwrap();
    let output = run(&["dataset", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(":1:13: error [missing-assistant]"), "{text}");
    assert!(text.contains(":2:2: error [json-syntax]"), "{text}");
}
