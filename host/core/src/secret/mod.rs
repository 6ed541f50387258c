//! Secrets: an API key as a value that cannot be shown or stored by accident.
//!
//! [`shape`] says whether bytes can be a key; [`redact`] takes it out of texts that others
//! wrote.

pub mod redact;
pub mod shape;

pub use redact::Redactor;
pub use shape::{Unfit, check};

use std::fmt;
use std::sync::Arc;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// A key or token. It prints as `[redacted]`, has no serialised form, and is read
/// only through [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the text as it is; [`check`] says whether it can be a key.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The secret itself: for an `Authorization` header and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A secret and where it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The secret.
    pub secret: Secret,
    /// Its place, such as the name of a variable or a file's path; for messages.
    pub place: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Whether a text has the shape of a provider's key (`sk-…` and a long tail, or
/// `Bearer …`), so that one written where it does not belong is noticed.
pub fn looks_like_key(text: &str) -> bool {
    // OpenAI's keys have 40 characters and more after the prefix; 16 also catches
    // those of compatible services, and no word of prose.
    const SHORTEST_TAIL: usize = 16;
    let text = text.trim();
    let tail = text.strip_prefix("sk-").or_else(|| text.strip_prefix("Bearer "));
    tail.is_some_and(|tail| tail.len() >= SHORTEST_TAIL && tail.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_in_no_way() {
        let secret = Secret::new("sk-very-secret-value");
        assert_eq!(format!("{secret} {secret:?} {secret:#?} {:?}", Some(&secret)), {
            "[redacted] [redacted] [redacted] Some([redacted])"
        });
        assert_eq!(secret.expose(), "sk-very-secret-value");
    }

    #[test]
    fn a_secret_cannot_be_serialised() {
        // Compiles only while one implementation applies: were `Secret` to implement
        // `Serialize`, the call would be ambiguous.
        trait OnlyOne<Which> {
            fn applies() {}
        }
        impl<T> OnlyOne<()> for T {}
        #[allow(dead_code)]
        struct Serialisable;
        impl<T: serde::Serialize> OnlyOne<Serialisable> for T {}
        <Secret as OnlyOne<_>>::applies();
    }

    #[test]
    fn keys_are_told_from_prose() {
        for key in ["sk-proj-0123456789abcdef", " sk-0123456789abcdef ", "Bearer 0123456789abcdef01"] {
            assert!(looks_like_key(key), "{key}");
        }
        for prose in
            ["", "sk-short", "sk-this is a sentence of words", "https://api.openai.com/v1", "Bearer of news"]
        {
            assert!(!looks_like_key(prose), "{prose}");
        }
    }
}
