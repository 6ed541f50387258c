//! Any bytes as a plugin file, up to where the compile worker would get them.
#![no_main]

#[path = "../../tests/it/support/entries.rs"]
mod entries;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| entries::preflight(bytes));
