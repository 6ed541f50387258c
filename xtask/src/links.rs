//! Whether the files that the documentation names are there.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// Pages that name files. Decision records may name what is gone.
const PAGES: [&str; 5] =
    ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/style.md"];

/// Names in backticks count as paths if they begin with one of these.
const FOLDERS: [&str; 9] =
    ["host/", "plugins/", "wit/", "examples/", "tests/", "docs/", "fuzz/", "xtask/", ".ci/"];

/// What is named and missing, a line each.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).with_context(|| format!("cannot read {page}"))?;
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        let links = links(&text).map(|link| folder.join(link));
        let paths = paths(&text).map(|path| path.into());
        for path in links.chain(paths) {
            if !root.join(&path).exists() {
                problems.push(format!("{page} names {}, which does not exist", path.display()));
            }
        }
    }
    Ok(problems)
}

/// Paths in backticks, relative to the repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |part: &&str| {
        FOLDERS.iter().any(|folder| part.starts_with(folder))
            && part.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c))
    };
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path)
}

/// Targets of links to other files, relative to the page.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter_map(|target| {
        let path = target.split('#').next().unwrap_or_default();
        (!path.is_empty() && !target.contains("://")).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_links_are_found() {
        let text = "See `host/core/src/text.rs`, `cargo test`, `docs/measured/PART.md: x` and\n\
            [a page](adr/1.md#part), [elsewhere](https://example.org/a), [here](#there).";
        assert_eq!(paths(text).collect::<Vec<_>>(), ["host/core/src/text.rs"]);
        assert_eq!(links(text).collect::<Vec<_>>(), ["adr/1.md"]);
    }
}
