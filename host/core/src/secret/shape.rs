//! What a key looks like, so that a wrong file or value is noticed before it is sent.

use super::Secret;

/// A key is at most this long. 8 KiB: servers refuse longer header lines.
const LONGEST_KEY: usize = 8 << 10;

/// Why bytes cannot be a key: the rest of a sentence about the place where they are. No
/// variant carries any part of them.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// A character that no key has.
    #[error("has {what} at byte {at}, which no key has")]
    Character {
        /// What kind of character.
        what: &'static str,
        /// Its offset, from 1, without surrounding white space.
        at: usize,
    },
    /// Longer than any key.
    #[error("is longer than {limit} bytes, which no key is")]
    TooLong {
        /// In bytes.
        limit: u64,
    },
    /// It reads `NAME=value`, as a file for a shell does.
    #[error("is an assignment such as NAME=value, not a key")]
    Assignment,
}

/// The bytes as a secret, without white space around them: visible ASCII characters
/// on one line, at least one.
///
/// # Errors
///
/// Empty, too long, an assignment, or with a character that no key has.
pub fn check(bytes: &[u8]) -> Result<Secret, Unfit> {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Err(Unfit::Empty);
    }
    if bytes.len() > LONGEST_KEY {
        return Err(Unfit::TooLong { limit: LONGEST_KEY as u64 });
    }
    let name: &[u8] = bytes.split(|byte| *byte == b'=').next().unwrap_or_default();
    let shell_name = name.strip_prefix(b"export ").unwrap_or(name);
    // Base64 may end in `=`, and no key is all capitals with an underscore before one.
    if bytes.len() > name.len()
        && shell_name.contains(&b'_')
        && shell_name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit())
    {
        return Err(Unfit::Assignment);
    }
    if let Some(at) = bytes.iter().position(|byte| !byte.is_ascii_graphic()) {
        let what = match bytes.get(at) {
            Some(b'\n' | b'\r') => "a line break",
            Some(b' ' | b'\t') => "a space",
            Some(byte) if byte.is_ascii() => "a control character",
            _ => "a character outside ASCII",
        };
        return Err(Unfit::Character { what, at: at + 1 });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Secret::new(text)),
        // Not reached, as all bytes are ASCII; an error is right if that changes.
        Err(_) => Err(Unfit::Character { what: "a character outside ASCII", at: 1 }),
    }
}
