//! The templates of projects. Each is a working one by the name of `my-method`, in
//! `host/templates`; `.gitignore` is `gitignore` there, so that it does not count.

use super::Language;

/// The files of a language's project, before the name is filled in.
pub(super) fn of(language: Language) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = match language {
        Language::Rust => RUST,
        Language::JavaScript => JAVASCRIPT,
        Language::Python => PYTHON,
    };
    own.iter()
        .chain(COMMON)
        .map(|(path, text)| (if *path == "gitignore" { ".gitignore" } else { path }, *text))
}

macro_rules! files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $folder, "/", $path)))),+]
    };
}

const COMMON: &[(&str, &str)] = files!(
    "common":
    "cases/given-values-win/case.json",
    "cases/largest-task/case.json",
    "cases/no-rows/case.json",
    "cases/rows.jsonl",
    "job.json",
);

const RUST: &[(&str, &str)] = files!(
    "rust":
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "cases/given-values-win/expected.json",
    "cases/largest-task/expected.json",
    "cases/no-rows/expected.json",
    "gitignore",
    "plugin.toml",
    "src/lib.rs",
);

const JAVASCRIPT: &[(&str, &str)] = files!(
    "js":
    "README.md",
    "cases/given-values-win/expected.json",
    "cases/largest-task/expected.json",
    "cases/no-rows/expected.json",
    "gitignore",
    "package-lock.json",
    "package.json",
    "plugin.toml",
    "sdk/tunesmith.js",
    "src/method.js",
    "wit/world.wit",
);

const PYTHON: &[(&str, &str)] = files!(
    "python":
    "README.md",
    "build.sh",
    "cases/given-values-win/expected.json",
    "cases/largest-task/expected.json",
    "cases/no-rows/expected.json",
    "gitignore",
    "plugin.toml",
    "requirements.txt",
    "sdk/tunesmith.py",
    "src/app.py",
    "wit/world.wit",
);
