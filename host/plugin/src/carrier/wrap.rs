//! Puts a plugin's component and the carrier into one component.

use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentInstanceSection, ComponentSectionId, ComponentTypeSection, ComponentValType, ExportKind,
    ExportSection, Module, PrimitiveValType, RawSection,
};
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentTypeRef,
    ExternalKind, Parser, Payload,
};

/// The carrier, compiled from `carrier.wat` by the build script.
pub(crate) const CARRIER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/carrier.wasm"));

/// The function that the whole exports beside what the plugin exports.
pub(crate) const CARRY: &str = "carry";

/// The interface that batches go through, without its version.
const TRANSFORM: &str = "tunesmith:method/transform@";

/// How the names of functions begin that free what another one has returned.
const CLEAN_UP: &str = "cabi_post_";

/// How the names of interfaces begin that the whole exports as the plugin does.
const CONTRACT: &str = "tunesmith:method/";

/// What a plugin imports and exports, as far as that decides how it is put into another
/// component.
#[derive(Default)]
struct Outline<'a> {
    /// The sections before the first module or component: types and imports.
    head: Vec<(u8, &'a [u8])>,
    types: u32,
    instances: u32,
    functions: u32,
    components: u32,
    /// Imported instances by name.
    imports: Vec<(&'a str, u32)>,
    /// Exported instances.
    exports: Vec<&'a str>,
}

/// A component that holds this one and the carrier, imports the same, and exports its
/// interfaces of the contract and [`CARRY`]. None where the component has no transform,
/// or is built in a way that no known toolchain builds; it is then called as it is.
pub(crate) fn wrap(component: &[u8]) -> Option<Vec<u8>> {
    let outline = outline(component).ok().flatten()?;
    let transform = *outline.exports.iter().find(|name| name.starts_with(TRANSFORM))?;
    let mut whole = Component::new();
    for (id, data) in &outline.head {
        whole.section(&RawSection { id: *id, data });
    }
    for nested in [component, CARRIER] {
        whole.section(&RawSection { id: ComponentSectionId::Component.into(), data: nested });
    }
    let (plugin, carrier) = (outline.components, outline.components + 1);

    let imports = outline.imports.iter().map(|&(name, index)| (name, ComponentExportKind::Instance, index));
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(plugin, imports);
    whole.section(&instances);
    let plugin = outline.instances;

    // Its interfaces, each an instance of its own.
    let shown: Vec<&str> =
        outline.exports.iter().copied().filter(|name| name.starts_with(CONTRACT)).collect();
    let mut aliases = ComponentAliasSection::new();
    let mut interface = None;
    for (name, index) in shown.iter().zip(plugin + 1..) {
        aliases.alias(Alias::InstanceExport { instance: plugin, kind: ComponentExportKind::Instance, name });
        if *name == transform {
            interface = Some(index);
        }
    }
    aliases.alias(Alias::InstanceExport {
        instance: interface?,
        kind: ComponentExportKind::Func,
        name: "apply",
    });
    whole.section(&aliases);
    let apply = outline.functions;

    let (types, named) = types(outline.types);
    whole.section(&types);
    let mut arguments: Vec<_> =
        named.into_iter().map(|(name, index)| (name, ComponentExportKind::Type, index)).collect();
    arguments.push(("apply", ComponentExportKind::Func, apply));
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(carrier, arguments);
    whole.section(&instances);
    let carrier = plugin + 1 + u32::try_from(shown.len()).ok()?;

    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::InstanceExport { instance: carrier, kind: ComponentExportKind::Func, name: CARRY });
    whole.section(&aliases);
    let mut exports = ComponentExportSection::new();
    exports.export(CARRY, ComponentExportKind::Func, apply + 1, None);
    for (name, index) in shown.iter().zip(plugin + 1..) {
        exports.export(*name, ComponentExportKind::Instance, index, None);
    }
    whole.section(&exports);
    Some(whole.finish())
}

