//! Jobs: ids, lists, plans, removal.

use super::{Subject, advance, new_job};
use crate::{Change, Error, JobFilter, JobId, ModelFilter, State};
use serde_json::json;
use tunesmith_core::ProviderId;

pub async fn unambiguous_id_prefix_finds_the_job(subject: &Subject) {
    let store = subject.open().await;
    for id in ["k3f9ab", "k3f0zz", "m10000"] {
        let (job, _) = store.make(&new_job(id), false, || Ok(JobId::stored(id.into()))).await.unwrap();
        assert_eq!(job.id.as_str(), id);
    }
    for (given, name) in [("k3f9ab", "k3f9ab"), ("k3f9", "k3f9ab"), ("K3F9", "k3f9ab"), ("mLO", "m10000")] {
        assert_eq!(store.job(given).await.unwrap().name, name, "{given}");
    }
    let error = store.job("k3f").await.unwrap_err();
    assert!(
        matches!(&error, Error::Ambiguous { candidates, more: false, .. }
            if candidates.iter().map(JobId::as_str).eq(["k3f0zz", "k3f9ab"])),
        "{error}"
    );
    for given in ["", "zzz", "k3f9abc", "k%", "é", "'; DROP TABLE jobs"] {
        let error = store.job(given).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchJob { .. }), "{given}: {error}");
    }
}

pub async fn taken_id_is_drawn_again(subject: &Subject) {
    let store = subject.open().await;
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

pub async fn job_lists_are_filtered_and_paged(subject: &Subject) {
    let store = subject.open().await;
    for n in 0..7 {
        let mut new = new_job(&format!("Support {n}"));
        new.emulated = n % 2 == 0;
        new.provider = if n < 3 { ProviderId::Ollama } else { ProviderId::OpenAi };
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
    assert_eq!(names(JobFilter { provider: Some(ProviderId::Ollama), ..JobFilter::default() }).await, "210");
    assert_eq!(names(JobFilter { name: Some("PORT 4".into()), ..JobFilter::default() }).await, "4");
    for name in ["_", "\\"] {
        assert_eq!(names(JobFilter { name: Some(name.into()), ..JobFilter::default() }).await, "");
    }
    assert_eq!(names(JobFilter { name: Some("".into()), ..JobFilter::default() }).await, "654|321|0");
    assert_eq!(names(JobFilter { name: Some("%".into()), ..JobFilter::default() }).await, "");
    assert_eq!(names(JobFilter { emulated: Some(false), ..JobFilter::default() }).await, "531");
    let states = vec![State::Cancelled, State::Failed];
    assert_eq!(names(JobFilter { states, ..JobFilter::default() }).await, "5");
    assert_eq!(names(JobFilter { states: vec![State::Planned], ..JobFilter::default() }).await, "643|210");
}

pub async fn only_idle_jobs_are_removed_models_stay(subject: &Subject) {
    let store = subject.open().await;
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

pub async fn plans_come_back_byte_for_byte(subject: &Subject) {
    let store = subject.open().await;
    let one = store.create(&new_job("a")).await.unwrap();
    let mut other = new_job("b");
    other.plan.measured = json!({"ms": 9});
    let two = store.create(&other).await.unwrap();
    let plan = store.plan(&one.id).await.unwrap();
    assert_eq!((plan.document.as_str(), plan.measured), ("{\"a\": 1}", json!({"ms": 3})));
    let plan = store.plan(&two.id).await.unwrap();
    assert_eq!((plan.measured, plan.spec), (json!({"ms": 9}), json!({"name": "b"})));
}
