//! Host bindings of `tunesmith:method@0.1.0`, generated from `wit/method` in a
//! crate of their own because the macro is slow to compile.
//!
//! Nothing here is instantiated as the full world: the host loads each exported
//! interface by itself through its `GuestIndices`, since a plugin exports only
//! the abilities that it has.

wasmtime::component::bindgen!({
    path: "../../../wit/method",
    world: "full-plugin",
    imports: { default: trappable },
    exports: { default: async },
});
