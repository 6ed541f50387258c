//! Jobs at OpenAI.

use super::*;
use futures_util::TryStreamExt as _;
use tunesmith_core::failure::Advice;

const CREATE: &str = "POST /v1/fine_tuning/jobs";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_plan_to_verified_model_with_few_flushes() {
    let place = Place::new().await;
    let ticket = place.openai_job("a").await;
    let ended = place.executor.drive(ticket, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert!(ended.job.synced <= 12, "{} synced transactions", ended.job.synced);
    let outcome = ended.outcome.unwrap();
    assert_eq!(outcome.made, FINE_TUNED);
    assert!(outcome.model.starts_with("ft:gpt-4.1-mini"), "{}", outcome.model);
    assert!(outcome.notes.iter().any(|note| note.contains("answered")), "{:?}", outcome.notes);
    let names: Vec<String> =
        outcome.artifacts.iter().map(|path| path.file_name().unwrap().to_string_lossy().into()).collect();
    assert_eq!(names, ["job.json", "plan.json", "results.csv"]);
    assert!(outcome.artifacts.iter().all(|path| path.is_file()));
    let store = place.executor.store();
    assert!(!store.metrics(&ended.job.id, 1, None, 100).await.unwrap().is_empty());
    assert!(!store.checkpoints(&ended.job.id).await.unwrap().is_empty());
    assert_eq!(ended.job.step, ended.job.total_steps);
    assert!(ended.job.owner.is_none());
    let followed: Vec<Event> =
        follow(store, &ended.job.id, 0).map_ok(|stored| stored.event).try_collect().await.unwrap();
    let to = |event: &Event| match event {
        Event::State { to, .. } => Some(*to),
        _ => None,
    };
    let states: Vec<State> = followed.iter().filter_map(to).collect();
    assert_eq!(states.first(), Some(&State::Planned));
    assert_eq!(states.last(), Some(&State::Succeeded));
    let has = |is: fn(&Event) -> bool| followed.iter().any(is);
    assert!(has(|event| matches!(event, Event::Phase { .. })));
    assert!(has(|event| matches!(event, Event::Bytes { done, total, .. } if done == total)));
    assert!(has(|event| matches!(event, Event::Metrics { .. })));
    assert!(has(|event| matches!(event, Event::Steps { step, total, .. } if step == total)));
    assert!(matches!(followed.last(), Some(Event::Result { state: State::Succeeded, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_reply_to_create_gives_one_job() {
    for (action, creates) in [(Action::DropAfter, 1), (Action::DropBefore, 2)] {
        let place = Place::new().await;
        place.fault(CREATE, action);
        let ticket = place.openai_job("a").await;
        let ended = place.executor.drive(ticket, Until::End).await.unwrap();
        assert_eq!(ended.job.state, State::Succeeded);
        assert_eq!(place.effects(CREATE), 1);
        assert_eq!(place.emulator.counts().requests_of(CREATE), creates);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_always_lost_leave_the_choice_to_the_user() {
    let mut place = Place::new().await;
    place.emulator.faults().arm(Fault::next(CREATE, Action::DropBefore).times(3)).unwrap();
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    let error = place.executor.drive(ticket, Until::End).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error}");
    assert_eq!(place.job(&id).await.state, State::Unknown);
    place.again().await;
    let ended = place.executor.decide(&id, Decision::CreateAnew, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert_eq!(place.effects(CREATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_drops_metadata_is_never_sent_a_second_job() {
    let place = Place::with(|options| {
        options.behaviour.openai.odd.insert(tunesmith_emulator::Odd::NoMetadata);
    })
    .await;
    place.fault(CREATE, Action::DropAfter);
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    let Err(Error::Unknown { likely, .. }) = place.executor.drive(ticket, Until::End).await else { panic!() };
    assert_eq!((likely.len(), place.effects(CREATE)), (1, 1));
    let adopt = Decision::Adopt { remote_id: likely[0].clone() };
    let ended = place.executor.decide(&id, adopt, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert_eq!(place.effects(CREATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_created_is_found_and_adopted() {
    let mut place = Place::new().await;
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    // The process dies while it waits for the answer.
    place.fault(CREATE, Action::Delay { ms: 300 });
    let executor = place.executor.clone();
    let driving = tokio::spawn(async move { executor.drive(ticket, Until::End).await });
    place.until(&id, &[State::Creating]).await;
    driving.abort();
    let _ = driving.await;
    place.after_its_death().await;
    let recovered = {
        let orphans = place.executor.orphans().await.unwrap();
        place.executor.recover(orphans, Until::Submitted).await
    };
    let found = &recovered[0];
    assert_eq!(found.job.state, State::Creating);
    let ended = found.result.as_ref().unwrap();
    assert!(ended.job.remote_id.is_some() && ended.job.owner.is_none());
    assert_eq!(place.effects(CREATE), 1);
    let ended = place.executor.resume(&id, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert_eq!(place.effects(CREATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_from_elsewhere_reach_the_owner() {
    let mut place = Place::with(|options| options.behaviour.openai.max_running_seconds = 100_000.0).await;
    place.emulator.change(|behaviour| behaviour.openai.step_seconds = 1_000.0);
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    let owner = place.executor.clone();
    let driving = tokio::spawn(async move { owner.drive(ticket, Until::End).await });
    place.until(&id, &[State::Running]).await;
    place.again().await;
    let ask = async |ask| match place.executor.ask(&id, ask, Duration::from_secs(20)).await.unwrap() {
        Asked::Answered(answer, job) => (answer, job.state),
        Asked::Waiting(_) => panic!("no answer"),
    };
    assert_eq!(ask(Ask::Pause).await, (Answer::Done, State::Paused));
    assert_eq!(ask(Ask::Pause).await.0, Answer::Done);
    assert_eq!(ask(Ask::Resume).await, (Answer::Done, State::Submitted));
    assert_eq!(ask(Ask::Cancel).await, (Answer::Done, State::Cancelled));
    let error = driving.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
    assert!(place.executor.ask(&id, Ask::Pause, Duration::ZERO).await.is_err());
    // Tried again, it is another attempt with a job of its own.
    place.emulator.change(|behaviour| behaviour.openai.step_seconds = 1.0);
    let ended = place.executor.retry(&id, Until::End).await.unwrap();
    assert_eq!((ended.job.state, ended.job.attempt), (State::Succeeded, 2));
    assert_eq!(place.effects(CREATE), 2);
    // The training file was there.
    assert_eq!(place.effects("POST /v1/files"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_an_owner_is_controlled_by_whoever_asks() {
    let place = Place::with(|options| options.behaviour.openai.max_running_seconds = 100_000.0).await;
    place.emulator.change(|behaviour| behaviour.openai.step_seconds = 1_000.0);
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    let ended = place.executor.drive(ticket, Until::Submitted).await.unwrap();
    assert!(ended.job.owner.is_none() && !ended.job.state.is_final());
    let asked = place.executor.ask(&id, Ask::Cancel, Duration::from_secs(5)).await.unwrap();
    assert!(
        matches!(&asked, Asked::Answered(Answer::Done, job) if job.state == State::Cancelled),
        "{asked:?}"
    );
    assert_eq!(place.effects("POST /v1/fine_tuning/jobs/{id}/cancel"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_contact_leaves_the_job_to_be_resumed() {
    let mut place = Place::new().await;
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    let gone = Action::Status { status: 503, body: Value::Null, headers: Default::default() };
    place.emulator.faults().arm(Fault::next("GET /v1/fine_tuning/jobs/{id}", gone).times(1000)).unwrap();
    let error = place.executor.drive(ticket, Until::Submitted).await.unwrap_err();
    let Error::Left { state, .. } = &error else { panic!("{error}") };
    assert_eq!(*state, State::Submitted);
    assert!(error.advice().contains(&Advice::ResumeJob { job: id.to_string() }), "{:?}", error.advice());
    place.emulator.faults().clear();
    place.again().await;
    assert_eq!(place.executor.resume(&id, Until::End).await.unwrap().job.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_create_fails_the_job_and_says_why() {
    let place =
        Place::with(|options| options.behaviour.openai.closed = Some(tunesmith_emulator::Closed::Forbidden))
            .await;
    let ticket = place.openai_job("a").await;
    let id = ticket.job.id.clone();
    let error = place.executor.drive(ticket, Until::End).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    assert_eq!(error.code().kind(), tunesmith_core::failure::Kind::Provider);
    let job = place.job(&id).await;
    assert_eq!(job.state, State::Failed);
    assert!(job.reason.unwrap().contains("does not let this account"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_file_that_changed_is_not_uploaded() {
    let place = Place::new().await;
    let ticket = place.openai_job("a").await;
    std::fs::write(place.root.path().join("train.jsonl"), "{}\n").unwrap();
    let error = place.executor.drive(ticket, Until::End).await.unwrap_err();
    assert!(error.to_string().contains("its content has changed"), "{error}");
    assert_eq!(place.effects("POST /v1/files"), 0);
}
