//! What a plugin may reach, told from what it imports.

use super::rejection::VERSION;
use super::words;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tunesmith_core::contract::CONTRACT_VERSION;
use tunesmith_core::failure::Advice;

/// The package that every plugin imports from.
pub(super) const PACKAGE: &str = "tunesmith:method/";

/// The interfaces of that package that a plugin can import.
const CONTRACT_IMPORTS: [&str; 3] = ["types", "dataset", "diagnostics"];

/// WASI packages that are linked to an inert context.
const STD_PACKAGES: [&str; 5] = ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/"];

/// How much of the world a plugin's imports ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Only the contract: it computes from the job and the dataset.
    Pure,
    /// Also what its language's runtime drags in, bound to nothing: no files,
    /// environment, arguments or network, a fixed clock and seeded randomness.
    Std,
}

impl Tier {
    /// The name, as users read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Std => "std",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Pure, Self::Std].into_iter().find(|tier| tier.as_str() == name).ok_or(UnknownTier)
    }
}

/// A tier's name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tier is pure or std")]
pub struct UnknownTier;

/// An import that no tier has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forbidden {
    /// The import, as the file names it.
    pub import: String,
    /// Why a plugin cannot have it.
    pub why: String,
    /// What the author can do.
    pub fix: Advice,
}

/// The tier of a file with these imports.
pub(super) fn of_imports<'a>(imports: impl IntoIterator<Item = &'a str>) -> Result<Tier, Forbidden> {
    let mut tier = Tier::Pure;
    for import in imports {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        if let Some(interface) = name.strip_prefix(PACKAGE) {
            if !CONTRACT_IMPORTS.contains(&interface) || !speaks(version) {
                return Err(of_the_contract(import, version));
            }
        } else if STD_PACKAGES.iter().any(|package| name.starts_with(package)) && version.starts_with("0.2.")
        {
            tier = Tier::Std;
        } else {
            return Err(foreign(import, name));
        }
    }
    Ok(tier)
}

/// Whether this host speaks a version of the contract: within 0.x the same minor
/// version, by the rules of semantic versioning.
pub(super) fn speaks(version: &str) -> bool {
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.');
        let minor = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next()?.parse::<u64>().ok()?;
        parts.next().is_none().then_some(minor)
    };
    minor(version).is_some() && minor(version) == minor(CONTRACT_VERSION)
}

fn of_the_contract(import: &str, version: &str) -> Forbidden {
    if speaks(version) {
        Forbidden {
            import: import.into(),
            why: format!("contract {CONTRACT_VERSION} has no such interface for plugins to import"),
            fix: Advice::UseContract,
        }
    } else {
        Forbidden {
            import: import.into(),
            why: format!(
                "it is built for contract {}, and this host speaks {CONTRACT_VERSION}",
                words::name(version, VERSION)
            ),
            fix: format!(
                "rebuild it against tunesmith:method@{CONTRACT_VERSION}, or use a matching tunesmith"
            )
            .into(),
        }
    }
}

fn foreign(import: &str, name: &str) -> Forbidden {
    let (why, fix) = if name.starts_with("wasi:sockets/") || name.starts_with("wasi:http/") {
        ("a plugin has no network", Advice::BuildWithoutNetwork)
    } else if name == "wasi_snapshot_preview1" || name == "wasi_unstable" {
        (
            "it is a core module for WASI preview 1",
            "build it for wasm32-unknown-unknown, or for wasm32-wasip2 as a component".into(),
        )
    } else if name.starts_with("__wbindgen") {
        ("it is built with wasm-bindgen, for browsers", "remove the dependency that needs a browser".into())
    } else if name.starts_with("wasi:") {
        (
            "a plugin has only wasi:cli, io, clocks, random and filesystem 0.2, bound to nothing",
            "rebuild with a toolchain for WASI 0.2 and without this interface".into(),
        )
    } else {
        ("a plugin has only what tunesmith:method offers", "remove what needs it".into())
    };
    Forbidden { import: import.into(), why: why.into(), fix }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::super::rejection::Reason;
    use super::*;

    #[test]
    fn the_tier_follows_from_the_imports() {
        let contract = ["tunesmith:method/types@0.1.0", "tunesmith:method/dataset@0.1.0"];
        assert_eq!(of_imports(contract), Ok(Tier::Pure));
        assert_eq!(of_imports(["tunesmith:method/diagnostics@0.1.7"]), Ok(Tier::Pure));
        assert_eq!(of_imports(contract.into_iter().chain(["wasi:cli/stdout@0.2.6"])), Ok(Tier::Std));
        for import in [
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/types@0.2.10",
            "wasi:cli/stdout@0.3.0",
            "wasi:keyvalue/store@0.2.0",
            "wasi_snapshot_preview1",
            "env",
            "tunesmith:method/secrets@0.1.0",
            "tunesmith:method/dataset@0.2.0",
            "tunesmith:method/dataset@1.1.0",
        ] {
            let forbidden = of_imports(contract.into_iter().chain([import])).expect_err(import);
            assert_eq!(forbidden.import, import);
        }
    }

    #[test]
    fn no_name_reaches_a_terminal_as_it_is() {
        for import in ["tunesmith:method/types@0.9\n\u{1b}[2J", "env\nerror: \u{202e}"] {
            let reason = Reason::from(of_imports([import]).expect_err(import)).to_string();
            assert!(!reason.contains(tunesmith_core::text::is_hidden), "{reason:?}");
        }
    }

    #[test]
    fn versions_are_compared_by_semantic_versioning() {
        assert!(speaks("0.1.0"));
        assert!(speaks("0.1.9"));
        for other in ["0.2.0", "1.1.0", "0.1.0-rc.1", "0.1", "", "x"] {
            assert!(!speaks(other), "{other}");
        }
    }
}
