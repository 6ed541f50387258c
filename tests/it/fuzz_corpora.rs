//! Every input that the fuzz targets found worth keeping, through the same entries.

use crate::support::dataset;
use crate::support::entries;
use std::path::{Path, PathBuf};

/// The inputs of a target, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

fn replay(target: &str, entry: &dyn Fn(&[u8])) {
    for (path, bytes) in corpus(target) {
        // Says which one, should it panic.
        eprintln!("{}", path.display());
        entry(&bytes);
    }
}

#[test]
fn stored_inputs_are_read_without_a_panic() {
    let worker = Path::new(env!("CARGO_BIN_EXE_tunesmith"));
    replay("dataset", &dataset::named);
    replay("job", &entries::job);
    replay("preflight", &entries::preflight);
    replay("modelfile", &entries::modelfile);
    replay("evaluate", &|bytes| entries::evaluated(bytes, Some(worker)));
}
