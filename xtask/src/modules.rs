//! Cycles between the modules of a crate. A module and its own children may need each
//! other; two modules that stand side by side may not, each with all that is below it.

use crate::imports::{Import, imports};
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

/// Modules by path, `[]` for the root, and what each refers to.
type Modules = BTreeMap<Vec<String>, Vec<Import>>;

/// Where an import crosses from a module to one beside it, as a person can look it up.
type Crossings = BTreeMap<String, BTreeMap<String, String>>;

/// The cycles of a crate, a line or two each. `src` holds its sources; `name` stands
/// before what is printed.
pub fn check(src: &Path, name: &str) -> Result<Vec<String>> {
    let mut modules = Modules::new();
    if src.join("lib.rs").is_file() || src.join("main.rs").is_file() {
        read(src, &[], &mut modules)?;
    }
    Ok(cycles(&modules).into_iter().map(|cycle| format!("{name}: {cycle}")).collect())
}

fn read(folder: &Path, path: &[String], modules: &mut Modules) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let file = entry?.path();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Tests may look everywhere, and a program uses its library from outside.
        if stem == "tests" || stem == "main" && path.is_empty() && folder.join("lib.rs").is_file() {
            continue;
        }
        let mut module = path.to_vec();
        if file.is_dir() {
            module.push(stem);
            read(&file, &module, modules)?;
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            if stem != "mod" && !(path.is_empty() && matches!(&*stem, "lib" | "main")) {
                module.push(stem);
            }
            let source =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            modules.insert(module, imports(&source));
        }
    }
    Ok(())
}

fn cycles(modules: &Modules) -> Vec<String> {
    // By parent: which of its children need which, and where.
    let mut levels: BTreeMap<&[String], Crossings> = BTreeMap::new();
    for (module, imports) in modules {
        for import in imports {
            let Some(target) = resolve(modules, module, &import.path, 0) else { continue };
            let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            // One of the two is above the other.
            let (Some(from), Some(to)) = (module.get(common), target.get(common)) else { continue };
            levels
                .entry(&module[..common])
                .or_default()
                .entry(from.clone())
                .or_default()
                .entry(to.clone())
                .or_insert_with(|| format!("{}:{}", module.join("::"), import.line));
        }
    }
    let mut found = BTreeSet::new();
    for (parent, crossings) in &levels {
        let names: BTreeSet<Vec<&str>> =
            crossings.keys().filter_map(|start| cycle(crossings, start)).collect();
        for cycle in names {
            let mut text = parent.iter().map(|name| format!("{name}::")).collect::<String>();
            text += &cycle.join(" -> ");
            for (from, to) in cycle.iter().zip(&cycle[1..]) {
                text += &format!("\n    {from} -> {to}: {}", crossings[*from][*to]);
            }
            found.insert(text);
        }
    }
    found.into_iter().collect()
}

/// The shortest way from a module back to it, begun at its first name in the alphabet.
fn cycle<'a>(crossings: &'a Crossings, start: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(module) = queue.pop_front() {
        for to in crossings.get(module).into_iter().flat_map(BTreeMap::keys) {
            if to == start {
                let mut way = vec![module];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(before);
                }
                way.reverse();
                let first = way.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
                way.rotate_left(first);
                way.push(way[0]);
                return Some(way);
            }
            if !came_from.contains_key(to.as_str()) {
                came_from.insert(to, module);
                queue.push_back(to);
            }
        }
    }
    None
}

/// The module that a path leads to, through what modules re-export. None where it leads
/// out of the crate.
fn resolve(modules: &Modules, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
    let mut rest = path;
    let mut at = match rest.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => from.to_vec(),
        // A child that is named without `self`.
        name if modules.contains_key(&child(from, name)) => {
            return descend(modules, from.to_vec(), rest, depth);
        }
        _ => return None,
    };
    while let Some(name) = rest.first().filter(|name| matches!(&***name, "crate" | "self" | "super")) {
        if name == "super" {
            at.pop();
        }
        rest = &rest[1..];
    }
    descend(modules, at, rest, depth)
}

fn descend(modules: &Modules, mut at: Vec<String>, mut rest: &[String], depth: usize) -> Option<Vec<String>> {
    while let Some(name) = rest.first().filter(|name| modules.contains_key(&child(&at, name))) {
        at.push(name.clone());
        rest = &rest[1..];
    }
    // What is left may be something that this module has from another one.
    let import = rest
        .first()
        .and_then(|name| modules.get(&at)?.iter().find(|import| import.name.as_ref() == Some(name)));
    match import {
        Some(import) if depth < 8 => resolve(modules, &at, &import.path, depth + 1).or(Some(at)),
        _ => Some(at),
    }
}

fn child(module: &[String], name: &str) -> Vec<String> {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let path = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        cycles(&files.iter().map(|(name, source)| (path(name), imports(source))).collect())
    }

    #[test]
    fn circle_of_three_is_printed_with_its_lines() {
        let files = [
            ("", "mod a; mod b; mod c;"),
            ("a", "use crate::b::B;"),
            ("b", "\nuse super::c::C;"),
            ("c", "fn f() { crate::a::g() }"),
        ];
        assert_eq!(found(&files), ["a -> b -> c -> a\n    a -> b: a:1\n    b -> c: b:2\n    c -> a: c:1"]);
    }

    #[test]
    fn parent_and_children_may_need_each_other() {
        let files = [("", ""), ("a", "use b::B; mod b;"), ("a::b", "use super::A; use super::super::a::A;")];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn children_count_as_part_of_their_parent() {
        let files =
            [("", ""), ("a", ""), ("a::x", "use crate::b::B;"), ("b", ""), ("b::y", "use crate::a::A;")];
        assert_eq!(found(&files), ["a -> b -> a\n    a -> b: a::x:1\n    b -> a: b::y:1"]);
    }

    #[test]
    fn reexports_are_followed() {
        let files = [("", "pub use a::A; pub use b::B;"), ("a", "use super::B;"), ("b", "use crate::A;")];
        assert_eq!(found(&files), ["a -> b -> a\n    a -> b: a:1\n    b -> a: b:1"]);
    }
}
