//! The lock beside a job file: which plugins and which settings of the host it was
//! planned with, so that a later plan or run uses the same or says what differs.
//!
//! It does not lock the job or its dataset: those are the user's to change.

use super::artifacts::{self, Artifact, WriteError};
use super::bounded::{self, Fault};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tunesmith_core::contract::CONTRACT_VERSION;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::text::{excerpt, visible};
use tunesmith_plugin_host::{Limits, Plugin, Source, Tier};
use tunesmith_provider::prices::PriceTable;

/// The form of a lock; a reader refuses one that it does not know.
pub const FORMAT: u32 = 1;

/// A lock is a page of text. A larger file is something else.
const MOST_BYTES: u64 = 64 * 1024;

/// A value in a message is cut after this many characters: a digest fits.
const LONGEST_VALUE: usize = 100;

/// What a plan is made with, besides job and dataset.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The method.
    pub plugin: &'a Plugin,
    /// The plugin that transforms the dataset first.
    pub transform: Option<&'a Plugin>,
    /// What plugins may use.
    pub limits: &'a Limits,
    /// Training prices.
    pub prices: &'a PriceTable,
}

/// What a lock holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    /// The form of this object.
    pub format: u32,
    /// The version of tunesmith.
    pub tunesmith: String,
    /// The version of the plugin contract that it speaks.
    pub contract: String,
    /// The method.
    pub method: LockedPlugin,
    /// The plugin that transforms the dataset first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<LockedPlugin>,
    /// What plugins may use.
    pub limits: LockedLimits,
    /// SHA-256 of the table of training prices.
    pub prices: String,
}

/// A plugin in a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedPlugin {
    /// Its id.
    pub id: String,
    /// Its version, by its own word.
    pub version: String,
    /// SHA-256 of its file.
    pub digest: String,
    /// The version of the contract that it is built for.
    pub contract: String,
    /// What it may reach.
    pub tier: Tier,
    /// Whether it is part of tunesmith.
    pub built_in: bool,
}

/// The limits that an operator can change and that decide whether a plan succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedLimits {
    /// Memory of one call, in bytes.
    pub memory: u64,
    /// Fuel of one call.
    pub fuel: u64,
    /// Wall clock of `describe`, in milliseconds.
    pub describe_deadline_ms: u64,
    /// Wall clock of a planning call, in milliseconds.
    pub plan_deadline_ms: u64,
    /// Wall clock of one batch of a transform, in milliseconds.
    pub transform_deadline_ms: u64,
    /// Size of a plugin file, in bytes.
    pub file: u64,
}

/// Something that is not as the lock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about.
    pub what: String,
    /// As the lock has it.
    pub locked: String,
    /// As it is.
    pub found: String,
}

/// Why a lock cannot be used, or does not allow what is there.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("there is no lock {}", visible(.path))]
    Missing {
        /// The lock.
        path: String,
        /// The job, as it was named.
        job: String,
    },
    /// It could not be read.
    #[error("the lock {} {reason}", visible(.path))]
    Unusable {
        /// The lock.
        path: String,
        /// Why.
        reason: String,
        /// The job, as it was named.
        job: String,
    },
    /// What is there is not what was locked.
    #[error("{} locks something else:{}", visible(.path), listed(.differences))]
    Differs {
        /// The lock.
        path: String,
        /// Each difference.
        differences: Vec<Difference>,
        /// The job, as it was named.
        job: String,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It cannot be written as JSON.
    #[error("the lock cannot be written: {0}")]
    Encoding(serde_json::Error),
}

fn listed(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(|difference| {
            let cut = |text: &str| excerpt(text, LONGEST_VALUE);
            let (what, locked, found) = (&difference.what, cut(&difference.locked), cut(&difference.found));
            format!("\n         {}: locked {locked}, found {found}", visible(what))
        })
        .collect()
}

