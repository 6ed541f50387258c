//! Strings of JSON: where they stop being plain, and what their escapes mean.

use std::borrow::Cow;

/// Whether `\` and this byte are an escape of one character.
#[inline]
pub(crate) fn is_plain_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// The offset of the first quote, backslash or control character.
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        let word = u64::from_le_bytes(eight);
        let quote = word ^ (LOW * b'"' as u64);
        let backslash = word ^ (LOW * b'\\' as u64);
        // The lowest marked byte of each is right; bytes above it may be marked
        // wrongly by a borrow, which does not matter for the first.
        let found = ((quote.wrapping_sub(LOW) & !quote)
            | (backslash.wrapping_sub(LOW) & !backslash)
            | (word.wrapping_sub(LOW * 0x20) & !word))
            & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + (digit as char).to_digit(16)?))
}

/// The value of a string without its quotes, whose escapes are known to be valid.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape_into(raw, &mut out);
    Cow::Owned(out)
}

/// The same, added to `out`.
pub(crate) fn unescape_into(mut raw: &str, out: &mut String) {
    while let Some(at) = memchr::memchr(b'\\', raw.as_bytes()) {
        out.push_str(&raw[..at]);
        let (character, length) = match raw.as_bytes()[at + 1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unescape_unit(&raw.as_bytes()[at..]),
            other => (other as char, 2),
        };
        out.push(character);
        raw = &raw[at + length..];
    }
    out.push_str(raw);
}

fn unescape_unit(raw: &[u8]) -> (char, usize) {
    let unit = |at: usize| raw.get(at..at + 4).and_then(hex).unwrap_or(0xfffd);
    let first = unit(2);
    if (0xd800..0xdc00).contains(&first) {
        let low = unit(8);
        let code = 0x10000 + ((first - 0xd800) << 10) + (low & 0x3ff);
        (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
    } else {
        (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
    }
}
