//! Guests that misbehave, and what the host has to do about each.
//!
//! Every folder of `cases/` is a case; `case.json` says which guest, what is done
//! with it and which limit or rule has to stop it, `expected.txt` what the user
//! reads.

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// A guest that is written in Rust, as the core module that cargo builds.
pub fn rust(name: &str) -> Option<&'static [u8]> {
    RUST.iter().find(|(found, _)| *found == name).map(|(_, wasm)| *wasm)
}