impl LockError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::LockMissing,
            Self::Unusable { .. } => Code::LockInvalid,
            Self::Differs { .. } => Code::LockDiffers,
            Self::Write(error) => error.code(),
            Self::Encoding(_) => Code::Internal,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Missing { job, .. } | Self::Unusable { job, .. } => {
                Some(Advice::WriteLock { job: job.clone(), changed: false })
            }
            Self::Differs { job, .. } => Some(Advice::WriteLock { job: job.clone(), changed: true }),
            Self::Write(_) | Self::Encoding(_) => None,
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// Where the lock of a job is: `job.json.lock` beside `job.json`.
pub fn path(job: &Path) -> PathBuf {
    let mut name = job.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Locks what a plan of this job is made with.
///
/// # Errors
/// The lock cannot be written; an earlier one then stays.
pub fn write(job: &Path, parts: &Parts<'_>) -> Result<PathBuf, LockError> {
    let path = path(job);
    let content = serde_json::to_string_pretty(&Lock::of(parts)).map_err(LockError::Encoding)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    artifacts::write(folder, &[Artifact { name, content: format!("{content}\n") }])?;
    Ok(path)
}

/// Fails unless what a plan would be made with is what the job's lock says.
///
/// # Errors
/// There is no lock, it cannot be used, or it says something else: every difference.
pub fn require(job: &Path, parts: &Parts<'_>) -> Result<(), LockError> {
    let path = path(job);
    let shown = path.display().to_string();
    let job = job.display().to_string();
    let lock = match bounded::text(&path, MOST_BYTES) {
        Ok(text) => read(&text).map_err(|reason| (reason, &job)),
        Err(Fault::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LockError::Missing { path: shown, job });
        }
        Err(Fault::Read(error)) => Err((format!("cannot be read: {error}"), &job)),
        Err(Fault::NotAFile) => Err(("is not a regular file".to_owned(), &job)),
        Err(Fault::TooLarge) => Err((format!("is larger than {} KiB", MOST_BYTES / 1024), &job)),
        Err(Fault::NotUtf8(_)) => Err(("is not UTF-8".to_owned(), &job)),
    };
    let lock = match lock {
        Ok(lock) => lock,
        Err((reason, job)) => return Err(LockError::Unusable { path: shown, reason, job: job.clone() }),
    };
    let differences = lock.differences(&Lock::of(parts));
    if differences.is_empty() { Ok(()) } else { Err(LockError::Differs { path: shown, differences, job }) }
}

fn read(text: &str) -> Result<Lock, String> {
    /// What every form has.
    #[derive(Deserialize)]
    struct Form {
        format: u32,
    }
    let form: Form = serde_json::from_str(text).map_err(|error| format!("is not a lock: {error}"))?;
    if form.format != FORMAT {
        return Err(format!("has form {}, and this version knows form {FORMAT}", form.format));
    }
    serde_json::from_str(text).map_err(|error| format!("is not a lock: {error}"))
}

impl Lock {
    /// What a plan would be made with.
    pub fn of(parts: &Parts<'_>) -> Self {
        let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let limits = parts.limits;
        Self {
            format: FORMAT,
            tunesmith: env!("CARGO_PKG_VERSION").to_owned(),
            contract: CONTRACT_VERSION.to_owned(),
            method: LockedPlugin::of(parts.plugin),
            transform: parts.transform.map(LockedPlugin::of),
            limits: LockedLimits {
                memory: limits.memory,
                fuel: limits.fuel,
                describe_deadline_ms: milliseconds(limits.describe_deadline),
                plan_deadline_ms: milliseconds(limits.plan_deadline),
                transform_deadline_ms: milliseconds(limits.transform_deadline),
                file: limits.file,
            },
            prices: format!("sha256:{}", parts.prices.id().sha256),
        }
    }

    /// Everything in which what is there differs from this.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, locked: &dyn ToString, found: &dyn ToString| {
            let (locked, found) = (locked.to_string(), found.to_string());
            if locked != found {
                differences.push(Difference { what: what.to_owned(), locked, found });
            }
        };
        compare("tunesmith", &self.tunesmith, &found.tunesmith);
        compare("contract", &self.contract, &found.contract);
        let none = LockedPlugin::none();
        let plugins = [
            ("method", &self.method, &found.method),
            (
                "transform",
                self.transform.as_ref().unwrap_or(&none),
                found.transform.as_ref().unwrap_or(&none),
            ),
        ];
        for (role, locked, there) in plugins {
            if locked.id != there.id {
                compare(role, &locked.named(), &there.named());
                continue;
            }
            let name = format!("{role} {}", locked.id);
            compare(&name, &locked.digest, &there.digest);
            if locked.digest == there.digest {
                // What follows from the bytes cannot differ unless the lock was edited.
                compare(&format!("{name}, version"), &locked.version, &there.version);
                compare(&format!("{name}, contract"), &locked.contract, &there.contract);
                compare(&format!("{name}, tier"), &locked.tier, &there.tier);
            }
            compare(&format!("{name}, built in"), &locked.built_in, &there.built_in);
        }
        let (locked, there) = (&self.limits, &found.limits);
        compare("limit on memory", &locked.memory, &there.memory);
        compare("limit on fuel", &locked.fuel, &there.fuel);
        compare("deadline of describe in ms", &locked.describe_deadline_ms, &there.describe_deadline_ms);
        compare("deadline of a plan in ms", &locked.plan_deadline_ms, &there.plan_deadline_ms);
        compare("deadline of a transform in ms", &locked.transform_deadline_ms, &there.transform_deadline_ms);
        compare("limit on a plugin file", &locked.file, &there.file);
        compare("price table", &self.prices, &found.prices);
        differences
    }
}

