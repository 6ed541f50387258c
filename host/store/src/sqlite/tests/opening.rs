//! Opening: versions, foreign and damaged files, directories, permissions, full disks.

use super::Fixture;
use crate::backend::Durability;
use crate::conformance::{event, events, new_job};
use crate::sqlite::connection::{connect, options as connection_options, run};
use crate::sqlite::open::{MIGRATIONS, bring_forward};
use crate::sqlite::{FILE_NAME, Sqlite};
use crate::store::Identity;
use crate::{Batch, Change, Error, Event, JobFilter, Kept, Level, Options, State, Store};
use sqlx::Row as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::Arc;

async fn refused(fixture: &Fixture) -> (Error, String) {
    let error = Store::open(&fixture.directory, fixture.options()).await.unwrap_err();
    let mut text = error.to_string().replace(&fixture.directory.display().to_string(), "STATE");
    for advice in error.advice() {
        text += &format!("\n{advice:?}").replace(&fixture.directory.display().to_string(), "STATE");
    }
    (error, text)
}

fn file(fixture: &Fixture) -> PathBuf {
    fixture.directory.join(FILE_NAME)
}

#[tokio::test]
async fn new_store_is_private() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.create(&new_job("a")).await.unwrap();
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fixture.directory.clone()), 0o700);
    assert_eq!(mode(file(&fixture)), 0o600);
    assert_eq!(mode(fixture.directory.join("tunesmith.db-wal")), 0o600);
}

