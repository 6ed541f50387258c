//! The README shows what the program really prints.

use crate::common;
use common::{root, stdout};

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

#[test]
fn the_transcript_is_real() {
    let readme = readme();
    let (_, rest) = readme.split_once("```console\n$ tunesmith ").unwrap();
    let (transcript, _) = rest.split_once("```").unwrap();
    let (command, shown) = transcript.split_once('\n').unwrap();
    let args: Vec<&str> = command.split_whitespace().collect();
    let printed = stdout(&args);
    let mut lines = printed.lines();
    for line in shown.lines().filter(|line| line.trim() != "…") {
        // Fuel and digests change with the compiler.
        if line.starts_with("  plan ") || line.starts_with("  plugin ") || line.starts_with("  fuel ") {
            continue;
        }
        let found = lines.by_ref().any(|real| real.trim_end() == line.trim_end());
        assert!(found, "not printed, or not in this order: {line}");
    }
}

#[test]
fn the_table_of_common_settings_is_the_programs() {
    let table = tunesmith_provider::settings::markdown_table();
    assert!(readme().contains(&table), "put this table into README.md:\n{table}");
}

#[test]
fn plugin_in_ten_lines_is_the_sdk_example() {
    let readme = readme();
    let (_, rest) = readme.split_once("```rust\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    let example = std::fs::read_to_string(root().join("plugins/sdk/examples/few_shot.rs")).unwrap();
    assert!(example.contains(code), "plugins/sdk/examples/few_shot.rs differs from README.md");
}
