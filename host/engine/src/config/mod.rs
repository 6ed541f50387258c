//! The operator's configuration: endpoints, directories, timeouts and limits, from
//! `config.toml`, the environment and flags, in that order of growing strength.
//!
//! [`keys`] lists every key once; the file's reader, the environment's names, the
//! default text and what `config show` prints all follow from it. A job file can set
//! none of this, and no secret is kept here.

pub mod directories;
mod error;
mod file;
pub mod keys;
mod show;
mod value;

pub use directories::{BaseDirectories, Environment};
pub use error::{ConfigError, ConfigErrors, Place};
pub use keys::{KEYS, Key};
pub use show::{Effective, default_text};
pub use value::Value;

use crate::policy::{self, Policy, Rule};
use crate::secret::{self, SecretError};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tunesmith_core::nearest::nearest;
use tunesmith_core::secret::Found;
use tunesmith_provider::http::{Endpoint, Rate, Timeouts};
use tunesmith_provider::money::Money;

/// Where an effective value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of `config.toml`.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A key that a flag of the command line sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The key, such as `openai.base_url`.
    pub key: &'static str,
    /// What was given.
    pub text: String,
    /// The flag as the user writes it, such as `--base-url`.
    pub flag: &'static str,
}

/// The configuration in effect.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read, or that would be if it were there.
    pub path: PathBuf,
    /// Whether it was there.
    pub exists: bool,
    /// Where things are kept.
    pub directories: Directories,
    /// OpenAI, or a service that speaks its API.
    pub openai: OpenAi,
    /// Ollama.
    pub ollama: Ollama,
    /// The operator's changes to a plugin's limits.
    pub limits: LimitOverrides,
    /// What jobs may use.
    pub policy: Policy,
    /// What is odd but no error, such as an unknown variable.
    pub warnings: Vec<String>,
    values: BTreeMap<&'static str, (Value, Origin)>,
    key_variable: Option<Hidden>,
}

/// A variable's value that may be a key: kept as it is, and never printed.
#[derive(Clone)]
struct Hidden(OsString);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(tunesmith_core::secret::REDACTED)
    }
}

/// Where things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// The store of jobs and what belongs to it.
    pub data: PathBuf,
    /// Datasets by id, as `ID.jsonl`.
    pub datasets: PathBuf,
    /// Plugins.
    pub plugins: PathBuf,
    /// What can be made again: compiled plugins, transformed datasets.
    pub cache: PathBuf,
    /// Logs and other traces of running.
    pub state: PathBuf,
}

/// How OpenAI, or a service that speaks its API, is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAi {
    /// The base URL.
    pub endpoint: Endpoint,
    /// The `OpenAI-Organization` header.
    pub organization: Option<String>,
    /// The `OpenAI-Project` header.
    pub project: Option<String>,
    /// A file with the key, for when `OPENAI_API_KEY` is not set.
    pub key_file: Option<PathBuf>,
    /// The pace of requests; `None` is unlimited, the default on loopback.
    pub rate: Option<Rate>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How Ollama is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ollama {
    /// The server.
    pub endpoint: Endpoint,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// The operator's changes to what a plugin may use; `None` leaves the host's limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitOverrides {
    /// Linear memory of one call, in bytes.
    pub memory: Option<u64>,
    /// Fuel of one call.
    pub fuel: Option<u64>,
    /// Wall clock of `describe`.
    pub describe_deadline: Option<Duration>,
    /// Wall clock of a planning call.
    pub plan_deadline: Option<Duration>,
    /// Wall clock of one batch of `transform`.
    pub transform_deadline: Option<Duration>,
    /// Calls at a time, over all plugins.
    pub calls: Option<usize>,
    /// Calls at a time of one plugin.
    pub calls_per_plugin: Option<usize>,
    /// Size of a plugin file, in bytes.
    pub file: Option<u64>,
    /// Wall clock of compiling a foreign plugin.
    pub compile_deadline: Option<Duration>,
    /// Size of the store of compiled code, in bytes.
    pub code_store: Option<u64>,
}

