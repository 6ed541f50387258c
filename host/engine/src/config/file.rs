//! `config.toml`: read with care, parsed strictly.

use super::Origin;
use super::error::{ConfigError, Place, Problem};
use super::keys::{KEYS, SECTIONS, find, unknown_key, unknown_section};
use super::value::{Value, size};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tunesmith_core::secret::looks_like_key;

/// The file is at most this large: a hundred times the default text.
const LARGEST: u64 = 1 << 20;

/// Names that say that the value is a secret.
const SECRET_NAMES: &[&str] =
    &["key", "token", "secret", "password", "passwd", "credential", "credentials", "bearer"];

/// The file's text; none where it is missing and need not be there.
pub(super) fn read(path: &Path, must_exist: bool) -> Result<Option<String>, ConfigError> {
    let fault = |problem| ConfigError::new(Place::WholeFile(path.to_owned()), problem);
    // Non-blocking, so that a FIFO does not hang.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(fault(Problem::Missing)),
        Err(error) => return Err(fault(Problem::Unreadable(error))),
    };
    let meta = file.metadata().map_err(|error| fault(Problem::Unreadable(error)))?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "a directory" } else { "a device, pipe or socket" };
        return Err(fault(Problem::NotAFile(what)));
    }
    if meta.mode() & 0o002 != 0 {
        return Err(fault(Problem::WritableByAnyone(meta.mode() & 0o7777)));
    }
    let mut bytes = Vec::new();
    let mut limited = file.by_ref().take(LARGEST + 1);
    limited.read_to_end(&mut bytes).map_err(|error| fault(Problem::Unreadable(error)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(fault(Problem::TooLarge(size(LARGEST))));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let before = String::from_utf8_lossy(before).into_owned();
        ConfigError::new(place(path, &before, before.len()), Problem::NotUtf8)
    })
}

/// Takes the values of a file's text; every fault is reported, not only the first.
pub(super) fn parse(
    path: &Path,
    text: &str,
    home: Option<&Path>,
    values: &mut BTreeMap<&'static str, (Value, Origin)>,
    errors: &mut Vec<ConfigError>,
) {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            // The library's own words: what it expected, nothing of the file.
            errors.push(ConfigError::new(place(path, text, at), Problem::Syntax(error.message().to_owned())));
            return;
        }
    };
    let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut reader = FileReader { path, text, directory, home, values, errors };
    for (name, value) in sorted(table.get_ref()) {
        reader.section(name, value);
    }
}

struct FileReader<'r> {
    path: &'r Path,
    text: &'r str,
    directory: PathBuf,
    home: Option<&'r Path>,
    values: &'r mut BTreeMap<&'static str, (Value, Origin)>,
    errors: &'r mut Vec<ConfigError>,
}

type Name<'t> = Spanned<std::borrow::Cow<'t, str>>;
type Item<'t> = Spanned<DeValue<'t>>;

impl FileReader<'_> {
    fn fault(&mut self, at: usize, problem: Problem) {
        self.errors.push(ConfigError::new(place(self.path, self.text, at), problem));
    }

    fn section(&mut self, name: &Name<'_>, item: &Item<'_>) {
        let at = name.span().start;
        let section: &str = name.get_ref();
        let known = SECTIONS.iter().any(|(known, _)| *known == section);
        match item.get_ref() {
            _ if is_secret(section, item.get_ref()) => {
                self.fault(at, Problem::Secret { key: section.to_owned() })
            }
            DeValue::Table(table) if known => {
                for (key, value) in sorted(table) {
                    self.key(section, key, value);
                }
            }
            _ if known => self.fault(at, Problem::NotASection { name: section.to_owned() }),
            DeValue::Table(table) => {
                self.fault(at, unknown_section(section));
                // A secret in a section that does not exist is still one.
                for (key, value) in
                    sorted(table).filter(|(key, value)| is_secret(key.get_ref(), value.get_ref()))
                {
                    let problem = Problem::Secret { key: format!("{section}.{}", key.get_ref()) };
                    self.fault(value.span().start.min(key.span().start), problem);
                }
            }
            _ => self.fault(at, unknown_key(section)),
        }
    }

    fn key(&mut self, section: &str, name: &Name<'_>, item: &Item<'_>) {
        let full = format!("{section}.{}", name.get_ref());
        let Some(key) = find(&full) else {
            let problem = if is_secret(name.get_ref(), item.get_ref()) {
                Problem::Secret { key: full }
            } else {
                unknown_key(&full)
            };
            self.fault(name.span().start, problem);
            return;
        };
        match Value::from_toml(key, item.get_ref(), &self.directory, self.home) {
            Ok(value) => {
                let (line, _) = line_and_column(self.text, name.span().start);
                self.values.insert(key.name, (value, Origin::File { path: self.path.to_owned(), line }));
            }
            Err(problem) => self.fault(item.span().start, problem),
        }
    }
}

/// Whether a name or its value says that it is a secret. Known keys, such as
/// `key_file`, are not asked about their names.
fn is_secret(name: &str, value: &DeValue<'_>) -> bool {
    let DeValue::String(text) = value else { return false };
    let named_so = name.to_ascii_lowercase().split(['_', '-', '.']).any(|word| SECRET_NAMES.contains(&word))
        || name.to_ascii_lowercase().ends_with("apikey");
    looks_like_key(text) || named_so && !KEYS.iter().any(|key| key.parts().1 == name)
}

/// A table's entries in the order in which they stand.
fn sorted<'t, 'i>(table: &'t DeTable<'i>) -> impl Iterator<Item = (&'t Name<'i>, &'t Item<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries.into_iter()
}

fn place(path: &Path, text: &str, at: usize) -> Place {
    let (line, column) = line_and_column(text, at);
    Place::File { path: path.to_owned(), line, column }
}

/// Line and column from 1, the column in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before.get(start..).unwrap_or_default().chars().count() + 1)
}