#[tokio::test]
async fn directory_that_others_may_write_is_refused() {
    let fixture = Fixture::new();
    std::fs::create_dir(&fixture.directory).unwrap();
    std::fs::set_permissions(&fixture.directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (error, text) = refused(&fixture).await;
    insta::assert_snapshot!(text, @r#"
    STATE: others may write to the store's directory (its mode is 777)
    RestrictAccess { path: "STATE", mode: "700" }
    "#);
    assert_eq!(error.code(), tunesmith_core::failure::Code::StoreExposed);
    assert!(!file(&fixture).exists());
}

#[tokio::test]
async fn newer_store_is_refused_untouched() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.create(&new_job("a")).await.unwrap();
    store.close().await;
    let mut connection = connect(&file(&fixture), connection_options(&file(&fixture))).await.unwrap();
    run(&mut connection, &file(&fixture), "PRAGMA user_version = 7; CREATE TABLE later (x);").await.unwrap();
    drop(connection);
    while fixture.directory.join("tunesmith.db-wal").exists() {
        tokio::task::yield_now().await; // the connection's thread is closing it
    }
    let before = std::fs::read(file(&fixture)).unwrap();
    let modified = std::fs::metadata(file(&fixture)).unwrap().modified().unwrap();
    let (_, text) = refused(&fixture).await;
    insta::assert_snapshot!(text, @r#"
    STATE/tunesmith.db: the store has version 7, and this tunesmith knows only up to 2; it was left untouched
    Text { text: "update tunesmith" }
    OtherDataDirectory
    "#);
    assert!(std::fs::read(file(&fixture)).unwrap() == before);
    assert_eq!(std::fs::metadata(file(&fixture)).unwrap().modified().unwrap(), modified);
}

#[tokio::test]
async fn newer_version_in_the_log_is_refused() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    let path = file(&fixture);
    let mut connection = connect(&path, connection_options(&path)).await.unwrap();
    run(&mut connection, &path, "PRAGMA user_version = 7; CREATE TABLE later (x);").await.unwrap();
    // As a kill leaves it: copied away while the newer program is still at it.
    let other = Fixture::new();
    std::fs::create_dir(&other.directory).unwrap();
    std::fs::set_permissions(&other.directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["tunesmith.db", "tunesmith.db-wal"] {
        std::fs::copy(fixture.directory.join(name), other.directory.join(name)).unwrap();
    }
    let before = std::fs::read(file(&other)).unwrap();
    let log = std::fs::read(other.directory.join("tunesmith.db-wal")).unwrap();
    let (error, _) = refused(&other).await;
    assert!(matches!(error, Error::Newer { found: 7, .. }), "{error}");
    assert!(std::fs::read(file(&other)).unwrap() == before);
    assert!(std::fs::read(other.directory.join("tunesmith.db-wal")).unwrap() == log);
}

#[tokio::test]
async fn files_that_are_no_store_are_refused() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    let path = file(&fixture);
    let notes = b"my notes, which I would miss\n".repeat(100);
    std::fs::write(&path, &notes).unwrap();
    let (_, text) = refused(&fixture).await;
    insta::assert_snapshot!(text, @r#"
    STATE/tunesmith.db: not a tunesmith store: it is not an SQLite database; it was left untouched
    Text { text: "move the file away if it is not needed" }
    OtherDataDirectory
    "#);
    assert!(std::fs::read(&path).unwrap() == notes);

    std::fs::remove_file(&path).unwrap();
    let mut connection = connect(&path, connection_options(&path).create_if_missing(true)).await.unwrap();
    run(&mut connection, &path, "CREATE TABLE songs (title)").await.unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let (_, text) = refused(&fixture).await;
    insta::assert_snapshot!(text, @r#"
    STATE/tunesmith.db: not a tunesmith store: it is another program's SQLite database; it was left untouched
    Text { text: "move the file away if it is not needed" }
    OtherDataDirectory
    "#);
    assert!(std::fs::read(&path).unwrap() == before);
}

#[tokio::test]
async fn damaged_store_is_reported_as_damaged() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for n in 0..50 {
        store.create(&new_job(&format!("job {n}"))).await.unwrap();
    }
    store.close().await;
    let sound = std::fs::read(file(&fixture)).unwrap();
    let mut bytes = sound.clone();
    // Everything but the first page, which holds the version.
    bytes[4096..].fill(0x5a);
    std::fs::write(file(&fixture), bytes).unwrap();
    let (_, text) = refused(&fixture).await;
    insta::assert_snapshot!("a_store_whose_pages_are_damaged", text);

    let mut bytes = sound;
    let place = bytes.windows(6).position(|window| window == b"job 49").unwrap() / 4096 * 4096;
    bytes[place..place + 4096].fill(0x5a);
    std::fs::write(file(&fixture), bytes).unwrap();
    let store = fixture.open().await;
    let error = store.jobs(&JobFilter::default(), None, 100).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let error = store.create(&new_job("more")).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(!store.check().await.is_ok_and(|problems| problems.is_empty()));
}

#[tokio::test]
async fn file_in_place_of_directory_is_named() {
    let fixture = Fixture::new();
    std::fs::write(&fixture.directory, "x").unwrap();
    let (_, text) = refused(&fixture).await;
    insta::assert_snapshot!(text, @r#"
    STATE: cannot use the directory for the store: not a directory
    Text { text: "create it" }
    OtherDataDirectory
    "#);
}

#[tokio::test]
async fn full_disk_leaves_the_store_usable() {
    let fixture = Fixture::new();
    let me = Identity::new().unwrap();
    let (sqlite, path) = Sqlite::open(&fixture.directory, &me.token).await.unwrap();
    let connections = Arc::clone(&sqlite.connections);
    let store = Store::on(Box::new(sqlite), path, me, fixture.options());
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let mut tx = connections.begin(Durability::Synced).await.unwrap();
    let pages: i64 = tx.one(sqlx::query("PRAGMA page_count")).await.unwrap().get(0);
    let limit = format!("PRAGMA max_page_count = {pages}");
    tx.execute(sqlx::query(sqlx::AssertSqlSafe(limit))).await.unwrap();
    tx.rollback().await.unwrap();
    let batch = events([event(Some("e1"), &"x".repeat(60_000))]);
    let error = store.append(&claim, &batch).await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    insta::assert_snapshot!(
        error.to_string().replace(&fixture.directory.display().to_string(), "STATE"),
        @"STATE/tunesmith.db: no space left for the store; nothing was half-written"
    );
    assert_eq!(store.events(&job.id, 0, 10).await.unwrap().items.len(), 1);
    // Space was made (the limit went with the connection): the same store carries on.
    assert_eq!(store.append(&claim, &batch).await.unwrap().events, 1);
    assert_eq!(store.check().await.unwrap(), []);
}

/// Permissions mean nothing to root, so this runs as a child without privileges.
#[test]
fn read_only_directory_is_named() {
    let fixture = Fixture::new();
    let outer = fixture.directory.parent().unwrap();
    std::fs::create_dir(&fixture.directory).unwrap();
    let program = outer.join("test");
    let this = std::env::current_exe().unwrap();
    std::fs::hard_link(&this, &program).or_else(|_| std::fs::copy(&this, &program).map(drop)).unwrap();
    for (path, mode) in [(outer, 0o755), (&fixture.directory, 0o555), (&program, 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut child = std::process::Command::new(&program);
    child.args(["--exact", "sqlite::tests::opening::child_opens_read_only", "--ignored", "--nocapture"]);
    child.env("TUNESMITH_TEST_STORE", &fixture.directory).current_dir(outer);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        child.uid(65_534).gid(65_534);
    }
    let output = child.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).replace(&fixture.directory.display().to_string(), "STATE");
    let line = text.lines().find(|line| line.starts_with("STATE")).unwrap_or(&text);
    insta::assert_snapshot!(line, @"STATE/tunesmith.db: the store cannot be written: unable to open database file");
}

#[test]
#[ignore = "a child of read_only_directory_is_named"]
#[allow(clippy::print_stdout, reason = "it reports to its parent")]
fn child_opens_read_only() {
    let Some(directory) = std::env::var_os("TUNESMITH_TEST_STORE") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(Store::open(directory.as_ref(), Options::default()));
    println!("\n{}", result.unwrap_err());
}

#[tokio::test]
async fn migrations_apply_all_or_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let job = store.create(&new_job("kept")).await.unwrap();
    store.close().await;
    let path = file(&fixture);
    let mut connection = connect(&path, connection_options(&path)).await.unwrap();
    let [first, second] = *MIGRATIONS else { panic!("this test knows of two") };
    let broken = [first, second, "CREATE TABLE added (x); CREATE TABLE added (x);"];
    bring_forward(&path, &mut connection, &broken).await.unwrap_err();
    drop(connection);
    let store = fixture.open().await;
    assert_eq!(store.job(job.id.as_str()).await.unwrap(), job, "still version 2, with its job");
    store.close().await;

    let mut connection = connect(&path, connection_options(&path)).await.unwrap();
    let third = [first, second, "ALTER TABLE jobs ADD COLUMN note TEXT DEFAULT 'new';"];
    bring_forward(&path, &mut connection, &third).await.unwrap();
    let row = sqlx::query("SELECT note, name FROM jobs").fetch_one(&mut connection).await.unwrap();
    assert_eq!((row.get::<&str, _>(0), row.get::<&str, _>(1)), ("new", "kept"));
    let error = Store::open(&fixture.directory, fixture.options()).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 3, known: 2, .. }), "{error}");
}