impl Config {
    /// Reads the configuration: the file that `file` or `TUNESMITH_CONFIG` names,
    /// otherwise `tunesmith/config.toml` in the user's configuration directory, which
    /// may be missing; then the environment; then the flags.
    ///
    /// # Errors
    ///
    /// Every fault that was found, each with its place: a file that is named and
    /// missing, unreadable or open to be written by anyone, syntax, unknown keys,
    /// wrong types, values out of range, and secrets.
    pub fn load(
        environment: &Environment,
        file: Option<&Path>,
        flags: &[FlagValue],
    ) -> Result<Self, ConfigErrors> {
        let base = BaseDirectories::of(environment);
        let (path, named) = Self::location(environment, file)?;
        let mut errors = Vec::new();
        let mut values = BTreeMap::new();
        let exists = match file::read(&path, named) {
            Ok(None) => false,
            Ok(Some(text)) => {
                let home = base.home();
                file::parse(&path, &text, home, &mut values, &mut errors);
                true
            }
            Err(error) => return Err(ConfigErrors(vec![error])),
        };
        let warnings = read_environment(environment, &mut values, &mut errors);
        for flag in flags {
            let place = Place::Flag(flag.flag.to_owned());
            match keys::find(flag.key) {
                Some(key) => match Value::from_text(key, &flag.text) {
                    Ok(value) => {
                        values.insert(key.name, (value, Origin::Flag(flag.flag.to_owned())));
                    }
                    Err(problem) => errors.push(ConfigError::new(place, problem)),
                },
                None => errors.push(ConfigError::new(place, keys::unknown_key(flag.key))),
            }
        }
        for key in KEYS {
            if values.contains_key(key.name) {
                continue;
            }
            match key.default.value(&base, &values) {
                Ok(Some(value)) => {
                    values.insert(key.name, (value, Origin::Default));
                }
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let key_variable = environment.get("OPENAI_API_KEY").map(|value| Hidden(value.to_owned()));
        Self::typed(path, exists, values, warnings, key_variable)
    }

    /// The file that [`Config::load`] reads, and whether it was named, so that it must
    /// be there.
    ///
    /// # Errors
    ///
    /// None is named, and there is no directory to look in.
    pub fn location(environment: &Environment, file: Option<&Path>) -> Result<(PathBuf, bool), ConfigErrors> {
        Ok(match (file, environment.get("TUNESMITH_CONFIG")) {
            (Some(path), _) => (path.to_owned(), true),
            (None, Some(path)) => (PathBuf::from(path), true),
            (None, None) => (BaseDirectories::of(environment).config()?.join("config.toml"), false),
        })
    }

    fn typed(
        path: PathBuf,
        exists: bool,
        values: BTreeMap<&'static str, (Value, Origin)>,
        warnings: Vec<String>,
        key_variable: Option<Hidden>,
    ) -> Result<Self, ConfigErrors> {
        let read = Reader { values: &values };
        let endpoint = read.openai_endpoint()?;
        // 5 a second: a hundredth of what a small account may send, and enough for
        // hundreds of jobs that are polled once a minute.
        let default_rate = (!endpoint.is_loopback()).then_some(5.0);
        let rate = read.number("openai.requests_per_second").or(default_rate);
        // A burst of two seconds' worth lets a single command go through at once.
        let rate = rate.filter(|rate| *rate > 0.0).map(|per_second| Rate {
            per_second,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the key's range is 0 to 1,000"
            )]
            burst: (per_second * 2.0).ceil().max(1.0) as u32,
        });
        let config = Self {
            directories: Directories {
                data: read.path("directories.data"),
                datasets: read.path("directories.datasets"),
                plugins: read.path("directories.plugins"),
                cache: read.path("directories.cache"),
                state: read.path("directories.state"),
            },
            openai: OpenAi {
                endpoint,
                organization: read.text("openai.organization"),
                project: read.text("openai.project"),
                key_file: read.optional_path("openai.key_file"),
                rate,
                timeouts: Timeouts {
                    connect: read.seconds("openai.connect_timeout"),
                    response: read.seconds("openai.response_timeout"),
                },
            },
            ollama: Ollama {
                endpoint: read.ollama_endpoint()?,
                timeouts: Timeouts {
                    connect: read.seconds("ollama.connect_timeout"),
                    response: read.seconds("ollama.response_timeout"),
                },
            },
            limits: LimitOverrides {
                memory: read.integer("limits.memory"),
                fuel: read.integer("limits.fuel"),
                describe_deadline: read.seconds("limits.describe_deadline"),
                plan_deadline: read.seconds("limits.plan_deadline"),
                transform_deadline: read.seconds("limits.transform_deadline"),
                calls: read.count("limits.calls"),
                calls_per_plugin: read.count("limits.calls_per_plugin"),
                file: read.integer("limits.file"),
                compile_deadline: read.seconds("limits.compile_deadline"),
                code_store: read.integer("limits.code_store"),
            },
            policy: read.policy(),
            path,
            exists,
            warnings,
            values,
            key_variable,
        };
        Ok(config)
    }

