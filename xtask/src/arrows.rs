//! Which crate may depend on which: the arrows of docs/architecture.md.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// The crates of `host/`, each with those that it may depend on. Tests of any crate may
/// also use the emulator and what lies in `tests/`.
const HOST: &[(&str, &[&str])] = &[
    ("host/core", &[]),
    ("host/dataset", &["host/core"]),
    ("host/plugin", &["host/core", "host/plugin/abi"]),
    ("host/plugin/abi", &[]),
    ("host/store", &["host/core"]),
    ("host/emulator", &["host/core"]),
    ("host/provider", BELOW_PROVIDER),
    ("host/engine", &["host/provider", "host/core", "host/dataset", "host/plugin", "host/store"]),
    ("host/kit", BELOW_FRONT),
    ("host/vet", BELOW_FRONT),
    ("host/cli", BELOW_CLI),
];

const BELOW_PROVIDER: &[&str] = &["host/core", "host/dataset", "host/plugin", "host/store"];

const BELOW_FRONT: &[&str] = &[
    "host/engine",
    "host/provider",
    "host/core",
    "host/dataset",
    "host/plugin",
    "host/store",
    "plugins/builtin",
];

const BELOW_CLI: &[&str] = &[
    "host/kit",
    "host/vet",
    "host/emulator",
    "host/engine",
    "host/provider",
    "host/core",
    "host/dataset",
    "host/plugin",
    "host/store",
    "plugins/builtin",
];

/// A crate of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// Its folder, relative to the repository.
    pub folder: String,
    depends_on: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    folder: String,
    /// Only the crate's tests, examples and benchmarks use it.
    dev: bool,
}

/// Reads the crates of the workspace and what they depend on within it.
pub fn workspace(root: &Path) -> Result<Vec<Crate>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    read(&output.stdout, root)
}

fn read(metadata: &[u8], root: &Path) -> Result<Vec<Crate>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        manifest_path: String,
        dependencies: Vec<Raw>,
    }
    #[derive(Deserialize)]
    struct Raw {
        kind: Option<String>,
        path: Option<String>,
    }
    let relative = |path: &str| {
        let path = Path::new(path);
        path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
    };
    let metadata: Metadata = serde_json::from_slice(metadata).context("cannot read cargo's metadata")?;
    let mut crates: Vec<Crate> = metadata
        .packages
        .into_iter()
        .map(|package| Crate {
            folder: relative(package.manifest_path.trim_end_matches("/Cargo.toml")),
            depends_on: package
                .dependencies
                .into_iter()
                .filter_map(|raw| {
                    Some(Dependency { folder: relative(&raw.path?), dev: raw.kind.as_deref() == Some("dev") })
                })
                .collect(),
        })
        .collect();
    crates.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(crates)
}

/// Every dependency against the arrows, a line each.
pub fn check(crates: &[Crate]) -> Vec<String> {
    let mut problems = Vec::new();
    for one in crates {
        let allowed = HOST.iter().find(|(folder, _)| *folder == one.folder).map(|(_, allowed)| *allowed);
        if one.folder.starts_with("host/") && allowed.is_none() {
            problems.push(format!(
                "{} has no place among the arrows: give it one in xtask/src/arrows.rs",
                one.folder
            ));
            continue;
        }
        for dependency in &one.depends_on {
            let to = dependency.folder.as_str();
            let fits = match allowed {
                Some(allowed) => {
                    allowed.contains(&to)
                        || dependency.dev && (to == "host/emulator" || to.starts_with("tests/"))
                }
                // Plugins, and what tests are made of, know nothing of the host.
                None => !to.starts_with("host/"),
            };
            if !fits {
                let dev = if dependency.dev { " in its tests" } else { "" };
                problems.push(format!("{} depends on {to}{dev}", one.folder));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(folder: &str, dependency: &str, kind: &str) -> Vec<String> {
        let metadata = format!(
            r#"{{"packages": [{{"manifest_path": "/repo/{folder}/Cargo.toml", "dependencies": [
                {{"kind": {kind}, "path": "/repo/{dependency}"}}, {{"kind": null, "path": null}}]}}]}}"#
        );
        check(&read(metadata.as_bytes(), Path::new("/repo")).unwrap())
    }

    #[test]
    fn dependency_along_an_arrow_is_allowed() {
        assert!(problems("host/cli", "host/vet", "null").is_empty());
        assert!(problems("host/engine", "host/emulator", r#""dev""#).is_empty());
        assert!(problems("plugins/lora", "plugins/sdk", "null").is_empty());
    }

    #[test]
    fn dependency_against_an_arrow_is_named() {
        assert_eq!(problems("host/store", "host/engine", "null"), ["host/store depends on host/engine"]);
        assert_eq!(
            problems("host/core", "host/store", r#""dev""#),
            ["host/core depends on host/store in its tests"]
        );
        assert_eq!(problems("host/engine", "host/emulator", "null").len(), 1);
        assert_eq!(problems("plugins/lora", "host/core", "null").len(), 1);
    }

    #[test]
    fn crate_without_a_place_is_named() {
        assert!(problems("host/new", "host/core", "null")[0].starts_with("host/new has no place"));
    }

    #[test]
    fn arrows_have_no_circle() {
        // Each crate stands below those that may depend on it.
        for (folder, allowed) in HOST {
            for (other, back) in HOST.iter().filter(|(other, _)| allowed.contains(other)) {
                assert!(!back.contains(folder), "{folder} and {other}");
            }
        }
    }
}
