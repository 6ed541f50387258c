//! Which imports a plugin may have, and the tier that follows from them.

use crate::abi::{PACKAGE, speaks};
use crate::display;
use crate::rejection::{NAME_BYTES, Reason, VERSION_BYTES};
use crate::tier::Tier;
use tunesmith_core::contract::CONTRACT_VERSION;
use tunesmith_core::failure::Advice;

/// The interfaces of that package that a plugin can import.
const CONTRACT_IMPORTS: [&str; 3] = ["types", "dataset", "diagnostics"];

/// WASI packages that are linked to an inert context.
const STD_PACKAGES: [&str; 5] = ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/"];

/// The tier of a file with these imports.
pub(crate) fn tier<'a>(imports: impl IntoIterator<Item = &'a str>) -> Result<Tier, Reason> {
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

fn of_the_contract(import: &str, version: &str) -> Reason {
    if speaks(version) {
        Reason::Import {
            import: display::name(import, NAME_BYTES),
            why: format!("contract {CONTRACT_VERSION} has no such import"),
            fix: Advice::UseContract,
        }
    } else {
        Reason::Import {
            import: display::name(import, NAME_BYTES),
            why: format!(
                "built for contract {}; this tunesmith supports {CONTRACT_VERSION}",
                display::name(version, VERSION_BYTES)
            ),
            fix: format!(
                "rebuild it against tunesmith:method@{CONTRACT_VERSION}, or use a matching tunesmith"
            )
            .into(),
        }
    }
}

fn foreign(import: &str, name: &str) -> Reason {
    let (why, fix) = if name.starts_with("wasi:sockets/") || name.starts_with("wasi:http/") {
        ("plugins have no network access", Advice::BuildWithoutNetwork)
    } else if name == "wasi_snapshot_preview1" || name == "wasi_unstable" {
        (
            "WASI preview 1 is not supported",
            "build it for wasm32-unknown-unknown, or for wasm32-wasip2 as a component".into(),
        )
    } else if name.starts_with("__wbindgen") {
        ("built with wasm-bindgen, for browsers", "remove the dependency that needs a browser".into())
    } else if name.starts_with("wasi:") {
        (
            "plugins have only wasi:cli, io, clocks, random and filesystem 0.2, all inert",
            "rebuild with a toolchain for WASI 0.2 and without this interface".into(),
        )
    } else {
        ("plugins can import only tunesmith:method", "remove what needs it".into())
    };
    Reason::Import { import: display::name(import, NAME_BYTES), why: why.into(), fix }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn imports_decide_the_tier() {
        let contract = ["tunesmith:method/types@0.1.0", "tunesmith:method/dataset@0.1.0"];
        assert_eq!(tier(contract).unwrap(), Tier::Pure);
        assert_eq!(tier(["tunesmith:method/diagnostics@0.1.7"]).unwrap(), Tier::Pure);
        assert_eq!(tier(contract.into_iter().chain(["wasi:cli/stdout@0.2.6"])).unwrap(), Tier::Std);
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
            let rejected = tier(contract.into_iter().chain([import])).expect_err(import);
            assert!(matches!(rejected, Reason::Import { import: found, .. } if found == import));
        }
    }

    #[test]
    fn names_are_escaped_for_the_terminal() {
        for import in ["tunesmith:method/types@0.9\n\u{1b}[2J", "env\nerror: \u{202e}"] {
            let reason = tier([import]).expect_err(import).to_string();
            assert!(!reason.contains(tunesmith_core::text::is_hidden), "{reason:?}");
        }
    }
}
