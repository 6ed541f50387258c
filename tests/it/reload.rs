//! What hot reload guarantees, each a test by that name, with real files.

use crate::support;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::{Place, get, guest, job, rows, worker};
use tunesmith_core::contract::{DatasetView, Overview, Row, Selection, Task};
use tunesmith_hostile::{describes, variant};
use tunesmith_plugin_host::{
    Ability, BuiltIn, Change, ChangeKind, Digest, Registry, RegistryOptions, STRIKES, Snapshot, Source,
    Stopped, Tier, Watch, WatchOptions, Widening,
};

/// How long a test waits for what has to come. Far longer than it takes, for a machine
/// that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A small good plugin; what follows `way` does not change what it does, only its
/// bytes.
fn good(way: &str) -> Vec<u8> {
    describes(guest("describes"), way).unwrap()
}

/// A place whose directory is followed.
struct Followed {
    place: Place,
    registry: Arc<Registry>,
    receiver: Receiver<Arc<Change>>,
    watch: Option<Watch>,
}

impl Followed {
    fn new(place: Place) -> Self {
        let options = place.options();
        Self::with(place, options, WatchOptions::default())
    }

    fn with(place: Place, options: RegistryOptions, watch: WatchOptions) -> Self {
        let registry = Arc::new(Registry::load(options).unwrap());
        let receiver = registry.changes();
        let watch = Some(registry.watch(watch));
        Self { place, registry, receiver, watch }
    }

    /// With one good plugin in `method.wasm`.
    fn serving(way: &str) -> Self {
        let place = Place::new();
        place.put("method.wasm", &good(way));
        Self::new(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.plugins().join(name)
    }

    /// Writes beside the directory and renames into it.
    fn rename_into(&self, name: &str, bytes: &[u8]) {
        let draft = self.place.root.path().join("draft");
        fs::write(&draft, bytes).unwrap();
        fs::rename(draft, self.path(name)).unwrap();
    }

    /// The next change of a kind; others are skipped.
    fn next(&self, action: &str) -> Arc<Change> {
        let end = Instant::now() + PATIENCE;
        let mut skipped = Vec::new();
        loop {
            match self.receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(change) if change.action() == action => return change,
                Ok(change) => skipped.push(change.to_string()),
                Err(error) => panic!("nothing was {action} ({error}): {skipped:?}"),
            }
        }
    }

