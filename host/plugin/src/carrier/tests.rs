use super::*;
use std::collections::BTreeSet;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

fn component(guest: &str) -> Vec<u8> {
    let module = tunesmith_hostile::rust(guest).unwrap();
    ComponentEncoder::default().module(module).unwrap().validate(false).encode().unwrap()
}

/// Names of what a component imports and exports.
fn outside(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    exports.sort();
    (imports, exports)
}

#[test]
fn composed_component_keeps_imports_and_interfaces() {
    // A pure plugin, and one with imports of WASI and its resources.
    for guest in ["well_behaved", "uses_wasi"] {
        let plugin = component(guest);
        let whole = wrap(&plugin).unwrap();
        Validator::new_with_features(WasmFeatures::all()).validate_all(&whole).unwrap();
        let (imports, mut exports) = outside(&plugin);
        exports.push(CARRY.to_owned());
        exports.sort();
        assert_eq!(outside(&whole), (imports, exports), "{guest}");
    }
}

#[test]
fn only_clean_up_functions_are_dropped() {
    let exports = |module: &[u8]| {
        let mut names = BTreeSet::new();
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::ExportSection(section) = payload.unwrap() {
                names.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        names
    };
    let module = tunesmith_hostile::rust("well_behaved").unwrap();
    let lean = without_clean_up(module).unwrap();
    Validator::new().validate_all(&lean).unwrap();
    let gone: BTreeSet<_> = exports(module).difference(&exports(&lean)).cloned().collect();
    assert!(!gone.is_empty() && gone.iter().all(|name| name.starts_with("cabi_post_")), "{gone:?}");
    let encoded = ComponentEncoder::default().module(&lean).unwrap().encode().unwrap();
    assert_eq!(outside(&encoded), outside(&component("well_behaved")));
}

#[test]
fn plugin_without_transform_is_unchanged() {
    assert!(wrap(&component("describes")).is_none());
    assert!(wrap(b"\0asm\x0d\0\x01\0").is_none());
    assert!(wrap(b"nothing of the kind").is_none());
    let whole = wrap(&component("well_behaved")).unwrap();
    assert!((0..whole.len()).all(|end| wrap(&whole[..end]).is_none()), "cut short");
}
