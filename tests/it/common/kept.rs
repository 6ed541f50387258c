//! The key of all tests that have one, and what finds it where it must not be: in what a
//! program prints, and in every file that a test leaves behind.

#![allow(dead_code)] // Each test file uses its own part.
#![allow(clippy::unwrap_used)] // A test that cannot go on should stop.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

/// The key that services in tests ask for. Nothing else looks like its middle, and
/// `.ci/run` searches the output of all tests for it.
pub const KEY: &str = "sk-proj-KEEP+Th1s/0ut0fEv3ryth1ng-AbCdEf0123456789";

/// A key that they do not take. It must not turn up either.
pub const WRONG_KEY: &str = "sk-wrong-KEEP+Th1s/0ut0fEv3ryth1ng-0123456789AbCdEf";

/// What must turn up nowhere: the key's middle, its tail, which shortened forms keep, and
/// the forms in which it could travel.
static TRACES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let middle = "Th1s/0ut0fEv3ryth1ng";
    let mut traces: Vec<Vec<u8>> = vec![
        middle.into(),
        "0ut0fEv3ryth1ng-AbCdEf".into(),
        middle.replace('/', "%2F").into(),
        middle.replace('/', "\\/").into(),
        utf16(middle),
        middle.bytes().rev().collect(),
        middle.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    ];
    // Base64 of the middle, at each place in a group of three.
    for shift in 0..3 {
        let encoded = STANDARD.encode(format!("{}{middle}", "x".repeat(shift)));
        traces.push(encoded.as_bytes()[4..encoded.len() - 6].to_vec());
    }
    traces
});

/// Fails if the key is in there in any form.
pub fn search(what: &str, bytes: &[u8]) {
    for trace in TRACES.iter() {
        if let Some(at) = memmem::find(bytes, trace) {
            let around = &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())];
            panic!("{what} holds the key:\n{}", String::from_utf8_lossy(around));
        }
    }
}

/// Searches the names and contents of all files in a folder; how many there are. A file
/// that is nothing but a key is where a user keeps it. What goes away in the meantime, as
/// a service still at work may make it, is passed over.
pub fn search_folder(folder: &Path) -> usize {
    let mut files = 0;
    let Some(entries) = still_there(std::fs::read_dir(folder)) else { return files };
    for entry in entries {
        let path = entry.unwrap().path();
        search("a file name", path.as_os_str().as_encoded_bytes());
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files += search_folder(&path);
        } else if path.is_file() {
            let Some(bytes) = still_there(std::fs::read(&path)) else { continue };
            if ![KEY, WRONG_KEY].iter().any(|key| bytes.trim_ascii() == key.as_bytes()) {
                search(&path.display().to_string(), &bytes);
            }
            files += 1;
        }
    }
    files
}

fn still_there<T>(read: std::io::Result<T>) -> Option<T> {
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read.unwrap()),
    }
}

/// A temporary folder that must not hold the key when it goes.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            search_folder(self.0.path());
        }
    }
}

/// What a program printed, searched.
pub fn searched(output: Output) -> Output {
    search("what it prints", &output.stdout);
    search("what it says", &output.stderr);
    output
}

/// Runs a program to its end and searches what it printed.
pub fn output(command: &mut Command) -> Output {
    searched(command.output().unwrap())
}
