//! The state machine: legal moves, what they need, and what a crash leaves answerable.

use super::{NOW_MS, Subject, advance, done, model, new_job};
use crate::{Batch, Change, Error, Event, Level, NewJob, Operation, Outcome, State};
use serde_json::json;
use tunesmith_core::ProviderId;

pub async fn whole_run_needs_seven_synced_transactions(subject: &Subject) {
    let store = subject.open().await;
    let (_, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let job = advance(&store, &claim, 6).await;
    assert_eq!(job.id, *claim.job());
    assert_eq!((job.state, job.owner), (State::Succeeded, None));
    let events = store.events(&job.id, 0, 100).await.unwrap().items;
    let states: Vec<_> = events
        .iter()
        .map(|event| match event.event {
            Event::State { to, .. } => to.as_str(),
            Event::Result { .. } => "result",
            _ => "other",
        })
        .collect();
    let expected =
        ["planned", "uploading", "creating", "submitted", "running", "verifying", "succeeded", "result"];
    assert_eq!(states, expected);
    assert_eq!(store.synced_transactions(), 7);
    assert_eq!(job.synced, 7, "the job's own count agrees with the process's");
    assert_eq!(store.check().await.unwrap(), []);
}

pub async fn illegal_and_unfounded_moves_change_nothing(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let error = store.apply(&claim, Change::to(State::Submitted)).await.unwrap_err();
    assert!(matches!(error, Error::IllegalMove { from: State::Planned, to: State::Submitted, .. }));
    let error = store.apply(&claim, Change::to(State::Running)).await.unwrap_err();
    assert!(matches!(error, Error::Unfounded { state: State::Running, .. }), "a service would run it");

    let applied =
        store.apply(&claim, Change::to(State::Creating).intend(Operation::Create, "h")).await.unwrap();
    let intent = applied.intent.unwrap().id;
    for state in [State::Submitted, State::Verifying, State::Failed, State::Cancelled] {
        let error = store.apply(&claim, Change::to(state)).await.unwrap_err();
        assert!(matches!(error, Error::Unfounded { .. }), "{state}: {error}");
    }
    let refused = Outcome::Refused { detail: "no such model".into() };
    let error = store.apply(&claim, Change::to(State::Unknown).settle(intent, refused)).await.unwrap_err();
    assert!(matches!(error, Error::Unfounded { state: State::Unknown, .. }));
    assert!(store.situation(&job.id).await.unwrap().create_perhaps_sent().is_some(), "not settled");

    store.apply(&claim, Change::to(State::Submitted).settle(intent, done("ftjob-1"))).await.unwrap();
    store.apply(&claim, Change::to(State::Verifying).model(model("m"))).await.unwrap();
    let error = store.apply(&claim, Change::to(State::Succeeded)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("job {} cannot be succeeded: no model of this attempt is verified", job.id)
    );
    let error = store.apply(&claim, Change::to(State::Succeeded).verified("other")).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }));
    let seqs: Vec<_> = store.events(&job.id, 0, 100).await.unwrap().items.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "failed changes left no events");
    assert_eq!(store.check().await.unwrap(), []);
}

pub async fn second_create_is_refused(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let create = |change: Change| change.intend(Operation::Create, "h");
    let first = store.apply(&claim, create(Change::to(State::Creating))).await.unwrap().intent.unwrap();
    let error = store.apply(&claim, create(Change::stay())).await.unwrap_err();
    assert!(matches!(&error, Error::StillOpen { run_id, .. } if *run_id == job.run_id));
    store.apply(&claim, Change::to(State::Unknown)).await.unwrap();
    let error = store.apply(&claim, create(Change::stay())).await.unwrap_err();
    assert!(matches!(error, Error::OutOfPlace { .. }));
    let error = store.apply(&claim, create(Change::to(State::Creating))).await.unwrap_err();
    assert!(matches!(error, Error::StillOpen { .. }));
    let done_twice =
        Change::to(State::Creating).settle(first.id, done("ftjob-1")).intend(Operation::Create, "h");
    let error = store.apply(&claim, done_twice).await.unwrap_err();
    assert!(matches!(error, Error::Unfounded { .. }), "{error}");

    let absent = Outcome::Absent { detail: "looked 5 times over 60 s".into() };
    let again = create(Change::to(State::Creating).settle(first.id, absent.clone()));
    let second = store.apply(&claim, again).await.unwrap().intent.unwrap();
    assert_eq!(second.run_id, first.run_id, "one run id an attempt: a late first is found too");
    assert_eq!(store.intents(&job.id).await.unwrap()[0].outcome, Some(absent));
}

