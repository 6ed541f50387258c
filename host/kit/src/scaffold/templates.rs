//! The templates of projects. Each is a working project named `my-method`, in
//! `host/kit/templates`; `.gitignore` is called `gitignore` there, so that it has no effect.
//! The SDKs for JavaScript and Python are those of the examples.

use super::Language;

/// The files of a language's project, before the name is filled in.
pub(super) fn of(language: Language) -> impl Iterator<Item = (&'static str, &'static str)> {
    let (own, sdk) = match language {
        Language::Rust => (RUST, &[][..]),
        Language::JavaScript => (JAVASCRIPT, JAVASCRIPT_SDK),
        Language::Python => (PYTHON, PYTHON_SDK),
    };
    own.iter()
        .chain(COMMON)
        .chain(sdk)
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
    "src/app.py",
    "wit/world.wit",
);

/// The SDK for JavaScript, which the example uses, too.
const JAVASCRIPT_SDK: &[(&str, &str)] =
    &[("sdk/tunesmith.js", include_str!("../../../../examples/plugins/js/sdk/tunesmith.js"))];

/// The SDK for Python, which the example uses, too.
const PYTHON_SDK: &[(&str, &str)] =
    &[("sdk/tunesmith.py", include_str!("../../../../examples/plugins/python/sdk/tunesmith.py"))];
