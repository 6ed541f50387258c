//! What a registry guarantees, each a test by that name.

use crate::support;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use support::{Place, get, guest, job, rows};
use tunesmith_hostile::describes;
use tunesmith_plugin_host::{LoadEvent, Reason, Registry, RegistryError, RegistryOptions, Snapshot, Source};

/// A small good plugin; what follows `way` does not change what it does, only its
/// bytes.
fn good(way: &str) -> Vec<u8> {
    describes(guest("describes"), way).unwrap()
}

fn rejected(snapshot: &Snapshot) -> Vec<(String, &'static str, Option<u64>)> {
    snapshot
        .rejections()
        .iter()
        .map(|rejection| {
            let name = rejection.path.file_name().unwrap().to_string_lossy().into_owned();
            (name, rejection.reason.rule(), rejection.still_serving)
        })
        .collect()
}

fn file_of(snapshot: &Snapshot, id: &str) -> String {
    match snapshot.get(id).unwrap().source() {
        Source::File(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
        Source::BuiltIn => "built-in".into(),
    }
}

#[test]
fn rejected_file_never_displaces_a_working_generation() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    let registry = place.load();
    let before = get(&registry, "describes");

    place.put("method.wasm", &good("bad-id"));
    let snapshot = registry.rescan().unwrap();
    let serving = snapshot.get("describes").unwrap();
    assert!(Arc::ptr_eq(serving, &before));
    let generation = Some(before.generation());
    assert_eq!(rejected(&snapshot), [("method.wasm".into(), "descriptor", generation)]);
    serving.ollama(&job("x"), rows(1)).unwrap();

    place.put("method.wasm", &good("new"));
    let snapshot = registry.rescan().unwrap();
    assert!(rejected(&snapshot).is_empty());
    let after = snapshot.get("describes").unwrap();
    assert!(after.generation() > before.generation());
    assert_ne!(after.digest(), before.digest());
}

#[test]
fn a_call_sees_exactly_one_generation() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    let registry = place.load();
    let held = registry.snapshot();
    let digest = held.get("describes").unwrap().digest();
    place.put("method.wasm", &good("new"));
    registry.rescan().unwrap();
    fs::remove_file(place.plugins().join("method.wasm")).unwrap();
    assert!(registry.rescan().unwrap().get("describes").is_none());
    let answer = held.get("describes").unwrap().ollama(&job("x"), rows(1)).unwrap();
    assert_eq!(answer.receipt.sha256, digest);
}

#[test]
fn an_unchanged_file_keeps_its_generation() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    place.put("broken.wasm", b"not wasm");
    let registry = place.load();
    let before = registry.snapshot();
    // The same content by another inode, as cargo and editors write.
    place.put(".draft", &good(""));
    fs::rename(place.plugins().join(".draft"), place.plugins().join("method.wasm")).unwrap();
    let after = registry.rescan().unwrap();
    assert!(Arc::ptr_eq(before.get("describes").unwrap(), after.get("describes").unwrap()));
    assert_eq!(rejected(&after), rejected(&before));
    assert_eq!(rejected(&after), [("broken.wasm".into(), "not-wasm", None)]);
}

#[test]
fn duplicate_id_goes_to_first_name_then_incumbent() {
    let place = Place::new();
    place.put("b.wasm", &good("b"));
    let registry = place.load();
    place.put("a.wasm", &good("a"));
    let snapshot = registry.rescan().unwrap();
    assert_eq!(file_of(&snapshot, "describes"), "b.wasm");
    assert_eq!(rejected(&snapshot), [("a.wasm".into(), "id-taken", None)]);

    assert_eq!(file_of(&place.load().snapshot(), "describes"), "a.wasm");

    fs::remove_file(place.plugins().join("b.wasm")).unwrap();
    let snapshot = registry.rescan().unwrap();
    assert_eq!(file_of(&snapshot, "describes"), "a.wasm");
    assert!(rejected(&snapshot).is_empty());
}

#[test]
fn a_file_overrides_a_built_in_only_where_allowed() {
    let place = Place::new();
    place.put("mine.wasm", guest("well_behaved"));
    let built_ins =
        || vec![tunesmith_plugin_host::BuiltIn { id: "well-behaved", wasm: guest("well_behaved") }];
    let load = |allowed| {
        let options =
            RegistryOptions { built_ins: built_ins(), override_built_ins: allowed, ..place.options() };
        Registry::load(options).unwrap().snapshot()
    };
    let refused = load(false);
    assert_eq!(file_of(&refused, "well-behaved"), "built-in");
    assert_eq!(rejected(&refused), [("mine.wasm".into(), "id-built-in", None)]);
    let allowed = load(true);
    assert_eq!(file_of(&allowed, "well-behaved"), "mine.wasm");
    assert!(rejected(&allowed).is_empty());
}

#[test]
fn only_visible_wasm_files_are_loaded() {
    let place = Place::new();
    for name in [".hidden.wasm", "README.md", "method.wasm.part", "method.cwasm", "wasm"] {
        place.put(name, b"nothing of interest");
    }
    let elsewhere = place.root.path().join("elsewhere.bin");
    fs::write(&elsewhere, good("")).unwrap();
    symlink(&elsewhere, place.plugins().join("linked.wasm")).unwrap();
    let snapshot = place.load().snapshot();
    assert!(rejected(&snapshot).is_empty());
    assert_eq!(file_of(&snapshot, "describes"), "linked.wasm");
}

