//! Several users of one emulator, of which any may end.

use super::*;
use serde_json::json;

async fn create(services: &Services, model: &str) {
    let body = json!({ "model": model, "from": "mistral", "system": "x" });
    let created = services.ollama().unwrap().create(&body, |_| {}).await.unwrap();
    assert!(matches!(created, ollama::client::Created::Done(_)), "{created:?}");
}

async fn names(services: &Services) -> Vec<String> {
    let models = services.ollama().unwrap().models().await.unwrap();
    let mut names: Vec<String> = models.into_iter().map(|tag| tag.name).collect();
    names.retain(|name| name.starts_with("made"));
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_of_an_emulator_that_ends_is_taken_at_the_same_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("emulator");
    let begin = || Services::emulated(&state).unwrap();
    let (first, second, third) = (begin(), begin(), begin());
    create(&first, "made-first").await;
    create(&second, "made-second").await;
    // Clients that were made before go on.
    let (old, old_openai) = (third.ollama().unwrap(), third.openai().unwrap());
    assert!(old.connect().await.unwrap().emulated);
    assert!(!old_openai.models().await.unwrap().is_empty() && old_openai.is_emulated());
    drop(first);
    // At once: a detached runner is left alone in the middle of its work.
    old.connect().await.unwrap();
    create(&third, "made-third").await;
    drop(second);
    assert!(!old_openai.models().await.unwrap().is_empty());
    assert_eq!(names(&third).await, ["made-first:latest", "made-second:latest", "made-third:latest"]);
    drop(third);
    // All are gone: the next one begins with what is there.
    assert_eq!(names(&begin()).await.len(), 3);
}

#[test]
fn an_emulated_run_says_so_and_a_real_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let services = Services::emulated(directory.path()).unwrap();
    let notice = services.notice().unwrap();
    assert!(services.is_emulated() && notice.starts_with("emulated: nothing is sent anywhere"), "{notice}");
    assert!(notice.contains(&directory.path().display().to_string()), "{notice}");
    let endpoint = Endpoint::ollama("127.0.0.1:1").unwrap();
    let real = Services::real(ollama::client::Options::new(endpoint), || {
        Err(Failure::new(Code::Invalid, "the key file is open to others"))
    });
    assert!(!real.is_emulated() && real.notice().is_none());
    real.ollama().unwrap();
    // Only who wants OpenAI hears of its key.
    assert_eq!(real.openai().unwrap_err().message, "the key file is open to others");
}

#[tokio::test]
async fn any_base_model_can_be_pulled() {
    let directory = tempfile::tempdir().unwrap();
    let services = Services::emulated(directory.path()).unwrap();
    let client = services.ollama().unwrap();
    let name = ollama::ModelName::parse("somebody/some-model:1b").unwrap();
    client.pull(&name, |_| {}).await.unwrap();
    client.base(&name).await.unwrap();
}

#[test]
fn what_is_left_of_an_emulator_is_not_taken_for_one() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let stale = Running { pid: 1, ollama_url: url.clone(), openai_url: url };
    assert!(!answers(&stale), "nobody answers there");
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(tunesmith_emulator::Options::new(directory.path())).unwrap();
    let own = running(&emulator);
    assert!(answers(&own));
    assert!(!answers(&Running { pid: own.pid.wrapping_add(1), ..own }), "another process's emulator");
}

#[test]
fn a_state_that_cannot_be_written_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Services::emulated(&file.join("emulator")).unwrap_err();
    assert!(error.message.starts_with("the emulator cannot be started: the state directory"), "{error}");
    let hints = crate::view::advice::hints(&error);
    assert!(hints[0].contains("--data-dir"), "{hints:?}");
}

#[test]
#[cfg(unix)]
fn the_state_and_what_is_made_above_it_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let _services = Services::emulated(&data.join("emulator")).unwrap();
    for path in [data.clone(), data.join("emulator")] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", path.display());
    }
}
