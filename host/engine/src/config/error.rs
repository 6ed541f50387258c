//! Faults in the configuration, each with its place and its fix.

use std::fmt;
use std::path::PathBuf;
use tunesmith_core::failure::{self, Advice, Code, Failure};
use tunesmith_core::text::quoted;
use tunesmith_provider::http::EndpointError;

/// Where a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file; line and column count from 1, the column in characters.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The file as a whole.
    WholeFile(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
    /// No one place.
    Nowhere,
}

/// What is wrong. No variant repeats a value that can be a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Syntax(String),
    #[error("unknown key {}{}", quoted(.name), suggested(.suggestion.as_deref()))]
    UnknownKey { name: String, suggestion: Option<String> },
    #[error("unknown section {}{}", quoted(.name), suggested(.suggestion.as_deref()))]
    UnknownSection { name: String, suggestion: Option<String> },
    #[error("{} is a section: its keys go below a line `[{name}]`", quoted(.name))]
    NotASection { name: String },
    #[error("{key} must be {expected}, not {found}")]
    WrongType { key: &'static str, expected: &'static str, found: &'static str },
    #[error("{key} is {value}, but must be {range}")]
    OutOfRange { key: &'static str, value: String, range: String },
    #[error("{key} {what}")]
    Text { key: &'static str, what: String },
    #[error("{key}: {error}")]
    Endpoint { key: &'static str, error: EndpointError },
    #[error("{} is a relative path, which would mean another place in each directory", quoted(.path))]
    RelativePath { path: String },
    #[error("{} holds a secret, which does not belong in the configuration", quoted(.key))]
    Secret { key: String },
    #[error("not UTF-8")]
    NotUtf8,
    #[error(
        "neither {variable} nor HOME is an absolute path, so there is no directory for tunesmith's files"
    )]
    NoHome { variable: &'static str },
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("there is no such file")]
    Missing,
    #[error("is {0}, not a regular file")]
    NotAFile(&'static str),
    #[error("has mode {0:04o}: anyone can write to it, and with it choose where your key is sent")]
    WritableByAnyone(u32),
    #[error("is larger than {0}")]
    TooLarge(String),
}

fn suggested(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

/// One fault in the configuration.
#[derive(Debug)]
pub struct ConfigError {
    /// Where it is.
    pub place: Place,
    problem: Problem,
}

impl ConfigError {
    pub(super) fn new(place: Place, problem: Problem) -> Self {
        Self { place, problem }
    }

    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match &self.problem {
            Problem::Endpoint { error, .. } => error.code(),
            Problem::Syntax(_)
            | Problem::UnknownKey { .. }
            | Problem::UnknownSection { .. }
            | Problem::NotASection { .. }
            | Problem::WrongType { .. }
            | Problem::OutOfRange { .. }
            | Problem::Text { .. }
            | Problem::RelativePath { .. }
            | Problem::Secret { .. }
            | Problem::NotUtf8
            | Problem::NoHome { .. }
            | Problem::Unreadable(_)
            | Problem::Missing
            | Problem::NotAFile(_)
            | Problem::WritableByAnyone(_)
            | Problem::TooLarge(_) => Code::ConfigInvalid,
        }
    }

    /// What to do about it, where that is not obvious.
    pub fn advice(&self) -> Vec<Advice> {
        match &self.problem {
            Problem::Secret { .. } => {
                vec!["remove it, and make a new key if others could read the file".into(), Advice::SetKey]
            }
            Problem::UnknownKey { suggestion: None, .. }
            | Problem::UnknownSection { suggestion: None, .. } => {
                vec![Advice::ShowConfig]
            }
            Problem::RelativePath { .. } => vec!["give an absolute path".into()],
            Problem::Endpoint { error, .. } => vec![error.advice()],
            Problem::NoHome { variable } => vec![Advice::SetHome { variable: (*variable).to_owned() }],
            Problem::Missing => vec![Advice::WriteConfig],
            Problem::WritableByAnyone(_) => match &self.place {
                Place::WholeFile(path) => {
                    vec![Advice::RestrictAccess { path: path.clone(), mode: "o-w".into() }]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn file_place(&self) -> Option<failure::Place> {
        match &self.place {
            Place::File { path, line, column } => Some(failure::Place {
                file: path.display().to_string(),
                line: Some(*line),
                column: Some(*column),
            }),
            Place::WholeFile(path) => {
                Some(failure::Place { file: path.display().to_string(), line: None, column: None })
            }
            Place::Variable(_) | Place::Flag(_) | Place::Nowhere => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}: ", path.display())?,
            Place::WholeFile(path) => write!(f, "{}: ", path.display())?,
            Place::Variable(name) => write!(f, "the variable {name}: ")?,
            Place::Flag(flag) => write!(f, "{flag}: ")?,
            Place::Nowhere => {}
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Every fault that was found; at least one.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let first = errors.0.first();
        let code = first.map_or(Code::ConfigInvalid, ConfigError::code);
        let mut failure = Self::new(code, errors.to_string());
        failure.place = first.and_then(ConfigError::file_place);
        for advice in errors.0.iter().flat_map(ConfigError::advice) {
            if !failure.advice.contains(&advice) {
                failure.advice.push(advice);
            }
        }
        failure
    }
}
