//! What changed in a registry: told to whoever listens, and kept as history.

use super::rejection::{Rejection, shown};
use super::{Ability, Plugin, Quarantine, Reason, Snapshot, Source, Tier};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tunesmith_core::digest::Digest;

/// Something that happened to a plugin, or to the directory of plugins.
#[derive(Debug, Clone)]
pub struct Change {
    /// The plugin's id, or its file's name where the id is not known.
    pub plugin: String,
    /// Its file.
    pub file: Option<PathBuf>,
    /// The generation that this is about: for a rejection, the one that goes on.
    pub generation: Option<u64>,
    /// The plugin's own version.
    pub version: Option<String>,
    /// SHA-256 of the content that this is about.
    pub digest: Option<Digest>,
    /// What the plugin may reach.
    pub tier: Option<Tier>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A plugin is there that was not.
    Loaded {
        /// Whether it takes the place of a built-in method.
        overrides_built_in: bool,
    },
    /// A new generation took the place of another.
    Reloaded {
        /// The generation before.
        from: u64,
        /// What it can do or reach that the one before could not.
        widened: Vec<Widening>,
    },
    /// Its file has another name now.
    Moved {
        /// The name before.
        from: PathBuf,
    },
    /// It is gone.
    Removed {
        /// The id of the plugin that its file holds now, if the file is still there.
        now: Option<String>,
    },
    /// A built-in method serves again, since the file that took its place is gone.
    BuiltInAgain,
    /// A file's newest content is not used.
    Rejected {
        /// Why.
        reason: Box<Reason>,
        /// The generation of that file that goes on working, where there is one.
        still_serving: Option<u64>,
    },
    /// A file that was rejected has its working content again.
    Recovered,
    /// It failed so often that it is not called any more.
    Quarantined(Quarantine),
    /// The directory is gone. What was loaded goes on working.
    DirectoryGone,
    /// The directory is there again.
    DirectoryBack,
    /// The system does not tell of changes, so that the directory is looked at from
    /// time to time.
    Polling {
        /// Why.
        reason: String,
    },
}

/// What a new generation can do or reach that the one before could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widening {
    /// It left the pure tier.
    Tier,
    /// It has an ability more.
    Ability(Ability),
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tier => f.write_str("std tier, where it was pure"),
            Self::Ability(ability) => write!(f, "new ability {}", ability.as_str()),
        }
    }
}

impl Change {
    /// A change of a plugin.
    pub(super) fn of(plugin: &Plugin, what: What) -> Self {
        Self {
            plugin: plugin.id().into(),
            file: match plugin.source() {
                Source::File(path) => Some(path.clone()),
                Source::BuiltIn => None,
            },
            generation: Some(plugin.generation()),
            version: Some(plugin.descriptor().version.clone()),
            digest: Some(plugin.digest()),
            tier: Some(plugin.tier()),
            what,
        }
    }

    /// A change of the directory.
    pub(super) fn of_directory(directory: &Path, what: What) -> Self {
        Self {
            plugin: name(directory),
            file: Some(directory.into()),
            generation: None,
            version: None,
            digest: None,
            tier: None,
            what,
        }
    }

    /// What happened, in a word: for records and programs.
    pub fn action(&self) -> &'static str {
        match self.what {
            What::Loaded { .. } => "loaded",
            What::Reloaded { .. } => "reloaded",
            What::Moved { .. } => "moved",
            What::Removed { .. } => "removed",
            What::BuiltInAgain => "built-in-again",
            What::Rejected { .. } => "rejected",
            What::Recovered => "recovered",
            What::Quarantined(_) => "quarantined",
            What::DirectoryGone => "directory-gone",
            What::DirectoryBack => "directory-back",
            What::Polling { .. } => "polling",
        }
    }

    /// Whether a person should look at it: something is not used, or can do more.
    pub fn is_warning(&self) -> bool {
        match &self.what {
            What::Reloaded { widened, .. } => !widened.is_empty(),
            What::Loaded { overrides_built_in } => *overrides_built_in,
            What::Rejected { .. } | What::Quarantined(_) | What::DirectoryGone | What::Polling { .. } => true,
            What::Moved { .. }
            | What::Removed { .. }
            | What::BuiltInAgain
            | What::Recovered
            | What::DirectoryBack => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, .. } = self;
        let file = self.file.as_deref().map(shown).unwrap_or_default();
        let generation = self.generation.unwrap_or_default();
        match &self.what {
            What::Loaded { overrides_built_in } => {
                write!(f, "loaded {plugin} {} from {file}, generation {generation}", self.version())?;
                if *overrides_built_in {
                    f.write_str(", in place of the built-in method")?;
                }
                Ok(())
            }
            What::Reloaded { from, widened } => {
                write!(
                    f,
                    "reloaded {plugin} {} from {file}, generation {generation} after {from}",
                    self.version()
                )?;
                for (place, widening) in widened.iter().enumerate() {
                    write!(f, "{} {widening}", if place == 0 { "; it is wider now:" } else { "," })?;
                }
                Ok(())
            }
            What::Moved { from } => write!(f, "{plugin} moved from {} to {file}", shown(from)),
            What::Removed { now: None } => write!(f, "removed {plugin}: {file} is gone"),
            What::Removed { now: Some(now) } => write!(f, "removed {plugin}: {file} is plugin {now} now"),
            What::BuiltInAgain => write!(f, "{plugin} is the built-in method again"),
            What::Rejected { reason, still_serving } => {
                write!(f, "rejected {file}: it {reason}")?;
                match still_serving {
                    Some(generation) => write!(f, " (generation {generation} of it goes on working)"),
                    None => Ok(()),
                }
            }
            What::Recovered => {
                write!(f, "{file} is as generation {generation} of {plugin} again, which goes on working")
            }
            What::Quarantined(quarantine) => write!(
                f,
                "quarantined {plugin}, generation {generation}: it {quarantine}; new content lifts this"
            ),
            What::DirectoryGone => {
                write!(f, "the plugin directory {file} is gone; what was loaded goes on working")
            }
            What::DirectoryBack => write!(f, "the plugin directory {file} is there again"),
            What::Polling { reason } => write!(
                f,
                "the system does not tell of changes in {file} ({reason}), so it is looked at from time to time"
            ),
        }
    }
}

