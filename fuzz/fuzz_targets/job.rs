//! Any bytes as a job file.
#![no_main]

#[path = "../../tests/it/support/entries.rs"]
mod entries;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| entries::job(bytes));
