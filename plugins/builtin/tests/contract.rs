//! The built-in methods as the host gets them: what they import and export, and how
//! large they are.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and this one prints sizes"
)]

use tunesmith_builtin::{BuiltIn, METHODS};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// The bar for a built-in: encoded, so that the five together stay small in the host's binary.
const MOST_BYTES: usize = 80 * 1024;

/// What every plugin may import: the contract's own interfaces and nothing else.
const CONTRACT: &str = "tunesmith:method/";

fn encode(method: &BuiltIn) -> Vec<u8> {
    ComponentEncoder::default()
        .module(method.wasm)
        .expect("the module carries its component type")
        .validate(true)
        .encode()
        .expect("the module is what its component type says")
}

/// Names of the component's imports and exports.
fn surface(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("the component parses") {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(
                    section.into_iter().map(|import| import.expect("an import").name.name.to_owned()),
                );
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(
                    section.into_iter().map(|export| export.expect("an export").name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    exports.sort();
    (imports, exports)
}

#[test]
fn built_ins_are_listed_once_each() {
    let ids: Vec<_> = METHODS.iter().map(|method| method.id).collect();
    assert_eq!(ids, ["lora", "qlora", "prefix", "adapter", "full"]);
}

#[test]
fn built_ins_are_pure_and_offer_three_abilities() {
    for method in METHODS {
        let (imports, exports) = surface(&encode(method));
        assert!(imports.iter().all(|name| name.starts_with(CONTRACT)), "{}: {imports:?}", method.id);
        assert!(
            imports.contains(&"tunesmith:method/diagnostics@0.1.0".to_owned()),
            "{}: {imports:?}",
            method.id
        );
        assert_eq!(
            exports,
            [
                "tunesmith:method/method@0.1.0",
                "tunesmith:method/ollama@0.1.0",
                "tunesmith:method/openai@0.1.0",
                "tunesmith:method/training@0.1.0",
            ],
            "{}",
            method.id
        );
    }
}

#[test]
fn built_ins_are_small() {
    for method in METHODS {
        let component = encode(method);
        println!(
            "{:8} module {:6} bytes, component {:6} bytes",
            method.id,
            method.wasm.len(),
            component.len()
        );
        assert!(component.len() <= MOST_BYTES, "{}: {} bytes", method.id, component.len());
    }
}

/// Plans carry a digest of the method, which should be the same wherever the host was
/// built from the same sources with the same compiler.
#[test]
fn built_ins_contain_no_build_paths() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace");
    let needle = workspace.to_str().expect("a path in UTF-8").as_bytes();
    for method in METHODS {
        let found = method.wasm.windows(needle.len()).any(|window| window == needle);
        assert!(!found, "{} names {}", method.id, workspace.display());
    }
}
