//! What a user is told about a job file that cannot be used.

use crate::common;
use common::{failure, root, said, tunesmith};
use std::path::PathBuf;

/// Plans a job given as text, from a folder beside a small dataset.
fn refuse(job: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    std::fs::write(&file, job).unwrap();
    std::fs::copy(root().join("examples/datasets/support.jsonl"), folder.path().join("data.jsonl")).unwrap();
    let output = tunesmith().current_dir(folder.path()).args(["plan", "job.json"]).output().unwrap();
    assert!(output.stdout.is_empty());
    format!("{}exit code {}", said(output.stderr), output.status.code().unwrap())
}

/// A job with these settings.
fn with_settings(settings: &str) -> String {
    format!(
        "{{\n  \"name\": \"Job\",\n  \"dataset\": \"data.jsonl\",\n  \"baseModel\": \"llama2\",\n  \
         \"provider\": \"ollama\",\n  \"hyperparameters\": {{\n    \"method\": \"lora\",\n    {settings}\n  }}\n}}\n"
    )
}

#[test]
fn wrong_settings_have_a_line_and_fix() {
    insta::assert_snapshot!(refuse(&with_settings(
        "\"lora_rnak\": 8,\n    \"lora_alpha\": \"16\",\n    \"lora_dropout\": 1.5,\n    \"target_modules\": \"q_proj\",\n    \"n_epochs\": 2.5,\n    \"temperature\": null"
    )));
}

#[test]
fn a_setting_given_twice_is_refused() {
    insta::assert_snapshot!(refuse(&with_settings("\"lora_rank\": 8,\n    \"lora_rank\": 16")));
}

#[test]
fn an_unknown_field_is_refused_with_a_suggestion() {
    insta::assert_snapshot!(refuse("{ \"name\": \"a\",\n  \"datset\": \"data.jsonl\" }"));
}

#[test]
fn a_missing_field_is_named() {
    insta::assert_snapshot!(refuse("{ \"name\": \"a\", \"dataset\": \"data.jsonl\" }"));
}

#[test]
fn broken_json_is_placed() {
    insta::assert_snapshot!(refuse("{ \"name\": \"a\",\n  \"dataset\": }"));
}

#[test]
fn unknown_provider_is_refused_with_a_suggestion() {
    insta::assert_snapshot!(refuse(&with_settings("\"lora_rank\": 8").replace("ollama", "olama")));
}

#[test]
fn unknown_method_is_refused_with_a_suggestion() {
    insta::assert_snapshot!(refuse(&with_settings("\"lora_rank\": 8").replace("\"lora\"", "\"qlra\"")));
}

#[test]
fn an_invisible_character_in_a_name_is_refused() {
    insta::assert_snapshot!(refuse(&with_settings("\"lora_rank\": 8").replace("\"Job\"", "\"Jo\u{202e}b\"")));
}

#[test]
fn nested_brackets_without_end_are_refused() {
    let text = refuse(&with_settings(&format!("\"lora_rank\": {}1{}", "[".repeat(5000), "]".repeat(5000))));
    assert!(text.contains("recursion limit"), "{text}");
    assert!(text.ends_with("exit code 3"), "{text}");
}

#[test]
fn dataset_given_as_job_is_recognized() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.jsonl");
    std::fs::write(&file, vec![b' '; 300 * 1024]).unwrap();
    let (code, text) = failure(&["plan", file.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(text.contains("larger than 256 KiB") && text.contains("dataset given in place"), "{text}");
}

#[test]
fn missing_job_folder_or_pipe_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe: PathBuf = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, expected) in [
        (folder.path().join("none.json"), "No such file"),
        (folder.path().to_path_buf(), "not a regular file"),
        (pipe, "not a regular file"),
    ] {
        let (code, text) = failure(&["plan", path.to_str().unwrap()]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    std::fs::write(&file, b"{ \"name\": \"\xff\" }").unwrap();
    let (code, text) = failure(&["plan", file.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(text.contains("not UTF-8 (first bad byte at offset 11)"), "{text}");
}
