//! Transforms as users meet them: in a job, where they run before anything else sees
//! the dataset, and alone.

use crate::common;
use common::{said, tunesmith};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

/// A folder with plugins, a dataset, and a cache of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(rows: &[Value]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["well_behaved", "misbehaves"] {
            fs::write(place.at(&format!("{name}.wasm")), tunesmith_hostile::rust(name).unwrap()).unwrap();
        }
        place.rows(rows);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn rows(&self, rows: &[Value]) {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(self.at("data.jsonl"), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = tunesmith();
        command.current_dir(self.folder.path()).args(args).args(["--plugins", "."]);
        command.env("TUNESMITH_CACHE_DIR", self.at("cache")).output().unwrap()
    }

    /// Plans a job with these further fields.
    fn plan(&self, provider: &str, more: &Value) -> Output {
        let model = if provider == "openai" { "gpt-4.1-mini-2025-04-14" } else { "llama3.2" };
        let mut job = json!({
            "name": "Support", "dataset": "data.jsonl", "baseModel": model, "provider": provider,
            "hyperparameters": { "method": "well-behaved" }, "transform": "well-behaved",
        });
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fs::write(self.at("job.json"), job.to_string()).unwrap();
        self.run(&["plan", "job.json", "--json"])
    }

    fn planned(&self, provider: &str, more: &Value) -> Value {
        let output = self.plan(provider, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The file that a plan would upload.
    fn uploaded(&self, planned: &Value) -> Vec<Value> {
        let file = &planned["plan"]["config"]["openai"]["trainingFile"];
        let path =
            self.at("cache/datasets/prepared").join(format!("{}.jsonl", file["sha256"].as_str().unwrap()));
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(file["bytes"], text.len());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn row(n: usize) -> Value {
    json!({ "messages": [
        { "role": "system", "content": "  Be brief. " },
        { "role": "user", "content": format!("  Question {n}? ") },
        { "role": "assistant", "content": format!("Answer {n}.\n"), "weight": n % 2 },
    ] })
}

fn rows() -> Vec<Value> {
    (0..600).map(row).collect()
}

fn trimmed(row: &Value) -> Value {
    let mut row = row.clone();
    for message in row["messages"].as_array_mut().unwrap() {
        message["content"] = message["content"].as_str().unwrap().trim().into();
    }
    row
}

fn refused(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty() || output.stdout.starts_with(b"{\"error\""));
    (output.status.code().unwrap(), said(output.stderr.clone()))
}

#[test]
fn everything_downstream_sees_the_transformed_rows() {
    let mut all = rows();
    // Nothing is left of it, so that it is left out.
    all.insert(
        7,
        json!({ "messages": [{ "role": "user", "content": " " }, { "role": "assistant", "content": "x" }] }),
    );
    all[7]["messages"][1]["content"] = "\u{a0}".into();
    let place = Place::new(&all);
    let planned = place.planned("openai", &json!({}));
    let plan = &planned["plan"];
    assert_eq!(plan["dataset"]["rows"], 600);
    let transform = &plan["transform"];
    assert_eq!(
        (&transform["rows"], &transform["rowsWritten"], &transform["rowsDropped"]),
        (&json!(601), &json!(600), &json!(1))
    );
    assert_eq!(transform["method"]["id"], "well-behaved");
    let file = &plan["config"]["openai"]["trainingFile"];
    assert_eq!(file["unchanged"], false);
    assert_eq!(file["sha256"], transform["sha256"]);
    assert_ne!(plan["dataset"]["sha256"], transform["sha256"]);
    // Weights stay with their messages.
    let expected: Vec<Value> = rows().iter().map(trimmed).collect();
    assert_eq!(place.uploaded(&planned), expected);
    // Methods see what came of it.
    let shown = place.planned("ollama", &json!({}));
    let request = shown["plan"]["config"]["ollama"]["request"].to_string();
    assert!(request.contains("\"Be brief.\"") && !request.contains("  Question"), "{request}");
}

#[test]
fn same_transform_runs_only_once() {
    let place = Place::new(&rows());
    let first = place.planned("openai", &json!({}));
    let run = |planned: &Value| planned["sidecar"]["transform"]["cached"].as_bool().unwrap();
    assert!(!run(&first));
    let second = place.planned("openai", &json!({}));
    assert!(run(&second));
    assert_eq!(first["digest"], second["digest"]);
    // Another setting of the transform, or another row, is another result.
    let with = json!({ "transform": { "method": "well-behaved", "shots": 9 } });
    let other = place.planned("openai", &with);
    assert!(!run(&other));
    assert_eq!(other["plan"]["transform"]["settings"][0]["value"], 9);
    place.rows(&rows()[1..]);
    assert!(!run(&place.planned("openai", &json!({}))));
    // A kept file that was changed is noticed and made again.
    place.rows(&rows());
    let sha256 = first["plan"]["transform"]["sha256"].as_str().unwrap();
    let kept = place.at("cache/datasets/prepared").join(format!("{sha256}.jsonl"));
    let bytes = fs::read(&kept).unwrap();
    fs::write(&kept, bytes.iter().map(u8::to_ascii_lowercase).collect::<Vec<_>>()).unwrap();
    let (code, text) = refused(&place.plan("openai", &json!({})));
    assert_eq!(code, 1, "{text}");
    assert_eq!(place.planned("openai", &json!({}))["digest"], first["digest"]);
}

#[test]
fn untyped_rows_are_never_bypassed_silently() {
    let call = json!({ "messages": [
        { "role": "user", "content": " Weather? " },
        { "role": "assistant", "content": null, "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } } ] },
    ] });
    let mut all = rows();
    all.insert(300, call.clone());
    let place = Place::new(&all);
    let (code, text) = refused(&place.plan("openai", &json!({})));
    insta::assert_snapshot!("untyped-refused", format!("{text}exit code {code}\n"));
    let passed = place.planned("openai", &json!({ "untypedRows": "pass" }));
    let uploaded = place.uploaded(&passed);
    assert_eq!((uploaded.len(), &uploaded[300]), (601, &call));
    let warnings = passed["plan"]["warnings"].to_string();
    assert!(
        warnings.contains("1 of 601 rows are not plain texts: well-behaved did not see them"),
        "{warnings}"
    );
    let dropped = place.planned("openai", &json!({ "untypedRows": "drop" }));
    assert_eq!(place.uploaded(&dropped), rows().iter().map(trimmed).collect::<Vec<_>>());
}

#[test]
fn transform_that_cannot_run_is_refused() {
    let place = Place::new(&rows());
    let mut all = String::new();
    for (about, more) in [
        ("unknown", json!({ "transform": "wel-behaved" })),
        ("without the ability", json!({ "transform": "lora" })),
        ("an unknown setting", json!({ "transform": { "method": "well-behaved", "shot": 3 } })),
        ("without a method", json!({ "transform": { "shots": 3 } })),
        ("rows that are lost", json!({ "transform": "misbehaves", "name": "lost-rows" })),
        ("a memory bomb", json!({ "transform": "misbehaves", "name": "memory-bomb" })),
    ] {
        let (code, text) = refused(&place.plan("openai", &more));
        all += &format!("{about}\n{text}exit code {code}\n\n");
    }
    let broken = format!("{}\n{{\"messages\":[]}}\n", row(1));
    fs::write(place.at("data.jsonl"), broken).unwrap();
    let (code, text) = refused(&place.plan("openai", &json!({})));
    all += &format!("a bad row\n{text}exit code {code}\n");
    insta::assert_snapshot!("transform-refused", all);
    let kept = fs::read_dir(place.at("cache/datasets/prepared")).map_or(0, Iterator::count);
    assert_eq!(kept, 0, "something was kept of what failed");
}

#[test]
fn a_transform_can_be_tried_alone() {
    let place = Place::new(&rows());
    let output =
        place.run(&["dataset", "transform", "data.jsonl", "--by", "well-behaved", "--out", "out.jsonl"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("out.jsonl: 600 of 600 rows written, transformed by well-behaved"), "{text}");
    let written = fs::read_to_string(place.at("out.jsonl")).unwrap();
    let found: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found, rows().iter().map(trimmed).collect::<Vec<_>>());
    // What is there is not replaced, and a failure leaves nothing.
    let again =
        place.run(&["dataset", "transform", "data.jsonl", "--by", "well-behaved", "--out", "out.jsonl"]);
    assert_eq!(again.status.code(), Some(2));
    let failed =
        place.run(&["dataset", "transform", "data.jsonl", "--by", "misbehaves", "--out", "lost-rows.jsonl"]);
    assert_eq!(failed.status.code(), Some(5));
    assert!(!place.at("lost-rows.jsonl").exists());
}
