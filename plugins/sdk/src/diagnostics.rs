//! Messages to the user while a method runs, in addition to its result.
//!
//! Notes on a choice belong in the configuration and are stored with it. Diagnostics are
//! for messages that the user should see in any case.

/// Reports information to the user, in one sentence.
pub fn info(text: &str) {
    note(Level::Info, text);
}

/// Reports a warning that the user should act on, in one sentence.
pub fn warning(text: &str) {
    note(Level::Warning, text);
}

pub use crate::bindings::plugin_base::tunesmith::method::diagnostics::Level;

#[cfg(target_arch = "wasm32")]
fn note(level: Level, text: &str) {
    crate::bindings::plugin_base::tunesmith::method::diagnostics::note(level, text);
}

#[cfg(not(target_arch = "wasm32"))]
fn note(level: Level, text: &str) {
    crate::testing::record(level, text);
}

/// Passes the text of a panic to the host before the plugin traps. A plugin without WASI
/// has no standard error to print it to.
///
/// Called at the entry of every export; only an instance's first call does anything.
#[cfg(target_arch = "wasm32")]
pub(crate) fn report_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            crate::bindings::plugin_base::tunesmith::method::diagnostics::panicked(&panic.to_string());
        }));
    });
}
