//! Describes a plugin file from its sections, without compiling or running it.

use crate::compile::{Form, check_structure};
use crate::display;
use crate::file;
use crate::rejection::Rejection;
use crate::sandbox::Limits;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use tunesmith_core::digest::Digest;
use wasmparser::{KnownCustom, Parser, Payload};

/// Names of imports, exports and tools that are listed, each. 256: a Python component
/// imports 25 interfaces, and more than this would not be read.
const MOST_NAMES: usize = 256;

/// Bytes of such a name. 200: the longest of WASI have 60.
const NAME: usize = 200;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    pub size: u64,
    pub sha256: Digest,
    /// `component`, or `core module` for one that carries its component type.
    pub form: &'static str,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// What it exports: interfaces, and functions of its outermost level.
    pub exports: Vec<String>,
    /// What it was made with.
    pub producers: Vec<Producer>,
}

/// A language, an SDK or a tool that had a part in making a file, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Producer {
    /// `language`, `sdk` or `processed-by`.
    pub role: String,
    pub name: String,
    /// Its version, which may be empty.
    pub version: String,
}

/// Reads a file and says what it is.
///
/// # Errors
///
/// When it cannot be read, or does not have the structure of a plugin.
pub fn inspect(path: &Path, limits: &Limits) -> Result<Inspection, Box<Rejection>> {
    let reject =
        |digest, reason| Box::new(Rejection { path: path.to_owned(), digest, reason, still_serving: None });
    let content = file::read(path, limits).map_err(|reason| reject(None, reason))?;
    let digest = content.digest;
    let structure =
        check_structure(&content.bytes, &limits.structure).map_err(|reason| reject(Some(digest), reason))?;
    let Outermost { exports, producers } = outermost(&content.bytes, structure.form);
    let imports: BTreeSet<String> = structure.imports.iter().map(|name| display::name(name, NAME)).collect();
    Ok(Inspection {
        size: content.bytes.len() as u64,
        sha256: digest,
        form: match structure.form {
            Form::Component => "component",
            Form::CoreModule => "core module",
        },
        imports: imports.into_iter().take(MOST_NAMES).collect(),
        exports: exports.into_iter().take(MOST_NAMES).collect(),
        producers: producers.into_iter().take(MOST_NAMES).collect(),
    })
}

#[derive(Default)]
struct Outermost {
    exports: BTreeSet<String>,
    producers: BTreeSet<Producer>,
}

/// What the sections say, as far as they can be read: the structure has been checked,
/// and a name that is malformed is for the compiler to refuse.
fn outermost(bytes: &[u8], form: Form) -> Outermost {
    let mut found = Outermost::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return found };
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentExportSection(section) if depth == 1 => {
                let names = section.into_iter().flatten().map(|export| display::name(export.name.name, NAME));
                found.exports.extend(names.take(MOST_NAMES));
            }
            Payload::ExportSection(section) if depth == 1 && form == Form::CoreModule => {
                let names = section.into_iter().flatten().filter_map(|export| interface(export.name));
                found.exports.extend(names.take(MOST_NAMES));
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Producers(fields) = section.as_known() {
                    for field in fields.into_iter().flatten() {
                        let values = field.values.into_iter().flatten().map(|value| Producer {
                            role: display::name(field.name, NAME),
                            name: display::name(value.name, NAME),
                            version: display::name(value.version, NAME),
                        });
                        found.producers.extend(values.take(MOST_NAMES));
                    }
                }
            }
            _ => {}
        }
        if found.producers.len() > MOST_NAMES {
            break;
        }
    }
    found
}

/// The interface of a core module's export, which names it before a `#`; none for
/// what only the encoder uses.
fn interface(export: &str) -> Option<String> {
    let (interface, _) = export.split_once('#')?;
    (!interface.starts_with("cabi_")).then(|| display::name(interface, NAME))
}
