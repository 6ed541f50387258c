//! Presence, seen by the lock files of owners.

use super::Fixture;
use crate::conformance::{new_job, poll_once};
use crate::{HUNG_AFTER_MS, NewPluginEvent, STALE_AFTER_MS};

#[tokio::test]
async fn owner_with_its_lock_is_alive_without_beats() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open().await, fixture.open().await);
    let (job, _claim) = one.create_owned(&new_job("a")).await.unwrap();
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
    assert!(two.orphans().await.unwrap().is_empty());
    one.beat().await.unwrap();
    fixture.clock.advance(HUNG_AFTER_MS - 1);
    two.claim(&job.id).await.unwrap_err();
    fixture.clock.advance(1);
    two.claim(&job.id).await.unwrap();
}

#[tokio::test]
async fn dead_owner_is_noticed_before_a_silent_one() {
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

/// What the dead owner left to be seen by must outlive whoever dies in taking over, or its
/// job would be nobody's for half a minute.
#[tokio::test]
async fn half_done_takeover_leaves_the_job_free() {
    for polls in 0..30 {
        let fixture = Fixture::new();
        let first = fixture.open().await;
        let (job, claim) = first.create_owned(&new_job("a")).await.unwrap();
        first.close().await;
        drop((first, claim));
        let second = fixture.open().await;
        let mut claiming = Box::pin(second.claim(&job.id));
        for _ in 0..polls {
            if poll_once(&mut claiming).await {
                break;
            }
        }
        drop(claiming);
        second.close().await;
        drop(second);
        let third = fixture.open().await;
        third.claim(&job.id).await.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
    }
}

#[tokio::test]
async fn plugin_history_says_whether_its_process_lives() {
    let fixture = Fixture::new();
    let (store, other) = (fixture.open().await, fixture.open().await);
    store.append_plugin_history(&[NewPluginEvent::default()]).await.unwrap();
    assert!(other.plugin_history(None, None, 1).await.unwrap().items[0].alive);
    store.close().await;
    drop(store);
    assert!(!other.plugin_history(None, None, 1).await.unwrap().items[0].alive);
}
