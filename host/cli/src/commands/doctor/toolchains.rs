//! What is installed for writing plugins. Nothing here is needed to run jobs.

use super::Check;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const AREA: &str = "plugin authors";

pub(super) fn check() -> Vec<Check> {
    vec![rust(), javascript(), python()]
}

fn rust() -> Check {
    if find("cargo").is_none() {
        return Check::skip(AREA, "Rust: no cargo").fix("https://rustup.rs installs it");
    }
    // Where rustc keeps its targets; a plain look, so that nothing is installed by it.
    let root = Command::new("rustc").args(["--print", "sysroot"]).stderr(Stdio::null()).output();
    let root = root
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| PathBuf::from(text.trim()));
    let target = "wasm32-unknown-unknown";
    match root {
        Some(root) if root.join("lib/rustlib").join(target).is_dir() => {
            Check::ok(AREA, format!("Rust, with {target}"))
        }
        _ => Check::skip(AREA, format!("Rust: cargo, without the target {target}"))
            .fix(format!("rustup target add {target}")),
    }
}

fn javascript() -> Check {
    match (find("node"), find("npm")) {
        (Some(_), Some(_)) => Check::ok(AREA, "JavaScript: node and npm"),
        _ => Check::skip(AREA, "JavaScript: no node with npm").fix("https://nodejs.org installs both"),
    }
}

fn python() -> Check {
    match (find("componentize-py"), find("python3")) {
        (Some(_), _) => Check::ok(AREA, "Python: componentize-py"),
        (None, Some(_)) => {
            Check::skip(AREA, "Python: python3, without componentize-py").fix("pip install componentize-py")
        }
        (None, None) => {
            Check::skip(AREA, "Python: no python3").fix("install python3, then pip install componentize-py")
        }
    }
}

/// A program of this name in PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
