//! Any bytes as a Modelfile, and any text as a value of one.
#![no_main]

#[path = "../../tests/it/support/entries.rs"]
mod entries;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| entries::modelfile(bytes));
