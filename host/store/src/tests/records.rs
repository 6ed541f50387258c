//! Events, metrics, checkpoints, artifacts, models, files, plugin history, secrets.

use super::*;
use std::collections::BTreeMap;

fn event(id: Option<&str>, message: &str) -> NewEvent {
    NewEvent {
        at_ms: NOW_MS,
        level: Level::Info,
        message: message.into(),
        data: None,
        remote_id: id.map(Into::into),
    }
}

fn point(step: u64, figures: &[(&str, f64)]) -> MetricPoint {
    MetricPoint { step, figures: figures.iter().map(|(name, value)| ((*name).into(), *value)).collect() }
}

#[tokio::test]
async fn events_come_once_in_order_and_in_pages() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let synced = store.synced_transactions();
    let look = |events| Batch { events, ..Batch::default() };
    let first = look(vec![event(Some("e1"), "one"), event(Some("e2"), "two")]);
    assert_eq!(store.append(&claim, &first).await.unwrap().events, 2);
    let second = look(vec![event(Some("e2"), "two"), event(Some("e3"), "three"), event(None, "note")]);
    assert_eq!(store.append(&claim, &second).await.unwrap().events, 2);
    assert_eq!(store.synced_transactions(), synced, "what can be fetched again is not flushed");
    let page = store.events(&job.id, 0, 3).await.unwrap();
    let seen = |page: &Page<Event>| {
        page.items.iter().map(|e| format!("{} {}", e.seq, e.message)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&page), ["1 planned", "2 one", "3 two"]);
    let page = store.events(&job.id, page.next.unwrap(), 3).await.unwrap();
    assert_eq!(seen(&page), ["4 three", "5 note"]);
    assert_eq!(page.next, None);
    assert_eq!((page.items[0].kind, page.items[1].kind), (EventKind::Service, EventKind::Note));
}

#[tokio::test]
async fn figures_are_kept_by_step_once_with_whatever_a_diverged_run_gives() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let record = async |metrics: Vec<MetricPoint>| {
        store.append(&claim, &Batch { metrics, ..Batch::default() }).await.unwrap().metrics
    };
    assert_eq!(record(vec![point(1, &[("train_loss", 2.5)]), point(2, &[("train_loss", 1.25)])]).await, 2);
    assert_eq!(record(vec![point(2, &[("train_loss", 1.25)])]).await, 0);
    assert_eq!(
        record(vec![point(2, &[("valid_loss", 1.5)]), point(3, &[("train_loss", f64::NAN)])]).await,
        2
    );
    assert_eq!(record(vec![point(4, &[("train_loss", f64::INFINITY)])]).await, 1);
    let points = store.metrics(&job.id, 1, None, 100).await.unwrap();
    assert_eq!(points[1], point(2, &[("train_loss", 1.25), ("valid_loss", 1.5)]));
    assert!(points[2].figures["train_loss"].is_nan());
    assert_eq!(points[3].figures["train_loss"], f64::INFINITY);
    assert_eq!(store.metrics(&job.id, 1, Some(1), 1).await.unwrap()[0].step, 2);
    assert!(store.metrics(&job.id, 2, None, 100).await.unwrap().is_empty());
    let mut huge = BTreeMap::new();
    huge.insert("x".to_owned(), 1.0);
    let batch = Batch { metrics: vec![MetricPoint { step: u64::MAX, figures: huge }], ..Batch::default() };
    assert!(matches!(store.append(&claim, &batch).await.unwrap_err(), Error::Invalid { .. }));
}

#[tokio::test]
async fn checkpoints_and_artifacts_are_listed() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let checkpoint = Checkpoint {
        remote_id: "ftckpt_1".into(),
        step: 88,
        model: "ft:m:ckpt-step-88".into(),
        figures: point(0, &[("train_loss", 0.5)]).figures,
        made_ms: NOW_MS,
    };
    let artifact = |sha: &str| NewArtifact {
        name: "Modelfile".into(),
        path: "out/Modelfile".into(),
        sha256: sha.into(),
        bytes: 12,
    };
    let batch = |sha| Batch {
        checkpoints: vec![checkpoint.clone()],
        artifacts: vec![artifact(sha)],
        ..Batch::default()
    };
    assert_eq!(store.append(&claim, &batch("old")).await.unwrap().checkpoints, 1);
    assert_eq!(store.append(&claim, &batch("new")).await.unwrap().checkpoints, 0);
    assert_eq!(store.checkpoints(&job.id).await.unwrap(), [checkpoint]);
    let artifacts = store.artifacts(&job.id).await.unwrap();
    assert_eq!((artifacts.len(), artifacts[0].sha256.as_str()), (1, "new"));
}