pub async fn situation_after_a_crash(subject: &Subject) {
    // (steps done, create perhaps sent, adopted, verified, may create)
    let cases = [
        (0, false, None, false, true),
        (1, false, None, false, true),
        (2, true, None, false, false),
        (3, false, Some("ftjob-1"), false, false),
        (5, false, Some("ftjob-1"), false, false),
        (6, false, Some("ftjob-1"), true, false),
    ];
    for (steps, sent, adopted, verified, may_create) in cases {
        let store = subject.open().await;
        let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
        advance(&store, &claim, steps).await;
        drop((claim, store)); // as a kill would
        let next = subject.open().await;
        let found = next.situation(&job.id).await.unwrap();
        assert_eq!(
            found.create_perhaps_sent().map(|i| i.run_id.clone()),
            sent.then_some(job.run_id),
            "{steps}"
        );
        assert_eq!(found.remote_id(), adopted, "{steps}");
        assert_eq!(found.is_verified(), verified, "{steps}");
        assert_eq!(found.may_create(), may_create, "{steps}");
        assert_eq!(found.models.len(), usize::from(steps >= 5), "{steps}");
    }
}

pub async fn retry_is_a_new_attempt_with_its_run_id(subject: &Subject) {
    let store = subject.open().await;
    let (first, claim) = store.create_owned(&new_job("a")).await.unwrap();
    advance(&store, &claim, 4).await;
    let progress = Batch { progress: Some((3, 10)), ..Batch::default() };
    store.append(&claim, &progress).await.unwrap();
    let failed = store.apply(&claim, Change::to(State::Failed).because("out of quota")).await.unwrap().job;
    assert_eq!(failed.reason.as_deref(), Some("out of quota"));
    assert_eq!(failed.step, Some(3));
    let again = store.apply(&claim, Change::to(State::Planned)).await.unwrap().job;
    assert_eq!((again.attempt, again.remote_id, again.step, again.reason), (2, None, None, None));
    assert_ne!(again.run_id, first.run_id);
    let attempts = store.attempts(&first.id).await.unwrap();
    assert_eq!(attempts[0].remote_id.as_deref(), Some("ftjob-1"));
    assert_eq!((attempts[0].ended_ms, attempts[1].ended_ms), (Some(NOW_MS), None));
    assert_eq!(advance(&store, &claim, 6).await.state, State::Succeeded);
}

pub async fn late_model_is_verified_without_training_again(subject: &Subject) {
    let store = subject.open().await;
    let (_, claim) = store.create_owned(&new_job("a")).await.unwrap();
    advance(&store, &claim, 5).await;
    store.apply(&claim, Change::to(State::Failed).because("it never answered")).await.unwrap();
    store.apply(&claim, Change::to(State::Verifying)).await.unwrap();
    let job = store.apply(&claim, Change::to(State::Succeeded).verified("ft:model")).await.unwrap().job;
    assert_eq!((job.state, job.attempt), (State::Succeeded, 1));

    let (_, other) = store.create_owned(&new_job("b")).await.unwrap();
    store.apply(&other, Change::to(State::Failed)).await.unwrap();
    let error = store.apply(&other, Change::to(State::Verifying)).await.unwrap_err();
    assert!(matches!(error, Error::Unfounded { .. }), "nothing was made: {error}");
}

