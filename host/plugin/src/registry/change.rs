//! Changes of a registry, for subscribers and for the history.

use crate::ability::Ability;
use crate::display::shown;
use crate::rejection::Reason;
use crate::sandbox::Quarantine;
use crate::tier::Tier;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
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
    pub file: Option<PathBuf>,
    /// The generation that this is about: for a rejection, the one that stays in use.
    pub generation: Option<u64>,
    /// The plugin's own version.
    pub version: Option<String>,
    /// SHA-256 of the content that this is about.
    pub digest: Option<Digest>,
    /// What the plugin may reach.
    pub tier: Option<Tier>,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone)]
pub enum ChangeKind {
    /// A plugin is there that was not.
    Loaded {
        /// Whether it takes the place of a built-in method.
        overrides_built_in: bool,
    },
    /// A new generation took the place of another.
    Reloaded {
        from: u64,
        /// What it can do or reach that the one before could not.
        widened: Vec<Widening>,
    },
    /// Its file has another name now.
    Moved { from: PathBuf },
    /// It is gone.
    Removed {
        /// The id of the plugin that its file holds now, if the file is still there.
        now: Option<String>,
    },
    /// A built-in method serves again, since the file that took its place is gone.
    BuiltInAgain,
    /// A file's newest content is not used.
    Rejected {
        reason: Box<Reason>,
        /// The generation of that file that stays in use, if any.
        still_serving: Option<u64>,
    },
    /// A file that was rejected has its working content again.
    Recovered,
    /// It failed so often that it is not called any more.
    Quarantined(Quarantine),
    /// The directory is gone. Loaded plugins stay in use.
    DirectoryGone,
    /// The directory is there again.
    DirectoryBack,
    /// The system reports no changes, so that the directory is checked periodically.
    Polling { reason: String },
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
            Self::Tier => f.write_str("std tier (was pure)"),
            Self::Ability(ability) => write!(f, "ability {}", ability.as_str()),
        }
    }
}

impl Change {
    /// A change of the directory.
    pub(crate) fn of_directory(directory: &Path, kind: ChangeKind) -> Self {
        Self {
            plugin: name(directory),
            file: Some(directory.into()),
            generation: None,
            version: None,
            digest: None,
            tier: None,
            kind,
        }
    }

