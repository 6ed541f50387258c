//! What changed from one snapshot to the next.

use super::change::{Change, ChangeKind, Widening, name};
use super::plugin::{Plugin, Source};
use super::snapshot::Snapshot;
use crate::rejection::Rejection;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What changed from one snapshot to the next.
pub(crate) fn changes_between(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    let ids: BTreeSet<&str> = before.methods().chain(after.methods()).map(|plugin| plugin.id()).collect();
    for id in ids {
        match (before.get(id), after.get(id)) {
            (None, Some(new)) => {
                let overrides_built_in = after.overrides_built_in(id);
                changes.push(new.change(ChangeKind::Loaded { overrides_built_in }));
            }
            (Some(old), None) => {
                let now = old.source().path().and_then(|path| after.serving(path));
                let now = now.map(|plugin| plugin.id().to_owned());
                changes.push(old.change(ChangeKind::Removed { now }));
            }
            (Some(old), Some(new)) if !Arc::ptr_eq(old, new) => {
                changes.push(new.change(replaced(old, new)));
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
            changes.push(plugin.change(ChangeKind::Recovered));
        }
    }
    changes
}

fn replaced(old: &Plugin, new: &Plugin) -> ChangeKind {
    match (old.source(), new.source()) {
        (Source::BuiltIn, Source::File(_)) => ChangeKind::Loaded { overrides_built_in: true },
        (Source::File(_), Source::BuiltIn) => ChangeKind::BuiltInAgain,
        (Source::File(from), Source::File(to)) if from != to && old.digest() == new.digest() => {
            ChangeKind::Moved { from: from.clone() }
        }
        _ => ChangeKind::Reloaded { from: old.generation(), widened: widened(old, new) },
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
        kind: ChangeKind::Rejected {
            reason: Box::new(rejection.reason.clone()),
            still_serving: rejection.still_serving,
        },
    }
}