pub async fn intents_are_opened_and_settled_once(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let error = store.apply(&claim, Change::stay().intend(Operation::Pause, "h")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("job {} is planned: there is nothing to pause", job.id));
    let applied =
        store.apply(&claim, Change::to(State::Uploading).intend(Operation::Upload, "h")).await.unwrap();
    let intent = applied.intent.unwrap().id;
    store.note(&claim, intent, &json!({"upload": "upload_1", "parts": ["p1"]})).await.unwrap();
    assert_eq!(
        store.situation(&job.id).await.unwrap().open[0].note,
        Some(json!({"upload": "upload_1", "parts": ["p1"]}))
    );
    store.apply(&claim, Change::stay().settle(intent, done("file-1"))).await.unwrap();
    let error = store.note(&claim, intent, &json!(1)).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchIntent { .. }));
    let error = store.apply(&claim, Change::stay().settle(intent, done("file-2"))).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchIntent { .. }), "a result is recorded once");
}

pub async fn local_training_needs_no_create(subject: &Subject) {
    let store = subject.open().await;
    let new = NewJob { remote: false, provider: ProviderId::Local, ..new_job("a") };
    let (job, claim) = store.create_owned(&new).await.unwrap();
    let create = Change::to(State::Creating).intend(Operation::Create, "h");
    let error = store.apply(&claim, create).await.unwrap_err();
    assert!(matches!(error, Error::Unfounded { state: State::Creating, .. }), "{error}");
    assert!(!store.situation(&job.id).await.unwrap().may_create());

    let pull = Change::to(State::Uploading).intend(Operation::Pull, "h");
    let pull = store.apply(&claim, pull).await.unwrap().intent.unwrap();
    let pulled = Outcome::Done { remote_id: None };
    store.apply(&claim, Change::to(State::Running).settle(pull.id, pulled)).await.unwrap();
    store.apply(&claim, Change::to(State::Failed).because("out of memory")).await.unwrap();
    store.apply(&claim, Change::to(State::Planned)).await.unwrap();
    store.apply(&claim, Change::to(State::Running)).await.unwrap();
    store.apply(&claim, Change::to(State::Verifying).model(model("adapter"))).await.unwrap();
    let error = store.apply(&claim, Change::to(State::Succeeded)).await.unwrap_err();
    assert!(matches!(error, Error::Unfounded { state: State::Succeeded, .. }), "{error}");
    let job = store.apply(&claim, Change::to(State::Succeeded).verified("adapter")).await.unwrap().job;
    assert_eq!((job.state, job.attempt, job.remote_id), (State::Succeeded, 2, None));
    assert_eq!(store.check().await.unwrap(), []);
}

pub async fn state_events_carry_the_reason(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let why = "cancelled: by hand";
    store.apply(&claim, Change::to(State::Cancelled).because(why)).await.unwrap();
    let events = store.events(&job.id, 0, 10).await.unwrap().items;
    let reason = Some(why.to_owned());
    assert_eq!(
        events.iter().map(|event| event.event.clone()).collect::<Vec<_>>(),
        [
            Event::State { from: None, to: State::Planned, reason: None },
            Event::State { from: Some(State::Planned), to: State::Cancelled, reason: reason.clone() },
            Event::Result { state: State::Cancelled, reason, outcome: None },
        ]
    );
    assert_eq!(events[1].event.level(), Level::Info);
    let shown = serde_json::to_value(&events[1]).unwrap();
    assert_eq!(
        (&shown["event"], &shown["from"], &shown["to"], &shown["reason"], &events[1].event.to_string()),
        (
            &json!("state"),
            &json!("planned"),
            &json!("cancelled"),
            &json!(why),
            &"cancelled: cancelled: by hand".to_owned()
        )
    );
}
