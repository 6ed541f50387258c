//! `tunesmith plan` on every example, as a user reads it.

use crate::common;
use common::{failure, root, run, stdout, tunesmith};

/// The text without what differs from run to run, or with the compiler that built the
/// plugins.
fn steady(text: &str) -> String {
    let masked =
        [("measured", "[time and memory]"), ("plan", "[digest]"), ("plugin", "[digest]"), ("fuel", "[fuel]")];
    let mut steady = String::new();
    let mut in_receipt = false;
    for line in text.lines() {
        in_receipt |= line == "Receipt";
        let name = line.split_whitespace().next().unwrap_or_default();
        match masked.iter().find(|(known, _)| in_receipt && *known == name) {
            Some((name, mask)) => steady += &format!("  {name:<12} {mask}\n"),
            None => steady += &format!("{}\n", line.trim_end()),
        }
    }
    steady
}

/// The example jobs, by name.
fn examples() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("examples/jobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names
}

#[test]
fn every_example_plans_on_its_provider_and_locally() {
    for name in examples() {
        let job = format!("examples/jobs/{name}");
        let stem = name.trim_end_matches(".json");
        insta::assert_snapshot!(
            format!("plan-{stem}"),
            steady(&stdout(&["plan", &job, "--today", "2026-11-23"]))
        );
        let local = stdout(&["plan", &job, "--provider", "local", "--today", "2026-11-23"]);
        insta::assert_snapshot!(format!("plan-{stem}-local"), steady(&local));
    }
}

#[test]
fn the_same_inputs_give_the_same_plan_bytes() {
    for name in examples() {
        let job = format!("examples/jobs/{name}");
        let plan =
            |()| -> serde_json::Value { serde_json::from_str(&stdout(&["plan", &job, "--json"])).unwrap() };
        let (first, second) = (plan(()), plan(()));
        assert_eq!(first["plan"].to_string(), second["plan"].to_string(), "{name}");
        assert_eq!(first["digest"], second["digest"], "{name}");
        assert_eq!(first["digest"].as_str().unwrap().len(), "sha256:".len() + 64);
    }
}

#[test]
fn plans_read_back_to_the_same_bytes() {
    for name in examples() {
        let job = format!("examples/jobs/{name}");
        for provider in [&[][..], &["--provider", "local"]] {
            let args = [&["plan", &job, "--json"], provider].concat();
            let printed: serde_json::Value = serde_json::from_str(&stdout(&args)).unwrap();
            let plan: tunesmith_engine::plan::Plan = serde_json::from_value(printed["plan"].clone()).unwrap();
            assert_eq!(serde_json::to_string(&plan).unwrap(), printed["plan"].to_string(), "{args:?}");
        }
    }
}

#[test]
fn schema_accepts_examples_and_refuses_bad_settings() {
    let schema: serde_json::Value = serde_json::from_str(&stdout(&["schema"])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in examples() {
        let text = std::fs::read_to_string(root().join("examples/jobs").join(&name)).unwrap();
        let job: serde_json::Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&job).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        for (change, value) in [("lora_rnak", 8.into()), ("n_epochs", "3".into()), ("seed", (-1).into())] {
            let mut wrong = job.clone();
            wrong["hyperparameters"][change] = value;
            assert!(!validator.is_valid(&wrong), "{name} with {change}");
        }
    }
}

#[test]
fn artifacts_are_written_under_their_documented_names() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("out");
    stdout(&["plan", "examples/jobs/lora-ollama.json", "--out", folder.to_str().unwrap()]);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["Modelfile-lora-customer-support-lora", "create.json", "plan.json"]);
    let plan = std::fs::read_to_string(folder.join("plan.json")).unwrap();
    let shown: serde_json::Value =
        serde_json::from_str(&stdout(&["plan", "examples/jobs/lora-ollama.json", "--json"])).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&plan).unwrap(), shown["plan"]);
}

#[test]
fn a_setting_from_the_command_line_wins() {
    let args =
        ["plan", "examples/jobs/lora-openai.json", "--json", "--set", "n_epochs=7", "--set", "lora_rank=32"];
    let shown: serde_json::Value = serde_json::from_str(&stdout(&args)).unwrap();
    let request = shown["plan"]["config"]["openai"]["request"].to_string();
    assert!(request.contains("\"n_epochs\":7"), "{request}");
    let settings = shown["plan"]["settings"].to_string();
    assert!(settings.contains("{\"name\":\"lora_rank\",\"value\":32,\"origin\":\"given\"}"), "{settings}");
}

#[test]
fn missing_job_file_comes_with_a_suggestion() {
    let (code, error) = failure(&["plan", "examples/jobs/lora-olama.json"]);
    assert_eq!(code, 3);
    assert!(error.contains("cannot read the job file examples/jobs/lora-olama.json: "), "{error}");
    assert!(error.ends_with("hint: did you mean examples/jobs/lora-ollama.json?\n"), "{error}");
    let (_, error) = failure(&["plan", "examples/jobs/nothing-like-it.json"]);
    assert!(error.ends_with("hint: check the path\n"), "{error}");
}

#[test]
fn an_unwritable_output_folder_is_named() {
    let (code, text) = failure(&["plan", "examples/jobs/lora-ollama.json", "--out", "/dev/null/out"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("/dev/null/out"), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let mut child = tunesmith()
        .args(["plan", "examples/jobs/full-ollama.json", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn errors_are_objects_for_programs() {
    let output = run(&["plan", "no-such-job.json", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["code"], "job-file-unreadable");
    assert_eq!(error["error"]["exit_code"], 3);
}
