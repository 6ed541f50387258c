//! Plugins from a folder, as `tunesmith plan --plugins DIR` meets them: one that a
//! stranger wrote, and ones that lie.

use crate::common;
use common::{root, said, tunesmith};
use std::path::Path;
use std::process::{Command, Output};

/// Plans a job by a method from a folder of plugins.
fn plan(plugins: &Path, method: &str, name: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let dataset = root().join("examples/datasets/support.jsonl");
    let job = serde_json::json!({
        "name": name, "dataset": dataset, "baseModel": "llama2", "provider": "ollama",
        "hyperparameters": { "method": method },
    });
    let file = folder.path().join("job.json");
    std::fs::write(&file, job.to_string()).unwrap();
    let mut command = tunesmith();
    command.arg("plan").arg(&file).arg("--plugins").arg(plugins).args(more);
    command.output().unwrap()
}

#[test]
fn third_party_plugin_built_by_cargo_plans() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example-plugin");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked"])
        .current_dir(root().join("examples/plugins/rust"))
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let plugins = target.join("wasm32-unknown-unknown/debug");
    for provider in ["ollama", "local"] {
        let output = plan(&plugins, "dora", "Stranger", &["--provider", provider, "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(shown["plan"]["method"]["id"], "dora");
        assert_eq!(shown["plan"]["method"]["builtIn"], false);
        assert_eq!(shown["plan"]["method"]["tier"], "pure");
    }
    // What it cannot do is said, with another exit code than a failure.
    let output = plan(&plugins, "dora", "Stranger", &["--provider", "openai"]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(output.stderr);
    assert!(text.contains("method dora does not support openai"), "{text}");
}

#[test]
fn misbehaving_plugin_is_named_and_nothing_is_written() {
    let plugins = tempfile::tempdir().unwrap();
    std::fs::write(plugins.path().join("liar.wasm"), tunesmith_hostile::rust("misbehaves").unwrap()).unwrap();
    let mut all = String::new();
    for (lie, provider) in [
        ("bad-row", "ollama"),
        ("out-of-range", "ollama"),
        ("unknown-parameter", "ollama"),
        ("out-of-range", "openai"),
        ("wrong-type", "openai"),
        ("out-of-range", "local"),
    ] {
        let out = plugins.path().join("out");
        let out_arg = out.to_str().unwrap();
        let output = plan(plugins.path(), "misbehaves", lie, &["--provider", provider, "--out", out_arg]);
        assert_eq!(output.status.code(), Some(5), "{lie}");
        assert!(output.stdout.is_empty() && !out.exists(), "{lie}");
        let stderr = said(output.stderr);
        // The digest differs with the compiler.
        let lines = stderr.lines().filter(|line| !line.contains("sha256:"));
        all += &format!("{lie} on {provider}\n{}\n\n", lines.collect::<Vec<_>>().join("\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn missing_folder_is_named() {
    let output = plan(Path::new("no/such/folder"), "lora", "Job", &[]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(said(output.stderr));
}