/// The same module without functions that free what a call has returned: its memory is
/// thrown away after the call, so that they would work for nothing. None where it is not a
/// module.
pub(crate) fn without_clean_up(module: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section {
                    let export = export.ok()?;
                    let kind = match export.kind {
                        ExternalKind::Func if export.name.starts_with(CLEAN_UP) => continue,
                        ExternalKind::Func => ExportKind::Func,
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        _ => return None,
                    };
                    exports.export(export.name, kind, export.index);
                }
                kept.section(&exports);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    kept.section(&RawSection { id, data: module.get(range)? });
                }
            }
        }
    }
    Some(kept.finish())
}

/// The contract's types as the carrier asks for them, by name, from this index on.
fn types(first: u32) -> (ComponentTypeSection, Vec<(&'static str, u32)>) {
    use PrimitiveValType::{Bool, F64, S32, String, U32};
    let mut types = ComponentTypeSection::new();
    let of = |index: u32| ComponentValType::Type(first + index);
    let plain = ComponentValType::Primitive;
    types.defined_type().enum_type(["system", "user", "assistant"]);
    types.defined_type().record([("role", of(0)), ("content", plain(String))]);
    types.defined_type().list(of(1));
    types.defined_type().record([("messages", of(2))]);
    types.defined_type().list(plain(String));
    types.defined_type().variant([
        ("flag", Some(plain(Bool))),
        ("integer", Some(plain(S32))),
        ("number", Some(plain(F64))),
        ("text", Some(plain(String))),
        ("texts", Some(of(4))),
    ]);
    types.defined_type().enum_type(["given", "default"]);
    types.defined_type().record([("name", plain(String)), ("value", of(5)), ("origin", of(6))]);
    types.defined_type().list(of(7));
    types.defined_type().record([
        ("name", plain(String)),
        ("base-model", plain(String)),
        ("settings", of(8)),
        ("seed", plain(U32)),
    ]);
    types.defined_type().record([("name", plain(String)), ("reason", plain(String))]);
    types.defined_type().variant([
        ("invalid-setting", Some(of(10))),
        ("unsuitable-dataset", Some(plain(String))),
        ("unsupported", Some(plain(String))),
        ("other", Some(plain(String))),
    ]);
    let named = [
        ("role", 0),
        ("message", 1),
        ("example", 3),
        ("value", 5),
        ("origin", 6),
        ("job-setting", 7),
        ("job", 9),
        ("invalid-setting", 10),
        ("refusal", 11),
    ];
    (types, named.into_iter().map(|(name, index)| (name, first + index)).collect())
}

/// None where imports do not come first, or are more than instances.
fn outline(component: &[u8]) -> Result<Option<Outline<'_>>, BinaryReaderError> {
    let mut outline = Outline::default();
    let mut depth = 0_u32;
    let mut in_head = true;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        match &payload {
            Payload::Version { .. } => {
                depth += 1;
                in_head &= depth == 1;
                continue;
            }
            Payload::End(_) => {
                depth -= 1;
                continue;
            }
            _ if depth != 1 => continue,
            Payload::CustomSection(_) => continue,
            Payload::ComponentTypeSection(section) if in_head => outline.types += section.count(),
            Payload::ComponentImportSection(section) => {
                if !in_head {
                    return Ok(None);
                }
                for import in section.clone() {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Instance(_) => {
                            outline.imports.push((import.name.name, outline.instances));
                            outline.instances += 1;
                        }
                        _ => return Ok(None),
                    }
                }
            }
            Payload::ComponentAliasSection(section) if in_head => {
                for alias in section.clone() {
                    let kind = match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => kind,
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => {
                            ComponentExternalKind::Type
                        }
                        _ => return Ok(None),
                    };
                    match kind {
                        ComponentExternalKind::Type => outline.types += 1,
                        ComponentExternalKind::Instance => outline.instances += 1,
                        ComponentExternalKind::Func => outline.functions += 1,
                        ComponentExternalKind::Component => outline.components += 1,
                        _ => return Ok(None),
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                in_head = false;
                for export in section.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Instance {
                        outline.exports.push(export.name.name);
                    }
                }
                continue;
            }
            _ => {
                in_head = false;
                continue;
            }
        }
        // Only what belongs to the head comes here.
        if let Some((id, range)) = payload.as_section()
            && let Some(data) = component.get(range)
        {
            outline.head.push((id, data));
        }
    }
    Ok(Some(outline))
}
