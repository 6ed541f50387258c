//! The settings of a method, as a table.

use crate::view::style::FAINT;
use std::fmt::Write as _;
use tunesmith_core::contract::{Kind, SettingDoc};
use tunesmith_core::text::visible;

/// A line for each setting with its range and default, and one with its meaning.
pub fn settings_table(text: &mut String, settings: &[SettingDoc]) {
    for own in settings {
        let default = match &own.default {
            Some(value) => format!(", default {value}"),
            None => String::new(),
        };
        let _ = writeln!(text, "  {:24}  {}{}", own.name, visible(&range(&own.kind)), visible(&default));
        let _ = writeln!(text, "  {:24}  {FAINT}{}{FAINT:#}", "", visible(&own.doc));
    }
}

/// A range in words.
pub fn range(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "true or false".into(),
        Kind::Integer { least, most } => format!("whole number, {least} to {most}"),
        Kind::Number { least, most, least_excluded: true } => format!("number, above {least} to {most}"),
        Kind::Number { least, most, least_excluded: false } => format!("number, {least} to {most}"),
        Kind::Text(most) => format!("text, at most {most} bytes"),
        Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
        Kind::Texts(most) => format!("list of at most {most} texts"),
    }
}
