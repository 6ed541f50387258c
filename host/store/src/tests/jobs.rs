//! Jobs: ids, lists, requests, ownership in one process, removal.

use super::*;

#[tokio::test]
async fn an_id_may_be_cut_short_as_long_as_it_is_clear() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for id in ["k3f9ab", "k3f0zz", "m10000"] {
        let (job, _) = store.make(&new_job(id), false, || Ok(JobId::stored(id.into()))).await.unwrap();
        assert_eq!(job.id.as_str(), id);
    }
    for (given, name) in [("k3f9ab", "k3f9ab"), ("k3f9", "k3f9ab"), ("K3F9", "k3f9ab"), ("mLO", "m10000")] {
        assert_eq!(store.job(given).await.unwrap().name, name, "{given}");
    }
    let error = store.job("k3f").await.unwrap_err();
    insta::assert_snapshot!(error, @r#""k3f" is the beginning of several job ids: k3f0zz, k3f9ab"#);
    assert_eq!(error.advice(), ["type more of the id".into()]);
    for given in ["", "zzz", "k3f9abc", "k%", "é", "'; DROP TABLE jobs"] {
        let error = store.job(given).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchJob { .. }), "{given}: {error}");
    }
}

#[tokio::test]
async fn a_taken_id_is_drawn_again() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let draws = std::cell::Cell::new(0);
    for expected in ["aaaaa0", "aaaaa1"] {
        draws.set(0);
        let draw = || {
            let n = draws.replace(draws.get() + 1);
            Ok(JobId::stored(format!("aaaaa{n}")))
        };
        assert_eq!(store.make(&new_job("a"), false, draw).await.unwrap().0.id.as_str(), expected);
    }
    let error = store.make(&new_job("a"), false, || Ok(JobId::stored("aaaaa0".into()))).await.unwrap_err();
    assert!(matches!(error, Error::Fault { .. }));
}

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for n in 0..7 {
        let mut new = new_job(&format!("Support {n}"));
        new.emulated = n % 2 == 0;
        new.provider = if n < 3 { "ollama" } else { "openai" }.into();
        let (_, claim) = store.create_owned(&new).await.unwrap();
        if n == 5 {
            store.apply(&claim, Change::to(State::Cancelled)).await.unwrap();
        }
    }
    let names = async |filter: JobFilter| {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let page = store.jobs(&filter, after, 3).await.unwrap();
            pages.push(page.items.iter().map(|job| job.name[8..].to_owned()).collect::<Vec<_>>().join(""));
            after = page.next;
            if after.is_none() {
                return pages.join("|");
            }
        }
    };
    assert_eq!(names(JobFilter::default()).await, "654|321|0");
    assert_eq!(names(JobFilter { provider: Some("ollama".into()), ..JobFilter::default() }).await, "210");
    assert_eq!(names(JobFilter { name: Some("PORT 4".into()), ..JobFilter::default() }).await, "4");
    assert_eq!(names(JobFilter { name: Some("%".into()), ..JobFilter::default() }).await, "");
    assert_eq!(names(JobFilter { emulated: Some(false), ..JobFilter::default() }).await, "531");
    let states = vec![State::Cancelled, State::Failed];
    assert_eq!(names(JobFilter { states, ..JobFilter::default() }).await, "5");
    assert_eq!(names(JobFilter { states: vec![State::Planned], ..JobFilter::default() }).await, "643|210");
}

#[tokio::test]
async fn a_job_has_one_owner_until_that_is_gone() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open().await, fixture.open().await);
    let (job, claim) = one.create_owned(&new_job("a")).await.unwrap();
    fixture.clock.advance(STALE_AFTER_MS + 1000);
    let error = two.claim(&job.id).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "another tunesmith (process {}, last heartbeat 31 s ago) is running job {}",
            std::process::id(),
            job.id
        )
    );
    assert!(two.orphans().await.unwrap().is_empty(), "it holds its lock, so it lives");
    one.beat().await.unwrap();
    fixture.clock.advance(HUNG_AFTER_MS - 1);
    two.claim(&job.id).await.unwrap_err();
    fixture.clock.advance(1);
    assert_eq!(two.orphans().await.unwrap().len(), 1);
    let taken = two.claim(&job.id).await.unwrap();

    // The first owner wakes up: each of its writes is fenced out.
    let lost = |error: Error| assert!(matches!(error, Error::ClaimLost { .. }), "{error}");
    lost(one.confirm(&claim).await.unwrap_err());
    lost(one.apply(&claim, Change::to(State::Uploading)).await.unwrap_err());
    lost(one.append(&claim, &Batch::default()).await.unwrap_err());
    lost(one.release(claim).await.unwrap_err());
    two.confirm(&taken).await.unwrap();
    let message = &two.events(&job.id, 1, 10).await.unwrap().items[0].message;
    assert!(message.starts_with("taken over from process"), "{message}");
}