    /// Waits until the registry is as it has to become.
    fn until(&self, what: &str, is: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let end = Instant::now() + PATIENCE;
        loop {
            let snapshot = self.registry.snapshot();
            if is(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < end, "it did not come to this: {what}: {snapshot:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the plugin that these bytes are serves.
    fn until_serves(&self, id: &str, bytes: &[u8]) -> Arc<Snapshot> {
        let digest = tunesmith_core::digest::Digest::of(bytes);
        self.until("the new content serves", |snapshot| {
            snapshot.get(id).is_some_and(|plugin| plugin.digest() == digest)
        })
    }

    /// All changes until now.
    fn changes(&self) -> Vec<Arc<Change>> {
        self.receiver.try_iter().collect()
    }
}

fn file_of(snapshot: &Snapshot, id: &str) -> String {
    match snapshot.get(id).unwrap().source() {
        Source::File(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
        Source::BuiltIn => "built-in".into(),
    }
}

#[test]
fn an_atomic_rename_reloads() {
    let followed = Followed::serving("v=1");
    let before = get(&followed.registry, "describes");
    followed.rename_into("method.wasm", &good("v=2"));
    let change = followed.next("reloaded");
    let ChangeKind::Reloaded { from, widened } = &change.kind else { panic!("{change}") };
    assert_eq!((*from, widened.as_slice()), (before.generation(), &[][..]));
    let after = get(&followed.registry, "describes");
    assert_eq!(change.generation, Some(after.generation()));
    assert_eq!(change.digest, Some(after.digest()));
    assert_eq!(after.descriptor().version, "0.1.2");
    assert!(after.generation() > before.generation());
}

#[test]
fn a_write_in_place_reloads() {
    let followed = Followed::serving("v=1");
    fs::write(followed.path("method.wasm"), good("v=2")).unwrap();
    followed.until_serves("describes", &good("v=2"));
    // Of the same length and at once: only an event tells.
    fs::write(followed.path("method.wasm"), good("v=3")).unwrap();
    fs::write(followed.path("method.wasm"), good("v=4")).unwrap();
    followed.until_serves("describes", &good("v=4"));
}

#[test]
fn partial_or_slow_write_costs_only_time() {
    let followed = Followed::serving("v=1");
    let before = get(&followed.registry, "describes");
    let bytes = good("v=2");
    let mut file = File::create(followed.path("method.wasm")).unwrap();
    let ends = [1, 2, 3].map(|quarter| bytes.len() * quarter / 4);
    let mut written = 0;
    for end in ends {
        file.write_all(&bytes[written..end]).unwrap();
        written = end;
        // Until the registry has looked at exactly what is there.
        let partial = Some(Digest::of(&bytes[..written]));
        let change = loop {
            let change = followed.next("rejected");
            if change.digest == partial {
                break change;
            }
        };
        let ChangeKind::Rejected { still_serving, .. } = change.kind else { panic!("{change}") };
        assert_eq!(still_serving, Some(before.generation()));
        let serving = get(&followed.registry, "describes");
        assert!(Arc::ptr_eq(&serving, &before), "{serving:?}");
        serving.ollama(&job("x"), rows(1)).unwrap();
    }
    file.write_all(&bytes[written..]).unwrap();
    drop(file);
    let snapshot = followed.until_serves("describes", &bytes);
    assert!(snapshot.rejections().is_empty(), "{:?}", snapshot.rejections());

    // Cut off for good: the working generation stays.
    followed.changes();
    fs::write(followed.path("method.wasm"), &bytes[..bytes.len() / 2]).unwrap();
    let change = followed.next("rejected");
    let ChangeKind::Rejected { still_serving, .. } = change.kind else { panic!("{change}") };
    assert_eq!(still_serving, Some(snapshot.get("describes").unwrap().generation()));
}

#[test]
fn rejected_file_never_displaces_a_working_one() {
    let followed = Followed::serving("v=1");
    let before = get(&followed.registry, "describes");
    for (bad, rule) in
        [(good("bad-id"), "descriptor"), (good("ability-traps"), "trap"), (b"no".to_vec(), "not-wasm")]
    {
        followed.rename_into("method.wasm", &bad);
        let change = followed.next("rejected");
        let ChangeKind::Rejected { reason, still_serving } = &change.kind else { panic!("{change}") };
        assert_eq!((reason.rule(), *still_serving), (rule, Some(before.generation())));
        assert!(Arc::ptr_eq(&get(&followed.registry, "describes"), &before));
    }
    // The working content again: the same generation, and nothing to complain about.
    followed.rename_into("method.wasm", &good("v=1"));
    let change = followed.next("recovered");
    assert_eq!(change.generation, Some(before.generation()));
    assert!(followed.registry.snapshot().rejections().is_empty());
    assert!(Arc::ptr_eq(&get(&followed.registry, "describes"), &before));
}

#[test]
fn file_whose_new_id_is_taken_keeps_its_own() {
    let place = Place::new();
    place.put("a.wasm", &good("id=mine"));
    place.put("b.wasm", &good("id=taken"));
    let followed = Followed::new(place);
    let before = get(&followed.registry, "mine");
    followed.rename_into("a.wasm", &good("id=taken"));
    let change = followed.next("rejected");
    let ChangeKind::Rejected { reason, still_serving } = &change.kind else { panic!("{change}") };
    assert_eq!((reason.rule(), *still_serving), ("id-taken", Some(before.generation())));
    assert!(Arc::ptr_eq(&get(&followed.registry, "mine"), &before));
    assert_eq!(file_of(&followed.registry.snapshot(), "taken"), "b.wasm");
}

#[test]
fn a_hard_link_as_cargo_makes_it_reloads() {
    let followed = Followed::serving("v=1");
    // Cargo removes the link and makes it anew to what it built.
    let built = followed.place.root.path().join("built.wasm");
    fs::write(&built, good("v=2")).unwrap();
    fs::remove_file(followed.path("method.wasm")).unwrap();
    fs::hard_link(&built, followed.path("method.wasm")).unwrap();
    followed.until_serves("describes", &good("v=2"));
    let changes = followed.changes();
    assert!(changes.iter().all(|change| change.action() != "removed"), "{changes:?}");
}

#[test]
fn removed_and_recreated_file_serves_throughout() {
    let place = Place::new();
    place.put("method.wasm", &good("v=1"));
    let options = place.options();
    // The grace is longer than a busy machine may pause here.
    let followed =
        Followed::with(place, options, WatchOptions { grace: PATIENCE, ..WatchOptions::default() });
    fs::remove_file(followed.path("method.wasm")).unwrap();
    for _ in 0..50 {
        assert!(followed.registry.snapshot().get("describes").is_some());
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(followed.path("method.wasm"), good("v=2")).unwrap();
    followed.until("the new content serves", |snapshot| {
        let serving = snapshot.get("describes").expect("it serves all the time");
        serving.descriptor().version == "0.1.2"
    });
}

/// A dataset that keeps the plugin waiting until it is told to go on.
struct Gate {
    entered: Mutex<mpsc::Sender<()>>,
    open: Mutex<Receiver<()>>,
}

impl DatasetView for Gate {
    fn overview(&self) -> Overview {
        self.entered.lock().unwrap().send(()).unwrap();
        let _ = self.open.lock().unwrap().recv();
        support::Rows(1).overview()
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        support::Rows(1).tasks(most)
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        support::Rows(1).sample(which)
    }
}

#[test]
fn deletion_waits_for_grace_and_running_calls() {
    let mut place = Place::new();
    place.limits.plan_deadline = PATIENCE;
    place.put("method.wasm", guest("well_behaved"));
    let followed = Followed::new(place);
    let plugin = get(&followed.registry, "well-behaved");
    let (entered, inside) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let gate = Arc::new(Gate { entered: Mutex::new(entered), open: Mutex::new(opened) });
    let call = std::thread::spawn(move || plugin.ollama(&job("support"), gate));
    inside.recv_timeout(PATIENCE).unwrap();

    let removed = Instant::now();
    fs::remove_file(followed.path("method.wasm")).unwrap();
    let change = followed.next("removed");
    assert!(removed.elapsed() >= WatchOptions::default().grace);
    assert_eq!(change.plugin, "well-behaved");
    assert!(followed.registry.snapshot().get("well-behaved").is_none());
    drop(open);
    call.join().unwrap().unwrap();
}

#[test]
fn a_moved_file_goes_on_serving() {
    let followed = Followed::serving("v=1");
    fs::rename(followed.path("method.wasm"), followed.path("other.wasm")).unwrap();
    let snapshot = followed.until("the other file serves", |snapshot| {
        assert!(snapshot.get("describes").is_some(), "it serves all the time");
        file_of(snapshot, "describes") == "other.wasm"
    });
    assert!(snapshot.rejections().is_empty());
    let change = followed.next("moved");
    let ChangeKind::Moved { from } = &change.kind else { panic!("{change}") };
    assert_eq!(*from, followed.path("method.wasm"));
    // Out of the directory and in again under a name of before.
    fs::rename(followed.path("other.wasm"), followed.place.root.path().join("away.wasm")).unwrap();
    followed.next("removed");
    fs::rename(followed.place.root.path().join("away.wasm"), followed.path("method.wasm")).unwrap();
    followed.next("loaded");
}

#[test]
fn duplicate_id_is_reported_and_incumbent_stays() {
    let place = Place::new();
    place.put("b.wasm", &good("v=1"));
    let followed = Followed::new(place);
    followed.rename_into("a.wasm", &good("v=2"));
    let change = followed.next("rejected");
    let ChangeKind::Rejected { reason, .. } = &change.kind else { panic!("{change}") };
    assert_eq!((reason.rule(), change.file.clone()), ("id-taken", Some(followed.path("a.wasm"))));
    assert_eq!(file_of(&followed.registry.snapshot(), "describes"), "b.wasm");
    // Also when it changes itself.
    followed.rename_into("b.wasm", &good("v=3"));
    followed.until_serves("describes", &good("v=3"));
    assert_eq!(file_of(&followed.registry.snapshot(), "describes"), "b.wasm");
    // The other one's turn comes when the incumbent leaves.
    fs::remove_file(followed.path("b.wasm")).unwrap();
    let snapshot = followed.until_serves("describes", &good("v=2"));
    assert!(snapshot.rejections().is_empty());
}

#[test]
fn built_in_is_overridden_only_where_allowed() {
    let built_ins = || vec![BuiltIn { id: "well-behaved", wasm: guest("well_behaved") }];
    let mine = || describes(guest("describes"), "id=well-behaved").unwrap();
    for allowed in [false, true] {
        let place = Place::new();
        let options =
            RegistryOptions { built_ins: built_ins(), override_built_ins: allowed, ..place.options() };
        let followed = Followed::with(place, options, WatchOptions::default());
        followed.rename_into("mine.wasm", &mine());
        if allowed {
            let change = followed.next("loaded");
            assert!(change.to_string().contains("overriding the built-in method"), "{change}");
            assert!(change.is_warning());
            assert!(followed.registry.snapshot().overrides_built_in("well-behaved"));
            fs::remove_file(followed.path("mine.wasm")).unwrap();
            followed.next("built-in-again");
        } else {
            let change = followed.next("rejected");
            let ChangeKind::Rejected { reason, .. } = &change.kind else { panic!("{change}") };
            assert_eq!(reason.rule(), "id-built-in");
        }
        let snapshot = followed.registry.snapshot();
        assert_eq!(file_of(&snapshot, "well-behaved"), "built-in");
        assert!(!snapshot.overrides_built_in("well-behaved"));
    }
}

#[test]
fn link_target_is_followed() {
    let place = Place::new();
    let elsewhere = place.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for number in [1, 2] {
        fs::write(elsewhere.join(format!("{number}.wasm")), good(&format!("v={number}"))).unwrap();
    }
    symlink(elsewhere.join("1.wasm"), place.plugins().join("method.wasm")).unwrap();
    let followed = Followed::new(place);
    followed.until_serves("describes", &good("v=1"));
    // Another target, as deployments switch.
    symlink(elsewhere.join("2.wasm"), followed.place.root.path().join("link")).unwrap();
    fs::rename(followed.place.root.path().join("link"), followed.path("method.wasm")).unwrap();
    followed.until_serves("describes", &good("v=2"));
    // The target itself, of which the system says nothing.
    fs::write(elsewhere.join("2.wasm"), good("v=3")).unwrap();
    followed.until_serves("describes", &good("v=3"));
    // A link to nothing is reported, and what works goes on.
    fs::remove_file(elsewhere.join("2.wasm")).unwrap();
    let change = followed.next("rejected");
    assert!(change.to_string().contains("cannot be read"), "{change}");
    assert!(followed.registry.snapshot().get("describes").is_some());
}

#[test]
fn recreated_directory_is_followed() {
    let followed = Followed::serving("v=1");
    let path = followed.path("method.wasm");
    fs::remove_dir_all(followed.place.plugins()).unwrap();
    followed.next("directory-gone");
    assert!(followed.registry.snapshot().get("describes").is_some(), "what was loaded stays");
    fs::create_dir(followed.place.plugins()).unwrap();
    followed.next("directory-back");
    followed.next("removed");
    fs::write(path, good("v=2")).unwrap();
    followed.until_serves("describes", &good("v=2"));
    followed.rename_into("method.wasm", &good("v=3"));
    followed.until_serves("describes", &good("v=3"));
}

#[test]
fn another_directory_under_the_same_name_is_followed() {
    let followed = Followed::serving("v=1");
    let next = followed.place.root.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("method.wasm"), good("v=2")).unwrap();
    fs::rename(followed.place.plugins(), followed.place.root.path().join("before")).unwrap();
    fs::rename(&next, followed.place.plugins()).unwrap();
    followed.until_serves("describes", &good("v=2"));
    // Events of this one count now, and those of the other do not.
    fs::write(followed.place.root.path().join("before/method.wasm"), good("v=9")).unwrap();
    followed.rename_into("method.wasm", &good("v=3"));
    followed.until_serves("describes", &good("v=3"));
}

#[test]
fn missing_directory_is_waited_for_where_allowed() {
    let place = Place::new();
    fs::remove_dir(place.plugins()).unwrap();
    let options = RegistryOptions { directory_may_be_missing: true, ..place.options() };
    let followed = Followed::with(place, options, WatchOptions::default());
    assert_eq!(followed.registry.snapshot().methods().len(), 0);
    fs::create_dir(followed.place.plugins()).unwrap();
    fs::write(followed.path("method.wasm"), good("v=1")).unwrap();
    followed.next("loaded");
}

#[test]
fn after_lost_events_everything_is_compared() {
    let place = Place::new();
    place.put("method.wasm", &good("v=1"));
    place.put("gone.wasm", guest("well_behaved"));
    let options = place.options();
    // Deaf: no events, and no look for as long as the test runs.
    let never = Duration::from_secs(3600);
    let deaf = WatchOptions { poll: Some(never), grace: Duration::ZERO, ..WatchOptions::default() };
    let followed = Followed::with(place, options, deaf);
    // The first look at everything.
    followed.until("it began", |snapshot| snapshot.methods().len() == 2);
    std::thread::sleep(Duration::from_millis(300));
    followed.rename_into("method.wasm", &good("v=2"));
    followed.rename_into("new.wasm", b"not wasm");
    fs::remove_file(followed.path("gone.wasm")).unwrap();
    followed.watch.as_ref().unwrap().look();
    followed.until_serves("describes", &good("v=2"));
    followed.until("all of it was found", |snapshot| {
        snapshot.get("well-behaved").is_none() && snapshot.rejections().len() == 1
    });
}

#[test]
fn polling_replaces_events() {
    let place = Place::new();
    place.put("method.wasm", &good("v=1"));
    let options = place.options();
    let polling = WatchOptions { poll: Some(Duration::from_millis(20)), ..WatchOptions::default() };
    let followed = Followed::with(place, options, polling);
    followed.rename_into("method.wasm", &good("v=2"));
    followed.until_serves("describes", &good("v=2"));
    fs::write(followed.path("method.wasm"), good("v=3")).unwrap();
    followed.until_serves("describes", &good("v=3"));
    fs::remove_file(followed.path("method.wasm")).unwrap();
    followed.next("removed");
}

#[test]
fn a_widening_is_reported() {
    let place = Place::new();
    place.put("std.wasm", &good("id=uses-wasi"));
    place.put("able.wasm", &good("id=well-behaved"));
    let followed = Followed::new(place);
    let widened = |followed: &Followed| match &followed.next("reloaded").kind {
        ChangeKind::Reloaded { widened, .. } => widened.clone(),
        _ => unreachable!(),
    };
    assert_eq!(get(&followed.registry, "uses-wasi").tier(), Tier::Pure);
    followed.rename_into("std.wasm", guest("uses_wasi"));
    assert_eq!(widened(&followed), [Widening::Tier, Widening::Ability(Ability::Transform)]);
    followed.rename_into("able.wasm", guest("well_behaved"));
    let all = [Ability::OpenAi, Ability::Training, Ability::Transform].map(Widening::Ability);
    assert_eq!(widened(&followed), all);
    // Narrower is no news.
    followed.rename_into("able.wasm", &good("id=well-behaved"));
    assert_eq!(widened(&followed), []);
}

#[test]
fn generation_that_traps_repeatedly_is_quarantined() {
    let place = Place::new();
    place.put("method.wasm", &variant(guest("misbehaves"), "1"));
    let followed = Followed::new(place);
    let plugin = get(&followed.registry, "misbehaves");
    let call = |name: &str| get(&followed.registry, "misbehaves").ollama(&job(name), rows(10));
    for _ in 1..STRIKES {
        assert_eq!(call("trap").unwrap_err().stopped.rule(), "trap");
    }
    assert!(plugin.quarantine().is_none());
    call("nothing in particular").unwrap();
    for _ in 0..STRIKES {
        call("trap").unwrap_err();
    }
    let change = followed.next("quarantined");
    assert_eq!((change.plugin.as_str(), change.generation), ("misbehaves", Some(plugin.generation())));
    assert!(change.to_string().contains("failed 5 times in a row within 60 s"), "{change}");
    let error = call("nothing in particular").unwrap_err();
    assert!(matches!(error.stopped, Stopped::Quarantined(_)), "{error}");
    // The same content, also by way of another file, is the same plugin.
    fs::rename(followed.path("method.wasm"), followed.path("other.wasm")).unwrap();
    followed.next("moved");
    call("nothing in particular").unwrap_err();
    // New content is not.
    followed.rename_into("other.wasm", &variant(guest("misbehaves"), "2"));
    followed.next("reloaded");
    call("nothing in particular").unwrap();
}

#[test]
fn start_up_is_the_same_path() {
    let followed = Followed::serving("v=1");
    followed.rename_into("broken.wasm", b"not wasm");
    followed.rename_into("bad.wasm", &good("bad-id"));
    followed.rename_into("zz.wasm", &good("v=2"));
    followed.rename_into("other.wasm", guest("well_behaved"));
    fs::create_dir(followed.path("directory.wasm")).unwrap();
    let state = |snapshot: &Snapshot| {
        let methods: Vec<_> = snapshot
            .methods()
            .map(|plugin| (plugin.id().to_owned(), plugin.digest(), plugin.source().clone()))
            .collect();
        let rejections: Vec<_> = snapshot.rejections().iter().map(ToString::to_string).collect();
        (methods, rejections)
    };
    let fresh = state(&followed.place.load().snapshot());
    assert_eq!((fresh.0.len(), fresh.1.len()), (2, 4));
    followed.until("as it starts", |snapshot| state(snapshot) == fresh);
    let rescanned = followed.registry.rescan().unwrap();
    assert_eq!(state(&rescanned), fresh);
}

/// A worker that starts to work when a file is gone.
fn held_worker(place: &Place) -> (PathBuf, PathBuf) {
    let (script, hold) = (place.root.path().join("worker.sh"), place.root.path().join("hold"));
    let text = format!(
        "#!/bin/sh\nwhile [ -e '{}' ]; do /bin/sleep 0.02; done\nexec '{}' \"$@\"\n",
        hold.display(),
        worker().display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, hold)
}

#[test]
fn nobody_waits_for_a_compile() {
    let place = Place::new();
    place.put("method.wasm", &good("v=1"));
    place.put("leaves.wasm", guest("well_behaved"));
    place.load();
    let (script, hold) = held_worker(&place);
    fs::write(&hold, "").unwrap();
    let options = RegistryOptions { worker: script, ..place.options() };
    let followed = Followed::with(place, options, WatchOptions::default());
    followed.rename_into("method.wasm", &good("v=2"));
    let end = Instant::now() + PATIENCE;
    while !followed.place.events().iter().any(|event| format!("{event:?}").contains("method.wasm")) {
        assert!(Instant::now() < end, "it is not compiled");
        std::thread::sleep(Duration::from_millis(5));
    }
    // It is being compiled now, and will be for as long as the file is there.
    let plugin = get(&followed.registry, "describes");
    assert_eq!(plugin.descriptor().version, "0.1.1");
    plugin.ollama(&job("x"), rows(1)).unwrap();
    // Not even another change does.
    fs::remove_file(followed.path("leaves.wasm")).unwrap();
    followed.next("removed");
    assert_eq!(get(&followed.registry, "describes").descriptor().version, "0.1.1");
    fs::remove_file(hold).unwrap();
    followed.next("reloaded");
}

#[test]
fn outdated_compile_is_canceled() {
    let place = Place::new();
    place.put("method.wasm", &good("v=1"));
    place.load();
    let (script, hold) = held_worker(&place);
    fs::write(&hold, "").unwrap();
    let options = RegistryOptions { worker: script, ..place.options() };
    let mut followed = Followed::with(place, options, WatchOptions::default());
    for number in 2..5 {
        followed.rename_into("method.wasm", &good(&format!("v={number}")));
        let end = Instant::now() + PATIENCE;
        while followed.place.events().len() < number {
            assert!(Instant::now() < end, "it is not compiled: {:?}", followed.place.events());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    fs::remove_file(&hold).unwrap();
    let change = followed.next("reloaded");
    assert_eq!(change.version.as_deref(), Some("0.1.4"), "{change}");
    assert!(followed.changes().is_empty());

    // The end of the watch does not wait for it either.
    fs::write(&hold, "").unwrap();
    followed.rename_into("method.wasm", &good("v=5"));
    let end = Instant::now() + PATIENCE;
    while followed.place.events().len() < 5 {
        assert!(Instant::now() < end, "it is not compiled");
        std::thread::sleep(Duration::from_millis(5));
    }
    followed.watch = None;
    assert_eq!(get(&followed.registry, "describes").descriptor().version, "0.1.4");
}

#[test]
fn preflight_runs_the_golden_cases() {
    let place = Place::new();
    place.put("method.wasm", &good("v=1"));
    let options = RegistryOptions {
        golden: Some(Arc::new(|plugin, file| {
            assert!(file.ends_with("method.wasm"));
            match plugin.descriptor().version.as_str() {
                "0.1.2" => Err("1 of 1 case failed; `first` expects other notes".into()),
                _ => Ok(()),
            }
        })),
        ..place.options()
    };
    let followed = Followed::with(place, options, WatchOptions::default());
    followed.rename_into("method.wasm", &good("v=2"));
    let change = followed.next("rejected");
    let ChangeKind::Rejected { reason, still_serving } = &change.kind else { panic!("{change}") };
    assert_eq!(reason.rule(), "golden");
    assert!(still_serving.is_some());
    followed.rename_into("method.wasm", &good("v=3"));
    followed.next("reloaded");
}

#[test]
fn a_call_sees_exactly_one_generation() {
    const RELOADS: u64 = 100;
    const CALLS: u64 = 10_000;
    let followed = Followed::serving("v=0");
    let (made, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let caller = || {
            while !done.load(Ordering::Relaxed) || made.load(Ordering::Relaxed) < CALLS {
                let plugin = get(&followed.registry, "describes");
                let answer = plugin.ollama(&job("x"), rows(1)).expect("no call fails");
                let number = plugin.descriptor().version.strip_prefix("0.1.").unwrap().to_owned();
                assert_eq!(answer.receipt.sha256, plugin.digest());
                assert_eq!(answer.receipt.version, plugin.descriptor().version);
                assert_eq!(answer.result.unwrap().notes, [format!("v={number}")]);
                made.fetch_add(1, Ordering::Relaxed);
            }
        };
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(caller)).collect();
        for number in 1..=RELOADS {
            let way = format!("v={number}");
            // As editors and builds write: in place, and by rename.
            if number % 4 == 0 {
                fs::write(followed.path("method.wasm"), good(&way)).unwrap();
            } else {
                followed.rename_into("method.wasm", &good(&way));
            }
            let end = Instant::now() + PATIENCE;
            while get(&followed.registry, "describes").descriptor().version != format!("0.1.{number}") {
                assert!(Instant::now() < end, "reload {number} did not come");
                assert!(callers.iter().all(|caller| !caller.is_finished()), "a call failed");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(made.load(Ordering::Relaxed) >= CALLS);
    let reloaded = followed.changes().iter().filter(|change| change.action() == "reloaded").count() as u64;
    assert_eq!(reloaded, RELOADS);
    assert!(matches!(followed.receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout)));
}
