//! Keeps `src/bindings` equal to what `wit/method` says.
//!
//! The bindings are committed so that building a plugin needs no code generator.
//! After a change of `wit/method`, write them anew with
//! `UPDATE_BINDINGS=1 cargo test -p tunesmith-plugin --test bindings`.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;
use wit_bindgen_core::{Files, WorldGenerator as _, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

/// The worlds, each with its module in `src/bindings`. The first one generates the
/// types that the others share.
const WORLDS: [(&str, &str); 5] = [
    ("plugin-base", "plugin_base"),
    ("with-ollama", "with_ollama"),
    ("with-openai", "with_openai"),
    ("with-training", "with_training"),
    ("with-transform", "with_transform"),
];

fn generate(world: &str, module: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("../../wit/method")).expect("wit/method parses");
    let id = resolve.select_world(&[package], Some(world)).expect("the world exists");
    let with = if world == "plugin-base" {
        Vec::new()
    } else {
        let types = "crate::bindings::plugin_base::tunesmith::method::types";
        vec![("tunesmith:method/types@0.1.0".to_owned(), WithOption::Path(types.to_owned()))]
    };
    let mut generator = Opts {
        format: true,
        generate_all: true,
        generate_unused_types: true,
        pub_export_macro: true,
        default_bindings_module: Some(format!("$crate::bindings::{module}")),
        additional_derive_attributes: vec!["PartialEq".to_owned()],
        with,
        ..Opts::default()
    }
    .build();
    let mut files = Files::default();
    generator.generate(&mut resolve, id, &mut files).expect("the world can be generated");
    let (_, source) = files.iter().next().expect("one file is generated");
    String::from_utf8(source.to_vec()).expect("Rust is UTF-8")
}

#[test]
fn bindings_are_what_the_contract_says() {
    for (world, module) in WORLDS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/bindings/{module}.rs"));
        let wanted = generate(world, module);
        if std::env::var_os("UPDATE_BINDINGS").is_some() {
            std::fs::write(&path, &wanted).expect("src/bindings is writable");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "src/bindings/{module}.rs differs from wit/method; \
             run `UPDATE_BINDINGS=1 cargo test -p tunesmith-plugin --test bindings`"
        );
    }
}