#[tokio::test]
async fn a_dead_owner_is_noticed_at_once_and_a_silent_one_after_a_while() {
    let fixture = Fixture::new();
    let one = fixture.open().await;
    let (dead, claim) = one.create_owned(&new_job("dead")).await.unwrap();
    drop((claim, one));
    let two = fixture.open().await;
    assert_eq!(two.orphans().await.unwrap()[0].id, dead.id, "its lock is free");
    let (silent, claim) = two.create_owned(&new_job("silent")).await.unwrap();
    drop((claim, two));
    for entry in std::fs::read_dir(&fixture.directory).unwrap().flatten() {
        if entry.file_name().to_str().unwrap().starts_with("owner-") {
            std::fs::remove_file(entry.path()).unwrap(); // nothing to see of it any more
        }
    }
    let three = fixture.open().await;
    fixture.clock.advance(STALE_AFTER_MS - 1);
    three.claim(&silent.id).await.unwrap_err();
    fixture.clock.advance(1);
    three.claim(&silent.id).await.unwrap();
}

#[tokio::test]
async fn a_dropped_claim_is_given_back_with_the_next_beat_and_a_clock_set_back_frees_nothing() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open().await, fixture.open().await);
    let (job, claim) = one.create_owned(&new_job("a")).await.unwrap();
    drop(claim);
    fixture.clock.advance(-3_600_000);
    two.claim(&job.id).await.unwrap_err();
    one.beat().await.unwrap();
    let claim = two.claim(&job.id).await.unwrap();
    one.beat().await.unwrap();
    two.confirm(&claim).await.unwrap();
}

#[tokio::test]
async fn the_heart_beats_by_itself_until_it_is_stopped() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (job, _claim) = store.create_owned(&new_job("a")).await.unwrap();
    let beating = store.beat_each(std::time::Duration::from_millis(5));
    let seen = async || store.job(job.id.as_str()).await.unwrap().owner.unwrap().beat_ms;
    for beat in 1..=3 {
        fixture.clock.advance(1000);
        while seen().await < NOW_MS + beat * 1000 {
            tokio::task::yield_now().await;
        }
    }
    drop(beating);
}

#[tokio::test]
async fn a_request_from_another_shell_reaches_the_owner_and_its_answer_the_shell() {
    let fixture = Fixture::new();
    let (owner, shell) = (fixture.open().await, fixture.open().await);
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
    insta::assert_snapshot!(
        format!("{error}; {:?}", error.advice()).replace(job.id.as_str(), "JOB"),
        @"job JOB is cancelled: it cannot be asked to pause; tunesmith jobs retry JOB tries it again"
    );
    let messages: Vec<_> =
        owner.events(&job.id, 1, 10).await.unwrap().items.into_iter().map(|event| event.message).collect();
    assert_eq!(
        messages,
        [
            "asked to pause",
            "request to pause refused: ollama cannot pause",
            "asked to resume",
            "asked to cancel",
            "cancelled"
        ]
    );
}

#[tokio::test]
async fn a_job_is_removed_only_when_nothing_of_it_is_under_way_and_its_model_stays() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    advance(&store, &claim, 5).await;
    let error = store.remove(claim).await.unwrap_err();
    assert!(matches!(error, Error::NotRemovable { state: State::Verifying, .. }), "{error}");
    store.beat().await.unwrap();
    let claim = store.claim(&job.id).await.unwrap();
    store.apply(&claim, Change::to(State::Succeeded).verified("ft:model")).await.unwrap();
    store.remove(claim).await.unwrap();
    assert!(matches!(store.job(job.id.as_str()).await.unwrap_err(), Error::NoSuchJob { .. }));
    assert!(matches!(store.plan(&job.id).await.unwrap_err(), Error::NoSuchJob { .. }));
    let models = store.models(&ModelFilter::default(), None, 10).await.unwrap().items;
    assert_eq!((models[0].name.as_str(), &models[0].job), ("ft:model", &job.id));
    assert_eq!(store.files(None, None, 10).await.unwrap().items.len(), 1);
    assert_eq!(store.check().await.unwrap(), []);
}
