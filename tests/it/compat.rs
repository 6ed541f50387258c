//! Plugins of earlier versions of the contract load, pass their own cases and give the
//! answers that they gave when they were built.

use crate::common;
use common::{root, tunesmith};
use std::path::PathBuf;

fn corpus() -> Vec<PathBuf> {
    let folder = root().join("tests/compat");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    files.sort();
    files
}

#[test]
fn plugins_of_every_contract_version_still_answer() {
    let files = corpus();
    for language in ["rust", "quickjs"] {
        let of_first = format!("{language}-0.1.0.wasm");
        assert!(files.iter().any(|file| file.ends_with(&of_first)), "{of_first} is missing");
    }
    for file in files {
        let output = tunesmith().args(["plugin", "test", "--json"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}: {said}", file.display());
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(report["passed"].as_u64().unwrap() >= 3, "{said}");
        assert_eq!(report["failed"], 0);
    }
}

#[test]
fn plugins_of_every_contract_version_still_plan() {
    let folder = root().join("tests/compat");
    let dataset = root().join("examples/datasets/support.jsonl");
    let place = tempfile::tempdir().unwrap();
    for method in ["compat-rust", "compat-quickjs"] {
        let job = place.path().join("job.json");
        let text = serde_json::json!({
            "name": "Compatible", "dataset": dataset, "baseModel": "llama3.2", "provider": "ollama",
            "hyperparameters": { "method": method, "examples": 3 },
        });
        std::fs::write(&job, text.to_string()).unwrap();
        let mut command = tunesmith();
        command.arg("plan").arg(&job).arg("--json").arg("--plugins").arg(&folder);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(plan["plan"]["method"]["contract"], "0.1.0");
        assert_eq!(
            plan["plan"]["config"]["ollama"]["baked"]["shots"].as_array().unwrap().len(),
            3,
            "{method}"
        );
    }
}
