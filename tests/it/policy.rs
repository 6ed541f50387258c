//! What the operator's policy and a job's lock refuse, and what comparing with a stored
//! plan shows.

use crate::common;
use common::sandbox::Sandbox;
use common::{root, said};
use std::fs;
use std::path::PathBuf;

/// A folder with a job, its dataset, a plugin and the operator's configuration.
struct Planned(Sandbox);

impl Planned {
    fn new(method: &str) -> Self {
        let job = Self(Sandbox::new());
        fs::create_dir(job.at("plugins")).unwrap();
        job.plugin(&[]);
        fs::copy(root().join("examples/datasets/support.jsonl"), job.at("data.jsonl")).unwrap();
        job.job("Support", method, "llama3.2", "ollama");
        job
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn job(&self, name: &str, method: &str, base: &str, provider: &str) {
        let job = serde_json::json!({
            "name": name, "dataset": "data.jsonl", "baseModel": base, "provider": provider,
            "hyperparameters": { "method": method, "context_window": 4096 },
        });
        fs::write(self.at("job.json"), job.to_string()).unwrap();
    }

    /// The plugin, with these bytes more.
    fn plugin(&self, more: &[u8]) {
        let wasm = [tunesmith_hostile::rust("well_behaved").unwrap(), more].concat();
        fs::write(self.at("plugins/well-behaved.wasm"), wasm).unwrap();
    }

    fn config(&self, text: &str) {
        fs::write(self.at("config.toml"), text).unwrap();
    }

    /// Plans, and returns the exit code, what was printed and what was said.
    fn plan(&self, more: &[&str]) -> (i32, String, String) {
        let mut command = self.0.command(&["plan", "job.json", "--plugins", "plugins"]);
        command.current_dir(self.0.root()).args(more);
        if self.at("config.toml").exists() {
            command.env("TUNESMITH_CONFIG", self.at("config.toml"));
        }
        let output = command.output().unwrap();
        let neutral = |text: String| text.replace(self.0.root().to_str().unwrap(), "PLACE");
        let stdout = neutral(String::from_utf8(output.stdout).unwrap());
        (output.status.code().unwrap(), stdout, neutral(said(output.stderr)))
    }
}

#[test]
fn policy_refusals_name_their_line() {
    let planned = Planned::new("well-behaved");
    assert_eq!(planned.plan(&[]).0, 0);
    let mut refusals = Vec::new();
    for rule in [
        "providers = [\"local\"]",
        "base_models = [\"qwen*\"]",
        "tiers = []",
        "plugin_digests = [\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]",
        "largest_dataset = \"1 KiB\"",
        "most_rows = 1",
        "largest_context = 2048",
    ] {
        planned.config(&format!("[policy]\n\n{rule}\n"));
        let (code, stdout, stderr) = planned.plan(&["--out", "out"]);
        assert_eq!((code, stdout.as_str()), (4, ""), "{rule}: {stderr}");
        assert!(stderr.contains("PLACE/config.toml:3"), "{stderr}");
        assert!(!planned.at("out").exists(), "{rule}");
        let steady = match stderr.split_once("is sha256:") {
            Some((before, after)) => format!("{before}is sha256:[digest]{}", &after[64..]),
            None => stderr,
        };
        refusals.push(steady);
    }
    insta::assert_snapshot!(refusals.join("\n"));
    // What is allowed goes on.
    planned.config("[policy]\nproviders = [\"ollama\"]\nbase_models = [\"llama3*\"]\ntiers = [\"pure\"]\n");
    assert_eq!(planned.plan(&[]).0, 0);
    // A built-in method needs no allowance.
    planned.config("[policy]\ntiers = []\nplugin_digests = []\n");
    planned.job("Support", "lora", "llama3.2", "ollama");
    assert_eq!(planned.plan(&[]).0, 0);
}

#[test]
fn job_over_the_cost_limit_is_refused() {
    let planned = Planned::new("lora");
    planned.job("Support", "lora", "gpt-4.1-mini-2025-04-14", "openai");
    planned.config("[policy]\nhighest_cost = 0\n");
    let (code, _, stderr) = planned.plan(&[]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("at most $0.00 is allowed (policy.highest_cost at"), "{stderr}");
    planned.config("[policy]\nhighest_cost = 1000\n");
    assert_eq!(planned.plan(&[]).0, 0);
}

#[test]
fn plugin_or_limit_not_locked_is_refused() {
    let planned = Planned::new("well-behaved");
    let (code, _, stderr) = planned.plan(&["--locked"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(
        stderr.contains("there is no lock job.json.lock") && stderr.contains("--lock` writes it"),
        "{stderr}"
    );

    let (code, stdout, stderr) = planned.plan(&["--lock"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("wrote        job.json.lock"), "{stdout}");
    assert_eq!(planned.plan(&["--locked"]).0, 0);
    let lock: serde_json::Value =
        serde_json::from_slice(&fs::read(planned.at("job.json.lock")).unwrap()).unwrap();
    let locked = lock["method"]["digest"].as_str().unwrap().to_owned();

    // The same method in another file: an empty custom section more.
    planned.plugin(&[0, 2, 1, b'x']);
    let (code, stdout, stderr) = planned.plan(&["--locked"]);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    let digests = stderr.matches("sha256:").count();
    assert!(stderr.contains(&format!("method well-behaved: locked {locked}, found sha256:")), "{stderr}");
    assert_eq!(digests, 2, "{stderr}");
    assert_eq!(planned.plan(&[]).0, 0, "without --locked it is used");

    planned.plugin(&[]);
    planned.config("[limits]\nfuel = 50_000_000\n");
    let (code, _, stderr) = planned.plan(&["--locked"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("limit on fuel: locked 1000000000, found 50000000"), "{stderr}");
    planned.config("");

    let (code, _, stderr) = planned.plan(&["--locked", "--set", "method=lora"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("method: locked well-behaved (") && stderr.contains("found lora ("), "{stderr}");

    fs::write(planned.at("job.json.lock"), "{").unwrap();
    let (code, _, stderr) = planned.plan(&["--locked"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("the lock job.json.lock is not a lock:"), "{stderr}");
}

#[test]
fn verify_compares_stored_and_new_plan() {
    let planned = Planned::new("lora");
    assert_eq!(planned.plan(&["--out", "out"]).0, 0);
    let (code, stdout, stderr) = planned.plan(&["--verify", "out/plan.json"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("out/plan.json is the plan that the job gives: sha256:"), "{stdout}");

    // What `--json` prints serves as well.
    let (_, json, _) = planned.plan(&["--json"]);
    fs::write(planned.at("printed.json"), json).unwrap();
    let (code, stdout, _) = planned.plan(&["--verify", "printed.json", "--json"]);
    let verified: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &verified["same"]), (0, &true.into()));
    assert_eq!(verified["stored"], verified["now"]);

    planned.job("Support", "lora", "llama3.1", "ollama");
    let (code, stdout, stderr) = planned.plan(&["--verify", "out/plan.json"]);
    assert_eq!((code, stderr.as_str()), (1, ""), "{stdout}");
    let expected = "\n  job.baseModel\n  stored       \"llama3.2\"\n  now          \"llama3.1\"\n";
    assert!(stdout.contains(expected), "{stdout}");

    for (file, text) in [("none.json", None), ("empty.json", Some("")), ("other.json", Some("{\"a\":1}"))] {
        if let Some(text) = text {
            fs::write(planned.at(file), text).unwrap();
        }
        let (code, stdout, stderr) = planned.plan(&["--verify", file]);
        assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
        assert!(stderr.contains(&format!("the stored plan {file}")), "{stderr}");
    }
}
