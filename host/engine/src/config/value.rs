//! Values: read from TOML, a variable or a flag, or the default, and checked against the
//! key's range.

use super::Origin;
use super::directories::BaseDirectories;
use super::error::{ConfigError, Problem};
use super::keys::{Base, DefaultValue, Item, Key, Kind};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::DeValue;
use tunesmith_core::ProviderId;
use tunesmith_core::digest::Digest;
use tunesmith_core::secret::looks_like_key;
use tunesmith_core::text::quoted;
use tunesmith_plugin_host::Tier;

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A file or directory.
    Path(PathBuf),
    /// A text.
    Text(String),
    /// Seconds, a count or bytes, as the key says.
    Integer(u64),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A list of texts.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(texts) if texts.is_empty() => f.write_str("nothing"),
            Self::List(texts) => f.write_str(&texts.join(", ")),
        }
    }
}

/// A list has at most this many texts: each of them is compared with every job.
const MOST_TEXTS: usize = 1_000;

/// A pattern is at most this long: as long as a model's name.
const LONGEST_PATTERN: usize = 350;

const UNITS: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

impl Value {
    /// Every text of a list, made into something; none where one cannot be, which
    /// reading has made sure of.
    pub(super) fn each<T>(&self, make: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        match self {
            Self::List(texts) => texts.iter().map(|text| make(text)).collect(),
            _ => None,
        }
    }

    /// Reads a variable's or a flag's text.
    pub(super) fn from_text(key: &Key, text: &str) -> Result<Self, Problem> {
        let trimmed = text.trim();
        refuse_secret(key, trimmed)?;
        let wrong =
            || Problem::WrongType { key: key.name, expected: expected(key.kind), found: "another text" };
        match key.kind {
            Kind::Path => Ok(Self::Path(PathBuf::from(text))),
            Kind::Text { .. } => Self::text(key, trimmed),
            Kind::Flag => match trimmed {
                "true" | "1" => Ok(Self::Flag(true)),
                "false" | "0" => Ok(Self::Flag(false)),
                _ => Err(wrong()),
            },
            Kind::Number { .. } => Self::number(key, trimmed.parse().map_err(|_| wrong())?),
            Kind::Bytes { .. } => Self::integer(key, bytes(trimmed).ok_or_else(wrong)?),
            Kind::List { of } => {
                let texts = trimmed.split(',').map(str::trim).filter(|text| !text.is_empty());
                Self::list(key, of, texts.map(str::to_owned))
            }
            Kind::Seconds { .. } | Kind::Count { .. } => {
                let digits = trimmed.replace('_', "");
                Self::integer(key, digits.parse().map_err(|_| wrong())?)
            }
        }
    }

    /// Reads a TOML value. Paths are taken relative to `directory`.
    pub(super) fn from_toml(
        key: &Key,
        value: &DeValue<'_>,
        directory: &Path,
        home: Option<&Path>,
    ) -> Result<Self, Problem> {
        let wrong =
            || Problem::WrongType { key: key.name, expected: expected(key.kind), found: type_name(value) };
        let another =
            || Problem::WrongType { key: key.name, expected: expected(key.kind), found: "another text" };
        let integer = || {
            let number = value.as_integer()?;
            i128::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        };
        if let Some(text) = value.as_str() {
            refuse_secret(key, text)?;
        }
        match (key.kind, value) {
            (Kind::Path, DeValue::String(text)) => path(key, text, directory, home),
            (Kind::Text { .. }, DeValue::String(text)) => Self::text(key, text.trim()),
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Self::Flag(*flag)),
            (Kind::List { of }, DeValue::Array(items)) => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                Self::list(key, of, texts.ok_or_else(another)?.into_iter())
            }
            (Kind::Bytes { .. }, DeValue::String(text)) => {
                Self::integer(key, bytes(text).ok_or_else(another)?)
            }
            (Kind::Number { .. }, DeValue::Float(number)) => {
                Self::number(key, number.as_str().replace('_', "").parse().map_err(|_| wrong())?)
            }
            (Kind::Number { .. }, DeValue::Integer(_)) =>
            {
                #[expect(clippy::cast_precision_loss, reason = "what loses precision is far out of range")]
                Self::number(key, integer().ok_or_else(wrong)? as f64)
            }
            (Kind::Bytes { .. } | Kind::Seconds { .. } | Kind::Count { .. }, DeValue::Integer(_)) => {
                // A negative or enormous one is out of range, which says what is.
                let number = integer().ok_or_else(wrong)?;
                let number = u64::try_from(number).map_err(|_| out_of_range(key, &number.to_string()))?;
                Self::integer(key, number)
            }
            _ => Err(wrong()),
        }
    }

    fn text(key: &Key, text: &str) -> Result<Self, Problem> {
        let Kind::Text { longest } = key.kind else { return Ok(Self::Text(text.to_owned())) };
        if text.is_empty() {
            return Err(Problem::Text { key: key.name, what: "is empty".to_owned() });
        }
        if text.len() > longest {
            return Err(Problem::Text { key: key.name, what: format!("is longer than {longest} bytes") });
        }
        if text.contains(|character: char| !character.is_ascii_graphic()) {
            let what = "has a space, a control character or a character outside ASCII".to_owned();
            return Err(Problem::Text { key: key.name, what });
        }
        Ok(Self::Text(text.to_owned()))
    }

    fn list(key: &Key, of: Item, texts: impl Iterator<Item = String>) -> Result<Self, Problem> {
        let texts: Vec<String> = texts.collect();
        if texts.len() > MOST_TEXTS {
            return Err(Problem::Text { key: key.name, what: format!("has more than {MOST_TEXTS} texts") });
        }
        for text in &texts {
            refuse_secret(key, text)?;
            if !of.takes(text) {
                let what = format!("has {}, which is not {}", quoted(text), of.words());
                return Err(Problem::Text { key: key.name, what });
            }
        }
        Ok(Self::List(texts))
    }

    fn integer(key: &Key, number: u64) -> Result<Self, Problem> {
        let (least, most) = match key.kind {
            Kind::Seconds { most } => (1, most),
            Kind::Count { least, most } | Kind::Bytes { least, most } => (least, most),
            _ => (0, u64::MAX),
        };
        if number < least || number > most {
            return Err(out_of_range(key, &number.to_string()));
        }
        Ok(Self::Integer(number))
    }

    fn number(key: &Key, number: f64) -> Result<Self, Problem> {
        let Kind::Number { least, most } = key.kind else { return Ok(Self::Number(number)) };
        // NaN is in no range.
        if !(least..=most).contains(&number) {
            return Err(out_of_range(key, &number.to_string()));
        }
        Ok(Self::Number(number))
    }
}

