//! What is recorded while a job runs: events and figures, without secrets.

use super::{NOW_MS, Subject, event, events, new_job};
use crate::{
    Answer, Ask, Batch, Change, Error, Event, Job, LONGEST_TEXT, Level, MetricPoint, NewEvent, NewJob,
    NewPluginEvent, Operation, Outcome, Page, Redactor, State, Store, StoredEvent,
};
use serde_json::json;
use std::collections::BTreeMap;

fn point(step: u64, figures: &[(&str, f64)]) -> MetricPoint {
    MetricPoint { step, figures: figures.iter().map(|(name, value)| ((*name).into(), *value)).collect() }
}

pub async fn events_come_once_in_order_and_in_pages(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let synced = store.synced_transactions();
    let first = events([event(Some("e1"), "one"), event(Some("e2"), "two")]);
    assert_eq!(store.append(&claim, &first).await.unwrap().events, 2);
    let second = events([event(Some("e2"), "two"), event(Some("e3"), "three"), event(None, "note")]);
    assert_eq!(store.append(&claim, &second).await.unwrap().events, 2);
    assert_eq!(store.synced_transactions(), synced, "what can be fetched again is not flushed");
    let page = store.events(&job.id, 0, 3).await.unwrap();
    let seen = |page: &Page<StoredEvent>| {
        page.items.iter().map(|e| format!("{} {}", e.seq, e.event)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&page), ["1 planned", "2 one", "3 two"]);
    let page = store.events(&job.id, page.next.unwrap(), 3).await.unwrap();
    assert_eq!(seen(&page), ["4 three", "5 note"]);
    assert_eq!(page.next, None);
    assert_eq!(page.items[0].remote_id.as_deref(), Some("e3"));
}

pub async fn figures_are_merged_by_step(subject: &Subject) {
    let store = subject.open().await;
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

/// Masks a secret that a service echoes wherever a text may hold it; the parts of it that
/// must be nowhere.
pub(crate) async fn record_echoed_secret(subject: &Subject) -> (Store, Job, [&'static str; 2]) {
    let key = "sk-planted-\"key\"-0123456789";
    let redactor = Redactor::new([key.to_owned(), "none".to_owned()]);
    assert!(!format!("{redactor:?}").contains("planted"));
    let store = subject.open_with(redactor).await;
    let with_key = NewJob { service: format!("http://u:{key}@h/v1"), ..new_job("a") };
    let error = store.create(&with_key).await.unwrap_err();
    assert!(!error.to_string().contains(key));
    let echoed = format!("Incorrect API key provided: {key}.");
    let (job, claim) = store.create_owned(&new_job(&echoed)).await.unwrap();
    let create = Change::to(State::Creating).intend(Operation::Create, "h").because(echoed.clone());
    let intent = store.apply(&claim, create).await.unwrap().intent.unwrap();
    store.note(&claim, intent.id, &json!({"said": [echoed.clone()]})).await.unwrap();
    let mut told = event(Some("e1"), &echoed);
    told.event = Event::Message {
        level: Level::Info,
        text: echoed.clone(),
        data: Some(json!({ key: {"deep": echoed.clone()}, "kept": "none" })),
    };
    store.append(&claim, &events([told])).await.unwrap();
    let ask = store.request(&job.id, Ask::Pause).await.unwrap();
    let change = Change::to(State::Failed)
        .because(echoed.clone())
        .settle(intent.id, Outcome::Refused { detail: echoed.clone() })
        .answer(ask.id, Answer::Refused(echoed.clone()));
    let job = store.apply(&claim, change).await.unwrap().job;
    let entry = NewPluginEvent {
        at_ms: NOW_MS,
        plugin: "a".into(),
        action: "rejected".into(),
        message: echoed,
        ..NewPluginEvent::default()
    };
    store.append_plugin_history(&[entry]).await.unwrap();
    (store, job, ["sk-planted", "0123456789"])
}

pub async fn echoed_secret_is_masked_everywhere(subject: &Subject) {
    let (store, job, parts) = record_echoed_secret(subject).await;
    assert_eq!(job.reason.as_deref(), Some("Incorrect API key provided: [redacted]."));
    let events = store.events(&job.id, 0, 100).await.unwrap().items;
    let data = events.iter().find_map(|event| match &event.event {
        Event::Message { data, .. } => data.as_ref(),
        _ => None,
    });
    assert_eq!(data.unwrap()["kept"], "none", "dummies are ordinary words");
    let read = format!(
        "{job:?}{events:?}{:?}{:?}{:?}",
        store.intents(&job.id).await.unwrap(),
        store.plan(&job.id).await.unwrap(),
        store.plugin_history(None, None, 10).await.unwrap(),
    );
    for part in parts {
        assert!(!read.contains(part), "{read}");
    }
}

pub async fn oversized_message_is_cut_at_a_character(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let text = format!("x{}", "é".repeat(LONGEST_TEXT));
    let data = Some(json!(vec!["y"; LONGEST_TEXT]));
    let told = NewEvent::own(NOW_MS, Event::Message { level: Level::Info, text, data });
    store.append(&claim, &events([told])).await.unwrap();
    let event = store.events(&job.id, 1, 1).await.unwrap().items.remove(0).event;
    let Event::Message { text, data, .. } = event else { panic!("{event:?}") };
    assert!(text.ends_with("é… (65538 more bytes were cut)"), "{}", &text[LONGEST_TEXT - 9..]);
    assert_eq!(data.unwrap()["cut"], "262145 bytes were too many to keep");
}
