//! `tunesmith config`, and the configuration's effect on other commands.

use crate::common;
use crate::common::kept;
use crate::common::sandbox::Sandbox;
use common::said;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Home(Sandbox);

impl Home {
    fn new() -> Self {
        Self(Sandbox::home())
    }

    fn file(&self) -> PathBuf {
        self.0.path(".config/tunesmith/config.toml")
    }

    fn write(&self, text: &str) {
        std::fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        std::fs::write(self.file(), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        command.env_remove("TUNESMITH_CACHE_DIR");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        kept::output(&mut self.command(args))
    }

    fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}:\n{}", said(output.stderr));
        self.neutral(&String::from_utf8(output.stdout).unwrap())
    }

    fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.stdout.is_empty());
        format!("exit {}\n{}", output.status.code().unwrap(), self.neutral(&said(output.stderr)))
    }

    fn neutral(&self, text: &str) -> String {
        let text = text.replace(self.0.root().to_str().unwrap(), "HOME");
        // Columns are as wide as this machine's paths.
        let text = regex_lite::Regex::new(r"(\S) {2,}").unwrap().replace_all(&text, "$1  ").into_owned();
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

#[test]
fn show_prints_values_with_origin_but_no_key() {
    let home = Home::new();
    insta::assert_snapshot!("config-show-defaults", home.text(&["config", "show"]));
    home.write("[openai]\nbase_url = 'https://tuning.example/v1'\n[limits]\nmemory = '32 MiB'\n");
    let mut command =
        home.command(&["config", "show", "--ollama-host", "gpu:99", "--data-dir", "/srv/tuning"]);
    let output = kept::output(command.env("OPENAI_API_KEY", kept::KEY));
    let text = home.neutral(&String::from_utf8(output.stdout).unwrap());
    insta::assert_snapshot!("config-show-given", text);
    let shown: serde_json::Value = serde_json::from_str(&home.text(&["config", "show", "--json"])).unwrap();
    assert_eq!(shown["path"], "HOME/.config/tunesmith/config.toml");
    assert_eq!(shown["openaiKey"], serde_json::Value::Null);
    let memory =
        shown["values"].as_array().unwrap().iter().find(|value| value["key"] == "limits.memory").unwrap();
    assert_eq!(memory["value"], "32 MiB");
}

#[test]
fn show_works_with_an_unusable_key() {
    let home = Home::new();
    home.write("[openai]\nkey_file = 'openai.key'\n");
    let key = home.file().with_file_name("openai.key");
    std::fs::write(&key, kept::KEY).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let text = home.text(&["config", "show"]);
    let lines: Vec<&str> =
        text.lines().filter(|line| line.contains("unusable") || line.contains("hint")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn init_never_overwrites_a_file() {
    let home = Home::new();
    assert_eq!(home.text(&["config", "path"]), "HOME/.config/tunesmith/config.toml\n");
    assert_eq!(home.text(&["config", "init"]), "wrote HOME/.config/tunesmith/config.toml\n");
    let written = std::fs::read_to_string(home.file()).unwrap();
    assert!(written.contains("# base_url = ") && written.contains("[limits]"), "{written}");
    assert!(!home.text(&["config", "show"]).contains("config.toml:"), "nothing is set");
    home.write("[ollama]\nhost = 'mine:1'\n");
    insta::assert_snapshot!(home.failure(&["config", "init"]));
    assert_eq!(std::fs::read_to_string(home.file()).unwrap(), "[ollama]\nhost = 'mine:1'\n");
    home.text(&["config", "init", "--force"]);
    assert_eq!(std::fs::read_to_string(home.file()).unwrap(), written);
    let other = home.0.root().join("other.toml");
    let other = other.to_str().unwrap();
    assert_eq!(home.text(&["config", "init", "--config", other]), "wrote HOME/other.toml\n");
}

#[test]
fn every_problem_has_a_line_and_fix() {
    let home = Home::new();
    home.write("[openai]\nbase_ulr = 'https://x'\nconnect_timeout = 0\n[limts]\nmemory = 1\n");
    let said = home.failure(&["jobs", "list"]);
    insta::assert_snapshot!(said);
    assert_eq!(home.failure(&["methods", "list"]), said);
    // Where the file is can still be asked, and it can be made anew.
    assert_eq!(home.text(&["config", "path"]), "HOME/.config/tunesmith/config.toml\n");
    let output = home.run(&["config", "show", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("config.toml:2:1"));
}

#[test]
fn user_plugin_directory_is_used_if_present() {
    let home = Home::new();
    let list = |args: &[&str]| -> serde_json::Value {
        let mut command = home.command(&["methods", "list", "--json"]);
        // The compile cache of the test run, so that built-ins are not compiled anew.
        command.env("TUNESMITH_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).args(args);
        serde_json::from_slice(&kept::output(&mut command).stdout).unwrap()
    };
    assert_eq!(list(&[])["rejected"], serde_json::json!([]));
    let plugins = home.0.root().join(".local/share/tunesmith/plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::write(plugins.join("broken.wasm"), "no component").unwrap();
    let rejected = list(&[]);
    assert_eq!(rejected["rejected"].as_array().unwrap().len(), 1, "{rejected}");
    let other = home.0.root().join("other");
    std::fs::create_dir(&other).unwrap();
    assert_eq!(list(&["--plugins", other.to_str().unwrap()])["rejected"], serde_json::json!([]));
    // One that is configured and missing is a fault, not an empty one.
    home.write("[directories]\nplugins = 'gone'\n");
    let text = home.failure(&["methods", "list"]);
    assert!(
        text.starts_with("exit 2\nerror: cannot read plugin directory HOME/.config/tunesmith/gone"),
        "{text}"
    );
}

#[test]
fn dataset_ids_name_files_in_datasets_directory() {
    let home = Home::new();
    let job = home.0.root().join("job.json");
    let text = std::fs::read_to_string(common::root().join("examples/jobs/lora-ollama.json")).unwrap();
    let mut spec: serde_json::Value = serde_json::from_str(&text).unwrap();
    let dataset = spec.as_object_mut().unwrap().remove("dataset").unwrap();
    spec["datasetId"] = "support".into();
    std::fs::write(&job, spec.to_string()).unwrap();
    let job = job.to_str().unwrap();
    let shared_cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let missing = home.command(&["plan", job]).env("TUNESMITH_CACHE_DIR", &shared_cache).output().unwrap();
    insta::assert_snapshot!(home.neutral(&said(missing.stderr)));
    let datasets = home.0.root().join(".local/share/tunesmith/datasets");
    std::fs::create_dir_all(&datasets).unwrap();
    let source = common::root().join("examples/jobs").join(dataset.as_str().unwrap());
    std::fs::copy(source, datasets.join("support.jsonl")).unwrap();
    let planned = home.command(&["plan", job]).env("TUNESMITH_CACHE_DIR", &shared_cache).output().unwrap();
    assert!(planned.status.success(), "{}", said(planned.stderr));
}

#[test]
fn completions_name_the_commands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.text(&["completions", shell]);
        for word in ["plan", "jobs", "openai-base-url"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let output = home.run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
}
