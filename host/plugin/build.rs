//! Compiles the carrier of batches, which is written in WebAssembly's text format.

use std::path::PathBuf;
use std::process::ExitCode;

const CARRIER: &str = "src/carrier/carrier.wat";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={CARRIER}");
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
    let bytes = wat::parse_file(CARRIER).map_err(|error| error.to_string())?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("carrier.wasm");
    std::fs::write(&out, bytes).map_err(|error| format!("cannot write {}: {error}", out.display()))
}
