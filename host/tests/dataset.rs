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

#[test]
fn what_openai_does_not_take_is_refused_and_the_hint_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let rows: String = (0..12)
        .map(|n| format!("{{\"instruction\":\"Question {n}?\",\"input\":\"\",\"output\":\"Answer {n}.\"}}\n"))
        .collect();
    std::fs::write(at("alpaca.jsonl"), rows).unwrap();
    let job = |dataset: &str| {
        format!(
            "{{\"name\":\"x\",\"dataset\":{dataset:?},\"baseModel\":\"gpt-4.1-mini-2025-04-14\",\
             \"provider\":\"openai\",\"hyperparameters\":{{\"method\":\"lora\"}}}}"
        )
    };
    std::fs::write(at("job.json"), job("alpaca.jsonl")).unwrap();
    let refused = run(&["plan", &at("job.json")]);
    assert_eq!(refused.status.code(), Some(3));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("dataset convert"), "{text}");
    stdout(&["dataset", "convert", &at("alpaca.jsonl"), "--to", "openai", "--out", &at("chat.jsonl")]);
    std::fs::write(at("job.json"), job("chat.jsonl")).unwrap();
    stdout(&["plan", &at("job.json")]);
}