    /// Every key with its value and origin, in the order of the default text.
    pub fn effective(&self) -> Vec<Effective> {
        show::effective(&self.values)
    }

    /// Where a key's value comes from; `None` where it has none.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }

    /// The key for OpenAI: from `OPENAI_API_KEY`, otherwise from `openai.key_file`
    /// when that is set. A key file that a flag names comes before the variable.
    ///
    /// # Errors
    ///
    /// What is there cannot be used. That there is none is `Ok(None)`: a compatible
    /// service may not need one.
    pub fn openai_key(&self) -> Result<Option<Found>, SecretError> {
        let origin = self.values.get("openai.key_file").map(|(_, origin)| origin);
        let by_flag = matches!(origin, Some(Origin::Flag(_)));
        match (&self.key_variable, &self.openai.key_file) {
            (Some(Hidden(value)), _) if !by_flag => secret::from_env("OPENAI_API_KEY", value).map(Some),
            (_, Some(path)) => secret::from_file(path).map(Some),
            (_, None) => Ok(None),
        }
    }
}

/// How the variables of this program begin.
const PREFIX: &str = "TUNESMITH_";

/// Takes values from the environment; returns what looks like a misspelt variable.
fn read_environment(
    environment: &Environment,
    values: &mut BTreeMap<&'static str, (Value, Origin)>,
    errors: &mut Vec<ConfigError>,
) -> Vec<String> {
    for key in KEYS {
        for name in key.variables() {
            let Some(text) = environment.get(&name) else { continue };
            let place = Place::Variable(name.clone());
            let Some(text) = text.to_str() else {
                errors.push(ConfigError::new(place, error::Problem::NotUtf8));
                continue;
            };
            match Value::from_text(key, text) {
                Ok(Value::Path(path)) if !path.is_absolute() => {
                    let path = path.display().to_string();
                    errors.push(ConfigError::new(place, error::Problem::RelativePath { path }));
                }
                Ok(value) => {
                    values.insert(key.name, (value, Origin::Variable(name)));
                }
                Err(problem) => errors.push(ConfigError::new(place, problem)),
            }
        }
    }
    let known: Vec<String> = KEYS.iter().flat_map(Key::variables).collect();
    let own = |name: &str| name.strip_prefix(PREFIX).map(str::to_owned);
    let own_names: Vec<String> = known.iter().filter_map(|name| own(name)).collect();
    environment
        .names_with(PREFIX)
        .filter(|name| *name != "TUNESMITH_CONFIG" && !known.iter().any(|known| known == name))
        .filter_map(|name| {
            // Without the prefix, which would make any two names alike.
            let similar = nearest(own_names.iter().map(String::as_str), &own(name)?)?;
            Some(format!("the variable {name} means nothing here; did you mean {PREFIX}{similar}?"))
        })
        .collect()
}

