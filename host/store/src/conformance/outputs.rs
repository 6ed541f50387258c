//! What jobs leave behind: checkpoints, artifacts, models, files; the plugin history.

use super::{NOW_MS, Subject, advance, new_job, upload};
use crate::{
    Batch, Change, Checkpoint, FileContent, Kept, Model, ModelFilter, NewArtifact, NewJob, NewPluginEvent,
    NewUpload, Page,
};

pub async fn checkpoints_and_artifacts_are_listed(subject: &Subject) {
    let store = subject.open().await;
    let (job, claim) = store.create_owned(&new_job("a")).await.unwrap();
    let checkpoint = |step: u64, kept: Kept| Checkpoint {
        kept,
        step,
        figures: [("train_loss".to_owned(), 0.5)].into(),
        made_ms: NOW_MS,
    };
    let at_service = Kept::Remote { id: "ftckpt_1".into(), model: "ft:m:ckpt-step-88".into() };
    let checkpoints = [
        checkpoint(44, Kept::File { path: "out/step-44.safetensors".into() }),
        checkpoint(88, at_service),
        checkpoint(88, Kept::File { path: "out/step-88.safetensors".into() }),
    ];
    let artifact = |sha: &str| NewArtifact {
        name: "Modelfile".into(),
        path: "out/Modelfile".into(),
        sha256: sha.into(),
        bytes: 12,
    };
    let batch =
        |sha| Batch { checkpoints: checkpoints.to_vec(), artifacts: vec![artifact(sha)], ..Batch::default() };
    assert_eq!(store.append(&claim, &batch("old")).await.unwrap().checkpoints, 3);
    assert_eq!(store.append(&claim, &batch("new")).await.unwrap().checkpoints, 0);
    assert_eq!(store.checkpoints(&job.id).await.unwrap(), checkpoints);
    let artifacts = store.artifacts(&job.id).await.unwrap();
    assert_eq!((artifacts.len(), artifacts[0].sha256.as_str()), (1, "new"));
}

pub async fn later_model_supersedes_only_its_own_kind(subject: &Subject) {
    let store = subject.open().await;
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

pub async fn uploaded_file_is_found_by_content(subject: &Subject) {
    let store = subject.open().await;
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
    subject.clock.advance(1000);
    assert_eq!(store.reusable_file(wanted).await.unwrap(), None, "it has expired");
    subject.clock.advance(-1000);
    assert!(store.file_removed(found.number).await.unwrap());
    assert_eq!(store.reusable_file(wanted).await.unwrap(), None, "it was removed");
    assert!(store.files(None, None, 10).await.unwrap().items.is_empty());
}

pub async fn plugin_history_is_ordered_and_bounded(subject: &Subject) {
    let store = subject.open().await;
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
    let other = subject.open().await;
    assert!(other.plugin_history(None, None, 1).await.unwrap().items[0].alive, "so another one sees");
    assert_eq!(store.plugin_history(Some("b"), None, 10).await.unwrap().items.len(), 1);
    let many = vec![entry("c", "loaded"); 10_000];
    store.append_plugin_history(&many).await.unwrap();
    assert!(store.plugin_history(Some("a"), None, 10).await.unwrap().items.is_empty(), "the oldest went");
}
