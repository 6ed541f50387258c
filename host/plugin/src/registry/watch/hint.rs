//! What the system's notifications of a directory mean.

use crate::registry::files::is_plugin;
use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind, RenameMode};
use std::path::PathBuf;

/// What the system says happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Something was written to this file; whether the writer is done.
    Written(PathBuf, bool),
    /// Something, somewhere.
    Anything,
}

/// What an event of the system means; none where it changes nothing.
pub(crate) fn hints(event: notify::Result<Event>) -> Vec<Hint> {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        // Events were lost, or the watch was.
        Ok(_) | Err(_) => return vec![Hint::Anything],
    };
    let done = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => true,
        // Looking itself opens and reads.
        EventKind::Access(_) => return vec![],
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        // Gone, renamed away, another mode or owner: comparing tells.
        _ => return vec![Hint::Anything],
    };
    event
        .paths
        .into_iter()
        // Drafts beside the plugins need no look. On some systems the path is the
        // directory's.
        .filter_map(|path| match is_plugin(&path) {
            true => Some(Hint::Written(path, done)),
            false => (path.extension().is_none()).then_some(Hint::Anything),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind};
    use std::path::Path;

    fn said(kind: EventKind, name: &str) -> Vec<Hint> {
        hints(Ok(Event::new(kind).add_path(Path::new("/plugins").join(name))))
    }

    fn written(name: &str, done: bool) -> Vec<Hint> {
        vec![Hint::Written(Path::new("/plugins").join(name), done)]
    }

    #[test]
    fn closed_or_renamed_file_is_complete() {
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(said(closed, "a.wasm"), written("a.wasm", true));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(said(renamed, "a.wasm"), written("a.wasm", true));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(said(data, "a.wasm"), written("a.wasm", false));
        assert_eq!(said(EventKind::Create(CreateKind::File), "a.wasm"), written("a.wasm", false));
    }

    #[test]
    fn reads_and_drafts_are_ignored() {
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert_eq!(said(opened, "a.wasm"), []);
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        for draft in [".a.wasm", "a.wasm.part", "a.rlib"] {
            assert_eq!(said(closed, draft), [], "{draft}");
        }
    }

    #[test]
    fn unclear_events_compare_everything() {
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(hints(Ok(overflow)), [Hint::Anything]);
        assert_eq!(hints(Err(notify::Error::generic("lost"))), [Hint::Anything]);
        assert_eq!(said(EventKind::Remove(RemoveKind::File), "a.wasm"), [Hint::Anything]);
        let mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        assert_eq!(said(mode, "a.wasm"), [Hint::Anything]);
        // FSEvents may name the directory alone.
        assert_eq!(said(EventKind::Create(CreateKind::Any), ""), [Hint::Anything]);
    }
}