#[tokio::test]
async fn a_model_carries_the_emulators_mark_and_gives_way_to_a_later_one_of_its_name() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let make = async |emulated: bool| {
        let new = NewJob { emulated, ..new_job("a") };
        let (_, claim) = store.create_owned(&new).await.unwrap();
        advance(&store, &claim, 6).await.id
    };
    let real = make(false).await;
    let first = make(true).await;
    let second = make(true).await;
    let listed = |page: Page<Model>| page.items.into_iter().map(|m| (m.job, m.emulated)).collect::<Vec<_>>();
    let all = ModelFilter::default();
    assert_eq!(
        listed(store.models(&all, None, 10).await.unwrap()),
        [(second.clone(), true), (real, false)],
        "the emulator's never displaces a real one"
    );
    let gone = ModelFilter { gone: true, job: Some(first), ..ModelFilter::default() };
    assert_eq!(store.models(&gone, None, 10).await.unwrap().items[0].superseded_ms, Some(NOW_MS));
    let latest = store.models(&all, None, 1).await.unwrap();
    assert!(latest.next.is_some());
    assert!(latest.items[0].verified_ms.is_some());
    assert!(store.model_removed(latest.items[0].number).await.unwrap());
    assert!(!store.model_removed(latest.items[0].number).await.unwrap());
    assert_eq!(store.models(&all, None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn an_uploaded_file_is_found_again_by_its_content() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (_, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let file = NewUpload { expires_ms: Some(NOW_MS + 1000), ..upload("file-1") };
    store.apply(&claim, Change::stay().uploaded(file)).await.unwrap();
    let wanted = FileContent {
        service: "http://127.0.0.1:9/v1",
        emulated: true,
        purpose: "fine-tune",
        sha256: "abc",
        bytes: 9000,
    };
    let found = store.reusable_file(wanted).await.unwrap().unwrap();
    assert_eq!(found.remote_id, "file-1");
    for other in [
        FileContent { bytes: 9001, ..wanted },
        FileContent { sha256: "abd", ..wanted },
        FileContent { service: "http://127.0.0.1:10/v1", ..wanted },
        FileContent { emulated: false, ..wanted },
        FileContent { purpose: "batch", ..wanted },
    ] {
        assert_eq!(store.reusable_file(other).await.unwrap(), None, "{other:?}");
    }
    fixture.clock.advance(1000);
    assert_eq!(store.reusable_file(wanted).await.unwrap(), None, "it has expired");
    fixture.clock.advance(-1000);
    assert!(store.file_removed(found.number).await.unwrap());
    assert_eq!(store.reusable_file(wanted).await.unwrap(), None, "it was removed");
    assert!(store.files(None, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn plans_come_back_byte_for_byte_and_are_kept_once() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let one = store.create(&new_job("a")).await.unwrap();
    let mut other = new_job("b");
    other.plan.measured = json!({"ms": 9});
    let two = store.create(&other).await.unwrap();
    let plan = store.plan(&one.id).await.unwrap();
    assert_eq!((plan.document.as_str(), plan.measured), ("{\"a\": 1}", json!({"ms": 3})));
    let plan = store.plan(&two.id).await.unwrap();
    assert_eq!((plan.measured, plan.spec), (json!({"ms": 9}), json!({"name": "b"})));
}

#[tokio::test]
async fn the_plugin_history_is_kept_in_order() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let entry = |plugin: &str, action: &str| NewPluginEvent {
        at_ms: NOW_MS,
        plugin: plugin.into(),
        version: Some("1.0.0".into()),
        sha256: None,
        file: Some("x.wasm".into()),
        action: action.into(),
        message: "m".into(),
        generation: Some(7),
        tier: Some("pure".into()),
        directory: Some("/plugins".into()),
    };
    store
        .append_plugin_history(&[entry("a", "loaded"), entry("b", "loaded"), entry("a", "removed")])
        .await
        .unwrap();
    let page = store.plugin_history(None, None, 2).await.unwrap();
    assert_eq!(page.items.iter().map(|e| e.action.as_str()).collect::<Vec<_>>(), ["removed", "loaded"]);
    let page = store.plugin_history(None, page.next, 2).await.unwrap();
    assert_eq!(page.items[0].plugin, "a");
    assert_eq!((page.items[0].generation, page.items[0].tier.as_deref()), (Some(7), Some("pure")));
    assert!(page.items[0].alive, "this process tells it");
    let other = fixture.open().await;
    assert!(other.plugin_history(None, None, 1).await.unwrap().items[0].alive, "so another one sees");
    assert_eq!(store.plugin_history(Some("b"), None, 10).await.unwrap().items.len(), 1);
    let many = vec![entry("c", "loaded"); 10_000];
    store.append_plugin_history(&many).await.unwrap();
    assert!(store.plugin_history(Some("a"), None, 10).await.unwrap().items.is_empty(), "the oldest went");
    // Another identity of this store, as another process has: this one is gone for it.
    store.close().await;
    drop(store);
    assert!(!other.plugin_history(None, None, 1).await.unwrap().items[0].alive);
}

#[tokio::test]
async fn a_key_that_a_service_echoes_is_in_no_file() {
    let fixture = Fixture::new();
    let key = "sk-planted-\"key\"-0123456789";
    let options =
        Options { redactor: Redactor::new([key.to_owned(), "none".to_owned()]), ..fixture.options() };
    assert!(!format!("{:?}", options.redactor).contains("planted"));
    let store = Store::open(&fixture.directory, options).await.unwrap();
    let error =
        store.create(&NewJob { service: format!("http://u:{key}@h/v1"), ..new_job("a") }).await.unwrap_err();
    assert!(!error.to_string().contains(key));
    let echoed = format!("Incorrect API key provided: {key}.");
    let (job, claim) = store.create_owned(&new_job(&echoed)).await.unwrap();
    let create = Change::to(State::Creating).intend(Operation::Create, "h").because(echoed.clone());
    let intent = store.apply(&claim, create).await.unwrap().intent.unwrap();
    store.note(&claim, intent.id, &json!({"said": [echoed.clone()]})).await.unwrap();
    let mut told = event(Some("e1"), &echoed);
    told.data = Some(json!({ key: {"deep": echoed.clone()}, "kept": "none" }));
    store.append(&claim, &Batch { events: vec![told], ..Batch::default() }).await.unwrap();
    let ask = store.request(&job.id, Ask::Pause).await.unwrap();
    let change = Change::to(State::Failed)
        .because(echoed.clone())
        .settle(intent.id, Outcome::Refused { detail: echoed.clone() })
        .answer(ask.id, Answer::Refused(echoed.clone()));
    store.apply(&claim, change).await.unwrap();
    let entry = NewPluginEvent {
        at_ms: NOW_MS,
        plugin: "a".into(),
        version: None,
        sha256: None,
        file: None,
        action: "rejected".into(),
        message: echoed,
        ..NewPluginEvent::default()
    };
    store.append_plugin_history(&[entry]).await.unwrap();
    let said = store.job(job.id.as_str()).await.unwrap().reason.unwrap();
    assert_eq!(said, "Incorrect API key provided: [redacted].");
    let event = store.events(&job.id, 0, 100).await.unwrap().items.into_iter().find(|e| e.data.is_some());
    assert_eq!(event.unwrap().data.unwrap()["kept"], "none", "dummies are ordinary words");
    for entry in std::fs::read_dir(&fixture.directory).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        for part in [&b"sk-planted"[..], b"0123456789"] {
            assert!(!bytes.windows(part.len()).any(|window| window == part), "{:?}", entry.path());
        }
    }
}

#[tokio::test]
async fn a_hostile_message_is_cut_at_a_character() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let mut told = event(Some("e1"), &format!("x{}", "é".repeat(LONGEST_TEXT)));
    told.data = Some(json!(vec!["y"; LONGEST_TEXT]));
    store.append(&claim, &Batch { events: vec![told], ..Batch::default() }).await.unwrap();
    let event = store.events(&job.id, 1, 1).await.unwrap().items.remove(0);
    assert!(
        event.message.ends_with("é… (65538 more bytes were cut)"),
        "{}",
        &event.message[LONGEST_TEXT - 9..]
    );
    assert_eq!(event.data.unwrap()["cut"], "262145 bytes were too many to keep");
}