impl DefaultValue {
    /// The value, once the keys before this one have theirs.
    pub(super) fn value(
        self,
        base: &BaseDirectories,
        values: &BTreeMap<&'static str, (Value, Origin)>,
    ) -> Result<Option<Value>, ConfigError> {
        Ok(match self {
            Self::Absent(_) => None,
            Self::Text(text) => Some(Value::Text(text.to_owned())),
            Self::Seconds(seconds) => Some(Value::Integer(seconds)),
            Self::Flag(flag) => Some(Value::Flag(flag)),
            Self::Base(Base::Data) => Some(Value::Path(base.data()?)),
            Self::Base(Base::Cache) => Some(Value::Path(base.cache()?)),
            Self::Base(Base::State) => Some(Value::Path(base.state()?)),
            Self::InData(name) => match values.get("directories.data") {
                Some((Value::Path(data), _)) => Some(Value::Path(data.join(name))),
                _ => None,
            },
        })
    }
}

impl Item {
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Provider => text.parse::<ProviderId>().is_ok(),
            Self::Tier => text.parse::<Tier>().is_ok(),
            Self::Digest => text.parse::<Digest>().is_ok(),
            Self::Pattern => {
                !text.is_empty()
                    && text.len() <= LONGEST_PATTERN
                    && text.bytes().all(|byte| byte.is_ascii_graphic())
            }
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Provider => "a provider: ollama, openai or local",
            Self::Tier => "a tier: pure or std",
            Self::Digest => "a digest: sha256: and 64 lower-case hexadecimal digits",
            Self::Pattern => "a pattern: a model's name, with * and ? for what may vary",
        }
    }
}

fn refuse_secret(key: &Key, text: &str) -> Result<(), Problem> {
    if looks_like_key(text) { Err(Problem::Secret { key: key.name.to_owned() }) } else { Ok(()) }
}

fn path(key: &Key, text: &str, directory: &Path, home: Option<&Path>) -> Result<Value, Problem> {
    if text.is_empty() || text.contains('\0') {
        return Err(Problem::Text { key: key.name, what: "is not a path".to_owned() });
    }
    let path = match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) => return Err(Problem::NoHome { variable: "HOME" }),
        (None, _) => directory.join(text),
    };
    Ok(Value::Path(path))
}

/// `1048576`, `64 MiB`, `64MiB`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|digits| (digits, *unit)))
        .unwrap_or((text, 1));
    digits.trim().replace('_', "").parse::<u64>().ok()?.checked_mul(unit)
}

/// A size with the largest unit that divides it.
pub(super) fn size(bytes: u64) -> String {
    let unit =
        UNITS.iter().rev().find(|(_, unit)| *unit > 1 && bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} B"), |(name, unit)| format!("{} {name}", bytes / unit))
}

fn out_of_range(key: &Key, value: &str) -> Problem {
    Problem::OutOfRange { key: key.name, value: value.to_owned(), range: range(key.kind) }
}

fn range(kind: Kind) -> String {
    match kind {
        Kind::Seconds { most } => format!("1 to {most} seconds"),
        Kind::Count { least, most } => format!("{least} to {most}"),
        Kind::Bytes { least, most } => format!("{} to {}", size(least), size(most)),
        Kind::Number { least, most } => format!("{least} to {most}"),
        Kind::Path | Kind::Text { .. } | Kind::Flag | Kind::List { .. } => expected(kind).to_owned(),
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Path => "a path in quotes",
        Kind::Text { .. } => "a text in quotes",
        Kind::Seconds { .. } => "a whole number of seconds",
        Kind::Count { .. } => "a whole number",
        Kind::Bytes { .. } => "a number of bytes or a text such as \"64 MiB\"",
        Kind::Number { .. } => "a number",
        Kind::Flag => "true or false",
        Kind::List { .. } => "a list of texts, such as [\"a\", \"b\"]",
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
