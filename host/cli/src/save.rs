//! Writes a file that a command makes: whole or not at all.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::fs::{Access, Draft, Durability, folder_of};

/// Writes the file beside its place, to disk, and only then under its name. An existing
/// one is replaced only if asked to.
///
/// # Errors
/// There is one already, or writing failed; then nothing has changed.
pub fn save(path: &Path, content: &[u8], replace: bool) -> Result<(), Failure> {
    write(path, content, replace).map_err(|error| {
        let place = path.display();
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::new(Code::OutputExists, format!("{place} exists already"))
                .advise(Advice::ReplaceFile);
        }
        let said = Failure::new(Code::OutputFailed, format!("cannot write {place}: {error}"));
        match error.kind() {
            io::ErrorKind::NotFound => said.advise("create the directory first"),
            io::ErrorKind::StorageFull => said.advise("make room; nothing was written"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                said.advise("name another file")
            }
            _ => said,
        }
    })
}

fn write(path: &Path, content: &[u8], replace: bool) -> io::Result<()> {
    // A device or pipe, such as /dev/stdout, takes the bytes; it must not be replaced.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    // Said early, before the work; the rename looks again.
    if !replace && path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // A file that is a link is replaced where it points to, as an editor does.
    let path: PathBuf = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut draft = Draft::new(folder_of(&path), Access::Shared)?;
    draft.write_all(content)?;
    match replace {
        true => draft.replace(&path, Durability::Synced),
        false => draft.create(&path, Durability::Synced),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_only_if_asked_to_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loss.svg");
        save(&path, b"one", false).unwrap();
        let error = save(&path, b"two", false).unwrap_err();
        assert_eq!(
            (error.code, std::fs::read(&path).unwrap().as_slice()),
            (Code::OutputExists, b"one".as_slice())
        );
        save(&path, b"two", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_ne!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o044, 0, "not private");
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        use std::os::unix::fs::FileTypeExt as _;
        save(Path::new("/dev/null"), b"one", true).unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let error = save(Path::new("/dev/full"), b"one", false).unwrap_err();
        assert_eq!(error.advice, ["make room; nothing was written".into()]);
    }

    #[test]
    fn a_missing_folder_and_a_full_disk_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = save(&folder.path().join("none/loss.svg"), b"one", false).unwrap_err();
        assert_eq!(error.advice, ["create the directory first".into()]);
    }
}
