//! Nothing below the command line names its commands, its flags or its variables: advice
//! is typed, and one file puts it into words.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates below the front ends.
const CRATES: [&str; 8] = ["core", "dataset", "plugin", "store", "provider", "engine", "kit", "vet"];

/// Files that may name variables, with the reason.
const MAY_NAME_VARIABLES: [(&str, &str); 5] = [
    ("engine/src/config", "the configuration reads its variables"),
    ("engine/src/secret.rs", "a key is found in a variable"),
    ("provider/src/failpoint.rs", "tests set it; users never do"),
    ("provider/src/ollama/provider.rs", "a command of Ollama's that tries the model"),
    ("provider/src/openai/provider.rs", "a request with curl that tries the model"),
];

/// Files that may name commands or flags, with the reason.
const MAY_NAME_COMMANDS: [(&str, &str); 2] = [
    ("engine/src/config", "the default configuration file explains itself"),
    ("kit/src/scaffold/templates", "the files of a project explain how to build it"),
];

#[test]
fn no_command_is_named_below_the_front_ends() {
    let mut found = Vec::new();
    for name in CRATES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        for file in sources(&folder) {
            let shown = file.to_string_lossy().replace('\\', "/");
            let code = fs::read_to_string(&file).unwrap();
            let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code = code.split("#[cfg(test)]\n#[allow").next().unwrap_or_default();
            for (line, text) in strings(code) {
                let wrong = commands(&text).filter(|_| !allowed(&shown, &MAY_NAME_COMMANDS));
                let wrong =
                    wrong.or_else(|| variables(&text).filter(|_| !allowed(&shown, &MAY_NAME_VARIABLES)));
                if let Some(wrong) = wrong {
                    found.push(format!("{}:{line}: {wrong}: {text}", file.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "use an `Advice`:\n{}", found.join("\n"));
}

fn allowed(file: &str, list: &[(&str, &str)]) -> bool {
    list.iter().any(|(path, _)| file.contains(path))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" && name != "snapshots" {
                files.extend(sources(&path));
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
    files
}

/// The string literals and documentation of a file, each with its line.
fn strings(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
                continue;
            }
            // A character, not a lifetime.
            b'\'' if bytes.get(at + 2) == Some(&b'\'') => at += 3,
            b'\'' if bytes.get(at + 1) == Some(&b'\\') => at += 4,
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                let line = code[..start].matches('\n').count() + 1;
                found.push((line, code[start..at.min(code.len())].to_owned()));
            }
            _ => at += 1,
        }
    }
    found
}

/// A command or a flag that a text names.
fn commands(text: &str) -> Option<&'static str> {
    const COMMANDS: [&str; 19] = [
        "run", "plan", "methods", "plugin", "dataset", "evaluate", "vet", "schema", "emulate", "jobs",
        "files", "uploads", "models", "doctor", "config", "init", "export", "compare", "serve",
    ];
    let named = text.match_indices("tunesmith ").any(|(at, before)| {
        let rest = &text[at + before.len()..];
        let word = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        COMMANDS.contains(&word)
    });
    let flag = text.match_indices("--").any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + 2..].chars().next();
        before.is_some_and(|c| matches!(c, ' ' | '`' | '(' | '"'))
            && after.is_some_and(|c| c.is_ascii_lowercase())
    });
    match (named, flag) {
        (true, _) => Some("a command"),
        (_, true) => Some("a flag"),
        _ => None,
    }
}

/// An environment variable that a text names.
fn variables(text: &str) -> Option<&'static str> {
    let named = ["TUNESMITH_", "OPENAI_", "OLLAMA_", "TMPDIR"];
    // A name in braces is a constant of the code.
    named
        .iter()
        .find(|name| text.match_indices(**name).any(|(at, _)| !text[..at].ends_with('{')))
        .map(|_| "a variable")
}
