//! SECURITY.md names the tests that hold its promises; each of them exists.

use std::path::Path;

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let page = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Promise")) {
        let (_, held) = line.trim_end_matches('|').rsplit_once(" | ").unwrap();
        let named: Vec<(&str, &str)> = held
            .split('`')
            .filter_map(|part| part.split_once(": "))
            .filter(|(file, _)| file.ends_with(".rs"))
            .collect();
        assert!(!named.is_empty(), "a promise without a test: {line}");
        for (file, name) in named {
            let text =
                std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let at =
                text.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file} has no function {name}"));
            // Between its attribute and the function stand other attributes at most; those
            // of a property test stand in its macro.
            let before: Vec<&str> = text[..at].lines().rev().take(4).collect();
            assert!(before.iter().any(|line| line.contains("test]")), "{name} in {file} is no test");
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} tests are named");
}
