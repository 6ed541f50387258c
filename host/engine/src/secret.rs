//! Where a secret comes from: an environment variable, or a file that only its
//! owner can read.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::secret::{Found, Unfit, check};

/// A file that holds a key is at most this long. 16 KiB: the longest tokens in use
/// have a few KB, and a wrong path should not be read into memory.
const LONGEST_FILE: u64 = 16 << 10;

/// Permission bits that let others than the owner use a file.
const OTHERS: u32 = 0o077;

/// Why a secret could not be used. No variant carries any part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// What is there cannot be a key.
    #[error("{place} {unfit}")]
    Unfit {
        /// The variable or file.
        place: String,
        /// Why not.
        unfit: Unfit,
    },
    /// The file cannot be opened or read.
    #[error("cannot read the key file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a regular file.
    #[error("the key file {} is {what}, not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Others than its owner can use the file.
    #[error("the key file {} has mode {mode:04o}: others than its owner can use it", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error("the key file {} belongs to user {owner}, not to you (user {user})", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// The owner's user id.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
}

impl SecretError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Unfit { .. } => Code::KeyInvalid,
            Self::Unreadable { .. } | Self::NotAFile { .. } => Code::KeyFileUnreadable,
            Self::Permissions { .. } | Self::Owner { .. } => Code::KeyFileExposed,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Unfit { unfit: Unfit::Empty, .. } => vec!["put the key there, as one line".into()],
            Self::Unfit { unfit: Unfit::Character { .. } | Unfit::TooLong { .. }, .. } => {
                vec!["it should be the key alone, as one line, without quotes".into()]
            }
            Self::Unfit { unfit: Unfit::Assignment, .. } => {
                vec!["keep only what stands after the `=`".into()]
            }
            Self::Unreadable { .. } | Self::NotAFile { .. } => vec![Advice::SetKey],
            Self::Permissions { path, .. } => vec![
                Advice::RestrictAccess { path: path.clone(), mode: "600".into() },
                "if others could read it, make a new key".into(),
            ],
            Self::Owner { path, .. } => {
                vec![format!("copy the key to a file of your own, instead of {}", path.display()).into()]
            }
        }
    }
}

impl From<&SecretError> for Failure {
    fn from(error: &SecretError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// The secret in an environment variable's value.
///
/// # Errors
///
/// The value cannot be a key: [`check`].
pub fn from_env(name: &str, value: &OsStr) -> Result<Found, SecretError> {
    found(name.to_owned(), value.as_encoded_bytes())
}

/// The secret that is a file's only line. The file must be a regular one that belongs
/// to this user or to root, and nobody else may have any permission on it. What is
/// checked is the file that was opened, so that it cannot be exchanged in between; a
/// symbolic link is followed, and its target is what counts.
///
/// # Errors
///
/// The file is missing, unreadable, of another kind, open to others or too long, or
/// its content cannot be a key.
pub fn from_file(path: &Path) -> Result<Found, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    // Non-blocking, so that a FIFO does not hang; on regular files it means nothing.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(unreadable)?;
    check_file(path, &file)?;
    let mut content = Vec::new();
    file.by_ref().take(LONGEST_FILE + 1).read_to_end(&mut content).map_err(unreadable)?;
    let place = format!("the key file {}", path.display());
    if content.len() as u64 > LONGEST_FILE {
        return Err(SecretError::Unfit { place, unfit: Unfit::TooLong { limit: LONGEST_FILE } });
    }
    found(place, &content)
}

fn found(place: String, content: &[u8]) -> Result<Found, SecretError> {
    match check(content) {
        Ok(secret) => Ok(Found { secret, place }),
        Err(unfit) => Err(SecretError::Unfit { place, unfit }),
    }
}

fn check_file(path: &Path, file: &File) -> Result<(), SecretError> {
    let path = path.to_owned();
    let meta = file.metadata().map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "a directory" } else { "a device, pipe or socket" };
        return Err(SecretError::NotAFile { path, what });
    }
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user && meta.uid() != 0 {
        return Err(SecretError::Owner { path, owner: meta.uid(), user });
    }
    let mode = meta.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecretError::Permissions { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const KEY: &str = "sk-test-0123456789abcdef";

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn message(content: &[u8], mode: u32) -> String {
        let (dir, path) = file(content, mode);
        let error = from_file(&path).unwrap_err();
        let text = format!("{error}\n{error:?}\n{:?}", error.advice());
        assert!(!text.contains("0123456789"), "{text}");
        format!("{error}\n{:?}", error.advice()).replace(&*dir.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn the_only_line_of_a_private_file_is_the_key() {
        for mode in [0o600, 0o400] {
            let (_dir, path) = file(format!("  {KEY}\r\n\n").as_bytes(), mode);
            let found = from_file(&path).unwrap();
            assert_eq!(found.secret.expose(), KEY);
            assert!(!format!("{found:?}").contains("0123456789"));
        }
    }

    #[test]
    fn a_link_to_a_private_file_is_followed() {
        let (dir, path) = file(KEY.as_bytes(), 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(from_file(&link).unwrap().secret.expose(), KEY);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(from_file(&link), Err(SecretError::Permissions { mode: 0o640, .. })));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_being_shown() {
        let two_lines = format!("{KEY}\n{KEY}");
        let assignment = format!("export OPENAI_API_KEY={KEY}");
        let cases: [(&[u8], u32); 9] = [
            (KEY.as_bytes(), 0o644),
            (KEY.as_bytes(), 0o610),
            (b" \n", 0o600),
            (two_lines.as_bytes(), 0o600),
            (b"sk-0123456789 abc", 0o600),
            (b"sk-0123456789\xff", 0o600),
            (assignment.as_bytes(), 0o600),
            (&[b'a'; 9000], 0o600),
            (&[b'a'; 20_000], 0o600),
        ];
        let said: Vec<String> = cases.iter().map(|(content, mode)| message(content, *mode)).collect();
        insta::assert_snapshot!(said.join("\n\n"));
    }

    #[test]
    fn directories_pipes_and_missing_files_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let said = |path: &Path| from_file(path).unwrap_err().to_string();
        assert!(said(dir.path()).ends_with("is a directory, not a regular file"), "{}", said(dir.path()));
        assert!(said(&dir.path().join("none")).contains("cannot read the key file"));
        let fifo = dir.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&fifo).status().unwrap();
        assert!(status.success());
        assert!(said(&fifo).ends_with("is a device, pipe or socket, not a regular file"), "{}", said(&fifo));
    }

    #[test]
    fn a_variable_is_checked_too() {
        let found = from_env("OPENAI_API_KEY", OsStr::new(KEY)).unwrap();
        assert_eq!((found.secret.expose(), found.place.as_str()), (KEY, "OPENAI_API_KEY"));
        assert_eq!(
            from_env("OPENAI_API_KEY", OsStr::new("")).unwrap_err().to_string(),
            "OPENAI_API_KEY is empty"
        );
        // A key may end in base64's padding.
        assert!(from_env("X", OsStr::new("AbC_dEf012==")).is_ok());
    }
}
