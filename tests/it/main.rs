//! End-to-end tests: the program as people run it, and the crates together.
//!
//! One binary, so that the host is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a failed test panics")]

mod common;
#[path = "../../host/provider/src/http/mock.rs"]
mod mock;
mod support;

mod compat;
mod config;
#[cfg(all(unix, debug_assertions))]
mod crash;
mod dataset;
mod dataset_cases;
mod dataset_properties;
mod doctor;
mod evaluate;
#[cfg(target_os = "linux")]
mod follow;
mod fuzz_corpora;
mod hostile;
#[cfg(target_os = "linux")]
mod interrupt;
mod job_files;
mod jobs;
mod key;
mod kit;
mod layers;
mod plan;
mod plugins;
mod policy;
mod readme;
mod registry;
mod reload;
mod run;
mod run_errors;
mod sandbox;
mod security;
mod steer;
mod transform;

/// A file that no `mod` names is not compiled, and its tests never run.
#[test]
fn no_file_is_forgotten() {
    fn check(folder: &std::path::Path, names: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            if path.is_dir() && path.join("mod.rs").exists() {
                assert!(names.contains(&format!("mod {stem};\n")), "{} is not compiled", path.display());
                check(&path, &std::fs::read_to_string(path.join("mod.rs")).unwrap());
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["main", "mod"].contains(&stem)
            {
                assert!(names.contains(&format!("mod {stem};\n")), "{} is not compiled", path.display());
            }
        }
    }
    check(&common::root().join("tests/it"), include_str!("main.rs"));
}
