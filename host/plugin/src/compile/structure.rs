//! The structural check of a foreign file, before anything is decoded or compiled:
//! one pass over its sections that follows no reference and builds nothing.

use super::imports;
use crate::display::{count, name, size};
use crate::rejection::{MESSAGE_BYTES, Reason};
use crate::sandbox::StructureLimits;
use wasmparser::{CanonicalFunction, CanonicalOption, Encoding, Parser, Payload};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Component,
    /// A core module that carries its component type.
    CoreModule,
}

/// What the check learned.
#[derive(Debug)]
pub(crate) struct Structure {
    pub(crate) form: Form,
    /// The names that it imports at its outermost level.
    pub(crate) imports: Vec<String>,
}

/// Whether a file may be decoded and compiled at all: its structure is within the
/// limits, and it asks for nothing that plugins do not have.
///
/// # Errors
/// Why not.
pub fn admit(bytes: &[u8], limits: &StructureLimits) -> Result<(), Reason> {
    let structure = check(bytes, limits)?;
    // A core module's own imports are not yet the component's: the encoder drops
    // marks and checks versions, so here only what it could never satisfy counts.
    let names = structure.imports.iter().map(String::as_str).filter(|import| {
        structure.form == Form::Component
            || !(import.contains("tunesmith:method/") || import.starts_with('['))
    });
    imports::tier(names)?;
    Ok(())
}

/// Checks a file's structure.
pub(crate) fn check(bytes: &[u8], limits: &StructureLimits) -> Result<Structure, Reason> {
    let form = form(bytes)?;
    let mut counts = Counts::default();
    let mut imports = Vec::new();
    let mut depth = 0_usize;
    let mut typed = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        match payload {
            Payload::Version { encoding, .. } => {
                depth += 1;
                within(depth, limits.depth, |n| format!("nests modules and components {n} deep"))?;
                match encoding {
                    Encoding::Module => counts.modules += 1,
                    Encoding::Component => counts.components += 1,
                }
                counts.check(limits)?;
            }
            Payload::End(_) => depth -= 1,
            Payload::TypeSection(section) => counts.types += u64::from(section.count()),
            Payload::CoreTypeSection(section) => counts.types += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => counts.types += u64::from(section.count()),
            Payload::ImportSection(section) => {
                counts.imports += u64::from(section.count());
                counts.check(limits)?;
                if depth == 1 {
                    for import in section.into_imports() {
                        let module = import.map_err(malformed)?.module;
                        if imports.last().is_none_or(|last| last != module) {
                            imports.push(module.to_owned());
                        }
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                counts.imports += u64::from(section.count());
                counts.check(limits)?;
                if depth == 1 {
                    for import in section {
                        imports.push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
            }
            Payload::ExportSection(section) => counts.exports += u64::from(section.count()),
            Payload::ComponentExportSection(section) => counts.exports += u64::from(section.count()),
            Payload::GlobalSection(section) => counts.globals += u64::from(section.count()),
            Payload::ElementSection(section) => counts.segments += u64::from(section.count()),
            Payload::DataSection(section) => counts.segments += u64::from(section.count()),
            Payload::InstanceSection(section) => counts.wiring += u64::from(section.count()),
            Payload::ComponentInstanceSection(section) => counts.wiring += u64::from(section.count()),
            Payload::ComponentAliasSection(section) => counts.wiring += u64::from(section.count()),
            Payload::ComponentCanonicalSection(section) => {
                counts.wiring += u64::from(section.count());
                counts.check(limits)?;
                for function in section {
                    synchronous(&function.map_err(malformed)?)?;
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                counts.functions += u64::from(count);
                counts.check(limits)?;
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                if bytes > limits.body {
                    return Err(Reason::Structure {
                        what: format!("has a function of {}", size(bytes as u64)),
                        limit: size(limits.body as u64),
                    });
                }
                let mut locals = 0_u64;
                for declared in body.get_locals_reader().map_err(malformed)? {
                    locals += u64::from(declared.map_err(malformed)?.0);
                }
                within(locals, u64::from(limits.locals), |n| format!("has a function with {n} locals"))?;
            }
            Payload::CustomSection(section) => {
                typed |= depth == 1 && section.name().starts_with("component-type");
            }
            _ => {}
        }
        counts.check(limits)?;
    }
    if form == Form::CoreModule && !typed {
        return Err(Reason::NoComponentType);
    }
    Ok(Structure { form, imports })
}

/// Refuses what only asynchronous components have.
fn synchronous(function: &CanonicalFunction) -> Result<(), Reason> {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            let is_async = |option: &CanonicalOption| matches!(option, CanonicalOption::Async);
            if options.iter().any(is_async) { Err(Reason::Async) } else { Ok(()) }
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => Ok(()),
        _ => Err(Reason::Async),
    }
}

/// Tells what a file is by its first bytes.
fn form(bytes: &[u8]) -> Result<Form, Reason> {
    if Parser::is_component(bytes) {
        return Ok(Form::Component);
    }
    if Parser::is_core_wasm(bytes) {
        return Ok(Form::CoreModule);
    }
    Err(Reason::NotWasm(match bytes {
        [] => "the file is empty",
        [b'\0', b'a', b's', b'm', ..] => "unknown WebAssembly version, or cut off",
        [0x7f, b'E', b'L', b'F', ..] => "compiled code",
        [b'(' | b';', ..] => "WebAssembly text format; convert it with `wasm-tools parse`",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0x1f, 0x8b, ..] => "gzip-compressed data",
        _ if bytes.iter().take(512).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => "a text file",
        _ => "unknown format",
    }))
}

/// What is counted over the whole file.
#[derive(Default)]
struct Counts {
    modules: u64,
    components: u64,
    functions: u64,
    types: u64,
    imports: u64,
    exports: u64,
    globals: u64,
    segments: u64,
    wiring: u64,
}

impl Counts {
    fn check(&self, limits: &StructureLimits) -> Result<(), Reason> {
        for (found, limit, what) in [
            (self.modules, limits.modules, "core modules"),
            (self.components, limits.components, "components"),
            (self.functions, limits.functions, "functions"),
            (self.types, limits.types, "types"),
            (self.imports, limits.imports, "imports"),
            (self.exports, limits.exports, "exports"),
            (self.globals, limits.globals, "globals"),
            (self.segments, limits.segments, "element and data segments"),
            (self.wiring, limits.wiring, "aliases, instances and canonical functions"),
        ] {
            within(found, u64::from(limit), |n| format!("has {n} {what}"))?;
        }
        Ok(())
    }
}

fn within<N: TryInto<u64> + PartialOrd + Copy>(
    found: N,
    limit: N,
    what: impl FnOnce(String) -> String,
) -> Result<(), Reason> {
    if found <= limit {
        return Ok(());
    }
    let shown = |n: N| count(n.try_into().unwrap_or(u64::MAX));
    Err(Reason::Structure { what: what(shown(found)), limit: shown(limit) })
}

fn malformed(error: wasmparser::BinaryReaderError) -> Reason {
    // The library prints bytes over several lines.
    let words: Vec<&str> = error.message().split_whitespace().collect();
    Reason::Malformed(format!("{} (at byte {})", name(&words.join(" "), MESSAGE_BYTES), error.offset()))
}
