//! Opens a file below a folder and nothing else: not through `..`, an absolute path or a
//! symbolic link, and only a regular file of an ordinary file system.
//!
//! The file stays open and is read through its descriptor, so that nobody can replace it
//! in between.

use rustix::fs::{FileType, Mode, OFlags, RawMode, fstat, open as open_path};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Why a file was not opened.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The path is absolute.
    Absolute,
    /// The path contains `..`.
    Traversal,
    /// A symbolic link leads out of the folder, or is a loop.
    Link,
    /// It is not a regular file but this.
    Special(&'static str),
    /// It is a directory.
    Directory,
    /// It does not exist.
    Missing,
    /// It cannot be opened.
    Unreadable(std::io::Error),
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        match error {
            // RESOLVE_BENEATH reports a way out, O_NOFOLLOW a symbolic link.
            Errno::XDEV | Errno::LOOP => Self::Link,
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            other => Self::Unreadable(other.into()),
        }
    }
}

/// Opens a regular file below a folder.
pub(super) fn open(root: &Path, relative: &Path) -> Result<File, Refusal> {
    for component in relative.components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(Refusal::Traversal),
            Component::RootDir | Component::Prefix(_) => return Err(Refusal::Absolute),
        }
    }
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let root = open_path(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let found = below(&root, relative)?;
    let stat = fstat(&found)?;
    match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Refusal::Directory),
        FileType::Fifo => return Err(Refusal::Special("a named pipe")),
        FileType::Socket => return Err(Refusal::Special("a socket")),
        _ => return Err(Refusal::Special("a device")),
    }
    if is_of_the_kernel(&found)? {
        return Err(Refusal::Special("in a kernel file system"));
    }
    // It may have been opened without permission to read; only now is it known that
    // opening it has no side effect.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(by_descriptor(found.as_raw_fd()))
        .map_err(Refusal::Unreadable)
}

/// A path to this open file, even if its name now refers to another one.
pub(super) fn path_of(file: &File) -> PathBuf {
    by_descriptor(file.as_raw_fd())
}

fn by_descriptor(descriptor: i32) -> PathBuf {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    Path::new(folder).join(descriptor.to_string())
}

/// Finds a file below an open folder without opening it for reading.
#[cfg(target_os = "linux")]
fn below(root: &OwnedFd, relative: &Path) -> Result<OwnedFd, Refusal> {
    use rustix::fs::{ResolveFlags, openat2};
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // Links may point anywhere below the folder, as in volumes of container platforms.
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, relative, flags, Mode::empty(), within) {
        // Before Linux 5.6, or if a container's seccomp filter does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(root, relative, flags),
        found => Ok(found?),
    }
}

/// Finds a file below an open folder.
#[cfg(not(target_os = "linux"))]
fn below(root: &OwnedFd, relative: &Path) -> Result<OwnedFd, Refusal> {
    step_by_step(root, relative, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC)
}

