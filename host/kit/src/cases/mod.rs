//! Golden cases: a call of a method and the expected answer.
//!
//! A case is a folder: `case.json` with the call and its job, `rows.jsonl` with the
//! dataset, and `expected.json` with the answer. The cases of a project are in
//! `cases/`, those that a plugin file ships in `NAME.cases/` next to it.

mod run;

pub use run::{CaseStatus, Mode, Report, run, shipped};

use super::Function;
use serde::{Deserialize, Deserializer};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use tunesmith_engine::spec::GivenSetting;

/// Cases of one plugin. 256: all of them run when the plugin is loaded.
pub const MOST_CASES: usize = 256;

/// Bytes of a case's description or expected answer. 1 MiB: as much as one string of
/// an answer may have.
const MAX_JSON: u64 = 1 << 20;

/// Bytes of a case's dataset. 16 MiB: tens of thousands of conversations, which is
/// more than a case needs.
const MAX_ROWS: u64 = 16 << 20;

/// The name of a case's dataset, unless it says otherwise.
const ROWS: &str = "rows.jsonl";

/// The name of a case's expected answer.
pub const EXPECTED: &str = "expected.json";

/// A case, as described by its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    /// Its description.
    pub about: Option<String>,
    pub function: Function,
    pub job: String,
    pub base_model: String,
    /// The settings that the user sets.
    pub settings: Vec<GivenSetting>,
    /// The dataset; `None` for one without rows.
    pub rows: Option<PathBuf>,
}

/// Why a case cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct CaseError {
    /// The file or folder.
    pub place: String,
    /// The reason.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CaseFile {
    about: Option<String>,
    call: String,
    name: Option<String>,
    base_model: Option<String>,
    #[serde(default)]
    settings: serde_json::Map<String, serde_json::Value>,
    /// Absent: the usual name. Null: a dataset without rows.
    #[serde(default, deserialize_with = "present")]
    dataset: Option<Option<String>>,
}

/// Distinguishes null from absent.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The cases that a plugin file ships: `NAME.cases/` beside `NAME.wasm`.
pub fn beside(file: &Path) -> Option<PathBuf> {
    let folder = file.with_extension("cases");
    fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()).then_some(folder)
}

/// Reads the cases of a folder, by name. Ignores files in it, and folders whose names
/// start with a dot.
///
/// # Errors
/// The first folder that is not a valid case.
pub fn read(folder: &Path) -> Result<Vec<Case>, CaseError> {
    let unreadable = |error: io::Error| wrong(folder, error.to_string());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.file_type().map_err(unreadable)?.is_dir() {
            names.push((name, entry.path()));
        }
    }
    if names.len() > MOST_CASES {
        return Err(wrong(folder, format!("has {} cases; the limit is {MOST_CASES}", names.len())));
    }
    names.sort();
    names.into_iter().map(|(name, path)| case(name, path, folder)).collect()
}

fn case(name: String, folder: PathBuf, all: &Path) -> Result<Case, CaseError> {
    let file = folder.join("case.json");
    let text = text(&file)?.ok_or_else(|| wrong(&file, "missing file".into()))?;
    let description: CaseFile =
        serde_json::from_str(&text).map_err(|error| wrong(&file, error.to_string()))?;
    let function: Function = description.call.parse().map_err(|reason| wrong(&file, reason))?;
    let place = file.display().to_string();
    let settings = description.settings.into_iter();
    let rows = match description.dataset {
        Some(None) => None,
        Some(Some(name)) => {
            let found = find(&name, &folder, all).map_err(|reason| wrong(&file, reason))?;
            Some(found.ok_or_else(|| wrong(&file, format!("dataset {name:?} does not exist")))?)
        }
        None => find(ROWS, &folder, all).map_err(|reason| wrong(&file, reason))?,
    };
    Ok(Case {
        about: description.about,
        function,
        job: description.name.unwrap_or_else(|| name.clone()),
        base_model: description.base_model.unwrap_or_else(|| function.usual_base_model().to_owned()),
        settings: settings.map(|(name, value)| GivenSetting { name, value, place: place.clone() }).collect(),
        rows,
        name,
        folder,
    })
}

/// A dataset by name, in the case's folder or the folder of all cases. A name has no
/// folders, and symbolic links are not followed: a shipped case reads only itself.
fn find(name: &str, folder: &Path, all: &Path) -> Result<Option<PathBuf>, String> {
    if name.contains(['/', '\\']) || name.starts_with('.') || name.is_empty() {
        return Err(format!("dataset {name:?} must be a file name without folders"));
    }
    for path in [folder.join(name), all.join(name)] {
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(format!("dataset {name:?} is not a regular file"));
            }
            Ok(found) if found.len() > MAX_ROWS => {
                return Err(format!("dataset {name:?} is larger than {} MiB", MAX_ROWS >> 20));
            }
            Ok(_) => return Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot read dataset {name:?}: {error}")),
        }
    }
    Ok(None)
}

/// The text of a regular file within the limit; `None` if it does not exist.
fn text(path: &Path) -> Result<Option<String>, CaseError> {
    let unreadable = |error: io::Error| wrong(path, format!("cannot read it: {error}"));
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !found.is_file() {
        return Err(wrong(path, "is not a regular file".into()));
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_JSON + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_JSON {
        return Err(wrong(path, format!("is larger than {} KiB", MAX_JSON >> 10)));
    }
    Ok(Some(text))
}

fn wrong(path: &Path, reason: String) -> CaseError {
    CaseError { place: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests;
