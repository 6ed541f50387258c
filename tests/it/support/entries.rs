//! What must hold of any bytes, for the fuzz targets and for the tests that replay what
//! they found.
#![allow(dead_code, reason = "each fuzz target uses its own")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tunesmith_core::failure::Advice;
use tunesmith_core::text::is_hidden;
use tunesmith_core::time::date;
use tunesmith_engine::policy::Policy;
use tunesmith_engine::spec::{Overrides, Spec};
use tunesmith_plugin_host::{BuiltIn, Limits, StructureLimits, admit};
use tunesmith_provider::ollama::modelfile::{read, represent, syntax};
use tunesmith_provider::prices::PriceTable;
use tunesmith_vet::{Request, Verdict, vet};

/// Any bytes as a job file: a job or a refusal, neither of which holds anything that a
/// terminal obeys.
pub fn job(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Spec::parse(text, "job.json", &Overrides::default()) {
        Ok(spec) => {
            for text in [&spec.name, &spec.base_model, &spec.method] {
                assert!(!text.is_empty() && !text.contains(is_hidden), "{text:?}");
            }
            for setting in &spec.settings {
                assert!(setting.place.starts_with("job.json, line "), "{}", setting.place);
            }
        }
        Err(error) => {
            let said = error.to_string() + &words(error.advice());
            assert!(!said.contains(is_hidden), "{said:?}");
        }
    }
}

fn words(advice: Option<Advice>) -> String {
    match advice {
        Some(Advice::Text { text }) => text,
        _ => String::new(),
    }
}

/// Any bytes as a plugin file, up to where the compile worker would get them.
pub fn preflight(bytes: &[u8]) {
    if let Err(reason) = admit(bytes, &StructureLimits::default()) {
        let said = reason.to_string() + &words(reason.advice());
        assert!(!said.contains(is_hidden), "{said:?}");
    }
}

/// Any bytes as a Modelfile; and any text as a value of one, which reads back as itself
/// wherever it is said to be representable.
pub fn modelfile(bytes: &[u8]) {
    if let Err(error) = read(bytes) {
        assert!(!error.to_string().contains(is_hidden), "{error}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if represent::fault(text).is_none() {
        let written = format!("FROM a\nSYSTEM \"\"\"{text}\"\"\"\nMESSAGE user \"\"\"{text}\"\"\"\n");
        let commands = syntax::parse(written.as_bytes()).expect("it reads back");
        let values: Vec<&str> = commands.iter().map(|command| command.value.as_str()).collect();
        assert_eq!(values, ["a", text, &format!("user: {text}")]);
    }
}

/// Where `evaluate` keeps what can be made again, for the whole process.
fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}

/// Any bytes as a job, a dataset and a plugin, apart by a NUL and `--`: a verdict whose
/// texts are safe to show. `worker` compiles plugins; without it none is given.
pub fn evaluated(bytes: &[u8], worker: Option<&Path>) {
    const APART: &[u8] = b"\0--\0";
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(APART.len()).position(|window| window == APART) {
        parts.push(&rest[..at]);
        rest = &rest[at + APART.len()..];
    }
    parts.push(rest);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("room for a small file");
        path
    };
    let job = write("job.json", parts[0]);
    write("data.jsonl", parts.get(1).copied().unwrap_or_default());
    let mut plugins: Vec<PathBuf> = Vec::new();
    if let (Some(plugin), Some(_)) = (parts.get(2), worker) {
        plugins.push(write("plugin.wasm", plugin));
    }
    let built_ins = tunesmith_builtin::METHODS;
    let evaluation = vet(&Request {
        job: &job,
        plugins: &plugins,
        dataset_root: None,
        datasets: folder.path(),
        policy: &Policy::default(),
        prices: &PriceTable::built_in(),
        today: date(2026, 11, 18),
        limits: Limits::default(),
        cache: cache(),
        built_ins: built_ins.iter().map(|method| BuiltIn { id: method.id, wasm: method.wasm }).collect(),
        worker: worker.map(Path::to_owned).unwrap_or_default(),
        on_event: Arc::new(|_| {}),
    });
    let evaluation = evaluation.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(evaluation.findings.is_empty(), evaluation.verdict == Verdict::Allow);
    for finding in &evaluation.findings {
        let fix = words(Some(finding.fix.clone()));
        for text in [&finding.place, &finding.what, &fix] {
            assert!(!text.contains(is_hidden), "{text:?}");
        }
    }
}
