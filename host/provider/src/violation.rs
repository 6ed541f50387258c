//! What a plugin returned against the rules: each broken rule by name, with its
//! place, on one line.

use serde::Serialize;
use std::fmt;
use tunesmith_core::contract::Role;
use tunesmith_core::text::{excerpt, quoted};

/// At most this many violations are kept of one answer: enough for an author to
/// correct all at once, without a hostile answer filling the screen.
pub const MOST_KEPT: usize = 12;

/// Values in a message are cut after this many characters.
const LONGEST_VALUE: usize = 80;

/// A suffix has at most this many characters. OpenAI's specification allows 64 today
/// and allowed 40 and 18 before; 18 characters of `a-z`, `0-9` and `-` are accepted
/// by all of them and by compatible services, and a colon would break the tuned
/// model's name apart.
pub const LONGEST_SUFFIX: usize = 18;

/// The closed list that a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum List {
    /// Parameters of an Ollama model.
    OllamaParameter,
    /// Hyperparameters of an OpenAI job.
    OpenAiHyperparameter,
    /// Settings of a training recipe.
    RecipeSetting,
    /// The common settings of a job.
    CommonSetting,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OllamaParameter => "Ollama parameter",
            Self::OpenAiHyperparameter => "OpenAI hyperparameter",
            Self::RecipeSetting => "recipe setting",
            Self::CommonSetting => "setting",
        })
    }
}

/// A conversation that cannot serve as an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShotFault {
    /// It has no messages.
    Empty,
    /// A system message stands after another message.
    SystemInside,
    /// The first message after the system prompt is not the user's.
    DoesNotStartWithUser,
    /// The last message is not the assistant's.
    NoAnswer,
    /// The last message is the assistant's, but blank.
    BlankAnswer,
}

impl fmt::Display for ShotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it has no messages",
            Self::SystemInside => "a system message comes after another message",
            Self::DoesNotStartWithUser => {
                "it does not start with a user message (a system prompt may stand before it)"
            }
            Self::NoAnswer => "it does not end with an assistant message",
            Self::BlankAnswer => "its last assistant message is blank",
        })
    }
}

/// An example's place: its number in the list, from 1, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShotPlace {
    /// The number in the returned list, from 1.
    pub example: usize,
    /// The row of the dataset; none for one that the method wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
}

impl fmt::Display for ShotPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "example {} (row {row})", self.example),
            None => write!(f, "example {} (written by the method)", self.example),
        }
    }
}

