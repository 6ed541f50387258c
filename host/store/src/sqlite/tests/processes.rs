//! Several processes on one store, and processes that are killed.

use super::Fixture;
use crate::conformance::{done, event, events, new_job, openai_path, upload};
use crate::{Change, Claim, Error, Event, JobFilter, Operation, Options, State, Store};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Tells a child of this program what to do, and where.
const ROLE: &str = "TUNESMITH_TEST_ROLE";
const STORE: &str = "TUNESMITH_TEST_STORE";

fn spawn(fixture: &Fixture, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::tests::processes::child", "--ignored"])
        .env(ROLE, role)
        .env(STORE, &fixture.directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of the other tests here"]
async fn child() {
    let (Some(role), Some(directory)) = (std::env::var_os(ROLE), std::env::var_os(STORE)) else { return };
    let store = Store::open(directory.as_ref(), Options::default()).await.unwrap();
    match role.to_str().unwrap() {
        "work" => loop {
            carry_on(&store).await;
            let (_, claim) = store.create_owned(&new_job("made")).await.unwrap();
            drive(&store, &claim).await;
        },
        "claim" => claim_all(&store).await,
        other => panic!("no role {other}"),
    }
}

/// Takes over what was left, as a restart does.
async fn carry_on(store: &Store) {
    for job in store.orphans().await.unwrap() {
        match store.claim_unfinished(&job.id).await {
            Ok(Some(claim)) => drive(store, &claim).await,
            Ok(None) | Err(Error::Owned { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Brings a job to its end from wherever it is, settling open intents as an executor
/// does after looking at the service.
async fn drive(store: &Store, claim: &Claim) {
    loop {
        let situation = store.situation(claim.job()).await.unwrap();
        let open = situation.open.first().map(|intent| intent.id);
        let change = match (situation.job.state, open) {
            (State::Planned, _) => openai_path(0, None),
            (State::Uploading, None) => Some(Change::to(State::Creating).intend(Operation::Create, "h")),
            (State::Uploading, Some(id)) => Some(
                Change::to(State::Creating)
                    .settle(id, done("file-1"))
                    .uploaded(upload("file-1"))
                    .intend(Operation::Create, "h"),
            ),
            (State::Creating, Some(id)) => Some(Change::to(State::Submitted).settle(id, done("ftjob"))),
            (State::Submitted, _) => openai_path(3, None),
            (State::Running, _) => openai_path(4, None),
            (State::Verifying, _) => openai_path(5, None),
            (state, _) => {
                assert!(state.is_final(), "{situation:?}");
                return;
            }
        };
        if situation.job.state == State::Running {
            // Before the step: what a kill between the two leaves is appended again,
            // and counted once by its remote id.
            let steps = (0..3).map(|n| event(Some(&format!("e{n}")), "step"));
            store.append(claim, &events(steps)).await.unwrap();
        }
        store.apply(claim, change.unwrap()).await.unwrap();
    }
}

/// Several processes are killed at random moments, again and again; whoever comes next
/// takes their jobs over, and in the end nothing is lost, doubled or half-done.
#[tokio::test]
async fn killed_processes_leave_jobs_that_others_finish() {
    const ROUNDS: usize = 25;
    let fixture = Fixture::new();
    let store = Store::open(&fixture.directory, Options::default()).await.unwrap();
    let mut watch = store.watch();
    let mut delays = [0; ROUNDS];
    getrandom::fill(&mut delays).unwrap();
    let mut interrupted = 0;
    for (round, delay) in delays.into_iter().enumerate() {
        watch.changed().await.unwrap();
        let mut children = [spawn(&fixture, "work"), spawn(&fixture, "work")];
        while !watch.changed().await.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(delay) / 2)).await;
        for child in &mut children {
            assert_eq!(child.try_wait().unwrap(), None, "round {round}: a worker failed by itself");
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
        }
        assert_eq!(store.check().await.unwrap(), [], "round {round}, delays {delays:?}");
        interrupted += store.orphans().await.unwrap().len();
    }
    assert!(interrupted > 0, "the kills met jobs half-way");
    carry_on(&store).await;
    assert!(store.orphans().await.unwrap().is_empty());
    assert_eq!(store.check().await.unwrap(), []);
    let mut after = None;
    loop {
        let page = store.jobs(&JobFilter::default(), after, 100).await.unwrap();
        for job in &page.items {
            assert_eq!(job.state, State::Succeeded);
            let creates = store.intents(&job.id).await.unwrap();
            let creates = creates.iter().filter(|intent| intent.operation == Operation::Create);
            assert_eq!(creates.count(), 1, "one create for each job");
            let events = store.events(&job.id, 0, 1000).await.unwrap().items;
            let takeovers = events.iter().filter(|event| matches!(event.event, Event::Owner { .. })).count();
            assert_eq!(job.synced as usize, 7 + takeovers, "each takeover costs one flush: {job:?}");
            assert_eq!(events.iter().filter(|event| event.remote_id.is_some()).count(), 3);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
}

const CONTENDED_JOBS: usize = 12;
const CONTENDERS: usize = 4;
const EVENTS_EACH: usize = 5;

/// Each contender claims whatever it can get, writes to it and gives it back, until it has
/// had every job once.
async fn claim_all(store: &Store) {
    let me = std::process::id();
    let mut left = store.jobs(&JobFilter::default(), None, 100).await.unwrap().items;
    while let Some(job) = left.pop() {
        let claim = match store.claim(&job.id).await {
            Ok(claim) => claim,
            Err(Error::Owned { .. }) => {
                left.insert(0, job);
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        for n in 0..EVENTS_EACH {
            let event = event(Some(&format!("{me}-{n}")), &me.to_string());
            store.append(&claim, &events([event])).await.unwrap();
        }
        store.apply(&claim, Change::stay()).await.unwrap();
        store.release(claim).await.unwrap();
    }
}

#[tokio::test]
async fn processes_take_turns_and_lose_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let mut jobs = Vec::new();
    for n in 0..CONTENDED_JOBS {
        jobs.push(store.create(&new_job(&n.to_string())).await.unwrap());
    }
    let children: Vec<_> = (0..CONTENDERS).map(|_| spawn(&fixture, "claim")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success(), "no contender met an error");
    }
    for job in jobs {
        let events = store.events(&job.id, 1, 1000).await.unwrap().items;
        assert_eq!(events.len(), CONTENDERS * EVENTS_EACH);
        for turn in events.chunks(EVENTS_EACH) {
            let one = turn.iter().all(|event| event.event == turn[0].event);
            assert!(one, "a job had two owners at once: {events:?}");
        }
        let job = store.job(job.id.as_str()).await.unwrap();
        // Created once; claimed and changed once by each.
        assert_eq!(job.synced as usize, 1 + 2 * CONTENDERS, "no update was lost");
        assert_eq!(job.owner, None);
    }
    assert_eq!(store.check().await.unwrap(), []);
}
