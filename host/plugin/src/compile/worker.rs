//! The compile worker: this program, started by itself with a hidden argument, to
//! encode and compile one foreign file within limits that it sets for itself.
//!
//! It reads the file from standard input, its length first, and writes compiled code
//! to standard output, which is a file of the parent's. It has no environment, opens
//! nothing, and dies with its parent. A parent that expects a file may start it early:
//! it then waits for its input, ready to compile.

use crate::carrier;
use crate::display::printable;
use crate::rejection::MESSAGE_BYTES;
use crate::sandbox::{Flavor, Limits, config};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use wasmparser::Parser;
use wit_component::ComponentEncoder;

/// The first argument of a program that is to be the worker.
pub const ARGUMENT: &str = "__compile-worker";

/// Exit codes, for the parent alone.
pub(crate) const CANNOT_ENCODE: i32 = 10;
pub(crate) const CANNOT_COMPILE: i32 = 11;
pub(crate) const ASYNC: i32 = 12;
pub(crate) const NO_ROOM: i32 = 13;
const MISUSED: i32 = 14;

/// The arguments that the parent gives.
pub(crate) fn arguments(flavor: Flavor, limits: &Limits) -> Vec<String> {
    let compile = &limits.compile;
    // A limit of zero seconds would mean none.
    let cpu = compile.cpu.as_secs().max(1);
    vec![
        ARGUMENT.into(),
        flavor.as_str().into(),
        cpu.to_string(),
        compile.memory.to_string(),
        compile.output.to_string(),
        limits.stack.to_string(),
        std::process::id().to_string(),
    ]
}

/// Runs the worker, with the arguments that follow [`ARGUMENT`].
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let (code, words) = match run(arguments) {
        Ok(()) => (0, String::new()),
        Err((code, words)) => (code, words),
    };
    if !words.is_empty() {
        let _ = writeln!(std::io::stderr(), "{words}");
    }
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), (i32, String)> {
    let misused = || (MISUSED, "the compile worker is started by tunesmith itself".to_owned());
    let flavor = arguments.next().and_then(|name| Flavor::named(&name)).ok_or_else(misused)?;
    let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok()).ok_or_else(misused);
    let (cpu, memory, output) = (number()?, number()?, number()?);
    let (stack, parent) = (number()?, number()?);
    confine(cpu, memory, output, parent).map_err(|error| (MISUSED, format!("cannot set limits: {error}")))?;

    let limits = Limits { stack: usize::try_from(stack).map_err(|_| misused())?, ..Limits::default() };
    let engine = wasmtime::Engine::new(&config(flavor, &limits))
        .map_err(|error| (MISUSED, format!("no engine: {error:#}")))?;
    let bytes =
        input().map_err(|_| (MISUSED, "the file was cut off on its way to the compile worker".into()))?;
    let compiled = compile(&bytes, flavor, &engine).map_err(|failure| match failure {
        Failure::Encode(words) => (CANNOT_ENCODE, words),
        Failure::Compile(words) if is_async(&words) => (ASYNC, words),
        Failure::Compile(words) => (CANNOT_COMPILE, words),
    })?;
    let mut out = std::io::stdout().lock();
    out.write_all(&compiled)
        .and_then(|()| out.flush())
        .map_err(|error| (NO_ROOM, format!("cannot write compiled code: {error}")))
}

/// What comes before the file: its length.
pub(crate) fn header(length: usize) -> [u8; 8] {
    (length as u64).to_le_bytes()
}

/// Waits for the file, and reads it.
fn input() -> std::io::Result<Vec<u8>> {
    let mut input = std::io::stdin().lock();
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// Gives up what a compiler does not need.
fn confine(cpu: u64, memory: u64, output: u64, parent: u64) -> rustix::io::Result<()> {
    let to = |soft, hard| Rlimit { current: Some(soft), maximum: Some(hard) };
    setrlimit(Resource::Core, to(0, 0))?;
    // At the soft limit comes a signal that the parent recognises.
    setrlimit(Resource::Cpu, to(cpu, cpu + 1))?;
    setrlimit(Resource::Fsize, to(output, output))?;
    // macOS does not enforce this one, and says so for some values.
    let limited = setrlimit(Resource::As, to(memory, memory));
    if cfg!(target_os = "linux") {
        limited?;
    }
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        if u64::try_from(now) != Ok(parent) {
            // The parent died before it could be watched.
            std::process::exit(MISUSED);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    Ok(())
}

/// Why bytes did not become code.
pub(crate) enum Failure {
    /// The core module's component type does not fit it.
    Encode(String),
    /// The component is not valid.
    Compile(String),
}

/// Makes a core module a component, puts it beside the carrier where it is to transform,
/// and compiles it.
pub(crate) fn compile(bytes: &[u8], flavor: Flavor, engine: &wasmtime::Engine) -> Result<Vec<u8>, Failure> {
    let words = |text: String| printable(&text, MESSAGE_BYTES);
    let encoded;
    let component = if Parser::is_core_wasm(bytes) {
        let lean = (flavor == Flavor::Timed).then(|| carrier::without_clean_up(bytes)).flatten();
        encoded = ComponentEncoder::default()
            .module(lean.as_deref().unwrap_or(bytes))
            .and_then(|encoder| encoder.validate(false).encode())
            .map_err(|error| Failure::Encode(words(format!("{error:#}"))))?;
        &encoded
    } else {
        bytes
    };
    if flavor == Flavor::Timed
        && let Some(whole) = carrier::wrap(component)
        && let Ok(compiled) = engine.precompile_component(&whole)
    {
        return Ok(compiled);
    }
    engine
        .precompile_component(component)
        .map_err(|error| Failure::Compile(words(format!("{:#}", error.root_cause()))))
}

/// Whether the compiler's words mean an async component.
fn is_async(words: &str) -> bool {
    words.contains("component model async")
}

/// Whether a dying worker's words mean that it ran out of memory.
pub(crate) fn is_out_of_memory(words: &str) -> bool {
    ["memory allocation of", "Cannot allocate memory", "out of memory", "ResourceExhausted"]
        .iter()
        .any(|sign| words.contains(sign))
}
