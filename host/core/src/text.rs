//! Makes texts that others wrote safe to show in a terminal and in an error.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A name in an error is cut after this many characters, so that a plugin cannot
/// push the rest of a message off the screen.
const LONGEST_QUOTED: usize = 60;

/// Whether a character shows as nothing, moves the cursor or changes the order of
/// what stands around it: controls, bidirectional marks, zero-width and filler
/// characters, tags, private use and noncharacters. Joiners count too; the two
/// selectors that only choose an emoji's style do not.
pub fn is_hidden(character: char) -> bool {
    matches!(u32::from(character),
        0x00..=0x1f | 0x7f..=0x9f | 0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5
        | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
        | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfe00..=0xfe0d | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
        | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
        | 0xf0000..=0x10ffff)
        || u32::from(character) & 0xfffe == 0xfffe
}

/// The text on one line, with every hidden character as an escape such as `\n` or
/// `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The text with its line feeds and tabs as they are, and every other hidden
/// character as an escape.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| matches!(character, '\n' | '\t'))
}

/// A name or value for an error: on one line, visible, cut if long, in backticks.
pub fn quoted(text: &str) -> String {
    format!("`{}`", excerpt(text, LONGEST_QUOTED))
}

/// The text's first characters on one line, visible; an ellipsis shows that it was
/// cut.
pub fn excerpt(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => visible(text).into_owned(),
        Some((end, _)) => format!("{}…", visible(text.get(..end).unwrap_or_default())),
    }
}

/// The number with commas between thousands.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let hidden = |character| is_hidden(character) && !keep(character);
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            _ if !hidden(character) => escaped.push(character),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["", "plain", "naïve café", "注文　はい", "❤\u{fe0f} 👋", "a\u{301}"] {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped() {
        assert_eq!(visible("\x1b[2Jgone\r\nx\ty"), "\\u{1b}[2Jgone\\r\\nx\\ty");
        assert_eq!(visible("safe\u{202e}cod.exe"), "safe\\u{202e}cod.exe");
        assert_eq!(visible("a\u{200b}b\u{feff}\u{e0041}"), "a\\u{200b}b\\u{feff}\\u{e0041}");
        assert_eq!(visible_lines("one\n\ttwo\r\u{9b}31m"), "one\n\ttwo\\r\\u{9b}31m");
    }

    #[test]
    fn a_long_name_is_cut() {
        let quoted = quoted(&"x".repeat(1000));
        assert_eq!(quoted.chars().count(), LONGEST_QUOTED + 3);
        assert!(quoted.ends_with("x…`"));
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in any::<String>()) {
            prop_assert!(!visible(&text).contains(is_hidden));
        }
    }
}
