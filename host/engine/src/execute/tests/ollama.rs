//! Jobs on Ollama.

use super::*;

const CREATE: &str = "POST /api/create";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_plan_to_verified_model_and_the_base_is_proved_untouched() {
    let place = Place::new().await;
    let ticket = place.ollama_job("support", json!({})).await;
    let ended = place.executor.drive(ticket, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert!(ended.job.synced <= 12, "{} synced transactions", ended.job.synced);
    let outcome = ended.outcome.unwrap();
    assert_eq!(outcome.made, PROMPT_BAKED);
    assert!(outcome.digest.is_some());
    let proof = outcome.notes.iter().any(|note| note.contains("untouched") && note.contains("same weights"));
    assert!(proof, "{:?}", outcome.notes);
    assert_eq!(place.effects(CREATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_leaves_jobs_that_were_handed_over_later() {
    let place = Place::new().await;
    let listed = place.executor.orphans().await.unwrap();
    let Ticket { job, claim } = place.ollama_job("support", json!({})).await;
    // Recorded for another process, which does not have it yet.
    place.executor.store().release(claim).await.unwrap();
    assert!(place.executor.recover(listed, Until::End).await.is_empty());
    assert_eq!((place.job(&job.id).await.state, place.effects(CREATE)), (State::Planned, 0));
    let listed = place.executor.orphans().await.unwrap();
    assert_eq!(place.executor.recover(listed, Until::End).await.len(), 1);
    assert_eq!(place.job(&job.id).await.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_settled_by_looking() {
    let truncated = Action::Truncate { lines: Some(2), bytes: None, finish: true };
    let cut_off = Action::Truncate { lines: Some(2), bytes: None, finish: false };
    for action in [Action::DropAfter, Action::DropBefore, truncated, cut_off] {
        let place = Place::new().await;
        place.fault(CREATE, action.clone());
        let ticket = place.ollama_job("support", json!({})).await;
        let ended = place.executor.drive(ticket, Until::End).await.unwrap();
        assert_eq!(ended.job.state, State::Succeeded);
        assert_eq!(place.effects(CREATE), 1, "{action:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_another_is_never_overwritten_without_replace() {
    let place = Place::new().await;
    let first = place.ollama_job("support", json!({})).await;
    place.executor.drive(first, Until::End).await.unwrap();
    let second = place.ollama_job("support", json!({})).await;
    let id = second.job.id.clone();
    let error = place.executor.drive(second, Until::End).await.unwrap_err();
    assert!(error.to_string().contains("already has a model support"), "{error}");
    assert_eq!((place.job(&id).await.state, place.effects(CREATE)), (State::Failed, 1));
    let third = place.ollama_job("support", json!({"replace": true})).await;
    assert_eq!(place.executor.drive(third, Until::End).await.unwrap().job.state, State::Succeeded);
    assert_eq!(place.effects(CREATE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_base_is_pulled_only_when_asked() {
    let place = Place::with(|options| options.models = vec!["mistral".into()]).await;
    let ticket = place.ollama_job("support", json!({})).await;
    let error = place.executor.drive(ticket, Until::End).await.unwrap_err();
    assert!(error.to_string().contains("does not have the base model"), "{error}");
    assert_eq!(place.effects("POST /api/pull"), 0);
    let ticket = place.ollama_job("support", json!({"pull": true})).await;
    let ended = place.executor.drive(ticket, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert_eq!(place.effects("POST /api/pull"), 1);
    let bytes = place
        .progress
        .lock()
        .unwrap()
        .iter()
        .any(|event| matches!(event, Event::Bytes { what: Transfer::Pull, .. }));
    assert!(bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_the_create_and_leaves_no_model() {
    let mut place = Place::with(|options| options.behaviour.ollama.step_ms = 1_500).await;
    let ticket = place.ollama_job("support", json!({})).await;
    let id = ticket.job.id.clone();
    let owner = place.executor.clone();
    let driving = tokio::spawn(async move { owner.drive(ticket, Until::End).await });
    place.until(&id, &[State::Creating]).await;
    place.again().await;
    // A create is not cut off for a request that is refused anyway.
    let asked = place.executor.ask(&id, Ask::Pause, Duration::from_secs(20)).await.unwrap();
    let Asked::Answered(Answer::Refused(why), job) = asked else { panic!("{asked:?}") };
    assert!(why.contains("nothing to pause"), "{why}");
    assert_eq!(job.state, State::Creating);
    let asked = place.executor.ask(&id, Ask::Cancel, Duration::from_secs(20)).await;
    match asked {
        Ok(Asked::Answered(answer, job)) => assert_eq!((answer, job.state), (Answer::Done, State::Cancelled)),
        other => panic!("{other:?}"),
    }
    assert!(driving.await.unwrap().is_err());
    let client = place.executor.connect.ollama().unwrap();
    let name = tunesmith_provider::ollama::ModelName::parse("support").unwrap();
    assert_eq!(client.find(&name).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_made_is_found() {
    let mut place = Place::new().await;
    let ticket = place.ollama_job("support", json!({})).await;
    let id = ticket.job.id.clone();
    place.fault("POST /api/chat", Action::Delay { ms: 60_000 });
    let executor = place.executor.clone();
    let driving = tokio::spawn(async move { executor.drive(ticket, Until::End).await });
    place.until(&id, &[State::Verifying]).await;
    driving.abort();
    let _ = driving.await;
    place.after_its_death().await;
    let ended = place.executor.resume(&id, Until::End).await.unwrap();
    assert_eq!(ended.job.state, State::Succeeded);
    assert!(ended.outcome.unwrap().notes.iter().any(|note| note.contains("untouched")));
    assert_eq!(place.effects(CREATE), 1);
}