impl Change {
    fn version(&self) -> &str {
        self.version.as_deref().unwrap_or_default()
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("action", self.action())?;
        map.serialize_entry("plugin", &self.plugin)?;
        map.serialize_entry("file", &self.file.as_deref().map(shown))?;
        map.serialize_entry("generation", &self.generation)?;
        map.serialize_entry("version", &self.version)?;
        map.serialize_entry("digest", &self.digest.map(|digest| format!("sha256:{digest}")))?;
        map.serialize_entry("tier", &self.tier)?;
        match &self.what {
            What::Loaded { overrides_built_in } => {
                map.serialize_entry("overridesBuiltIn", overrides_built_in)?;
            }
            What::Reloaded { from, widened } => {
                map.serialize_entry("from", from)?;
                let widened: Vec<String> = widened.iter().map(ToString::to_string).collect();
                map.serialize_entry("widened", &widened)?;
            }
            What::Moved { from } => map.serialize_entry("from", &shown(from))?,
            What::Rejected { reason, still_serving } => {
                map.serialize_entry("rule", reason.rule())?;
                map.serialize_entry("reason", &reason.to_string())?;
                map.serialize_entry("stillServing", still_serving)?;
            }
            What::Quarantined(quarantine) => map.serialize_entry("reason", &quarantine.to_string())?,
            What::Polling { reason } => map.serialize_entry("reason", reason)?,
            What::Removed { .. }
            | What::BuiltInAgain
            | What::Recovered
            | What::DirectoryGone
            | What::DirectoryBack => {}
        }
        map.serialize_entry("message", &self.to_string())?;
        map.end()
    }
}

/// Those who are told of changes.
#[derive(Debug, Default)]
pub(super) struct Feed(Mutex<Vec<Sender<Arc<Change>>>>);

impl Feed {
    pub(super) fn subscribe(&self) -> Receiver<Arc<Change>> {
        let (sender, receiver) = channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    pub(super) fn send(&self, change: Change) {
        let change = Arc::new(change);
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| sender.send(Arc::clone(&change)).is_ok());
    }
}

/// What changed from one snapshot to the next.
pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    let ids: BTreeSet<&str> = before.methods().chain(after.methods()).map(|plugin| plugin.id()).collect();
    for id in ids {
        match (before.get(id), after.get(id)) {
            (None, Some(new)) => {
                let overrides_built_in = after.overrides_built_in(id);
                changes.push(Change::of(new, What::Loaded { overrides_built_in }));
            }
            (Some(old), None) => {
                let now = old.source().path().and_then(|path| after.serving(path));
                let now = now.map(|plugin| plugin.id().to_owned());
                changes.push(Change::of(old, What::Removed { now }));
            }
            (Some(old), Some(new)) if !Arc::ptr_eq(old, new) => {
                changes.push(Change::of(new, replaced(old, new)));
            }
            _ => {}
        }
    }
    for rejection in after.rejections() {
        if !before.rejections().iter().any(|known| same(known, rejection)) {
            changes.push(rejected(after, rejection));
        }
    }
    for rejection in before.rejections() {
        // The file is used again, and not by a new generation, which would say so itself.
        let served = after.serving(&rejection.path);
        if let Some(plugin) = served
            && !after.rejections().iter().any(|known| known.path == rejection.path)
            && before.get(plugin.id()).is_some_and(|known| Arc::ptr_eq(known, plugin))
        {
            changes.push(Change::of(plugin, What::Recovered));
        }
    }
    changes
}

fn replaced(old: &Plugin, new: &Plugin) -> What {
    match (old.source(), new.source()) {
        (Source::BuiltIn, Source::File(_)) => What::Loaded { overrides_built_in: true },
        (Source::File(_), Source::BuiltIn) => What::BuiltInAgain,
        (Source::File(from), Source::File(to)) if from != to && old.digest() == new.digest() => {
            What::Moved { from: from.clone() }
        }
        _ => What::Reloaded { from: old.generation(), widened: widened(old, new) },
    }
}

fn widened(old: &Plugin, new: &Plugin) -> Vec<Widening> {
    let tier = (old.tier() < new.tier()).then_some(Widening::Tier);
    let abilities = new.abilities().iter().filter(|ability| !old.can(**ability));
    tier.into_iter().chain(abilities.map(|ability| Widening::Ability(*ability))).collect()
}

fn same(a: &Rejection, b: &Rejection) -> bool {
    a.path == b.path
        && a.digest == b.digest
        && a.still_serving == b.still_serving
        && a.reason.to_string() == b.reason.to_string()
}

fn rejected(after: &Snapshot, rejection: &Rejection) -> Change {
    let serving = after.serving(&rejection.path);
    Change {
        plugin: serving.map_or_else(|| name(&rejection.path), |plugin| plugin.id().to_owned()),
        file: Some(rejection.path.clone()),
        generation: rejection.still_serving,
        version: None,
        digest: rejection.digest,
        tier: None,
        what: What::Rejected {
            reason: Box::new(rejection.reason.clone()),
            still_serving: rejection.still_serving,
        },
    }
}

/// The last part of a path, safe to print.
fn name(path: &Path) -> String {
    shown(path.file_name().map_or(path, Path::new))
}
