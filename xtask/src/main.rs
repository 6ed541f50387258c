//! Chores of the repository, run as `cargo xtask`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod arrows;
mod imports;
mod links;
mod modules;
mod update;

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask update snapshots [ARGS]   accept what tests print now; ARGS go to cargo test
cargo xtask update cases              rewrite expected messages and tables in tests and docs
cargo xtask update bindings           regenerate the SDK's bindings from wit/
cargo xtask arrows                    check dependencies between crates, and module cycles
cargo xtask links                     check that files named in the documentation exist";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &words[..] {
        ["update", what, rest @ ..] => update::update(what, rest),
        ["arrows"] => check_arrows(&root()?),
        ["links"] => report(&links::check(&root()?)?, "every file that the documentation names exists"),
        [] | ["help" | "-h" | "--help"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("unknown command \"{}\"\n\n{HELP}", words.join(" ")),
    }
}

fn check_arrows(root: &Path) -> Result<()> {
    let crates = arrows::workspace(root)?;
    let mut problems = arrows::check(&crates);
    for one in &crates {
        problems.extend(modules::check(&root.join(&one.folder).join("src"), &one.folder)?);
    }
    report(
        &problems,
        &format!("{} crates: every dependency follows the arrows, no module cycles", crates.len()),
    )
}

fn report(problems: &[String], none: &str) -> Result<()> {
    for problem in problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => println!("{none}"),
        count => bail!("{count} to fix; docs/architecture.md has the arrows and where things go"),
    }
    Ok(())
}

fn root() -> Result<PathBuf> {
    // Cargo sets it for what it runs; a copied program falls back to where it was built.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map(Path::to_owned).context("xtask has no folder above it")
}
