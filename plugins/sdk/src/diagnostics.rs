//! Telling the user something while a method runs, beside its result.
//!
//! What explains a choice belongs in the notes of the configuration, which are kept
//! with it. Diagnostics are for what the user should see whatever becomes of the plan.

/// Tells the user something that is good to know, in one sentence.
pub fn info(text: &str) {
    note(Level::Info, text);
}

/// Warns the user of something worth acting on, in one sentence.
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

/// Sees to it that the text of a panic reaches the host before the plugin traps. A
/// plugin without WASI has no standard error to print it on.
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
