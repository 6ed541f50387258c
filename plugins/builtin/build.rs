//! Compiles the built-in methods to WebAssembly and lists them for `src/lib.rs`.
//!
//! A cargo inside a cargo needs care. It has a target directory of its own, since the
//! outer one is locked for as long as this script runs; that directory is shared by
//! all profiles and by clippy, so that the methods are compiled once. It is started
//! without the variables that the outer cargo sets for host code: `RUSTFLAGS` and
//! wrappers for linkers, coverage or lints do not suit WebAssembly.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// The target of the methods: no WASI, so they import nothing but the contract.
const TARGET: &str = "wasm32-unknown-unknown";

/// The ids, in the order in which the host lists them. `plugins/ID` is the crate,
/// `tunesmith-method-ID` its package.
const IDS: [&str; 5] = ["lora", "qlora", "prefix", "adapter", "full"];

/// Variables of the outer cargo that must not reach the inner one, by prefix.
const STRIPPED_PREFIXES: [&str; 8] = [
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_FEATURE_",
    "CARGO_LLVM_COV",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
];

/// Variables of the outer cargo that must not reach the inner one, by name.
const STRIPPED: [&str; 17] = [
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CLIPPY_ARGS",
    "DEBUG",
    "HOST",
    "LLVM_PROFILE_FILE",
    "MAKEFLAGS",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "TARGET",
    "RUSTC_LINKER",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let here = PathBuf::from(var("CARGO_MANIFEST_DIR")?);
    let root = here.ancestors().nth(2).ok_or("plugins/builtin is not two levels below the workspace")?;
    let out = PathBuf::from(var("OUT_DIR")?);
    watch(root);
    let target_dir = target_dir(root, &out);
    compile(root, &target_dir)?;

    let mut list = String::from(
        "/// The built-in methods, in the order in which they are listed.\npub const METHODS: &[BuiltIn] = &[\n",
    );
    for id in IDS {
        let built = target_dir.join(TARGET).join("plugin").join(format!("tunesmith_method_{id}.wasm"));
        let bytes = fs::read(&built).map_err(|error| format!("cannot read {}: {error}", built.display()))?;
        write_if_changed(&out.join(format!("{id}.wasm")), &bytes)?;
        list += &format!(
            "    BuiltIn {{ id: {id:?}, wasm: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{id}.wasm\")) }},\n"
        );
    }
    list += "];\n";
    write_if_changed(&out.join("methods.rs"), list.as_bytes())
}

/// Names everything that the methods are made of; without these lines cargo would
/// only watch this crate.
fn watch(root: &Path) {
    let mut inputs = vec!["Cargo.toml".to_owned(), "Cargo.lock".to_owned(), "wit/method".to_owned()];
    inputs.push("plugins/sdk/Cargo.toml".to_owned());
    inputs.push("plugins/sdk/src".to_owned());
    for id in IDS {
        for part in ["Cargo.toml", "README.md", "src"] {
            inputs.push(format!("plugins/{id}/{part}"));
        }
    }
    inputs.push("plugins/builtin/build.rs".to_owned());
    for input in inputs {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
}

/// `target/plugin-wasm` of whichever target directory the outer cargo uses:
/// `OUT_DIR` is `TARGET_DIR[/TRIPLE]/PROFILE/build/PACKAGE-HASH/out`.
fn target_dir(root: &Path, out: &Path) -> PathBuf {
    out.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| root.join("target"), Path::to_path_buf)
        .join("plugin-wasm")
}

fn compile(root: &Path, target_dir: &Path) -> Result<(), String> {
    let cargo = var("CARGO")?;
    let mut command = Command::new(cargo);
    command.current_dir(root).args([
        "build",
        "--locked",
        "--quiet",
        "--profile",
        "plugin",
        "--target",
        TARGET,
    ]);
    command.arg("--target-dir").arg(target_dir);
    for id in IDS {
        command.arg("--package").arg(format!("tunesmith-method-{id}"));
    }
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if STRIPPED.contains(&text.as_ref())
            || STRIPPED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    // Set, though empty: so it also outranks flags in the user's cargo configuration.
    command.env("CARGO_ENCODED_RUSTFLAGS", "");
    let output =
        command.output().map_err(|error| format!("cannot start cargo to build the methods: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("can't find crate for `core`") || said.contains("can't find crate for `std`") {
        return Err(format!(
            "the built-in methods need Rust's {TARGET} target; install it with\n\n    rustup target add {TARGET}\n"
        ));
    }
    Err(format!("the built-in methods do not build:\n{said}"))
}

/// Leaves a file alone that is already right, so that nothing downstream is rebuilt.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), String> {
    match fs::read(path) {
        Ok(found) if found == bytes => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("cannot read {}: {error}", path.display()));
        }
        _ => {}
    }
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn var(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