impl LockedPlugin {
    fn of(plugin: &Plugin) -> Self {
        Self {
            id: plugin.id().to_owned(),
            version: plugin.descriptor().version.clone(),
            digest: format!("sha256:{}", plugin.digest()),
            contract: plugin.contract().to_owned(),
            tier: plugin.tier(),
            built_in: *plugin.source() == Source::BuiltIn,
        }
    }

    /// Stands for a plugin that is not used.
    fn none() -> Self {
        Self {
            id: String::new(),
            version: String::new(),
            digest: String::new(),
            contract: String::new(),
            tier: Tier::Pure,
            built_in: false,
        }
    }

    fn named(&self) -> String {
        if self.id.is_empty() { "none".to_owned() } else { format!("{} ({})", self.id, self.digest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let plugin = |id: &str| LockedPlugin {
            id: id.into(),
            version: "1.0.0".into(),
            digest: format!("sha256:{id}"),
            contract: "0.1.0".into(),
            tier: Tier::Pure,
            built_in: false,
        };
        Lock {
            format: FORMAT,
            tunesmith: "0.1.0".into(),
            contract: "0.1.0".into(),
            method: plugin("lora"),
            transform: None,
            limits: LockedLimits {
                memory: 1,
                fuel: 2,
                describe_deadline_ms: 3,
                plan_deadline_ms: 4,
                transform_deadline_ms: 5,
                file: 6,
            },
            prices: "sha256:p".into(),
        }
    }

    #[test]
    fn a_lock_differs_from_anything_but_itself() {
        let locked = lock();
        assert_eq!(locked.differences(&locked), []);
        let json = serde_json::to_value(&locked).unwrap();
        // Whatever a lock holds, a change of it is noticed.
        let mut leaves = Vec::new();
        collect(&json, &mut Vec::new(), &mut leaves);
        assert!(leaves.len() >= 15, "{leaves:?}");
        for leaf in leaves.into_iter().filter(|leaf| leaf != "/format") {
            let mut changed = json.clone();
            let value = changed.pointer_mut(&leaf).unwrap();
            *value = match value.clone() {
                serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                serde_json::Value::Bool(flag) => (!flag).into(),
                serde_json::Value::String(text) if text == "pure" => "std".into(),
                serde_json::Value::String(text) => format!("{text}x").into(),
                other => panic!("{other}"),
            };
            let changed: Lock = serde_json::from_value(changed).unwrap();
            assert!(!locked.differences(&changed).is_empty(), "{leaf}");
        }
        let transformed = Lock { transform: Some(lock().method), ..lock() };
        assert_eq!(
            locked.differences(&transformed)[0].to_owned(),
            Difference {
                what: "transform".into(),
                locked: "none".into(),
                found: "lora (sha256:lora)".into(),
            }
        );
    }

    fn collect(value: &serde_json::Value, path: &mut Vec<String>, leaves: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    path.push(name.clone());
                    collect(value, path, leaves);
                    path.pop();
                }
            }
            _ => leaves.push(format!("/{}", path.join("/"))),
        }
    }

    #[test]
    fn what_is_not_a_lock_is_refused() {
        assert!(read("{}").unwrap_err().starts_with("is not a lock: missing field `format`"));
        let newer = read("{\"format\": 2, \"more\": []}").unwrap_err();
        assert_eq!(newer, "has form 2, and this version knows form 1");
        let text = serde_json::to_string(&lock()).unwrap();
        assert_eq!(read(&text).unwrap(), lock());
        let unknown = text.replacen("{", "{\"unknown\":1,", 1);
        assert!(read(&unknown).unwrap_err().contains("unknown field"));
    }

    #[test]
    fn the_lock_is_named_after_the_whole_file_name() {
        assert_eq!(path(Path::new("jobs/job.json")), Path::new("jobs/job.json.lock"));
        assert_eq!(path(Path::new("job")), Path::new("job.lock"));
    }
}