    /// What happened, in a word: for records and programs.
    pub fn action(&self) -> &'static str {
        match self.kind {
            ChangeKind::Loaded { .. } => "loaded",
            ChangeKind::Reloaded { .. } => "reloaded",
            ChangeKind::Moved { .. } => "moved",
            ChangeKind::Removed { .. } => "removed",
            ChangeKind::BuiltInAgain => "built-in-again",
            ChangeKind::Rejected { .. } => "rejected",
            ChangeKind::Recovered => "recovered",
            ChangeKind::Quarantined(_) => "quarantined",
            ChangeKind::DirectoryGone => "directory-gone",
            ChangeKind::DirectoryBack => "directory-back",
            ChangeKind::Polling { .. } => "polling",
        }
    }

    /// Whether a person should look at it: something is not used, or can do more.
    pub fn is_warning(&self) -> bool {
        match &self.kind {
            ChangeKind::Reloaded { widened, .. } => !widened.is_empty(),
            ChangeKind::Loaded { overrides_built_in } => *overrides_built_in,
            ChangeKind::Rejected { .. }
            | ChangeKind::Quarantined(_)
            | ChangeKind::DirectoryGone
            | ChangeKind::Polling { .. } => true,
            ChangeKind::Moved { .. }
            | ChangeKind::Removed { .. }
            | ChangeKind::BuiltInAgain
            | ChangeKind::Recovered
            | ChangeKind::DirectoryBack => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, .. } = self;
        let file = self.file.as_deref().map(shown).unwrap_or_default();
        let generation = self.generation.unwrap_or_default();
        match &self.kind {
            ChangeKind::Loaded { overrides_built_in } => {
                write!(f, "loaded {plugin} {} from {file}, generation {generation}", self.version())?;
                if *overrides_built_in {
                    f.write_str(", overriding the built-in method")?;
                }
                Ok(())
            }
            ChangeKind::Reloaded { from, widened } => {
                write!(
                    f,
                    "reloaded {plugin} {} from {file}, generation {generation} after {from}",
                    self.version()
                )?;
                for (place, widening) in widened.iter().enumerate() {
                    write!(f, "{} {widening}", if place == 0 { "; gained:" } else { "," })?;
                }
                Ok(())
            }
            ChangeKind::Moved { from } => write!(f, "{plugin} moved from {} to {file}", shown(from)),
            ChangeKind::Removed { now: None } => write!(f, "removed {plugin}: {file} was deleted"),
            ChangeKind::Removed { now: Some(now) } => {
                write!(f, "removed {plugin}: {file} is now plugin {now}")
            }
            ChangeKind::BuiltInAgain => write!(f, "{plugin} is the built-in method again"),
            ChangeKind::Rejected { reason, still_serving } => {
                write!(f, "rejected {file}: it {reason}")?;
                match still_serving {
                    Some(generation) => write!(f, " (generation {generation} stays in use)"),
                    None => Ok(()),
                }
            }
            ChangeKind::Recovered => {
                write!(f, "{file} matches generation {generation} of {plugin} again")
            }
            ChangeKind::Quarantined(quarantine) => write!(
                f,
                "quarantined {plugin}, generation {generation}: it {quarantine}; replace its file to lift this"
            ),
            ChangeKind::DirectoryGone => {
                write!(f, "plugin directory {file} is gone; loaded plugins stay in use")
            }
            ChangeKind::DirectoryBack => write!(f, "plugin directory {file} is back"),
            ChangeKind::Polling { reason } => {
                write!(f, "cannot watch {file} for changes ({reason}); checking it periodically instead")
            }
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
        match &self.kind {
            ChangeKind::Loaded { overrides_built_in } => {
                map.serialize_entry("overridesBuiltIn", overrides_built_in)?;
            }
            ChangeKind::Reloaded { from, widened } => {
                map.serialize_entry("from", from)?;
                let widened: Vec<String> = widened.iter().map(ToString::to_string).collect();
                map.serialize_entry("widened", &widened)?;
            }
            ChangeKind::Moved { from } => map.serialize_entry("from", &shown(from))?,
            ChangeKind::Rejected { reason, still_serving } => {
                map.serialize_entry("rule", reason.rule())?;
                map.serialize_entry("reason", &reason.to_string())?;
                map.serialize_entry("stillServing", still_serving)?;
            }
            ChangeKind::Quarantined(quarantine) => map.serialize_entry("reason", &quarantine.to_string())?,
            ChangeKind::Polling { reason } => map.serialize_entry("reason", reason)?,
            ChangeKind::Removed { .. }
            | ChangeKind::BuiltInAgain
            | ChangeKind::Recovered
            | ChangeKind::DirectoryGone
            | ChangeKind::DirectoryBack => {}
        }
        map.serialize_entry("message", &self.to_string())?;
        map.end()
    }
}

/// The subscribers to changes.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Vec<Sender<Arc<Change>>>>);

impl Feed {
    pub(crate) fn subscribe(&self) -> Receiver<Arc<Change>> {
        let (sender, receiver) = channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    pub(crate) fn send(&self, change: Change) {
        // The rule alone: a reason may quote the plugin.
        let rule = match &change.kind {
            ChangeKind::Rejected { reason, .. } => Some(reason.rule()),
            _ => None,
        };
        let (action, plugin, generation) = (change.action(), &change.plugin, change.generation);
        if change.is_warning() {
            tracing::info!(action, plugin, generation, rule, "plugin changed");
        } else {
            tracing::debug!(action, plugin, generation, rule, "plugin changed");
        }
        let change = Arc::new(change);
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| sender.send(Arc::clone(&change)).is_ok());
    }
}

/// The last part of a path, safe to print.
pub(crate) fn name(path: &Path) -> String {
    shown(path.file_name().map_or(path, Path::new))
}