#[test]
fn code_is_compiled_once_and_reported() {
    let place = Place::new();
    let path = place.put("method.wasm", &good(""));
    place.with_built_ins(&[("well-behaved", "well_behaved")]);
    let size = fs::metadata(&path).unwrap().len();
    assert_eq!(
        place.events(),
        [LoadEvent::CompilingBuiltIns { count: 1 }, LoadEvent::Compiling { path, size }]
    );
    let second = place.with_built_ins(&[("well-behaved", "well_behaved")]);
    assert_eq!(place.events().len(), 2, "{:?}", place.events());
    get(&second, "describes").ollama(&job("x"), rows(1)).unwrap();
    let mode = fs::metadata(place.cache()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn entries(cache: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn damaged_code_is_compiled_again() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    place.load();
    let [entry] = &entries(&place.cache(), "cwasm")[..] else { panic!("one entry") };
    let damages: [fn(&mut Vec<u8>); 3] = [
        |code| {
            let middle = code.len() / 2;
            code[middle] ^= 0xff;
        },
        |code| code.truncate(code.len() / 2),
        Vec::clear,
    ];
    for damage in damages {
        let mut code = fs::read(entry).unwrap();
        damage(&mut code);
        // By another inode: code that may still be mapped is not written to.
        let beside = entry.with_extension("part");
        fs::write(&beside, code).unwrap();
        fs::rename(&beside, entry).unwrap();
        let told = place.events().len();
        get(&place.load(), "describes").ollama(&job("x"), rows(1)).unwrap();
        assert!(matches!(place.events()[told..], [LoadEvent::Compiling { .. }]));
    }
}

#[test]
fn code_cache_is_bounded_and_keeps_the_newest() {
    let mut place = Place::new();
    place.put("method.wasm", &good("1"));
    place.load();
    let entry = fs::metadata(&entries(&place.cache(), "cwasm")[0]).unwrap().len();
    place.limits.code_store = 2 * entry + entry / 2;
    for way in ["2", "3", "4", "5"] {
        place.put("method.wasm", &good(way));
        place.load();
        let (code, seals) = (entries(&place.cache(), "cwasm"), entries(&place.cache(), "seal"));
        assert!(code.len() <= 2 && seals.len() == code.len(), "{code:?} {seals:?}");
    }
    let told = place.events().len();
    place.load();
    assert_eq!(place.events().len(), told, "the newest is still there");
}

#[test]
fn cache_writable_by_others_is_not_used() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), Permissions::from_mode(0o777)).unwrap();
    let registry = place.load();
    get(&registry, "describes").ollama(&job("x"), rows(1)).unwrap();
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 0);
    let Some(LoadEvent::CacheUnusable { dir, reason }) = place.events().first().cloned() else {
        panic!("{:?}", place.events())
    };
    assert_eq!(dir, place.cache());
    insta::assert_snapshot!(reason);
}

#[test]
fn unusable_cache_falls_back_to_temporary() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    fs::write(place.cache(), b"a file in its place").unwrap();
    get(&place.load(), "describes").ollama(&job("x"), rows(1)).unwrap();
    assert!(matches!(place.events().first(), Some(LoadEvent::CacheUnusable { .. })));
}

#[test]
fn missing_directory_fails_start_and_keeps_snapshot() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    let registry = place.load();
    fs::remove_dir_all(place.plugins()).unwrap();
    assert!(matches!(registry.rescan(), Err(RegistryError::Directory { .. })));
    get(&registry, "describes").ollama(&job("x"), rows(1)).unwrap();
    assert!(matches!(Registry::load(place.options()), Err(RegistryError::Directory { .. })));
}

#[test]
fn a_method_may_refuse_the_trial_job() {
    let place = Place::new();
    place.put("method.wasm", &good("refuses-all"));
    let snapshot = place.load().snapshot();
    assert!(snapshot.get("describes").is_some(), "{:?}", snapshot.rejections());
}

#[test]
fn a_worker_that_does_not_start_is_reported() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    let options = RegistryOptions { worker: "/nonexistent/tunesmith".into(), ..place.options() };
    let snapshot = Registry::load(options).unwrap().snapshot();
    let reason = &snapshot.rejections()[0].reason;
    assert!(matches!(reason, Reason::CompileFailed(_)), "{reason}");
    assert!(reason.to_string().contains("/nonexistent/tunesmith"), "{reason}");
}

#[test]
fn only_the_worker_compiles_foreign_bytes() {
    let place = Place::new();
    place.put("method.wasm", &good(""));
    // Nothing but the worker makes code of a file: without one there is none.
    let options = RegistryOptions { worker: "/bin/false".into(), ..place.options() };
    let snapshot = Registry::load(options).unwrap().snapshot();
    assert_eq!(rejected(&snapshot), [("method.wasm".into(), "compile", None)]);
    assert!(entries(&place.cache(), "cwasm").is_empty());
}
