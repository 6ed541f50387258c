//! How terminal output is styled: the same thing looks the same in every command.

use anstyle::{AnsiColor, Style};
use tunesmith_store::State;

/// Headings and names.
pub const HEADING: Style = Style::new().bold();
/// Things worth acting on.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Failures.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What to do next.
pub const HINT: Style = AnsiColor::Cyan.on_default();
/// Secondary text.
pub const FAINT: Style = Style::new().dimmed();

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    tunesmith_core::text::grouped(u128::from(number))
}

/// A job's state.
pub fn state(state: State) -> Style {
    let colour = match state {
        State::Succeeded => AnsiColor::Green,
        State::Failed => return ERROR,
        State::Unknown => return WARNING,
        State::Paused => AnsiColor::Yellow,
        State::Cancelled => return FAINT,
        State::Planned
        | State::Uploading
        | State::Creating
        | State::Submitted
        | State::Running
        | State::Verifying => AnsiColor::Cyan,
    };
    colour.on_default()
}
