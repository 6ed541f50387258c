//! Ownership of a job, and requests to its owner.

use super::{NOW_MS, Subject, new_job, poll_once};
use crate::{Answer, Ask, Batch, Change, Error, HUNG_AFTER_MS, STALE_AFTER_MS, State};
use std::time::Duration;

pub async fn job_has_one_owner_until_it_hangs(subject: &Subject) {
    let (one, two) = (subject.open().await, subject.open().await);
    let (job, claim) = one.create_owned(&new_job("a")).await.unwrap();
    subject.clock.advance(STALE_AFTER_MS - 1000);
    let error = two.claim(&job.id).await.unwrap_err();
    assert!(matches!(error, Error::Owned { age_ms: 29_000, .. }), "{error}");
    assert!(two.orphans().await.unwrap().is_empty());
    one.beat().await.unwrap();
    subject.clock.advance(HUNG_AFTER_MS);
    assert_eq!(two.orphans().await.unwrap().len(), 1);
    let taken = two.claim(&job.id).await.unwrap();

    // The first owner wakes up: each of its writes is fenced out.
    let lost = |error: Error| assert!(matches!(error, Error::ClaimLost { .. }), "{error}");
    lost(one.confirm(&claim).await.unwrap_err());
    lost(one.apply(&claim, Change::to(State::Uploading)).await.unwrap_err());
    lost(one.append(&claim, &Batch::default()).await.unwrap_err());
    lost(one.release(claim).await.unwrap_err());
    two.confirm(&taken).await.unwrap();
    let message = &two.events(&job.id, 1, 10).await.unwrap().items[0].event.to_string();
    assert!(message.starts_with("taken over from process"), "{message}");
}

pub async fn dropped_claim_returns_with_the_next_beat(subject: &Subject) {
    let (one, two) = (subject.open().await, subject.open().await);
    let (job, claim) = one.create_owned(&new_job("a")).await.unwrap();
    drop(claim);
    subject.clock.advance(-3_600_000);
    two.claim(&job.id).await.unwrap_err();
    one.beat().await.unwrap();
    let claim = two.claim(&job.id).await.unwrap();
    one.beat().await.unwrap();
    two.confirm(&claim).await.unwrap();
}

/// How long the suite waits for what happens by itself.
const DEADLINE: Duration = Duration::from_secs(30);

pub async fn heartbeat_runs_until_it_is_dropped(subject: &Subject) {
    let store = subject.open().await;
    let (job, _claim) = store.create_owned(&new_job("a")).await.unwrap();
    let pause = Duration::from_millis(5);
    let beating = store.beat_each(pause);
    let last_beat = async || store.job(job.id.as_str()).await.unwrap().owner.unwrap().beat_ms;
    for beat in 1..=3 {
        subject.clock.advance(1000);
        let beats = async {
            while last_beat().await < NOW_MS + beat * 1000 {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::time::timeout(DEADLINE, beats).await.unwrap();
    }
    drop(beating);
    // One that had begun may still end; a write waits for it.
    store.beat().await.unwrap();
    subject.clock.advance(1000);
    tokio::time::sleep(20 * pause).await;
    assert_eq!(last_beat().await, NOW_MS + 3000);
}

pub async fn request_and_answer_cross_processes(subject: &Subject) {
    let (owner, shell) = (subject.open().await, subject.open().await);
    let (job, claim) = owner.create_owned(&new_job("a")).await.unwrap();
    let mut watch = owner.watch();
    assert!(watch.changed().await.unwrap());
    assert!(!watch.changed().await.unwrap());
    let pause = shell.request(&job.id, Ask::Pause).await.unwrap();
    assert!(watch.changed().await.unwrap());
    assert_eq!(shell.request(&job.id, Ask::Pause).await.unwrap(), pause, "asking twice is asking once");
    assert_eq!(owner.requests(&job.id).await.unwrap(), std::slice::from_ref(&pause));
    let why = Answer::Refused("ollama cannot pause".into());
    owner.apply(&claim, Change::stay().answer(pause.id, why.clone())).await.unwrap();
    assert_eq!(shell.request_status(pause.id).await.unwrap().unwrap().answer, Some(why));
    assert!(owner.requests(&job.id).await.unwrap().is_empty());

    let resume = shell.request(&job.id, Ask::Resume).await.unwrap();
    let cancel = shell.request(&job.id, Ask::Cancel).await.unwrap();
    assert!(matches!(
        shell.request_status(resume.id).await.unwrap().unwrap().answer,
        Some(Answer::Moot(why)) if why == "overtaken by a later request to cancel"
    ));
    owner.apply(&claim, Change::to(State::Cancelled)).await.unwrap();
    let answer = shell.request_status(cancel.id).await.unwrap().unwrap().answer;
    assert_eq!(answer, Some(Answer::Done), "being cancelled answers it");
    let error = shell.request(&job.id, Ask::Pause).await.unwrap_err();
    assert!(matches!(error, Error::CannotAsk { state: State::Cancelled, asked: Ask::Pause, .. }), "{error}");
    let messages: Vec<_> = owner
        .events(&job.id, 1, 10)
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|event| event.event.to_string())
        .collect();
    assert_eq!(
        messages,
        [
            "asked to pause",
            "request to pause refused: ollama cannot pause",
            "asked to resume",
            "asked to cancel",
            "cancelled",
            "cancelled"
        ]
    );
}

pub async fn of_many_claims_at_once_one_succeeds(subject: &Subject) {
    let first = subject.open().await;
    let mut stores = Vec::new();
    for _ in 0..6 {
        stores.push(subject.open().await);
    }
    for round in 0..10 {
        let job = first.create(&new_job(&round.to_string())).await.unwrap();
        let tries: Vec<_> = stores
            .iter()
            .cloned()
            .map(|store| {
                let id = job.id.clone();
                tokio::spawn(async move { store.claim(&id).await })
            })
            .collect();
        let mut claims = Vec::new();
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(claim) => claims.push(claim),
                Err(Error::Owned { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(claims.len(), 1, "round {round}");
    }
}

pub async fn caller_that_gives_up_leaves_no_half_change(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    for polls in 0..60 {
        let mut applying = Box::pin(store.apply(&claim, Change::stay().because("again")));
        for _ in 0..polls {
            let poll = poll_once(&mut applying).await;
            if poll {
                break;
            }
        }
        drop(applying);
        store.requests(&job.id).await.unwrap();
    }
    let applied = store.apply(&claim, Change::to(State::Uploading)).await.unwrap();
    assert_eq!(applied.job.state, State::Uploading);
    assert_eq!(store.check().await.unwrap(), []);
}
