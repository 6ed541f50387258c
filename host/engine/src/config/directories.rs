//! The environment, and the user's directories by the XDG base directory
//! specification.

use super::error::{ConfigError, ConfigErrors, Place, Problem};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The name of this program's directory in each of the user's.
const NAME: &str = "tunesmith";

/// Environment variables. An empty one counts as not set.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The names that begin so, in order.
    pub(super) fn names_with<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.keys().filter_map(|name| name.to_str()).filter(move |name| name.starts_with(prefix))
    }
}

impl<Name: Into<OsString>, Text: Into<OsString>> FromIterator<(Name, Text)> for Environment {
    fn from_iter<I: IntoIterator<Item = (Name, Text)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, text)| (name.into(), text.into()));
        Self(variables.filter(|(_, text): &(_, OsString)| !text.is_empty()).collect())
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The user's directories.
#[derive(Debug, Clone)]
pub struct BaseDirectories {
    home: Option<PathBuf>,
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    cache: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl BaseDirectories {
    /// Reads `HOME` and the `XDG_…_HOME` variables. As the specification has it, a
    /// relative path in one of the latter is passed over.
    pub fn of(environment: &Environment) -> Self {
        let absolute =
            |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let one =
            |name: &str, below: &str| absolute(name).or_else(|| home.as_ref().map(|home| home.join(below)));
        Self {
            config: one("XDG_CONFIG_HOME", ".config"),
            data: one("XDG_DATA_HOME", ".local/share"),
            cache: one("XDG_CACHE_HOME", ".cache"),
            state: one("XDG_STATE_HOME", ".local/state"),
            home,
        }
    }

    /// The home directory.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Where `config.toml` is.
    ///
    /// # Errors
    ///
    /// Neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub fn config(&self) -> Result<PathBuf, ConfigErrors> {
        below(self.config.as_deref(), "XDG_CONFIG_HOME").map_err(|error| ConfigErrors(vec![error]))
    }

    pub(super) fn data(&self) -> Result<PathBuf, ConfigError> {
        below(self.data.as_deref(), "XDG_DATA_HOME")
    }

    pub(super) fn cache(&self) -> Result<PathBuf, ConfigError> {
        below(self.cache.as_deref(), "XDG_CACHE_HOME")
    }

    pub(super) fn state(&self) -> Result<PathBuf, ConfigError> {
        below(self.state.as_deref(), "XDG_STATE_HOME")
    }
}

fn below(directory: Option<&Path>, variable: &'static str) -> Result<PathBuf, ConfigError> {
    match directory {
        Some(directory) => Ok(directory.join(NAME)),
        None => Err(ConfigError::new(Place::Nowhere, Problem::NoHome { variable })),
    }
}
