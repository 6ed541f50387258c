//! Figures and untrusted strings, formatted for messages to users.

use std::path::Path;
use std::time::Duration;
use tunesmith_core::text::visible;

/// A number with thousands separated: `70,000`.
pub(crate) fn count(number: u64) -> String {
    tunesmith_core::text::grouped(number.into())
}

/// A size in the largest unit that leaves it exact to a tenth: `64 MiB`, `1.5 KiB`,
/// `1,000 bytes`.
pub(crate) fn size(bytes: u64) -> String {
    for (unit, name) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            return if tenths % 10 == 0 {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{} bytes", count(bytes))
}

/// A span of time: `10 s`, `300 ms`.
pub(crate) fn time(span: Duration) -> String {
    if span.as_millis().is_multiple_of(1000) {
        format!("{} s", count(span.as_secs()))
    } else {
        format!("{} ms", span.as_millis())
    }
}

/// A name from a plugin, safe to print: on one line, with escapes for every character
/// that shows as nothing or that a terminal obeys, and cut to `most` bytes.
pub(crate) fn name(text: &str, most: usize) -> String {
    let cut = text.floor_char_boundary(most);
    let name = visible(&text[..cut]);
    if cut < text.len() { format!("{name} […]") } else { name.into_owned() }
}

/// A text from a plugin, safe to print: without control and direction characters,
/// which could rewrite the terminal, and cut to `most` bytes with a mark that says
/// so. Line breaks and tabs stay.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let mut cut = most.min(text.len());
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut clean: String =
        text[..cut].chars().map(|c| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    if cut < text.len() {
        clean.push_str(" […]");
    }
    clean
}

/// A path, safe to print.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy(), 4096).replace(['\n', '\t'], "\u{fffd}")
}

/// Whether a character can be printed without doing something else.
pub(crate) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\t')
        || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000_000), "1,000,000,000");
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1000), "1,000 bytes");
        assert_eq!(size(u64::MAX), "17179869183.9 GiB");
        assert_eq!(time(Duration::from_secs(10)), "10 s");
        assert_eq!(time(Duration::from_millis(300)), "300 ms");
    }

    #[test]
    fn plugin_strings_cannot_control_the_terminal() {
        assert_eq!(printable("red \u{1b}[31m\ttext\n\u{202e}", 100), "red \u{fffd}[31m\ttext\n\u{fffd}");
        assert_eq!(printable("ééé", 3), "é […]");
    }

    #[test]
    fn name_is_one_line_and_hides_nothing() {
        assert_eq!(name("wasi:cli/stdout@0.2.6", 100), "wasi:cli/stdout@0.2.6");
        assert_eq!(name("env\nerror:\u{1b}[2J\u{200b}", 100), "env\\nerror:\\u{1b}[2J\\u{200b}");
        assert_eq!(name("ééé", 3), "é […]");
    }
}
