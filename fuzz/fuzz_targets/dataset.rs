//! Any bytes as a dataset: the first says under which name, the rest are the file.
#![no_main]

#[path = "../../host/tests/support/dataset.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

/// Names matter: what ends in `.txt` may be read as lines of text.
const NAMES: [&str; 3] = ["data.jsonl", "data.txt", "data.csv"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, file)) = bytes.split_first() else { return };
    invariants::holds(file, NAMES[usize::from(first) % NAMES.len()]);
});
