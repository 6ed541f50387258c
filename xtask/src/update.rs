//! The three ways in which tests rewrite what they compare with.

use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// The variable that makes tests write instead of compare, and what to pass to cargo.
fn spell(what: &str) -> Option<((&'static str, &'static str), &'static [&'static str])> {
    Some(match what {
        "snapshots" => (("INSTA_UPDATE", "always"), &["test", "--workspace"]),
        // Messages of tests/hostile, and the table of rules in the documentation.
        "cases" => (
            ("BLESS", "1"),
            &["test", "--package", "tunesmith", "--lib", "--test", "it", "--", "hostile", "evaluate", "vet"],
        ),
        "bindings" => {
            (("UPDATE_BINDINGS", "1"), &["test", "--package", "tunesmith-plugin", "--test", "bindings"])
        }
        _ => return None,
    })
}

pub fn update(what: &str, more: &[&str]) -> Result<()> {
    let Some(((variable, value), arguments)) = spell(what) else {
        bail!("cannot update \"{what}\": expected snapshots, cases or bindings");
    };
    // `update snapshots -p CRATE NAME` instead of the whole workspace.
    let arguments = if what == "snapshots" && more.contains(&"-p") { &arguments[..1] } else { arguments };
    println!("{variable}={value} cargo {} {}", arguments.join(" "), more.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments)
        .args(more)
        .env(variable, value)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the tests failed for another reason than what they compare with");
    }
    println!("read what changed before you commit it: git diff");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_word_names_the_known_ones() {
        let error = update("snapshot", &[]).unwrap_err().to_string();
        assert!(error.contains("snapshots, cases or bindings"), "{error}");
    }
}
