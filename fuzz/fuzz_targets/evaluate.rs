//! Any bytes as a job, a dataset and a plugin for `evaluate`. TUNESMITH_WORKER names the
//! program that compiles plugins; without it none is given.
#![no_main]

#[path = "../../tests/it/support/entries.rs"]
mod entries;

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

static WORKER: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("TUNESMITH_WORKER").map(PathBuf::from));

fuzz_target!(|bytes: &[u8]| entries::evaluated(bytes, WORKER.as_deref()));
