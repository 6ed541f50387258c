//! What stopped a guest, from wasmtime's error and what the host noticed.

use super::error::Stopped;
use super::exports::WrongShape;
use super::state::State;
use crate::display::printable;
use std::time::Duration;
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

/// Bytes of wasmtime's own words in an error. 1 KiB: a few sentences.
const MESSAGE_BYTES: usize = 1 << 10;

/// What stopped a guest, from wasmtime's error and what the host noticed.
pub(crate) fn cause(error: &wasmtime::Error, state: &State, deadline: Duration, copied: u64) -> Stopped {
    let limits = &state.limits;
    if let Some(stopped) = &state.stopped {
        return stopped.clone();
    }
    if state.output.exceeded() {
        return Stopped::Output { limit: limits.output };
    }
    if let Some(WrongShape(words)) = error.downcast_ref() {
        return Stopped::Shape(printable(words, MESSAGE_BYTES));
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Stopped::Exited(*code);
    }
    if error.downcast_ref::<std::str::Utf8Error>().is_some()
        || error.root_cause().to_string() == "invalid utf8 encoding"
    {
        return Stopped::BadResult("a string that is not valid UTF-8".into());
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Stopped::Handles { limit: limits.handles };
    }
    let trap = error.downcast_ref::<Trap>().copied();
    match trap {
        Some(Trap::Interrupt) => return Stopped::Deadline { limit: deadline },
        Some(Trap::OutOfFuel) => return Stopped::Fuel { limit: limits.fuel },
        Some(Trap::StackOverflow) => return Stopped::Stack { limit: limits.stack },
        _ => {}
    }
    if let Some(text) = &state.panic {
        return Stopped::Panicked(text.clone());
    }
    if let Some(trap) = trap {
        return Stopped::Trapped(trap_in_words(trap));
    }
    let words = error.root_cause().to_string();
    // wasmtime has no types for these; the tests of hostile guests hold the texts.
    if words.contains("fuel allocated for hostcalls has been exhausted") {
        return Stopped::HostCallBytes { limit: copied };
    }
    if words.contains("store handle limit exceeded") {
        return Stopped::Handles { limit: limits.handles };
    }
    if words.contains("resource limit exceeded") {
        return Stopped::Instances;
    }
    Stopped::Trapped(printable(&words, MESSAGE_BYTES))
}

/// A trap, as an author understands it.
fn trap_in_words(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => {
            "reached `unreachable`: an abort, a failed assertion or an unreported \
             panic (the SDK's export_plugin! reports panics)"
                .into()
        }
        Trap::MemoryOutOfBounds => "accessed memory out of bounds; in compiled languages usually a stack \
             overflow from deep recursion"
            .into(),
        Trap::IntegerDivisionByZero => "divided an integer by zero".into(),
        Trap::IntegerOverflow => "integer overflow".into(),
        Trap::BadConversionToInteger => "converted NaN or an out-of-range number to an integer".into(),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            "called an invalid function pointer".into()
        }
        other => other.to_string().trim_start_matches("wasm trap: ").to_owned(),
    }
}
