//! Noticing that files changed, for commands that follow a few of them.

use std::path::{Path, PathBuf};
use std::time::Duration;
use tunesmith_plugin_host::Stamp;

/// How often to ask. 200 ms: a few calls to the system each, and a person who saves a
/// file does not wait long.
pub const ASK_EVERY: Duration = Duration::from_millis(200);

/// Files that are followed, wherever they lie. Their stamps are compared, so that it
/// works on every file system, through links, and for files that are not there yet.
#[derive(Debug, Default)]
pub struct Paths {
    known: Vec<(PathBuf, Option<Stamp>)>,
    /// What they were at the last look, if that was something else.
    unsettled: Option<Vec<Option<Stamp>>>,
}

impl Paths {
    /// Follows a file from what it is now. Before it is read: what is written meanwhile
    /// then counts as a change.
    pub fn follow(&mut self, path: &Path) {
        self.known.push((path.to_owned(), Stamp::of(path)));
        self.unsettled = None;
    }

    /// Which files have changed since they were followed or were last told, once nobody
    /// has written to them between two questions.
    pub fn changed(&mut self) -> Vec<PathBuf> {
        let now: Vec<_> = self.known.iter().map(|(path, _)| Stamp::of(path)).collect();
        if self.known.iter().zip(&now).all(|((_, known), now)| known == now) {
            self.unsettled = None;
            return Vec::new();
        }
        if self.unsettled.as_ref() != Some(&now) {
            self.unsettled = Some(now);
            return Vec::new();
        }
        self.unsettled = None;
        let mut changed = Vec::new();
        for ((path, known), now) in self.known.iter_mut().zip(now) {
            if *known != now {
                *known = now;
                changed.push(path.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        std::fs::write(&file, "1").unwrap();
        let mut paths = Paths::default();
        paths.follow(&file);
        paths.follow(&other);
        assert!(paths.changed().is_empty());
        std::fs::write(&file, "12").unwrap();
        assert!(paths.changed().is_empty(), "it may go on");
        std::fs::write(&file, "123").unwrap();
        assert!(paths.changed().is_empty(), "it went on");
        assert_eq!(paths.changed(), std::slice::from_ref(&file));
        assert!(paths.changed().is_empty());
        // One that was not there, and one that is gone.
        std::fs::write(&other, "1").unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(paths.changed().is_empty());
        assert_eq!(paths.changed(), [file, other]);
    }
}
