//! `tunesmith evaluate` on every case of `tests/cases/evaluate`: the verdict, the rules
//! and the bounds; and that it contacts nothing and writes nothing but its cache.
//!
//! A case is a folder: `case.json` says what to make of the other files, which plugins
//! are given, and what must come of it. `CASE=name` runs those whose name holds it.

use crate::common;
use common::{root, tunesmith};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tunesmith_core::text::is_hidden;
use tunesmith_vet::Rule;

/// The bar is 2 s on an idle machine with a release build; this is an unoptimised one,
/// and other tests run beside it.
const LONGEST: Duration = Duration::from_secs(30);

/// The bar, in KiB.
const MOST_MEMORY: u64 = 256 * 1024;

/// `case.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    make: Vec<Make>,
    #[serde(default)]
    plugins: Vec<Given>,
    #[serde(default = "job_json")]
    path: String,
    #[serde(default)]
    arguments: Vec<String>,
    verdict: String,
    rules: BTreeSet<String>,
}

fn job_json() -> String {
    "job.json".into()
}

/// Something that a repository cannot hold, or should not.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Make {
    Folder { folder: String },
    Move { r#move: String, to: String },
    Link { link: String, to: String },
    Pipe { pipe: String },
    Text { text: String, times: usize, to: String },
    Bomb { bomb: String, mebibytes: usize },
    Sparse { sparse: String, mebibytes: u64 },
}

/// A plugin that is given.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Given {
    Guest {
        guest: String,
    },
    Hostile {
        hostile: String,
    },
    BuiltIn {
        #[serde(rename = "builtIn")]
        built_in: String,
    },
    File {
        file: String,
    },
}

/// A case, laid out in a folder of its own.
struct Case {
    name: String,
    spec: Spec,
    folder: tempfile::TempDir,
    plugins: Vec<PathBuf>,
}