/// A rule that a plugin's answer breaks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "rule", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Violation {
    /// A name that the list does not have.
    UnknownName {
        /// The list.
        list: List,
        /// The name.
        name: String,
        /// The known name that is probably meant.
        nearest: Option<&'static str>,
    },
    /// A name that exists but is not a plugin's to set.
    ForbiddenName {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A name that does not apply to what else was chosen.
    NotApplicable {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
        /// What it does not apply to.
        to: String,
    },
    /// A name that must be there.
    Missing {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
        /// What needs it.
        needed_by: String,
    },
    /// A name that comes twice.
    RepeatedName {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
    },
    /// A value of another type.
    WrongType {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
        /// What would be accepted.
        expected: String,
        /// What came.
        found: &'static str,
    },
    /// A value out of its range.
    OutOfRange {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
        /// What would be accepted.
        accepted: String,
        /// What came.
        found: String,
    },
    /// NaN or an infinity.
    NotFinite {
        /// The list.
        list: List,
        /// The name.
        name: &'static str,
        /// What came.
        found: String,
    },
    /// Two values that cannot both hold.
    Contradiction {
        /// Which, and why.
        what: String,
    },
    /// The job gives a value, and another one came back.
    NotHonoured {
        /// The job's setting.
        setting: &'static str,
        /// The value that the job gives.
        given: String,
        /// The list of the returned name.
        list: List,
        /// The returned name.
        name: &'static str,
        /// The value that came back.
        returned: String,
    },
    /// An example refers to a row that is not there, or that is not plain text.
    NoSuchRow {
        /// The example.
        place: ShotPlace,
    },
    /// Two examples are the same row.
    RepeatedRow {
        /// The second one.
        place: ShotPlace,
        /// The number of the first, from 1.
        first: usize,
    },
    /// More examples than are allowed.
    TooManyExamples {
        /// How many came.
        count: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A conversation that cannot serve as an example.
    UnusableExample {
        /// The example.
        place: ShotPlace,
        /// Why.
        fault: ShotFault,
    },
    /// A text longer than allowed.
    TextTooLong {
        /// Which text.
        what: String,
        /// Its length in bytes.
        bytes: usize,
        /// The allowed length in bytes.
        most: usize,
    },
    /// More notes than are allowed.
    TooManyNotes {
        /// How many came.
        count: usize,
        /// How many are allowed.
        most: usize,
    },
    /// What is baked in leaves too little of the context window.
    OverBudget {
        /// Tokens of the system prompt.
        system: u64,
        /// Tokens of the examples.
        examples: u64,
        /// How many examples.
        count: usize,
        /// Tokens that must stay free for question and answer.
        reserve: u64,
        /// The context window in tokens.
        context_window: u32,
    },
    /// An objective that the host does not have.
    UnknownObjective {
        /// What came.
        found: String,
    },
    /// A technique that the host does not have.
    UnknownTechnique {
        /// What came.
        found: String,
        /// The known one that is probably meant.
        nearest: Option<&'static str>,
    },
    /// A suffix that a tuned model's name cannot have.
    BadSuffix {
        /// What came.
        found: String,
    },
    /// A module's name that is none.
    BadModuleName {
        /// What came.
        found: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &str| excerpt(text, LONGEST_VALUE);
        match self {
            Self::UnknownName { list, name, nearest } => {
                write!(f, "{list} {} is not known", quoted(name))?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did it mean `{nearest}`?"))
            }
            Self::ForbiddenName { list, name, reason } => {
                write!(f, "{list} `{name}` is not a method's to set: {reason}")
            }
            Self::NotApplicable { list, name, to } => {
                write!(f, "{list} `{name}` does not apply to {}", cut(to))
            }
            Self::Missing { list, name, needed_by } => {
                write!(f, "{list} `{name}` is missing: {} needs it", cut(needed_by))
            }
            Self::RepeatedName { list, name } => write!(f, "{list} `{name}` is given twice"),
            Self::WrongType { list, name, expected, found } => {
                write!(f, "{list} `{name}` must be {expected}, but is {found}")
            }
            Self::OutOfRange { list, name, accepted, found } => {
                write!(f, "{list} `{name}` must be {accepted}, but is {}", cut(found))
            }
            Self::NotFinite { list, name, found } => {
                write!(f, "{list} `{name}` must be a finite number, but is {found}")
            }
            Self::Contradiction { what } => f.write_str(&cut(what)),
            Self::NotHonoured { setting, given, list, name, returned } => {
                write!(
                    f,
                    "the job gives {setting} {}, but {list} `{name}` came back as {}",
                    cut(given),
                    cut(returned)
                )
            }
            Self::NoSuchRow { place } => {
                write!(f, "{place} refers to a row that the dataset does not have as plain text")
            }
            Self::RepeatedRow { place, first } => write!(f, "{place} repeats example {first}"),
            Self::TooManyExamples { count, most } => {
                write!(f, "{count} examples were returned; at most {most} are allowed")
            }
            Self::UnusableExample { place, fault } => write!(f, "{place} cannot be used: {fault}"),
            Self::TextTooLong { what, bytes, most } => {
                write!(f, "{what} has {bytes} bytes; at most {most} are allowed")
            }
            Self::TooManyNotes { count, most } => {
                write!(f, "{count} notes were returned; at most {most} are allowed")
            }
            Self::OverBudget { system, examples, count, reserve, context_window } => write!(
                f,
                "about {} tokens do not fit the context window of {context_window}: {system} for the system prompt, \
                 {examples} for {count} example{}, {reserve} kept free for question and answer (Ollama would silently \
                 drop the oldest examples)",
                system + examples + reserve,
                if *count == 1 { "" } else { "s" },
            ),
            Self::UnknownObjective { found } => {
                write!(f, "objective {} is not known; it must be supervised or dpo", quoted(found))
            }
            Self::UnknownTechnique { found, nearest } => {
                write!(f, "technique {} is not known", quoted(found))?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did it mean `{nearest}`?"))
            }
            Self::BadSuffix { found } => write!(
                f,
                "suffix {} must be 1 to {} of a-z, 0-9 and -, without - at either end",
                quoted(found),
                LONGEST_SUFFIX
            ),
            Self::BadModuleName { found } => write!(
                f,
                "target module {} must be letters, digits, `_`, `-` and `.`, or all-linear on its own",
                quoted(found)
            ),
        }
    }
}

impl std::error::Error for Violation {}

/// All rules that one answer breaks: at least one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Violations {
    /// The first ones, at most [`MOST_KEPT`].
    pub list: Vec<Violation>,
    /// How many more there were.
    pub more: usize,
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        if self.more > 0 { write!(f, "; and {} more", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for Violations {}

/// Collects violations while an answer is checked.
#[derive(Debug, Default)]
pub struct Report {
    list: Vec<Violation>,
    more: usize,
}

impl Report {
    /// Adds one.
    pub fn add(&mut self, violation: Violation) {
        if self.list.len() < MOST_KEPT {
            self.list.push(violation);
        } else {
            self.more += 1;
        }
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// All that was added.
    pub fn finish<T>(self, value: T) -> Result<T, Violations> {
        if self.list.is_empty() { Ok(value) } else { Err(Violations { list: self.list, more: self.more }) }
    }
}

/// At most this many notes of a plugin are shown.
pub const MOST_NOTES: usize = 32;

/// A note is a sentence or a short paragraph: at most this many bytes.
pub const LONGEST_NOTE: usize = 2_000;

/// Checks the number and length of notes.
pub(crate) fn check_notes(notes: &[String], report: &mut Report) {
    if notes.len() > MOST_NOTES {
        report.add(Violation::TooManyNotes { count: notes.len(), most: MOST_NOTES });
    }
    for (index, note) in notes.iter().take(MOST_NOTES).enumerate() {
        if note.len() > LONGEST_NOTE {
            let what = format!("note {}", index + 1);
            report.add(Violation::TextTooLong { what, bytes: note.len(), most: LONGEST_NOTE });
        }
    }
}

/// What is wrong with a conversation as an example, if anything. It may begin with
/// one system prompt, then starts with the user and ends with an answer.
pub fn shot_fault(example: &tunesmith_core::contract::Example) -> Option<ShotFault> {
    let messages = example.messages.as_slice();
    let turns = match messages.first() {
        None => return Some(ShotFault::Empty),
        Some(first) if first.role == Role::System => &messages[1..],
        Some(_) => messages,
    };
    if turns.iter().any(|message| message.role == Role::System) {
        return Some(ShotFault::SystemInside);
    }
    match (turns.first(), turns.last()) {
        (Some(first), Some(last)) => {
            if first.role != Role::User {
                Some(ShotFault::DoesNotStartWithUser)
            } else if last.role != Role::Assistant {
                Some(ShotFault::NoAnswer)
            } else if last.content.trim().is_empty() {
                Some(ShotFault::BlankAnswer)
            } else {
                None
            }
        }
        _ => Some(ShotFault::NoAnswer),
    }
}
