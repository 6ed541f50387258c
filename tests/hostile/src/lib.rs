//! Guests that misbehave, and what the host has to do about each.
//!
//! Every folder of `cases/` is a case: `case.json` says which guest, what is done
//! with it and which limit or rule has to stop it, and `expected.txt` is what the
//! user reads.

pub mod made;

use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// A case, as its folder says.
#[derive(Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What `case.json` says.
    pub spec: Spec,
}

/// `case.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What it is about, in a sentence.
    pub about: String,
    /// The guest.
    pub guest: Guest,
    /// The call that has to be stopped; without one, loading has to be.
    pub call: Option<CallSpec>,
    /// Limits that differ from the defaults.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// The limit or rule that stops it.
    pub stopped_by: String,
}

/// Where a guest comes from.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Guest {
    /// Written in Rust, `guests/src/NAME.rs`.
    Rust {
        /// The name.
        rust: String,
        /// The way in which `describes` goes wrong.
        way: Option<String>,
    },
    /// Written in WebAssembly's text format, in the case's folder.
    Wat {
        /// The file.
        wat: String,
    },
    /// Made by [`made`].
    Made {
        /// The name.
        made: String,
    },
}

/// The call that has to be stopped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallSpec {
    /// `ollama`, `openai`, `training` or `transform`.
    pub ability: String,
    /// The job's name, by which the guest knows what to do.
    pub job: String,
}

/// Limits that a case sets, to be quick or to meet one limit before another.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsSpec {
    pub fuel: Option<u64>,
    pub describe_deadline_ms: Option<u64>,
    pub plan_deadline_ms: Option<u64>,
    pub transform_deadline_ms: Option<u64>,
    pub compile_cpu_ms: Option<u64>,
    pub compile_wall_ms: Option<u64>,
    pub compile_memory: Option<u64>,
    pub compile_output: Option<u64>,
}

/// All cases, by name. A folder without a valid `case.json` is an error.
///
/// # Errors
///
/// When a folder or its `case.json` cannot be read.
pub fn cases() -> io::Result<Vec<Case>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let folder = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("case {name}: {error}"));
        let text = fs::read(folder.join("case.json")).map_err(|error| wrong(&error))?;
        let spec = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
        cases.push(Case { name, folder, spec });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Case {
    /// Puts the guest into a directory, as `NAME.wasm`.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or there is no such guest.
    pub fn put(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(format!("{}.wasm", self.name));
        let bytes = match &self.spec.guest {
            Guest::Rust { rust: name, way } => {
                let wasm = rust(name).ok_or_else(|| io::Error::other(format!("no guest {name}")))?;
                match way {
                    Some(way) => describes(wasm, way)?,
                    None => wasm.to_vec(),
                }
            }
            Guest::Wat { wat: file } => wat::parse_file(self.folder.join(file)).map_err(io::Error::other)?,
            Guest::Made { made: name } => return made::put(name, directory, &path).map(|()| path),
        };
        fs::write(&path, bytes)?;
        Ok(path)
    }
}

/// A guest that is written in Rust, as the core module that cargo builds.
pub fn rust(name: &str) -> Option<&'static [u8]> {
    RUST.iter().find(|(found, _)| *found == name).map(|(_, wasm)| *wasm)
}

/// The guest `describes`, made to go a way.
///
/// # Errors
///
/// When the guest has no mark, or the way does not fit behind it.
pub fn describes(wasm: &[u8], way: &str) -> io::Result<Vec<u8>> {
    const MARK: &[u8] = b"tunesmith hostile way:";
    // A panic message or a comparison may hold the mark as well; the static has
    // zeros behind it.
    let place = wasm
        .windows(MARK.len() + 1)
        .position(|window| window.starts_with(MARK) && window.ends_with(b"\0"))
        .ok_or_else(|| io::Error::other("the guest has no mark"))?;
    let way_place = place + MARK.len();
    let room = 64 - MARK.len();
    if way.len() >= room {
        return Err(io::Error::other(format!("`{way}` is longer than {room} bytes")));
    }
    let mut wasm = wasm.to_vec();
    wasm[way_place..way_place + way.len()].copy_from_slice(way.as_bytes());
    Ok(wasm)
}

/// The same module with other bytes: with a custom section that nobody reads.
pub fn variant(wasm: &[u8], tag: &str) -> Vec<u8> {
    const NAME: &[u8] = b"variant";
    let tag = tag.as_bytes();
    // One byte each for the length of the name and of the section.
    assert!(tag.len() < 100, "the tag is too long for a section of one length byte");
    let mut wasm = wasm.to_vec();
    wasm.extend([0, (1 + NAME.len() + tag.len()) as u8, NAME.len() as u8]);
    wasm.extend(NAME);
    wasm.extend(tag);
    wasm
}