fn cases() -> Vec<(String, PathBuf)> {
    let filter = std::env::var("CASE").unwrap_or_default();
    let mut cases: Vec<(String, PathBuf)> = fs::read_dir(root().join("tests/cases/evaluate"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name.contains(&filter))
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn spec(name: &str, from: &Path) -> Spec {
    let text = fs::read_to_string(from.join("case.json")).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("case {name}: {error}"))
}

impl Case {
    fn new(name: &str, from: &Path) -> Self {
        let spec = spec(name, from);
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "case.json" {
                let to = work.join(entry.file_name());
                fs::copy(entry.path(), &to).unwrap();
                fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
        for make in &spec.make {
            make.make(&work);
        }
        let plugins = spec.plugins.iter().enumerate().map(|(n, given)| given.put(n, folder.path())).collect();
        Self { name: name.into(), spec, folder, plugins }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn command(&self, json: bool) -> Command {
        let mut command = tunesmith();
        command.current_dir(self.work()).arg("evaluate").arg(&self.spec.path);
        for plugin in &self.plugins {
            // As an operator would name it, relative to where they are.
            let name = Path::new("..").join(plugin.strip_prefix(self.folder.path()).unwrap());
            command.arg("--plugin").arg(if plugin.starts_with(self.work()) {
                plugin.strip_prefix(self.work()).unwrap().to_owned()
            } else {
                name
            });
        }
        command.args(&self.spec.arguments).args(["--today", "2026-11-23"]);
        if self.work().join("config.toml").exists() {
            command.env("TUNESMITH_CONFIG", self.work().join("config.toml"));
        }
        if json {
            command.arg("--json");
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        command
    }
}

impl Make {
    fn make(&self, folder: &Path) {
        match self {
            Self::Folder { folder: name } => fs::create_dir(folder.join(name)).unwrap(),
            Self::Move { r#move, to } => fs::rename(folder.join(r#move), folder.join(to)).unwrap(),
            Self::Link { link, to } => symlink(to, folder.join(link)).unwrap(),
            Self::Pipe { pipe } => {
                use rustix::fs::{CWD, FileType, Mode, mknodat};
                let mode = Mode::from_raw_mode(0o600);
                mknodat(CWD, folder.join(pipe), FileType::Fifo, mode, 0).unwrap();
            }
            Self::Text { text, times, to } => fs::write(folder.join(to), text.repeat(*times)).unwrap(),
            Self::Bomb { bomb, mebibytes } => {
                let file = File::create(folder.join(bomb)).unwrap();
                let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::best());
                for _ in 0..*mebibytes {
                    packed.write_all(&vec![b'a'; 1 << 20]).unwrap();
                }
                packed.finish().unwrap();
            }
            Self::Sparse { sparse, mebibytes } => {
                File::create(folder.join(sparse)).unwrap().set_len(mebibytes << 20).unwrap();
            }
        }
    }
}

impl Given {
    fn put(&self, number: usize, folder: &Path) -> PathBuf {
        let place = folder.join(format!("plugin-{number}"));
        fs::create_dir(&place).unwrap();
        match self {
            Self::Guest { guest } => {
                let path = place.join(format!("{guest}.wasm"));
                let wasm = tunesmith_hostile::rust(guest).unwrap_or_else(|| panic!("no guest {guest}"));
                fs::write(&path, wasm).unwrap();
                path
            }
            Self::Hostile { hostile } => {
                let cases = tunesmith_hostile::cases().unwrap();
                let case = cases.iter().find(|case| case.name == *hostile);
                case.unwrap_or_else(|| panic!("no hostile case {hostile}")).put(&place).unwrap()
            }
            Self::BuiltIn { built_in } => {
                let path = place.join(format!("{built_in}.wasm"));
                let method = tunesmith_builtin::METHODS.iter().find(|method| method.id == *built_in).unwrap();
                fs::write(&path, method.wasm).unwrap();
                path
            }
            Self::File { file } => folder.join("work").join(file),
        }
    }
}

/// What a run took.
struct Run {
    output: Output,
    time: Duration,
    /// The most memory that it had, in KiB.
    memory: u64,
}

/// Runs a program to its end, watching its memory.
fn watched(mut command: Command) -> Run {
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let read = |mut stream: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let mut memory = 0;
    let status = loop {
        let high = fs::read_to_string(&status_file).ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        });
        memory = memory.max(high.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < 4 * LONGEST, "it hangs");
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = started.elapsed();
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Run { output: Output { status, stdout, stderr }, time, memory }
}

#[test]
fn every_case_gets_its_verdict_by_its_rules() {
    let mut problems = Vec::new();
    let (mut longest, mut largest) = (Duration::ZERO, 0);
    for (name, from) in cases() {
        let case = Case::new(&name, &from);
        if !case.plugins.is_empty() {
            // Compiling a plugin that was never seen has a budget of its own.
            watched(case.command(true));
        }
        let run = watched(case.command(true));
        longest = longest.max(run.time);
        largest = largest.max(run.memory);
        if let Err(problem) = check(&case, &run) {
            problems.push(format!("case {}: {problem}", case.name));
        }
        if std::env::var_os("FIGURES").is_some() {
            eprintln!("{:>6} ms {:>7} KiB  {name}", run.time.as_millis(), run.memory);
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    eprintln!("longest: {} ms, largest: {largest} KiB", longest.as_millis());
}

fn check(case: &Case, run: &Run) -> Result<(), String> {
    let stdout = String::from_utf8(run.output.stdout.clone()).map_err(|error| error.to_string())?;
    let stderr = String::from_utf8_lossy(&run.output.stderr).into_owned();
    let shown: serde_json::Value =
        serde_json::from_str(&stdout).map_err(|error| format!("{error} in {stdout}{stderr}"))?;
    let found: BTreeSet<String> = shown["findings"]
        .as_array()
        .ok_or("no findings")?
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap_or_default().to_owned())
        .collect();
    let verdict = shown["verdict"].as_str().unwrap_or_default();
    if verdict != case.spec.verdict || found != case.spec.rules {
        return Err(format!("{verdict} by {found:?}:\n{shown:#}"));
    }
    let code = match verdict {
        "allow" | "warn" => 0,
        "unjudged" => 3,
        _ => 4,
    };
    if run.output.status.code() != Some(code) {
        return Err(format!("ended with {}, not {code}", run.output.status));
    }
    if let Some(hidden) = (stdout.clone() + &stderr).chars().find(|c| is_hidden(*c) && *c != '\n') {
        return Err(format!("U+{:04X} came through to the terminal", u32::from(hidden)));
    }
    if run.time > LONGEST {
        return Err(format!("took {:?}", run.time));
    }
    if run.memory > MOST_MEMORY {
        return Err(format!("took {} KiB of memory", run.memory));
    }
    Ok(())
}

#[test]
fn every_rule_has_a_case_of_its_name() {
    let all: Vec<(String, Spec)> = fs::read_dir(root().join("tests/cases/evaluate"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .map(|(name, from)| (name.clone(), spec(&name, &from)))
        .collect();
    let bears =
        |name: &str, id: &str| name == id || name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-'));
    for rule in Rule::ALL {
        let found = all.iter().any(|(name, spec)| bears(name, rule.id()) && spec.rules.contains(rule.id()));
        assert!(found, "no case for the rule {}", rule.id());
    }
    for (name, spec) in &all {
        for rule in &spec.rules {
            assert!(Rule::ALL.iter().any(|known| known.id() == rule), "case {name}: no rule {rule}");
        }
    }
}

fn named(name: &str) -> Case {
    Case::new(name, &root().join("tests/cases/evaluate").join(name))
}

fn text(case: &Case, more: &[&str]) -> (i32, String) {
    let output = case.command(false).args(more).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn report_names_finding_place_and_fix() {
    let (code, shown) = text(&named("bidi-override"), &[]);
    assert_eq!(code, 4);
    let steady: String = shown
        .lines()
        .map(|line| match line.split_once("sha256:") {
            Some((before, _)) => format!("{before}[digest]\n"),
            None if line.contains(" fuel, ") => format!("{}[cost]\n", line.split(" · ").next().unwrap()),
            None => format!("{line}\n"),
        })
        .collect();
    insta::assert_snapshot!(steady);
}

#[test]
fn a_warning_fails_only_when_asked_to() {
    let case = named("large-context");
    assert_eq!(text(&case, &[]).0, 0);
    assert_eq!(text(&case, &["--strict"]).0, 4);
}

#[test]
fn the_rules_are_listed() {
    let output = tunesmith().args(["evaluate", "--rules"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    for rule in Rule::ALL {
        assert!(shown.contains(rule.id()) && shown.contains(rule.what()), "{}", rule.id());
    }
}

/// Every file below a folder with its content, kind and times.
fn tree(folder: &Path, leave_out: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path == leave_out {
                continue;
            }
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let modified = if metadata.is_dir() { None } else { metadata.modified().ok() };
            found.insert(format!("{} {:?} {content:?} {modified:?}", path.display(), metadata.file_type()));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn nothing_is_written_outside_of_the_cache() {
    for name in
        ["allow-plugin", "dataset-bomb", "plugin-misbehaves-panic", "allow-openai", "plugin-bomb-body"]
    {
        let case = named(name);
        let home = case.folder.path().join("home");
        let cache = home.join("cache");
        for folder in [&home, &home.join("tmp")] {
            fs::create_dir(folder).unwrap();
        }
        let before = tree(case.folder.path(), &cache);
        let mut command = case.command(true);
        command.env("HOME", &home).env("TMPDIR", home.join("tmp")).env("TUNESMITH_CACHE_DIR", &cache);
        let output = command.output().unwrap();
        assert!(output.status.code().is_some_and(|code| [0, 3, 4].contains(&code)), "{name}: {output:?}");
        assert!(cache.join("code").is_dir(), "{name} did not get as far as the cache");
        let after = tree(case.folder.path(), &cache);
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(changed.is_empty(), "{name}: {changed:?}");
    }
}

#[test]
fn without_a_private_cache_nothing_is_judged() {
    let case = named("allow-built-in");
    let cache = case.folder.path().join("open");
    fs::create_dir_all(cache.join("code")).unwrap();
    fs::set_permissions(cache.join("code"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = case.command(false).env("TUNESMITH_CACHE_DIR", &cache).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot be used") && said.contains("TUNESMITH_CACHE_DIR"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_socket_is_opened() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    /// Runs a command that the kernel kills as soon as it asks for a socket.
    fn without_sockets(mut command: Command) -> Output {
        let calls = [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
        ];
        let filter: BpfProgram = SeccompFilter::new(
            calls.into_iter().map(|call| (call, Vec::new())).collect(),
            SeccompAction::Allow,
            SeccompAction::KillProcess,
            std::env::consts::ARCH.try_into().unwrap(),
        )
        .unwrap()
        .try_into()
        .unwrap();
        // It holds for this thread and for what it starts.
        std::thread::spawn(move || {
            seccompiler::apply_filter(&filter).unwrap();
            command.output().unwrap()
        })
        .join()
        .unwrap()
    }

    // A program that opens one is killed: the filter works.
    let state = tempfile::tempdir().unwrap();
    let mut emulator = tunesmith();
    emulator.args(["emulate", "--state"]).arg(state.path()).stdin(Stdio::null());
    assert_eq!(without_sockets(emulator).status.code(), None);

    for name in
        ["allow-plugin", "allow-openai", "base-model-host", "base-model-host-url", "plugin-imports-http"]
    {
        let case = named(name);
        let mut command = case.command(true);
        // A fresh cache, so that compiling is watched too.
        command.env("TUNESMITH_CACHE_DIR", case.folder.path().join("cache"));
        let output = without_sockets(command);
        assert!(output.status.code().is_some_and(|code| code == 0 || code == 4), "{name}: {output:?}");
    }
}
