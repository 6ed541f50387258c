//! The built-in methods, as the WebAssembly that the host runs in its sandbox like
//! any other plugin.
//!
//! The build script compiles them from their crates beside this one.

/// A built-in method.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The id that a job names, such as `lora`.
    pub id: &'static str,
    /// A core module that carries its component type in custom sections; the host
    /// encodes it as a component when it loads it.
    pub wasm: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));
