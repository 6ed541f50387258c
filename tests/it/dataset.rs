//! `tunesmith dataset` as a user meets it.

use crate::common;
use common::{run, stdout, tunesmith};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

#[test]
fn the_example_dataset_has_no_problems() {
    let shown = stdout(&["dataset", "check", "examples/datasets/support.jsonl"]);
    assert!(shown.contains("85 rows") && shown.contains("no problems found"), "{shown}");
}

#[test]
fn json_is_one_object_with_exit_code() {
    let output =
        run(&["dataset", "check", "tests/cases/dataset/role-order/input.jsonl", "--json", "--strict"]);
    assert_eq!(output.status.code(), Some(3));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["verdict"]["counts"].as_array().is_some_and(|counts| counts.len() == 2), "{found}");
    assert!(output.stderr.is_empty());
}

#[test]
fn each_problem_has_its_line_and_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.jsonl");
    std::fs::write(&file, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n{bad\n").unwrap();
    let output = run(&["dataset", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(":1:13: error [missing-assistant]"), "{text}");
    assert!(text.contains(":2:2: error [json-syntax]"), "{text}");
}

/// A job in a folder, with its dataset under a name.
fn job(folder: &Path, dataset: &str, more: &Value) -> String {
    let mut job = json!({
        "name": "x", "dataset": dataset, "baseModel": "gpt-4.1-mini-2025-04-14", "provider": "openai",
        "hyperparameters": { "method": "lora" },
    });
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = folder.join("job.json");
    std::fs::write(&path, job.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Plans, and gives the plan and the file that it would upload.
fn plan(folder: &Path, job: &str, file: &str) -> (Value, String) {
    let cache = folder.join("cache");
    let output =
        tunesmith().args(["plan", job, "--json"]).env("TUNESMITH_CACHE_DIR", &cache).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let planned: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sha256 = planned["plan"]["config"]["openai"][file]["sha256"].as_str().unwrap();
    let path = cache.join(format!("datasets/prepared/{sha256}.jsonl"));
    (planned, std::fs::read_to_string(path).unwrap_or_default())
}

fn alpaca(rows: std::ops::Range<u32>) -> Vec<Value> {
    rows.map(|n| json!({ "instruction": format!("Question {n}?"), "output": format!("Answer {n}.") }))
        .collect()
}

fn chat(rows: std::ops::Range<u32>) -> String {
    rows.map(|n| {
        let messages = json!([
            { "role": "user", "content": format!("Question {n}?") },
            { "role": "assistant", "content": format!("Answer {n}.") },
        ]);
        format!("{}\n", json!({ "messages": messages }))
    })
    .collect()
}

#[test]
fn other_formats_are_converted_for_openai() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(chat(0..60).as_bytes()).unwrap();
    put("chat.jsonl", chat(0..60).as_bytes());
    put("chat.jsonl.gz", &packed.finish().unwrap());
    put("alpaca.json", &serde_json::to_vec_pretty(&alpaca(0..60)).unwrap());
    put("crlf.jsonl", format!("\u{feff}{}", chat(0..60).replace('\n', "\r\n\r\n")).as_bytes());
    let as_it_is = plan(folder, &job(folder, "chat.jsonl", &json!({})), "trainingFile");
    assert_eq!(as_it_is.0["plan"]["config"]["openai"]["trainingFile"]["unchanged"], true);
    for name in ["chat.jsonl.gz", "alpaca.json", "crlf.jsonl"] {
        let (planned, uploaded) = plan(folder, &job(folder, name, &json!({})), "trainingFile");
        let config = &planned["plan"]["config"]["openai"];
        assert_eq!(config["trainingFile"]["unchanged"], false, "{name}");
        assert_eq!(config["trainingFile"]["rows"], 60, "{name}");
        assert_eq!(uploaded, chat(0..60), "{name}");
        assert_eq!(config["cost"], as_it_is.0["plan"]["config"]["openai"]["cost"], "{name}");
        // A second plan is the same.
        let again = plan(folder, &job(folder, name, &json!({})), "trainingFile");
        assert_eq!(again.0["digest"], planned["digest"], "{name}");
    }
    // Errors name the lines of the file that the user has.
    put(
        "bad.json",
        b"[{\"instruction\": \"a\", \"output\": \"b\"},\n{\"instruction\": \"a\", \"output\": \"\"}]",
    );
    let refused = run(&["plan", &job(folder, "bad.json", &json!({}))]);
    assert_eq!(refused.status.code(), Some(3));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("bad.json has 2 errors") && text.contains("line 2: output: "), "{text}");
}

#[test]
fn preference_pairs_set_dpo_and_become_examples() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..60)
        .map(|n| {
            format!(
                "{}\n",
                json!({ "prompt": format!("Question {n}?"), "chosen": "Yes.", "rejected": "No." })
            )
        })
        .collect();
    std::fs::write(folder.join("pairs.jsonl"), rows).unwrap();
    let (planned, uploaded) = plan(folder, &job(folder, "pairs.jsonl", &json!({})), "trainingFile");
    let config = &planned["plan"]["config"]["openai"];
    assert_eq!(config["request"]["method"]["type"], "dpo");
    assert!(config["outcome"].as_str().unwrap().contains("dpo"), "{}", config["outcome"]);
    let first: Value = serde_json::from_str(uploaded.lines().next().unwrap()).unwrap();
    assert_eq!(first["input"]["messages"][0]["content"], "Question 0?");
    assert_eq!(first["preferred_output"][0]["content"], "Yes.");
    assert_eq!(first["non_preferred_output"][0]["content"], "No.");
    let job = job(folder, "pairs.jsonl", &json!({ "provider": "ollama", "baseModel": "llama3.2" }));
    let shown = stdout(&["plan", &job, "--full"]);
    assert!(shown.contains("Yes.") && !shown.contains("No."), "{shown}");
    assert!(shown.contains("preference pairs, of which Ollama gets the preferred answers alone"), "{shown}");
}

