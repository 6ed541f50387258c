//! Explains a plugin's interfaces: what each import allows, and the contract's
//! documentation of each export.

use super::scaffold::vendored::CONTRACT;
use serde::Serialize;
use wit_parser::{Docs, Resolve, SourceMap};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    pub name: String,
    /// What it allows the plugin to do.
    pub meaning: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    /// The interface, or the function.
    pub name: String,
    /// The contract's documentation; `None` if it is not part of the contract.
    pub doc: Option<String>,
    pub functions: Vec<ExportedFunction>,
}

/// A function of an exported interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedFunction {
    pub name: String,
    /// The contract's documentation.
    pub doc: String,
}

/// Explains imports.
pub fn imports(names: &[String]) -> Vec<Import> {
    names.iter().map(|name| Import { name: name.clone(), meaning: meaning(name) }).collect()
}

fn meaning(import: &str) -> &'static str {
    let name = import.split_once('@').map_or(import, |(name, _)| name);
    let starts = |prefix: &str| name.starts_with(prefix);
    match name {
        "tunesmith:method/dataset" => "reads the job's dataset: figures, tasks and samples",
        "tunesmith:method/diagnostics" => "reports notes, and why it failed, to the user",
        "tunesmith:method/types" => "nothing: type definitions",
        "wasi:cli/environment" => "environment and arguments, both empty",
        "wasi:cli/exit" => "ends its own call",
        "wasi:clocks/wall-clock" | "wasi:clocks/monotonic-clock" => "a clock that never advances",
        _ if starts("tunesmith:method/") => "unknown to this host: the file is rejected",
        _ if starts("wasi:cli/") => "prints into a bounded buffer that is shown if it fails; reads nothing",
        _ if starts("wasi:io/") => "streams of standard output; waits for nothing",
        _ if starts("wasi:clocks/") => "names of types, and a clock that never advances",
        _ if starts("wasi:random/") => "random numbers derived from the job's seed",
        _ if starts("wasi:filesystem/") => "files: none can be opened",
        _ if starts("wasi:sockets/") || starts("wasi:http/") => "the network: the file is rejected",
        _ => "not available to plugins: the file is rejected",
    }
}

/// Adds the contract's documentation to exports.
pub fn exports(names: &[String]) -> Vec<Export> {
    let contract = contract();
    names
        .iter()
        .map(|name| {
            let known = name
                .strip_prefix("tunesmith:method/")
                .map(|rest| rest.split_once('@').map_or(rest, |(interface, _)| interface))
                .and_then(|interface| contract.iter().find(|known| known.name == interface));
            Export {
                name: name.clone(),
                doc: known.and_then(|known| known.doc.clone()),
                functions: known.map(|known| known.functions.clone()).unwrap_or_default(),
            }
        })
        .collect()
}

/// The contract's interfaces. A test checks that the embedded contract can be parsed;
/// otherwise exports would have no documentation.
fn contract() -> Vec<Export> {
    let mut files = SourceMap::default();
    for (name, text) in CONTRACT {
        files.push_str(name, *text);
    }
    let Ok(package) = files.parse() else { return Vec::new() };
    let mut resolve = Resolve::default();
    if resolve.push_group(package).is_err() {
        return Vec::new();
    }
    let interfaces = resolve.interfaces.iter().filter_map(|(_, interface)| {
        let functions = interface.functions.iter().map(|(name, function)| ExportedFunction {
            name: name.clone(),
            doc: sentence(&function.docs).unwrap_or_default(),
        });
        Some(Export {
            name: interface.name.clone()?,
            doc: sentence(&interface.docs),
            functions: functions.collect(),
        })
    });
    interfaces.collect()
}

/// The first sentence of a documentation, which by the contract's rules is its summary.
fn sentence(docs: &Docs) -> Option<String> {
    let first = docs.contents.as_deref()?.split("\n\n").next()?.replace('\n', " ");
    let end = first.find(". ").map_or(first.len(), |dot| dot + 1);
    first.get(..end).map(|text| text.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn exports_have_the_contracts_documentation() {
        let found = exports(&["tunesmith:method/ollama@0.1.0".into(), "init".into()]);
        assert_eq!(found[0].doc.as_deref(), Some("The ability to configure a derived model on Ollama."));
        assert_eq!(found[0].functions[0].name, "configure");
        assert_eq!(found[0].functions[0].doc, "Configures the derived model for a job.");
        assert_eq!((found[1].doc.as_deref(), found[1].functions.len()), (None, 0));
    }

    #[test]
    fn every_interface_of_the_contract_is_in_words() {
        for interface in contract() {
            assert!(interface.doc.is_some(), "{}", interface.name);
            assert!(
                interface.functions.iter().all(|function| !function.doc.is_empty()),
                "{}",
                interface.name
            );
        }
        let known = ["dataset", "diagnostics", "types"].map(|name| format!("tunesmith:method/{name}@0.1.0"));
        assert!(imports(&known).iter().all(|import| !import.meaning.contains("rejected")));
    }
}
