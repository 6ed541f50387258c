//! Every hostile guest is stopped by the limit or rule that its case names, with the
//! message that the user is to read, and a good plugin keeps working.
//!
//! `cargo xtask update cases` writes the messages; read them before keeping
//! them.

use crate::support;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::{Place, get, guest, job, job_with_shots, row, rows};
use tunesmith_core::failure::Failure;
use tunesmith_hostile::{Case, LimitsSpec, cases};
use tunesmith_plugin_host::{BuiltIn, Limits, Plugin, Registry, RegistryOptions};

#[test]
fn every_hostile_guest_is_stopped() {
    // Compiled code is shared, as in use; it is keyed by content.
    let cache = tempfile::tempdir().unwrap();
    let filter = std::env::var("CASE").unwrap_or_default();
    let cases: Vec<Case> = cases().unwrap().into_iter().filter(|case| case.name.contains(&filter)).collect();
    assert!(!cases.is_empty());
    let mut problems = Vec::new();
    for case in &cases {
        if let Err(problem) = check(case, cache.path()) {
            problems.push(format!("case {}: {problem}", case.name));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

fn check(case: &Case, cache: &Path) -> Result<(), String> {
    let mut place = Place::new();
    place.limits = limits(&case.spec.limits);
    case.put(&place.plugins()).map_err(|error| error.to_string())?;
    let options = RegistryOptions {
        cache: Some(cache.join("code")),
        built_ins: vec![BuiltIn { id: "well-behaved", wasm: guest("well_behaved") }],
        ..place.options()
    };
    let registry = Registry::load(options).map_err(|error| error.to_string())?;
    let (rule, error) = match &case.spec.call {
        None => rejected(&registry, case)?,
        Some(call) => {
            let snapshot = registry.snapshot();
            if let Some(rejection) = snapshot.rejections().first() {
                return Err(format!("was rejected: {rejection}"));
            }
            let plugin = snapshot.methods().find(|plugin| plugin.id() != "well-behaved").unwrap();
            let stopped = stopped(plugin, &call.ability, &call.job)?;
            // The next call of the same plugin meets a fresh sandbox.
            plugin.ollama(&job("nothing in particular"), rows(10)).map_err(|error| error.to_string())?;
            stopped
        }
    };
    if rule != case.spec.stopped_by {
        return Err(format!("was stopped by {rule}: {error}"));
    }
    let good = get(&registry, "well-behaved").ollama(&job_with_shots(2), rows(10));
    good.map_err(|error| format!("a good plugin no longer works: {error}"))?;

    let mut text = format!("error: {}\n", error.message);
    for hint in tunesmith::view::advice::hints(&error) {
        text += &format!("hint: {hint}\n");
    }
    let text = steady(&text.replace(place.plugins().to_str().unwrap(), "plugins"));
    let path = case.folder.join("expected.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("expected.txt: {error}"))?;
    if text == expected { Ok(()) } else { Err(format!("the user reads\n{text}instead of\n{expected}")) }
}

/// The text without offsets into a guest, which differ with the compiler's version.
fn steady(text: &str) -> String {
    let mut parts = text.split("(at byte ");
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        steady += "(at byte …";
        steady += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    steady
}

fn rejected(registry: &Registry, case: &Case) -> Result<(&'static str, Failure), String> {
    let snapshot = registry.snapshot();
    let name = format!("{}.wasm", case.name);
    let rejection = snapshot
        .rejections()
        .iter()
        .find(|rejection| rejection.path.ends_with(&name))
        .ok_or("was loaded without a complaint")?;
    Ok((rejection.reason.rule(), rejection.clone().into()))
}

fn stopped(plugin: &Plugin, ability: &str, name: &str) -> Result<(&'static str, Failure), String> {
    let job = job(name);
    let error = match ability {
        "ollama" => plugin.ollama(&job, rows(10)).err(),
        "openai" => plugin.openai(&job, rows(10)).err(),
        "training" => plugin.training(&job, rows(10)).err(),
        "transform" => plugin.transform_examples(&job, vec![row(0).example, row(1).example]).err(),
        _ => return Err(format!("there is no ability {ability}")),
    };
    let error = error.ok_or("was not stopped")?;
    Ok((error.stopped.rule(), error.into()))
}

fn limits(spec: &LimitsSpec) -> Limits {
    let mut limits = Limits::default();
    let set = |to: &mut Duration, milliseconds: Option<u64>| {
        if let Some(milliseconds) = milliseconds {
            *to = Duration::from_millis(milliseconds);
        }
    };
    set(&mut limits.describe_deadline, spec.describe_deadline_ms);
    set(&mut limits.plan_deadline, spec.plan_deadline_ms);
    set(&mut limits.transform_deadline, spec.transform_deadline_ms);
    set(&mut limits.compile.cpu, spec.compile_cpu_ms);
    set(&mut limits.compile.wall, spec.compile_wall_ms);
    limits.fuel = spec.fuel.unwrap_or(limits.fuel);
    limits.compile.memory = spec.compile_memory.unwrap_or(limits.compile.memory);
    limits.compile.output = spec.compile_output.unwrap_or(limits.compile.output);
    limits
}
