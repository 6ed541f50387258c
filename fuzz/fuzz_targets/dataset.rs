//! Any bytes as a dataset: the first says under which name, the rest are the file.
#![no_main]

#[path = "../../tests/it/support/dataset.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| invariants::named(bytes));