/// The same without help of the system: no symbolic link is followed.
fn step_by_step(root: &OwnedFd, relative: &Path, last: OFlags) -> Result<OwnedFd, Refusal> {
    use rustix::fs::openat;
    let mut names = relative.components().peekable();
    let mut folder = None;
    while let Some(name) = names.next() {
        let flags = match names.peek() {
            Some(_) => OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            None => last,
        };
        let next = openat(
            folder.as_ref().unwrap_or(root),
            name.as_os_str(),
            flags | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        // With O_PATH a link is opened itself.
        if FileType::from_raw_mode(fstat(&next)?.st_mode as RawMode) == FileType::Symlink {
            return Err(Refusal::Link);
        }
        folder = Some(next);
    }
    folder.ok_or(Refusal::Directory)
}

/// Whether a file is in a kernel file system such as /proc.
#[cfg(target_os = "linux")]
fn is_of_the_kernel(file: &OwnedFd) -> Result<bool, Refusal> {
    // From linux/magic.h: proc, sysfs, debugfs, tracefs, securityfs, cgroup and cgroup2,
    // bpf, and the pseudo file systems of pipes and sockets.
    const MADE_UP: [i64; 10] = [
        0x9fa0,
        0x6265_6572,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0x0027_e0eb,
        0x6367_7270,
        0xcafe_4a11,
        0x5049_5045,
        0x534f_434b,
    ];
    let kind = rustix::fs::fstatfs(file)?.f_type;
    #[allow(clippy::useless_conversion, reason = "its type differs between architectures")]
    Ok(MADE_UP.contains(&i64::from(kind)))
}

#[cfg(not(target_os = "linux"))]
fn is_of_the_kernel(_file: &OwnedFd) -> Result<bool, Refusal> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    struct Folder(tempfile::TempDir);

    impl Folder {
        /// `root/inside/data` to be found, and `secret` beside the root.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("root/inside")).unwrap();
            std::fs::write(folder.path().join("root/inside/data"), "data").unwrap();
            std::fs::write(folder.path().join("secret"), "secret").unwrap();
            Self(folder)
        }

        fn root(&self) -> PathBuf {
            self.0.path().join("root")
        }

        fn link(&self, to: &str, name: &str) {
            symlink(to, self.root().join(name)).unwrap();
        }

        fn open(&self, relative: &str) -> Result<String, Refusal> {
            let mut text = String::new();
            let mut file = open(&self.root(), Path::new(relative))?;
            file.read_to_string(&mut text).unwrap();
            assert_eq!(std::fs::read_to_string(path_of(&file)).unwrap(), text);
            Ok(text)
        }

        fn step(&self, relative: &str) -> Result<OwnedFd, Refusal> {
            let root = open_path(self.root(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
            step_by_step(&root, Path::new(relative), OFlags::RDONLY)
        }
    }

    #[test]
    fn only_files_below_the_folder_open() {
        let folder = Folder::new();
        folder.link("inside/data", "near");
        folder.link("../root/inside", "around");
        folder.link("../secret", "out");
        folder.link("/etc/passwd", "far");
        folder.link("circle", "circle");
        folder.link("/proc/self/root", "magic");
        assert_eq!(folder.open("inside/data").unwrap(), "data");
        assert_eq!(folder.open("./inside/./data").unwrap(), "data");
        assert_eq!(folder.open("near").unwrap(), "data");
        assert!(matches!(folder.open("../secret"), Err(Refusal::Traversal)));
        assert!(matches!(folder.open("inside/../inside/data"), Err(Refusal::Traversal)));
        assert!(matches!(folder.open("/etc/passwd"), Err(Refusal::Absolute)));
        for way_out in ["out", "far", "around/data", "circle", "magic/etc/passwd"] {
            let refusal = folder.open(way_out).unwrap_err();
            assert!(matches!(refusal, Refusal::Link), "{way_out}: {refusal:?}");
        }
        assert!(matches!(folder.open("inside"), Err(Refusal::Directory)));
        assert!(matches!(folder.open("none"), Err(Refusal::Missing)));
        assert!(matches!(folder.open("inside/data/more"), Err(Refusal::Missing)));
    }

    #[test]
    fn step_by_step_no_link_is_followed() {
        let folder = Folder::new();
        folder.link("inside/data", "near");
        folder.link("inside", "folder");
        assert!(folder.step("inside/data").is_ok());
        assert!(matches!(folder.step("near"), Err(Refusal::Link)));
        assert!(matches!(folder.step("folder/data"), Err(Refusal::Link | Refusal::Missing)));
        assert!(matches!(folder.step("none/data"), Err(Refusal::Missing)));
    }

    #[test]
    fn special_files_are_refused_without_waiting() {
        use rustix::fs::{CWD, mknodat};
        let folder = Folder::new();
        let pipe = folder.root().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(matches!(folder.open("pipe"), Err(Refusal::Special("a named pipe"))));
        let device = open(Path::new("/dev"), Path::new("null"));
        assert!(matches!(device, Err(Refusal::Special("a device"))));
        if cfg!(target_os = "linux") {
            let made_up = open(Path::new("/proc"), Path::new("cpuinfo"));
            assert!(matches!(made_up, Err(Refusal::Special(_))), "{made_up:?}");
        }
    }
}