#[test]
fn validation_file_shares_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("train.jsonl"), chat(0..60)).unwrap();
    std::fs::write(folder.join("validation.json"), serde_json::to_vec(&alpaca(60..65)).unwrap()).unwrap();
    let with = |name: &str| job(folder, "train.jsonl", &json!({ "validation": name }));
    let (planned, uploaded) = plan(folder, &with("validation.json"), "validationFile");
    assert_eq!(uploaded, chat(60..65));
    assert_eq!(planned["plan"]["config"]["openai"]["request"]["validation_file"], "<known at run>");
    std::fs::write(folder.join("validation.json"), serde_json::to_vec(&alpaca(50..65)).unwrap()).unwrap();
    let refused = run(&["plan", &with("validation.json")]);
    assert_eq!(refused.status.code(), Some(3));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("line 51: duplicate of line 1 of the validation file"), "{text}");
}

#[test]
fn standard_input_is_kept_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let check = |input: &str| {
        let mut command = tunesmith();
        command.args(["dataset", "check", "-", "--json"]).env("TUNESMITH_CACHE_DIR", folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let found = check(&chat(0..60));
    assert_eq!(found["rows"], 60);
    let kept = folder.path().join(format!("datasets/{}.data", found["digest"].as_str().unwrap()));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), chat(0..60));
    // The folder is for this user alone.
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &folder.path().join("datasets").metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(check(&chat(0..60)), found);
    assert_eq!(check("")["error"]["code"], "dataset-empty");
}

#[test]
fn second_reading_comes_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.jsonl");
    std::fs::write(&file, chat(0..60)).unwrap();
    let kept = || {
        let entries = std::fs::read_dir(folder.path().join("cache/datasets")).unwrap();
        let mut kept: Vec<_> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()).collect();
        kept.sort();
        kept
    };
    let check = |file: &Path| {
        let mut command = tunesmith();
        command
            .args(["dataset", "check", file.to_str().unwrap()])
            .env("TUNESMITH_CACHE_DIR", folder.path().join("cache"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let first = check(&file);
    assert_eq!(kept().len(), 1);
    assert_eq!(check(&file), first);
    assert_eq!(kept().len(), 1);
    // A damaged entry costs only time.
    std::fs::write(&kept()[0], b"damaged").unwrap();
    assert_eq!(check(&file), first);
    // Other bytes are another entry, the same bytes under another name are not.
    let other = folder.path().join("other.jsonl");
    std::fs::copy(&file, &other).unwrap();
    check(&other);
    assert_eq!(kept().len(), 1);
    std::fs::write(&other, chat(1..60)).unwrap();
    check(&other);
    assert_eq!(kept().len(), 2);
}
