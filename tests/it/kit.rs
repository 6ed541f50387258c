//! The author kit, as an author uses it: a project made, built, checked, tested, asked,
//! and built again on a save. Rust only; `.ci/run` does the same for the languages that
//! need tools of their own.

use crate::common;
use common::{root, said, tunesmith};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A built project of this run, which no test changes.
fn project() -> &'static Path {
    static PROJECT: OnceLock<PathBuf> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kit-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let folder = place.join("few-shots");
        let made = tunesmith().args(["plugin", "new", "few-shots", "--dir"]).arg(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        build(&folder);
        folder
    })
}

/// Builds a Rust project as its author would, in a target directory that test runs share.
fn build(folder: &Path) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--locked", "--target-dir", "target"]).current_dir(folder);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    let built = command.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

fn plugin(command: &str, file: &Path, more: &[&str]) -> Output {
    tunesmith().args(["plugin", command]).arg(file).args(more).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_new_project_builds_checks_tests_and_plans() {
    let folder = project();
    let checked = plugin("check", folder, &["--json", "--strict"]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let report = json(&checked);
    assert_eq!(report["verdict"], "ok");
    assert!(report["calls"].as_u64().unwrap() > 50);
    for rule in ["tier", "docs", "settings", "determinism", "hostile", "extremes", "headroom"] {
        assert!(
            report["findings"].as_array().unwrap().iter().any(|finding| finding["rule"] == rule),
            "{rule}"
        );
    }

    let tested = plugin("test", folder, &["--json"]);
    assert_eq!(tested.status.code(), Some(0), "{}", String::from_utf8_lossy(&tested.stdout));
    let report = json(&tested);
    assert_eq!((&report["passed"], &report["failed"]), (&3.into(), &0.into()));
    assert!(report["cases"][0]["receipt"]["fuel"].as_u64().unwrap() > 0);

    let mut command = tunesmith();
    let built = folder.join("target/wasm32-unknown-unknown/debug");
    let planned = command.arg("plan").arg(folder.join("job.json")).arg("--json").arg("--plugins").arg(built);
    let plan = json(&planned.output().unwrap());
    assert_eq!(plan["plan"]["method"]["id"], "few-shots");
    assert_eq!(plan["plan"]["method"]["tier"], "pure");
}

#[test]
fn what_a_plugin_is_and_answers_is_shown() {
    let folder = project();
    let inspected = json(&plugin("inspect", folder, &["--json"]));
    assert_eq!(inspected["abilities"], serde_json::json!(["ollama", "openai"]));
    let exports: Vec<&str> = inspected["exports"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|export| export["name"].as_str())
        .collect();
    assert!(exports.contains(&"tunesmith:method/ollama@0.1.0"), "{exports:?}");
    assert_eq!(inspected["form"], "core module");
    assert!(inspected["imports"].as_array().unwrap().iter().all(|import| import["meaning"].is_string()));

    let rows = folder.join("cases/rows.jsonl");
    let more = ["ollama.configure", "--set", "examples=2", "--json", "--dataset", rows.to_str().unwrap()];
    let answer = json(&plugin("call", folder, &more));
    assert_eq!(answer["result"]["shots"].as_array().unwrap().len(), 2);
    assert!(answer["receipt"]["fuel"].as_u64().unwrap() > 0);
    // Without a dataset there is nothing to choose from, and the method says so.
    let refused = plugin("call", folder, &["ollama.configure"]);
    assert_eq!(refused.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&refused.stdout).starts_with("refused: "));
    let wrong = plugin("call", folder, &["ollama.configur"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(wrong.stderr).contains("did you mean ollama.configure?"));
}

#[test]
fn an_answer_that_differs_is_shown_and_blessed() {
    let folder = project();
    let place = tempfile::tempdir().unwrap();
    let cases = place.path().join("cases");
    fs::create_dir_all(cases.join("one")).unwrap();
    fs::copy(folder.join("cases/rows.jsonl"), cases.join("rows.jsonl")).unwrap();
    let case = r#"{"call": "ollama.configure", "settings": {"examples": 1}}"#;
    fs::write(cases.join("one/case.json"), case).unwrap();
    let arguments = ["--cases", cases.to_str().unwrap()];
    let bless = ["--cases", cases.to_str().unwrap(), "--bless"];

    let new = plugin("test", folder, &arguments);
    assert_eq!(new.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&new.stdout).contains("it has no expected.json"));
    assert!(!cases.join("one/expected.json").exists(), "nothing is written without --bless");
    assert_eq!(plugin("test", folder, &bless).status.code(), Some(0));
    assert_eq!(plugin("test", folder, &arguments).status.code(), Some(0));

    let expected = fs::read_to_string(cases.join("one/expected.json")).unwrap();
    fs::write(cases.join("one/expected.json"), expected.replace("4096", "2048")).unwrap();
    let differs = plugin("test", folder, &arguments);
    assert_eq!(differs.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&differs.stdout).into_owned();
    assert!(shown.contains("2048") && shown.contains("4096") && shown.contains("1 failed"), "{shown}");
    assert_eq!(plugin("test", folder, &bless).status.code(), Some(0));
    assert_eq!(fs::read_to_string(cases.join("one/expected.json")).unwrap(), expected);
}

#[test]
fn a_plugin_that_goes_wrong_does_not_pass() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("misbehaves.wasm");
    fs::write(&file, tunesmith_hostile::rust("misbehaves").unwrap()).unwrap();
    let checked = plugin("check", &file, &["--json"]);
    let report = json(&checked);
    // Its name decides what it does, and the check's are harmless: what is left to find
    // is what it says of itself.
    assert_ne!(report["verdict"], "ok", "{report}");
    fs::write(&file, "not WebAssembly").unwrap();
    let rejected = plugin("check", &file, &["--json"]);
    assert_eq!(rejected.status.code(), Some(5));
    assert_eq!(json(&rejected)["findings"][0]["rule"], "not-wasm");
    let text = plugin("inspect", &file, &[]);
    assert_eq!(text.status.code(), Some(5));
    assert!(said(text.stderr).contains("is not WebAssembly"));
}

