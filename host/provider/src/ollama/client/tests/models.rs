//! Who is there, and what it has.

use super::*;
use crate::http::SourceFile;
use tunesmith_emulator::Generation;

#[tokio::test]
async fn a_server_tells_its_version_and_what_it_can_do() {
    let bench = Bench::start();
    let server = bench.client.connect().await.unwrap();
    assert_eq!((server.version.as_str(), server.emulated), ("0.34.1", true));
    assert_eq!((server.typed_create, server.safetensors_adapters), (Support::Yes, Support::No));
    bench.client.check_create().await.unwrap();
    assert_eq!(bench.made(), 0, "asking what create understands must create nothing");
    bench.emulator.change(|behaviour| behaviour.ollama.generation = Generation::NoAdapters);
    assert_eq!(bench.client.connect().await.unwrap().typed_create, Support::Unknown);
    let old = json!({ "error": "path or Modelfile are required" });
    bench.arm(CREATE, status(400, old));
    assert_eq!(bench.client.check_create().await.unwrap_err().kind, ErrorKind::TooOld);
}

#[tokio::test]
async fn a_model_is_found_by_every_name_that_means_it() {
    let bench = Bench::start();
    for text in ["mistral", "Mistral", "mistral:latest", "library/MISTRAL:Latest"] {
        let tag = bench.client.find(&name(text)).await.unwrap().unwrap();
        assert_eq!((tag.name.as_str(), tag.digest.len()), ("mistral:latest", 64), "{text}");
    }
    for text in ["mistral:7b", "me/mistral", "mistra"] {
        assert_eq!(bench.client.find(&name(text)).await.unwrap(), None, "{text}");
    }
    assert_eq!(bench.client.models().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_base_model_is_described_and_a_missing_one_is_not_fetched() {
    let bench = Bench::start();
    let base = bench.client.base(&name("llama3.2")).await.unwrap();
    assert_eq!(base.context_length, Some(131_072));
    assert!(base.can_chat() && base.system.is_none() && base.messages == 0);
    assert!(base.weights.as_deref().unwrap().starts_with("sha256:"));
    let error = bench.client.base(&name("llama3.1")).await.unwrap_err();
    insta::assert_snapshot!(said(&error), @r#"
    cannot look up the model in Ollama: 127.0.0.1:PORT does not have the base model `llama3.1`
    PullBase { base: "llama3.1" }
    UseBase { models: ["llama3.2:latest", "mistral:latest"], more: 0 }
    "#);
    assert_eq!(bench.emulator.counts().requests_of("POST /api/pull"), 0);
}

#[tokio::test]
async fn a_model_that_runs_elsewhere_is_no_base() {
    let bench = Bench::start();
    // What Ollama makes of a cloud model under an innocent name.
    let remote = json!({ "model": "innocent", "from": "gpt-oss:120b-cloud", "stream": true });
    assert!(matches!(bench.client.create(&remote, |_| {}).await.unwrap(), Created::Done(_)));
    let error = bench.client.base(&name("innocent")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Remote, "{error}");
    assert!(error.to_string().contains("it runs at https://ollama.com:443"), "{error}");
    // Nor is it offered in place of a missing one.
    let missing = bench.client.base(&name("innocence")).await.unwrap_err();
    assert!(!missing.present.iter().any(|name| name.starts_with("innocent")), "{missing:?}");
}

#[tokio::test]
async fn models_are_copied_and_deleted() {
    let bench = Bench::start();
    let (mistral, copy) = (name("mistral"), name("copy"));
    bench.client.copy(&mistral, &copy).await.unwrap();
    let digest = |tag: Option<Tag>| tag.unwrap().digest;
    assert_eq!(
        digest(bench.client.find(&mistral).await.unwrap()),
        digest(bench.client.find(&copy).await.unwrap())
    );
    assert!(bench.client.delete(&copy).await.unwrap());
    assert!(!bench.client.delete(&copy).await.unwrap(), "it was gone already");
    let error = bench.client.copy(&copy, &name("other")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::MissingModel, "{error}");
    assert_eq!(bench.client.show(&copy).await.unwrap(), None);
}

#[tokio::test]
async fn a_pull_tells_how_many_bytes_are_there() {
    let bench = Bench::start();
    let mut heard = Vec::new();
    bench.client.pull(&name("gemma2"), |progress| heard.push(progress.clone())).await.unwrap();
    let last = heard.last().unwrap();
    assert_eq!((last.status.as_str(), last.completed), ("success", last.total));
    assert!(last.total > 0);
    assert!(heard.windows(2).all(|pair| pair[0].completed <= pair[1].completed), "{heard:?}");
    assert!(heard.iter().any(|progress| progress.completed < progress.total), "{heard:?}");
    bench.client.base(&name("gemma2")).await.unwrap();
    let error = bench.client.pull(&name("nonesuch"), |_| {}).await.unwrap_err();
    insta::assert_snapshot!(said(&error), @r#"
    cannot pull the model: Ollama's registry has no model `nonesuch`: "pull model manifest: file does not exist"
    Text { text: "check the name and the tag at https://ollama.com/library" }
    "#);
    bench.arm("POST /api/pull", Action::Truncate { lines: Some(2), bytes: None, finish: false });
    let error = bench.client.pull(&name("phi3"), |_| {}).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Truncated | ErrorKind::Dropped), "{error}");
    bench.client.pull(&name("phi3"), |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_file_is_sent_once_and_arrives_as_it_is() {
    let bench = Bench::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("adapter.gguf");
    std::fs::write(&path, vec![7_u8; 3_000_001]).unwrap();
    let file = SourceFile::open(&path).await.unwrap();
    let mut heard = Vec::new();
    let pushed = bench.client.push_blob(&file, |sent, total| heard.push((sent, total))).await.unwrap();
    assert_eq!((pushed.digest.clone(), pushed.existed), (format!("sha256:{}", file.sha256()), false));
    assert_eq!(heard.last(), Some(&(3_000_001, 3_000_001)));
    assert!(bench.client.has_blob(&pushed.digest).await.unwrap());
    assert!(bench.client.push_blob(&file, |_, _| {}).await.unwrap().existed);
    assert_eq!(bench.emulator.counts().requests_of("POST /api/blobs/{digest}"), 1);
    assert!(!bench.client.has_blob(&format!("sha256:{}", "0".repeat(64))).await.unwrap());
    assert_eq!(bench.client.has_blob("sha256:../x").await.unwrap_err().kind, ErrorKind::Local);

    std::fs::write(&path, "another").unwrap();
    let error = bench.client.push_blob(&SourceFile::open(&path).await.unwrap(), |_, _| {}).await;
    assert!(!error.unwrap().existed);
    std::fs::write(&path, "spoilt on the way").unwrap();
    bench.arm("POST /api/blobs/{digest}", Action::WrongDigest);
    let error = bench.client.push_blob(&SourceFile::open(&path).await.unwrap(), |_, _| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::DigestMismatch, "{error}");
    // Last, since the server may come to hear of the broken request at any later time.
    std::fs::write(&path, "one more").unwrap();
    let file = SourceFile::open(&path).await.unwrap();
    std::fs::write(&path, "and changed").unwrap();
    let error = bench.client.push_blob(&file, |_, _| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Local, "{error}");
    assert!(error.to_string().ends_with("adapter.gguf: the file was changed while it was read"), "{error}");
}
