//! Compiles the guests that are written in Rust, and lists them with the folders of
//! cases for `src/lib.rs`.
//!
//! The traps of a cargo inside a cargo are those of the built-in methods' build: a
//! target directory of its own, which both share, and none of the outer cargo's
//! variables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// The target of the guests: no WASI but what a guest names itself.
const TARGET: &str = "wasm32-unknown-unknown";

/// Variables of the outer cargo that stay: they say where things are, not how host
/// code is built.
const KEPT: [&str; 12] = [
    "CARGO",
    "CARGO_HOME",
    "CARGO_HTTP_PROXY",
    "CARGO_NET_OFFLINE",
    "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
    "HOME",
    "PATH",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "TMPDIR",
    "HTTPS_PROXY",
    "https_proxy",
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
    let root = here.ancestors().nth(2).ok_or("tests/hostile is not two levels below the workspace")?;
    let out = PathBuf::from(var("OUT_DIR")?);
    for input in ["Cargo.toml", "Cargo.lock", "wit/method", "plugins/sdk"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    for input in ["build.rs", "guests", "cases"] {
        println!("cargo::rerun-if-changed={}", here.join(input).display());
    }
    let target_dir = target_dir(root, &out);
    compile(root, &target_dir)?;

    let mut list = String::from(
        "/// The guests written in Rust: name and core module.\nconst RUST: &[(&str, &[u8])] = &[\n",
    );
    let built = target_dir.join(TARGET).join("plugin").join("examples");
    for name in guests(&here.join("guests/Cargo.toml"))? {
        let from = built.join(format!("{name}.wasm"));
        let bytes = fs::read(&from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
        write_if_changed(&out.join(format!("{name}.wasm")), &bytes)?;
        let _ =
            writeln!(list, "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\"))),");
    }
    list += "];\n";
    write_if_changed(&out.join("guests.rs"), list.as_bytes())
}

/// The names of the `[[example]]`s.
fn guests(manifest: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(manifest)
        .map_err(|error| format!("cannot read {}: {error}", manifest.display()))?;
    Ok(text
        .split("[[example]]")
        .skip(1)
        .filter_map(|section| section.split("name = \"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect())
}

/// `target/plugin-wasm` of whichever target directory the outer cargo uses.
fn target_dir(root: &Path, out: &Path) -> PathBuf {
    out.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| root.join("target"), Path::to_path_buf)
        .join("plugin-wasm")
}

fn compile(root: &Path, target_dir: &Path) -> Result<(), String> {
    let mut command = Command::new(var("CARGO")?);
    command.env_clear().envs(env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    command.current_dir(root).args(["build", "--locked", "--quiet", "--profile", "plugin"]);
    command.args(["--target", TARGET, "--package", "tunesmith-hostile-guests", "--examples"]);
    command.arg("--target-dir").arg(target_dir);
    let output =
        command.output().map_err(|error| format!("cannot start cargo to build the guests: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("can't find crate for `core`") || said.contains("can't find crate for `std`") {
        return Err(format!(
            "the hostile guests need Rust's {TARGET} target; install it with\n\n    rustup target add {TARGET}\n"
        ));
    }
    Err(format!("the hostile guests do not build:\n{said}"))
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