#[test]
fn built_in_methods_pass_the_check() {
    let place = tempfile::tempdir().unwrap();
    for method in tunesmith_builtin::METHODS {
        let file = place.path().join(format!("{}.wasm", method.id));
        fs::write(&file, method.wasm).unwrap();
        let checked = plugin("check", &file, &["--strict", "--json"]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}

#[test]
fn missing_files_are_reported_with_a_hint() {
    let place = tempfile::tempdir().unwrap();
    let nothing = plugin("check", place.path(), &[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(said(nothing.stderr).contains("missing plugin.toml"));
    let folder = place.path().join("mine");
    let made =
        tunesmith().args(["plugin", "new", "mine", "--lang", "js", "--dir"]).arg(&folder).output().unwrap();
    assert!(made.status.success());
    let again =
        tunesmith().args(["plugin", "new", "mine", "--lang", "js", "--dir"]).arg(&folder).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(said(again.stderr).contains("already exists"));
    let unbuilt = plugin("test", &folder, &[]);
    assert_eq!(unbuilt.status.code(), Some(3));
    assert!(said(unbuilt.stderr).contains("the project is not built"));
}

/// `plugin dev`, with its steps as they come.
struct Dev {
    child: Child,
    steps: std::io::Lines<BufReader<ChildStdout>>,
}

impl Dev {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = tunesmith();
        command.args(["plugin", "dev", "--json"]).arg(folder).args(more);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let steps = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, steps }
    }

    /// The next step of this name. A round that fails before is not waited for: nothing
    /// comes after it until something is saved.
    fn step(&mut self, name: &str) -> serde_json::Value {
        loop {
            let line = self.steps.next().unwrap().unwrap();
            let step: serde_json::Value = serde_json::from_str(&line).unwrap();
            if step["step"] == name {
                return step;
            }
            assert!(step["step"] != "failed" || name == "wait", "no step {name}: {step}");
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn save_goes_live_unless_a_check_fails() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = place.path().join("live");
    let made = tunesmith().args(["plugin", "new", "live", "--dir"]).arg(&folder).output().unwrap();
    assert!(made.status.success());
    let into = place.path().join("plugins");
    fs::create_dir(&into).unwrap();
    let mut dev = Dev::start(&folder, &["--into", into.to_str().unwrap()]);
    let first = dev.step("live");
    assert_eq!(first["plugin"], "live");
    let published = fs::read(into.join("live.wasm")).unwrap();
    dev.step("wait");

    // A source that does not compile leaves what was published.
    let source = folder.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, "this is not Rust").unwrap();
    assert!(dev.step("failed")["error"]["message"].as_str().unwrap().contains("cargo build"));
    assert_eq!(dev.step("live")["unchanged"], true);
    dev.step("wait");
    assert_eq!(fs::read(into.join("live.wasm")).unwrap(), published);

    // One that answers otherwise than its cases say, too.
    fs::write(
        &source,
        text.replace("\"learning_rate_multiplier\", 0.5", "\"learning_rate_multiplier\", 0.25"),
    )
    .unwrap();
    dev.step("wait");
    fs::write(&source, text.replace("as LargestTask", "").replace("LargestTask", "ByTask")).unwrap();
    assert_eq!(dev.step("test")["failed"], 1);
    dev.step("wait");

    // And one that is right is live.
    fs::write(&source, text.replace("Puts a few examples", "Puts some examples")).unwrap();
    let second = dev.step("live");
    assert!(second["generation"].as_u64() > first["generation"].as_u64(), "{second}");
    assert_ne!(fs::read(into.join("live.wasm")).unwrap(), published);
}

#[test]
fn ctrl_c_stops_it_with_what_it_runs() {
    let place = tempfile::tempdir().unwrap();
    let project =
        "[build]\nrun = [[\"sh\", \"-c\", \"echo $$ > pid; exec sleep 600\"]]\noutput = \"x.wasm\"\n";
    fs::write(place.path().join("plugin.toml"), project).unwrap();
    let mut dev = Dev::start(place.path(), &[]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let pid = loop {
        let text = fs::read_to_string(place.path().join("pid")).unwrap_or_default();
        if let Ok(pid) = text.trim().parse::<u32>() {
            break pid;
        }
        assert!(Instant::now() < deadline, "the build has not begun");
        std::thread::sleep(Duration::from_millis(20));
    };
    let interrupt = Command::new("kill").args(["-INT", &dev.child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(dev.child.wait().unwrap().code(), Some(130));
    let proc = PathBuf::from(format!("/proc/{pid}"));
    while proc.exists() {
        assert!(Instant::now() < deadline, "the build goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn examples_carry_the_current_contract() {
    let root = root();
    for language in ["js", "python"] {
        let example = root.join("examples/plugins").join(language);
        for entry in fs::read_dir(root.join("wit/method")).unwrap() {
            let entry = entry.unwrap();
            let copy = example.join("wit/deps/tunesmith-method").join(entry.file_name());
            assert_eq!(fs::read(&copy).unwrap(), fs::read(entry.path()).unwrap(), "{}", copy.display());
        }
    }
}
