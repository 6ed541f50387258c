//! Running the program as a user would: in a folder, with a cache of the test run's own.

#![allow(dead_code)] // Each test file uses its own part.

pub mod kept;
pub mod sandbox;
pub mod seed;
pub mod stored;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The program under test, in the repository's root, with a compile cache shared by
/// the whole test run and nothing of the user's environment that could change output.
pub fn tunesmith() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tunesmith"));
    command.current_dir(root());
    command.env_remove("RUST_LOG").env_remove("OLLAMA_HOST").env_remove("OPENAI_BASE_URL");
    command.env_remove("OPENAI_API_KEY").env("NO_COLOR", "1").env("COLUMNS", "100");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home");
    command
        .env("HOME", home)
        .env("TUNESMITH_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    for name in ["CONFIG", "DATA", "CACHE", "STATE"] {
        command.env_remove(format!("XDG_{name}_HOME"));
    }
    command
}

/// What the program said, without the progress that only a first run has.
pub fn said(stderr: Vec<u8>) -> String {
    let text = String::from_utf8(stderr).unwrap();
    text.lines().filter(|line| !line.starts_with("compiling ")).map(|line| format!("{line}\n")).collect()
}

/// Runs the program and returns its output.
pub fn run(args: &[&str]) -> Output {
    tunesmith().args(args).output().unwrap()
}

/// Runs the program, which must succeed, and returns what it printed.
pub fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail, and returns its exit code and what it said.
pub fn failure(args: &[&str]) -> (i32, String) {
    let output = run(args);
    assert!(!output.status.success(), "{args:?} succeeded");
    assert!(output.stdout.is_empty(), "{args:?} failed, yet printed a result");
    (output.status.code().unwrap(), said(output.stderr))
}

/// Says that a test is skipped since this machine lacks something. In CI that is a failure.
pub fn skip(lacking: &str) {
    use std::io::Write as _;
    assert!(std::env::var_os("CI").is_none(), "must not be skipped in CI: {lacking}");
    // Past the test harness, which shows only what failed tests print.
    let _ = writeln!(std::io::stderr(), "skipped: {lacking}");
}

/// The same command as root in namespaces of its own (see `unshare`), after `prepare`,
/// which has `D` for what the command is about; code 99 where it cannot be prepared.
pub fn unshared(flags: &str, prepare: &str, about: &Path, run: &Command) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("set -e; ({prepare}) >/dev/null || exit 99; exec \"$@\"");
    command.args([flags, "sh", "-c", &script, "sh"]);
    command.arg(run.get_program()).args(run.get_args()).current_dir(run.get_current_dir().unwrap());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("D", about);
    command
}
