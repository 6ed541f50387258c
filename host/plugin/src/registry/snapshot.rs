//! A snapshot of the registry, and who has which id in it.

use super::files::FileState;
use super::plugin::{Plugin, Source};
use crate::rejection::{Reason, Rejection};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All plugins at one moment. It does not change; a reload makes a new one.
#[derive(Debug, Default)]
pub struct Snapshot {
    methods: BTreeMap<String, Arc<Plugin>>,
    rejections: Vec<Rejection>,
    /// The built-in methods, whether or not they serve.
    built_ins: BTreeMap<String, Arc<Plugin>>,
}

impl Snapshot {
    /// The plugin with an id.
    pub fn get(&self, id: &str) -> Option<&Arc<Plugin>> {
        self.methods.get(id)
    }

    /// All plugins, sorted by id.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.methods.values()
    }

    /// The files that are not used, or whose newest content is not, sorted by path.
    pub fn rejections(&self) -> &[Rejection] {
        &self.rejections
    }

    /// The plugin that a file serves.
    pub fn serving(&self, path: &Path) -> Option<&Arc<Plugin>> {
        self.methods().find(|plugin| plugin.source().path() == Some(path))
    }

    /// Whether a file overrides the built-in method with this id.
    pub fn overrides_built_in(&self, id: &str) -> bool {
        self.built_ins.contains_key(id)
            && self.get(id).is_some_and(|plugin| *plugin.source() != Source::BuiltIn)
    }
}

/// What a snapshot is made from.
pub(crate) struct Inputs<'a> {
    pub(crate) before: &'a Snapshot,
    pub(crate) built_ins: &'a BTreeMap<String, Arc<Plugin>>,
    pub(crate) override_built_ins: bool,
    /// Files that are in the directory and were skipped, and why.
    pub(crate) skipped: Vec<Rejection>,
}

/// Which file gets an id first. A file keeps what it serves against all others, also when
/// its newest content wants another id and does not get it; one that is gone, and stays
/// for a moment only in case it comes back, gives way to any that is there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Precedence {
    Incumbent,
    ServesAnother,
    Newcomer,
    Gone,
}

/// Decides who has which id, and notes for each file what it serves.
pub(crate) fn assemble(parts: Inputs<'_>, files: &mut BTreeMap<PathBuf, FileState>) -> Snapshot {
    let Inputs { before, built_ins, override_built_ins, skipped } = parts;
    let mut methods = built_ins.clone();
    let mut rejections = skipped;
    let precedence = |path: &Path, known: &FileState| {
        let serves = |plugin: &Arc<Plugin>| {
            before.get(plugin.id()).is_some_and(|serving| serving.source().path() == Some(path))
        };
        if known.gone_since.is_some() {
            Precedence::Gone
        } else if known.newest.as_ref().is_some_and(serves) {
            Precedence::Incumbent
        } else if known.serving.as_ref().is_some_and(serves) {
            Precedence::ServesAnother
        } else {
            Precedence::Newcomer
        }
    };
    // Within each group the order is that of the names.
    let mut in_order: Vec<_> =
        files.iter_mut().map(|(path, known)| (precedence(path, known), path, known)).collect();
    in_order.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (precedence, path, known) in in_order {
        let mut place = |plugin: &Arc<Plugin>| place(&mut methods, plugin, override_built_ins);
        let mut blocked = None;
        let newest = known.newest.clone().filter(|newest| match place(newest) {
            Ok(()) => true,
            Err(reason) => {
                blocked = Some((newest.digest(), reason));
                false
            }
        });
        // The generation before, if it is another one, keeps its own id.
        let older =
            |place: &mut dyn FnMut(&Arc<Plugin>) -> bool| known.serving.clone().filter(|older| place(older));
        known.serving = newest.or_else(|| older(&mut |plugin| place(plugin).is_ok()));
        if precedence == Precedence::Gone {
            continue;
        }
        let still_serving = known.serving.as_ref().map(|plugin| plugin.generation());
        let rejected = match (&known.rejected, blocked) {
            (Some(reason), _) => Some((known.latest, reason.clone())),
            (None, Some((digest, reason))) => Some((Some(digest), reason)),
            (None, None) => None,
        };
        if let Some((digest, reason)) = rejected {
            rejections.push(Rejection { path: path.clone(), digest, reason, still_serving });
        }
    }
    rejections.sort_by(|a, b| a.path.cmp(&b.path));
    Snapshot { methods, rejections, built_ins: built_ins.clone() }
}

/// Gives a plugin its id, or says who has it.
fn place(
    methods: &mut BTreeMap<String, Arc<Plugin>>,
    plugin: &Arc<Plugin>,
    override_built_ins: bool,
) -> Result<(), Reason> {
    let id = plugin.id();
    match methods.entry(id.to_owned()) {
        Entry::Vacant(free) => {
            free.insert(Arc::clone(plugin));
            Ok(())
        }
        Entry::Occupied(mut taken) => match taken.get().source() {
            Source::BuiltIn if override_built_ins => {
                taken.insert(Arc::clone(plugin));
                Ok(())
            }
            Source::BuiltIn => Err(Reason::IdBuiltIn { id: id.into() }),
            Source::File(by) => Err(Reason::IdTaken { id: id.into(), by: by.clone() }),
        },
    }
}
