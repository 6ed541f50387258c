//! Files of this repository that are copied into a project: the contract, and for Rust
//! the SDK. They are part of the program, so that a project is created offline and fits
//! the host that created it.

/// The contract's files, of the package `tunesmith:method`.
pub const CONTRACT: &[(&str, &str)] = &[
    ("dataset.wit", include_str!("../../../../wit/method/dataset.wit")),
    ("diagnostics.wit", include_str!("../../../../wit/method/diagnostics.wit")),
    ("method.wit", include_str!("../../../../wit/method/method.wit")),
    ("ollama.wit", include_str!("../../../../wit/method/ollama.wit")),
    ("openai.wit", include_str!("../../../../wit/method/openai.wit")),
    ("training.wit", include_str!("../../../../wit/method/training.wit")),
    ("transform.wit", include_str!("../../../../wit/method/transform.wit")),
    ("types.wit", include_str!("../../../../wit/method/types.wit")),
    ("worlds.wit", include_str!("../../../../wit/method/worlds.wit")),
];

/// The SDK's files except its manifest.
pub const SDK: &[(&str, &str)] = &[
    ("src/abilities.rs", include_str!("../../../../plugins/sdk/src/abilities.rs")),
    ("src/allocator.rs", include_str!("../../../../plugins/sdk/src/allocator.rs")),
    ("src/bindings/mod.rs", include_str!("../../../../plugins/sdk/src/bindings/mod.rs")),
    ("src/bindings/plugin_base.rs", include_str!("../../../../plugins/sdk/src/bindings/plugin_base.rs")),
    ("src/bindings/with_ollama.rs", include_str!("../../../../plugins/sdk/src/bindings/with_ollama.rs")),
    ("src/bindings/with_openai.rs", include_str!("../../../../plugins/sdk/src/bindings/with_openai.rs")),
    ("src/bindings/with_training.rs", include_str!("../../../../plugins/sdk/src/bindings/with_training.rs")),
    (
        "src/bindings/with_transform.rs",
        include_str!("../../../../plugins/sdk/src/bindings/with_transform.rs"),
    ),
    ("src/config.rs", include_str!("../../../../plugins/sdk/src/config.rs")),
    ("src/dataset.rs", include_str!("../../../../plugins/sdk/src/dataset.rs")),
    ("src/descriptor.rs", include_str!("../../../../plugins/sdk/src/descriptor.rs")),
    ("src/diagnostics.rs", include_str!("../../../../plugins/sdk/src/diagnostics.rs")),
    ("src/export.rs", include_str!("../../../../plugins/sdk/src/export.rs")),
    ("src/glue.rs", include_str!("../../../../plugins/sdk/src/glue.rs")),
    ("src/job.rs", include_str!("../../../../plugins/sdk/src/job.rs")),
    ("src/lib.rs", include_str!("../../../../plugins/sdk/src/lib.rs")),
    ("src/prompt/mod.rs", include_str!("../../../../plugins/sdk/src/prompt/mod.rs")),
    ("src/prompt/system.rs", include_str!("../../../../plugins/sdk/src/prompt/system.rs")),
    ("src/prompt/tests.rs", include_str!("../../../../plugins/sdk/src/prompt/tests.rs")),
    ("src/prompt/tokens.rs", include_str!("../../../../plugins/sdk/src/prompt/tokens.rs")),
    ("src/testing.rs", include_str!("../../../../plugins/sdk/src/testing.rs")),
    ("src/value.rs", include_str!("../../../../plugins/sdk/src/value.rs")),
];

pub const SDK_MANIFEST: &str = include_str!("../../../../plugins/sdk/Cargo.toml");

/// The license files.
pub const LICENSES: &[(&str, &str)] = &[
    ("LICENSE-APACHE", include_str!("../../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../../LICENSE-MIT")),
];

/// The SDK's manifest without the development dependencies, which only this repository
/// needs.
pub fn sdk_manifest() -> String {
    let mut skipping = false;
    let lines = SDK_MANIFEST.lines().filter(|line| {
        if line.starts_with('[') {
            skipping = *line == "[dev-dependencies]";
        }
        !skipping
    });
    lines.map(|line| format!("{line}\n")).collect()
}