/// A store as version 1 left it: a job with its events and checkpoints.
const VERSION_1: &str = "
    INSERT INTO datasets VALUES ('d', 'train.jsonl', 2, 90, 1);
    INSERT INTO plans VALUES ('p', '{}', 1);
    INSERT INTO jobs (id, name, provider, service, method, base_model, emulated, spec, dataset, plan,
        measured, state, reason, attempt, last_event, synced, created_ms, changed_ms)
    VALUES ('k3f9ab', 'old', 'openai', 'http://h/v1', 'lora', 'base', 0, '{}', 'd', 'p', '{}', 'failed',
        'said: no', 1, 4, 4, 1, 4);
    INSERT INTO attempts VALUES ('k3f9ab', 1, 'k3f9ab-x', NULL, 1, 4);
    INSERT INTO events VALUES
        ('k3f9ab', 1, 1, 1, 'state', 'info', NULL, 'planned', 'planned', NULL, NULL),
        ('k3f9ab', 2, 2, 2, 'service', 'info', NULL, NULL, 'step 1', '{\"type\":\"metrics\"}', 'e1'),
        ('k3f9ab', 3, 3, 3, 'state', 'info', 'planned', 'uploading', 'uploading', NULL, NULL),
        ('k3f9ab', 4, 4, 4, 'state', 'error', 'uploading', 'failed', 'failed: said: no', NULL, NULL);
    INSERT INTO checkpoints VALUES
        ('k3f9ab', 1, 'ckpt-2', 20, 'ft:20', '{\"train_loss\":0.5}', 4),
        ('k3f9ab', 1, 'ckpt-1', 10, 'ft:10', '{}', 3);
";

#[tokio::test]
async fn version_1_store_reads_and_goes_on() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    let path = file(&fixture);
    std::fs::remove_file(&path).unwrap();
    let mut connection = connect(&path, connection_options(&path).create_if_missing(true)).await.unwrap();
    bring_forward(&path, &mut connection, &MIGRATIONS[..1]).await.unwrap();
    run(&mut connection, &path, VERSION_1).await.unwrap();
    drop(connection);

    let store = fixture.open().await;
    let job = store.job("k3f9ab").await.unwrap();
    assert!(job.remote);
    let kinds: Vec<_> =
        store.events(&job.id, 0, 10).await.unwrap().items.into_iter().map(|e| e.event).collect();
    let state = |from, to, reason: Option<&str>| Event::State { from, to, reason: reason.map(str::to_owned) };
    assert_eq!(
        kinds,
        [
            state(None, State::Planned, None),
            Event::Message {
                level: Level::Info,
                text: "step 1".into(),
                data: Some(serde_json::json!({"type": "metrics"})),
            },
            state(Some(State::Planned), State::Uploading, None),
            state(Some(State::Uploading), State::Failed, Some("said: no")),
        ]
    );
    let checkpoints = store.checkpoints(&job.id).await.unwrap();
    let kept = |id: &str, model: &str| Kept::Remote { id: id.into(), model: model.into() };
    assert_eq!(
        checkpoints.iter().map(|kept| (&kept.kept, kept.step)).collect::<Vec<_>>(),
        [(&kept("ckpt-1", "ft:10"), 10), (&kept("ckpt-2", "ft:20"), 20)]
    );
    assert_eq!(checkpoints[1].figures["train_loss"], 0.5);
    assert_eq!(store.check().await.unwrap(), []);

    let claim = store.claim(&job.id).await.unwrap();
    store.apply(&claim, Change::to(State::Planned)).await.unwrap();
    let again = Batch { checkpoints: vec![checkpoints[0].clone()], ..Batch::default() };
    assert_eq!(store.append(&claim, &again).await.unwrap().checkpoints, 0);
    assert_eq!(store.check().await.unwrap(), []);
}

#[tokio::test]
async fn many_create_the_store_at_once() {
    let fixture = Fixture::new();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (directory, options) = (fixture.directory.clone(), fixture.options());
            tokio::spawn(async move { Store::open(&directory, options).await.unwrap() })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        task.await.unwrap().create(&new_job(&n.to_string())).await.unwrap();
    }
    let store = fixture.open().await;
    assert_eq!(store.jobs(&JobFilter::default(), None, 100).await.unwrap().items.len(), 8);
}
