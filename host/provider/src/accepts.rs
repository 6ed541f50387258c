//! Closed lists of named values: what each name accepts, and the check of what a
//! plugin returned against it.

use super::violation::{List, Violation};
use std::fmt;
use tunesmith_core::contract::{Kind, Setting, Value};
use tunesmith_core::nearest::nearest;

/// The type and range of a listed value. Bounds are included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Accepts {
    /// True or false.
    Flag,
    /// A whole number.
    Integer {
        /// The smallest value.
        least: i32,
        /// The largest value.
        most: i32,
    },
    /// A finite number; a whole number does too.
    Number {
        /// The smallest value.
        least: f64,
        /// The largest value.
        most: f64,
        /// Whether the smallest value is itself excluded.
        least_excluded: bool,
    },
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of distinct texts, none empty.
    Texts {
        /// At most this many.
        most: u32,
        /// Each of at most this many bytes.
        longest: u32,
    },
    /// The same, or one word that stands for a list.
    TextsOr {
        /// The word.
        word: &'static str,
        /// At most this many.
        most: u32,
        /// Each of at most this many bytes.
        longest: u32,
    },
}

impl Accepts {
    /// The same, in the contract's terms.
    pub fn kind(self) -> Kind {
        match self {
            Self::Flag => Kind::Flag,
            Self::Integer { least, most } => Kind::Integer { least, most },
            Self::Number { least, most, least_excluded } => Kind::Number { least, most, least_excluded },
            Self::Choice(choices) => Kind::Choice(choices.iter().map(|&choice| choice.to_owned()).collect()),
            Self::Texts { most, .. } | Self::TextsOr { most, .. } => Kind::Texts(most),
        }
    }

    /// Checks type and range.
    ///
    /// # Errors
    /// The violation, which names the list, the name and what would be accepted.
    pub fn check(self, list: List, name: &'static str, value: &Value) -> Result<(), Violation> {
        let wrong_type =
            || Violation::WrongType { list, name, expected: self.to_string(), found: value.kind_name() };
        let out_of_range =
            || Violation::OutOfRange { list, name, accepted: self.to_string(), found: value.to_string() };
        match (self, value) {
            (Self::Flag, Value::Flag(_)) => Ok(()),
            (Self::Integer { least, most }, Value::Integer(value)) => {
                if (least..=most).contains(value) {
                    Ok(())
                } else {
                    Err(out_of_range())
                }
            }
            (Self::Number { least, most, least_excluded }, Value::Integer(_) | Value::Number(_)) => {
                let number = value.as_f64().unwrap_or(f64::NAN);
                if !number.is_finite() {
                    return Err(Violation::NotFinite { list, name, found: value.to_string() });
                }
                let low = if least_excluded { number <= least } else { number < least };
                if low || number > most { Err(out_of_range()) } else { Ok(()) }
            }
            (Self::Choice(choices), Value::Text(text)) => {
                if choices.contains(&text.as_str()) {
                    Ok(())
                } else {
                    Err(out_of_range())
                }
            }
            (Self::TextsOr { word, .. }, Value::Text(text)) => {
                if text == word {
                    Ok(())
                } else {
                    Err(out_of_range())
                }
            }
            (Self::Texts { most, longest } | Self::TextsOr { most, longest, .. }, Value::Texts(texts)) => {
                let fits = texts.len() <= most as usize
                    && texts.iter().all(|text| !text.is_empty() && text.len() <= longest as usize)
                    && texts
                        .iter()
                        .enumerate()
                        .all(|(index, text)| !texts.iter().take(index).any(|t| t == text));
                if fits { Ok(()) } else { Err(out_of_range()) }
            }
            _ => Err(wrong_type()),
        }
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("true or false"),
            Self::Integer { least, most: i32::MAX } => write!(f, "a whole number of at least {least}"),
            Self::Integer { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Number { least, most, least_excluded: true } => {
                write!(f, "a number above {least}, at most {most}")
            }
            Self::Number { least, most, .. } => write!(f, "a number from {least} to {most}"),
            Self::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
            Self::Texts { most, longest } => {
                write!(f, "a list of at most {most} different texts of 1 to {longest} bytes")
            }
            Self::TextsOr { word, most, longest } => {
                write!(f, "{word}, or a list of at most {most} different texts of 1 to {longest} bytes")
            }
        }
    }
}

/// A name of a closed list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listed {
    /// The name.
    pub name: &'static str,
    /// Its type and range.
    pub accepts: Accepts,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

/// Checks returned settings against a closed list: every name is known, none comes
/// twice, and each value has its type and range. What passed comes back in the
/// list's order; what did not is reported.
pub fn check_all<'a>(
    list: List,
    listed: &'static [Listed],
    settings: &'a [Setting],
    mut report: impl FnMut(Violation),
) -> Vec<(&'static Listed, &'a Value)> {
    let mut passed: Vec<(usize, &'static Listed, &Value)> = Vec::new();
    for setting in settings {
        let Some(place) = listed.iter().position(|entry| entry.name == setting.name) else {
            report(unknown(list, listed.iter().map(|entry| entry.name), &setting.name));
            continue;
        };
        let entry = &listed[place];
        if passed.iter().any(|&(other, ..)| other == place) {
            report(Violation::RepeatedName { list, name: entry.name });
        } else if let Err(violation) = entry.accepts.check(list, entry.name, &setting.value) {
            report(violation);
        } else {
            passed.push((place, entry, &setting.value));
        }
    }
    passed.sort_by_key(|&(place, ..)| place);
    passed.into_iter().map(|(_, entry, value)| (entry, value)).collect()
}

/// The violation for a name that a list does not have, with the nearest one that it
/// has.
pub fn unknown(list: List, known: impl Iterator<Item = &'static str>, name: &str) -> Violation {
    Violation::UnknownName { list, name: name.to_owned(), nearest: nearest(known, name) }
}
