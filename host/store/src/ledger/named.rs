//! Enums whose values are stored and shown by name.

/// A name that none of an enum's values has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {given:?} is none of {known}")]
pub struct UnknownName {
    pub(crate) what: &'static str,
    pub(crate) given: String,
    known: String,
}

impl UnknownName {
    pub(super) fn new(what: &'static str, given: &str, known: &[&str]) -> Self {
        Self { what, given: given.to_owned(), known: known.join(", ") }
    }

    /// The names that would do.
    pub(crate) fn why(&self) -> String {
        format!("{:?} is none of {}", self.given, self.known)
    }
}

/// Defines an enum whose values are stored and shown by name.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as stored, shown and typed.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ledger::named::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::ledger::named::UnknownName::new($what, text, &[$($text),*])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use named;
