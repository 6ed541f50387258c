//! Files that appear whole or not at all: written beside their place, then renamed.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use tempfile::NamedTempFile;

/// How the names of drafts begin. Whoever lists a folder can tell by it what a killed
/// process left behind.
pub const DRAFT_PREFIX: &str = ".tunesmith-";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// This user alone.
    Private,
    /// Whoever the user's umask lets.
    Shared,
}

/// What a file has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power loss: file and folder are synced.
    Synced,
    /// The end of this process. For a cache, which checks what it reads: a lost entry
    /// costs less than waiting for the disk.
    Cached,
}

/// A file on its way into its place. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Draft(NamedTempFile);

impl Draft {
    /// A new file in a folder, which must be on the file system of its later place.
    ///
    /// # Errors
    /// The folder does not exist or cannot be written to.
    pub fn new(folder: &Path, access: Access) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(DRAFT_PREFIX);
        if access == Access::Shared {
            builder.permissions(Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder).map(Self)
    }

    /// Where it is until it has its place.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The open file.
    pub fn as_file(&self) -> &File {
        self.0.as_file()
    }

    /// Gives it its name, in place of a file that has it.
    ///
    /// # Errors
    /// Syncing or renaming failed; an earlier file is unchanged unless only the folder
    /// could not be synced.
    pub fn replace(self, path: &Path, durability: Durability) -> io::Result<()> {
        self.name(path, durability, NamedTempFile::persist)
    }

    /// Gives it its name, which no file may have.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or as for [`Draft::replace`].
    pub fn create(self, path: &Path, durability: Durability) -> io::Result<()> {
        self.name(path, durability, NamedTempFile::persist_noclobber)
    }

    fn name<'p>(
        self,
        path: &'p Path,
        durability: Durability,
        rename: impl FnOnce(NamedTempFile, &'p Path) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<()> {
        if durability == Durability::Synced {
            self.as_file().sync_all()?;
        }
        rename(self.0, path).map_err(|error| error.error)?;
        match durability {
            // The name itself is safe only once the folder is.
            Durability::Synced => sync_folder(folder_of(path)),
            Durability::Cached => Ok(()),
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Replaces a file's content, or creates the file, in a folder that exists.
///
/// # Errors
/// As for [`Draft::new`] and [`Draft::replace`].
pub fn replace(path: &Path, content: &[u8], access: Access, durability: Durability) -> io::Result<()> {
    let mut draft = Draft::new(folder_of(path), access)?;
    draft.write_all(content)?;
    draft.replace(path, durability)
}

/// Creates a folder, and those above it, that only this user can enter. One that exists
/// keeps its mode.
///
/// # Errors
/// It cannot be created, or is something else.
pub fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the names in a folder survive a power loss.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a path is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn replacing_leaves_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (content, durability) in [(b"one", Durability::Synced), (b"two", Durability::Cached)] {
            replace(&path, content, Access::Private, durability).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn creating_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let draft = || Draft::new(folder.path(), Access::Shared).unwrap();
        draft().create(&path, Durability::Synced).unwrap();
        let error = draft().create(&path, Durability::Synced).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o044, 0, "not private");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
