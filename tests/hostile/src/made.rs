//! Guests that are made rather than written: broken files, bombs, and things that
//! are not files.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentTypeSection, CustomSection, Function, FunctionSection,
    Instruction, Module, ModuleSection, NestedComponentSection, RawSection, TypeSection, ValType,
};
use wasmparser::{Parser, Payload};

/// How deep the types of the bombs for decoders are nested.
const DEEP: usize = 200_000;

/// Puts a guest at `path`, and what it needs beside it.
pub(crate) fn put(name: &str, directory: &Path, path: &Path) -> io::Result<()> {
    let good = || crate::rust("well_behaved").unwrap_or_default();
    let bytes = match name {
        "empty" => Vec::new(),
        "text-file" => b"#!/bin/sh\necho hello\n".to_vec(),
        "text-format" => b"(module)\n".to_vec(),
        "native-code" => b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        "header-only" => good()[..8].to_vec(),
        "truncated" => good()[..good().len() / 2].to_vec(),
        "truncated-at-section" => {
            let cut = before_first(good(), |payload| matches!(payload, Payload::CustomSection(_)))?;
            good()[..cut].to_vec()
        }
        "truncated-component" => {
            let mut component = Component::new();
            component.section(&ModuleSection(&Module::new()));
            component.finish()
        }
        "random-bytes" => {
            let mut bytes = Component::new().finish();
            let mut state = 0x9e37_79b9_u32;
            bytes.extend((0..4096).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            }));
            bytes
        }
        "many-functions" => in_component(&functions(300_000)),
        "many-types" => {
            let mut types = ComponentTypeSection::new();
            for _ in 0..200_000 {
                types.defined_type().primitive(wasm_encoder::PrimitiveValType::U8);
            }
            let mut component = Component::new();
            component.section(&types);
            component.finish()
        }
        "deep-nesting" => {
            let mut component = Component::new();
            for _ in 0..50 {
                let mut outer = Component::new();
                outer.section(&NestedComponentSection(&component));
                component = outer;
            }
            component.finish()
        }
        "giant-body" => {
            let mut body = Function::new([]);
            for _ in 0..1 << 21 {
                body.instruction(&Instruction::Nop);
            }
            in_component(&one_function(&mut body))
        }
        "many-locals" => in_component(&one_function(&mut Function::new([(49_000, ValType::I64)]))),
        "giant-count" => {
            let mut module = Module::new();
            // A type section whose count is the largest that can be written.
            module.section(&RawSection { id: 1, data: &[0xff, 0xff, 0xff, 0xff, 0x0f] });
            in_component(&module)
        }
        "compile-bomb" | "compile-bomb-memory" | "compile-bomb-wall" => in_component(&compile_bomb()),
        "compile-output" => in_component(&functions(1_000)),
        "encode-bomb" => {
            let mut module = Module::new();
            let types = deep_types();
            module.section(&CustomSection {
                name: "component-type:bomb".into(),
                data: types.as_slice().into(),
            });
            module.finish()
        }
        "type-bomb" => deep_types(),
        "one-gigabyte" => return File::create(path)?.set_len(1_000_000_000),
        "named-pipe" => {
            return Ok(mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?);
        }
        "endless-device" => return symlink("/dev/zero", path),
        "dangling-link" => return symlink("nowhere.wasm", path),
        "directory" => return fs::create_dir(path),
        "same-id" => {
            let other = crate::rust("describes").unwrap_or_default();
            fs::write(directory.join("a-first.wasm"), other)?;
            // The same method in another file: an empty custom section more.
            [other, &[0, 2, 1, b'x']].concat()
        }
        "built-in-id" => good().to_vec(),
        _ => return Err(io::Error::other(format!("no guest {name} is made"))),
    };
    fs::write(path, bytes)
}

/// The place of the first such section.
fn before_first(wasm: &[u8], found: impl Fn(&Payload<'_>) -> bool) -> io::Result<usize> {
    let mut end = 8;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(io::Error::other)?;
        if found(&payload) {
            return Ok(end);
        }
        if let Some((_, range)) = payload.as_section() {
            end = range.end;
        } else if let Payload::CodeSectionEntry(body) = &payload {
            end = end.max(body.range().end);
        }
    }
    Err(io::Error::other("there is no such section"))
}

fn in_component(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

fn one_function(body: &mut Function) -> Module {
    body.instruction(&Instruction::End);
    let mut module = Module::new();
    module.section(TypeSection::new().ty_function());
    module.section(FunctionSection::new().function(0));
    module.section(CodeSection::new().function(body));
    module
}

fn functions(count: u32) -> Module {
    let mut body = Function::new([]);
    body.instruction(&Instruction::End);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for _ in 0..count {
        functions.function(0);
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(TypeSection::new().ty_function());
    module.section(&functions);
    module.section(&code);
    module
}

/// The type of a function without parameters and results.
trait EmptyFunctionType {
    fn ty_function(&mut self) -> &Self;
}

impl EmptyFunctionType for TypeSection {
    fn ty_function(&mut self) -> &Self {
        self.ty().function([], []);
        self
    }
}

/// Many locals that live across many loops: a compiler that builds SSA form looks
/// each one up through every loop's head.
fn compile_bomb() -> Module {
    const LOCALS: u32 = 4_000;
    const LOOPS: u32 = 5_000;
    let mut body = Function::new([(LOCALS, ValType::I32)]);
    for local in 0..LOCALS {
        body.instruction(&Instruction::I32Const(local.cast_signed()));
        body.instruction(&Instruction::LocalSet(local));
    }
    for turn in 0..LOOPS {
        body.instruction(&Instruction::Loop(BlockType::Empty));
        body.instruction(&Instruction::LocalGet(turn % LOCALS));
        body.instruction(&Instruction::LocalGet((turn + 1) % LOCALS));
        body.instruction(&Instruction::LocalSet(turn % LOCALS));
        body.instruction(&Instruction::BrIf(0));
        body.instruction(&Instruction::End);
    }
    for local in 0..LOCALS {
        body.instruction(&Instruction::LocalGet(local));
        body.instruction(&Instruction::Drop);
    }
    one_function(&mut body)
}

/// A component with one type: instance types within each other.
fn deep_types() -> Vec<u8> {
    // An instance type of one declaration, which is a type.
    let mut types = vec![1];
    for _ in 0..DEEP {
        types.extend([0x42, 1, 1]);
    }
    types.extend([0x42, 0]);
    let mut component = Component::new();
    component.section(&RawSection { id: 7, data: &types });
    component.finish()
}