/// Reads typed values; the table's kinds and defaults make the fallbacks unreachable.
struct Reader<'v> {
    values: &'v BTreeMap<&'static str, (Value, Origin)>,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        debug_assert!(keys::find(name).is_some(), "{name} is not in the table");
        self.values.get(name).map(|(value, _)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn optional_path(&self, name: &str) -> Option<PathBuf> {
        match self.value(name)? {
            Value::Path(path) => Some(path.clone()),
            _ => None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.optional_path(name).unwrap_or_default()
    }

    fn integer(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    fn count(&self, name: &str) -> Option<usize> {
        self.integer(name).and_then(|number| usize::try_from(number).ok())
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.integer(name).map(Duration::from_secs)
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.value(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A rule of the policy, with where it is written.
    fn rule<T>(&self, name: policy::Name, allows: impl FnOnce(&Value) -> Option<T>) -> Option<Rule<T>> {
        let (value, origin) = self.values.get(name.key())?;
        Some(Rule { allows: allows(value)?, place: origin.to_string() })
    }

    fn policy(&self) -> Policy {
        let count = |value: &Value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        let tokens = |value: &Value| count(value).and_then(|number| u32::try_from(number).ok());
        Policy {
            providers: self.rule(policy::Name::Providers, |value| value.each(|text| text.parse().ok())),
            base_models: self
                .rule(policy::Name::BaseModels, |value| value.each(|text| Some(policy::Pattern::new(text)))),
            tiers: self.rule(policy::Name::Tiers, |value| value.each(|text| text.parse().ok())),
            plugin_digests: self
                .rule(policy::Name::PluginDigests, |value| value.each(|text| text.parse().ok())),
            override_built_ins: self.flag("policy.override_built_ins"),
            largest_dataset: self.rule(policy::Name::LargestDataset, count),
            most_rows: self.rule(policy::Name::MostRows, count),
            highest_cost: self.rule(policy::Name::HighestCost, |value| match value {
                Value::Number(dollars) => Money::from_dollars(*dollars),
                _ => None,
            }),
            largest_context: self.rule(policy::Name::LargestContext, tokens),
            longest_answer: self.rule(policy::Name::LongestAnswer, tokens),
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    /// The place of a value, for an error that only several values together show.
    fn place(&self, name: &str) -> Place {
        match self.values.get(name).map(|(_, origin)| origin) {
            Some(Origin::File { path, line }) => Place::File { path: path.clone(), line: *line, column: 1 },
            Some(Origin::Variable(variable)) => Place::Variable(variable.clone()),
            Some(Origin::Flag(flag)) => Place::Flag(flag.clone()),
            Some(Origin::Default) | None => Place::Nowhere,
        }
    }

    fn openai_endpoint(&self) -> Result<Endpoint, ConfigErrors> {
        let text = self.text("openai.base_url").unwrap_or_else(|| Endpoint::OPENAI.to_owned());
        Endpoint::parse(&text, self.flag("openai.allow_http")).map_err(|error| {
            let problem = error::Problem::Endpoint { key: "openai.base_url", error };
            ConfigErrors(vec![ConfigError::new(self.place("openai.base_url"), problem)])
        })
    }

    fn ollama_endpoint(&self) -> Result<Endpoint, ConfigErrors> {
        let text = self.text("ollama.host").unwrap_or_default();
        Endpoint::ollama(&text).map_err(|error| {
            let problem = error::Problem::Endpoint { key: "ollama.host", error };
            ConfigErrors(vec![ConfigError::new(self.place("ollama.host"), problem)])
        })
    }
}

#[cfg(test)]
mod tests;
