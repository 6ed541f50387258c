//! Creating, looking what came of it, proving the base, and the first word.

use super::*;
use std::time::Duration;

async fn created(bench: &Bench, model: &str) -> Created {
    bench.client.create(&request(model), |_| {}).await.unwrap()
}

fn unclear(created: Created) -> ApiError {
    match created {
        Created::Unclear(error) => error,
        Created::Done(report) => panic!("{report:?}"),
    }
}

#[tokio::test]
async fn a_model_is_made_in_phases_and_its_base_is_proven_untouched() {
    let bench = Bench::start();
    let base = bench.client.base(&name("mistral")).await.unwrap();
    let mut phases = Vec::new();
    let done = bench.client.create(&request("mine"), |step| phases.push(step.phase)).await.unwrap();
    let Created::Done(report) = done else { panic!("{done:?}") };
    phases.dedup();
    assert_eq!(phases, [Phase::Layer, Phase::Manifest, Phase::Success]);
    let weights = base.weights.clone().unwrap();
    assert!(report.layers.contains(&Layer { digest: weights.clone(), existing: true }), "{report:?}");
    assert!(report.layers.iter().any(|layer| !layer.existing));

    let proof = bench.client.prove(&base, &name("mine")).await.unwrap();
    assert!(proof.is_base_untouched());
    assert_eq!((proof.shares_weights(), proof.made_weights.clone()), (Some(true), Some(weights)));
    let sentence = proof.sentence();
    assert!(sentence.starts_with("base mistral is untouched (digest "), "{sentence}");
    assert!(sentence.contains("the same weights, bit by bit"), "{sentence}");

    let probe = bench.client.probe(&name("mine"), Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!(probe.tries, 1);
    // "Be kind.", two messages and a question, by the emulator's own count.
    assert!(probe.prompt_tokens.unwrap() > 16, "{probe:?}");
}

#[tokio::test]
async fn a_changed_or_removed_base_is_noticed() {
    let bench = Bench::start();
    let base = bench.client.base(&name("mistral")).await.unwrap();
    created(&bench, "mine").await;
    // Somebody else puts another model in the base's place.
    let other = json!({ "model": "mistral", "from": "llama3.2", "system": "other" });
    bench.client.create(&other, |_| {}).await.unwrap();
    let proof = bench.client.prove(&base, &name("mine")).await.unwrap();
    assert!(!proof.is_base_untouched());
    assert_eq!(proof.shares_weights(), Some(true), "what was made still has the old weights");
    assert!(proof.sentence().contains("was changed meanwhile"), "{}", proof.sentence());
    bench.client.delete(&name("mistral")).await.unwrap();
    let proof = bench.client.prove(&base, &name("mine")).await.unwrap();
    assert!(!proof.is_base_untouched() && proof.sentence().contains("was removed meanwhile"));
}

#[tokio::test]
async fn what_became_of_a_lost_reply_is_found_out() {
    let bench = Bench::start();
    let asked = request("mine");
    assert_eq!(bench.client.made(&asked).await.unwrap(), Made::Absent);
    bench.arm(CREATE, Action::DropBefore);
    assert!(unclear(created(&bench, "mine").await).may_have_happened());
    assert_eq!(bench.client.made(&asked).await.unwrap(), Made::Absent);
    bench.arm(CREATE, Action::DropAfter);
    unclear(created(&bench, "mine").await);
    let Made::AsAsked(tag) = bench.client.made(&asked).await.unwrap() else { panic!() };
    assert_eq!(tag.name, "mine:latest");
    assert_eq!(bench.made(), 1);
    for (change, difference) in [
        (json!({ "system": "Be rude." }), "another system prompt"),
        (json!({ "messages": [{ "role": "user", "content": "Hi" }] }), "other examples"),
        (json!({ "parameters": { "temperature": 0.3, "num_ctx": 2048 } }), "another `temperature`"),
        (json!({ "parameters": { "seed": 1 } }), "another `seed`"),
    ] {
        let mut other = serde_json::to_value(&asked).unwrap();
        other.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let other: CreateRequest = serde_json::from_value(other).unwrap();
        let made = bench.client.made(&other).await.unwrap();
        let Made::Different { differences, .. } = made else { panic!("{made:?}") };
        assert_eq!(differences, [difference]);
    }
}

#[tokio::test]
async fn a_cut_stream_is_unclear_and_a_refusal_is_not() {
    let bench = Bench::start();
    for lines in 0..6 {
        bench.arm(CREATE, Action::Truncate { lines: Some(lines), bytes: None, finish: true });
        let error = unclear(created(&bench, &format!("cut-{lines}")).await);
        assert!(matches!(error.kind, ErrorKind::Dropped | ErrorKind::Truncated), "{error}");
    }
    for code in [408, 502, 504] {
        bench.arm(CREATE, status(code, json!("gateway")));
        unclear(created(&bench, "gateway").await);
    }
    for (code, body) in [
        (400, json!({ "error": "invalid model name" })),
        (500, json!({ "error": "write /blobs: no space left on device" })),
        (503, json!({ "error": "the MLX runtime is not available" })),
        (200, json!({ "error": "neither 'from' or 'files' was specified", "status": 400 })),
    ] {
        bench.arm(CREATE, status(code, body));
        let error = bench.client.create(&request("mine"), |_| {}).await.unwrap_err();
        assert!(!error.may_have_happened(), "{error}");
    }
}

#[tokio::test]
async fn a_base_that_vanished_is_not_fetched_behind_ones_back() {
    let bench = Bench::start();
    bench.client.delete(&name("mistral")).await.unwrap();
    // Slowly, so that there is time to stop it.
    bench.emulator.change(|behaviour| behaviour.ollama.step_ms = 50);
    let error = bench.client.create(&request("mine"), |step| panic!("{step:?}")).await.unwrap_err();
    insta::assert_snapshot!(said(&error), @r#"
    cannot create the model: 127.0.0.1:PORT began to fetch the base model, which is no longer there; it was stopped: the server said: pulling manifest
    PullBase { base: "mistral" }
    "#);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.client.models().await.unwrap().len(), 1, "neither the base nor the model came to be");
}

#[tokio::test]
async fn dropping_a_create_stops_it() {
    let bench = Bench::start();
    bench.emulator.change(|behaviour| behaviour.ollama.step_ms = 100);
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let client = bench.client.clone();
    let creating = tokio::spawn(async move {
        client.create(&request("mine"), move |_| heard.send(()).unwrap_or_default()).await.map(drop)
    });
    hears.recv().await.unwrap();
    creating.abort();
    assert!(creating.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((bench.made(), bench.client.made(&request("mine")).await.unwrap()), (0, Made::Absent));
}

#[tokio::test]
async fn the_first_word_waits_for_a_busy_server_and_for_nothing_else() {
    let bench = Bench::start();
    created(&bench, "mine").await;
    let busy = json!({ "error": "server busy, please try again.  maximum pending requests exceeded" });
    bench.arm("POST /api/chat", status(503, busy.clone()));
    let mut heard = Vec::new();
    let patience = Duration::from_secs(20);
    let probe = bench.client.probe(&name("mine"), patience, |error| heard.push(error.kind)).await.unwrap();
    assert_eq!((probe.tries, heard), (2, vec![ErrorKind::Busy]));
    bench.arm("POST /api/chat", status(503, busy));
    let error = bench.client.probe(&name("mine"), Duration::ZERO, |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    for (code, text, kind) in [
        (500, "model requires more system memory (9.1 GiB) than is available (3.2 GiB)", ErrorKind::Memory),
        (500, "llama runner process has terminated: error loading model: invalid GGUF", ErrorKind::Failed),
        (400, "\"nomic\" does not support chat", ErrorKind::Invalid),
        (404, "model 'mine' not found", ErrorKind::MissingModel),
    ] {
        bench.arm("POST /api/chat", status(code, json!({ "error": text })));
        let error = bench.client.probe(&name("mine"), patience, |_| panic!()).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (kind, 1), "{error}");
    }
}

#[tokio::test]
async fn examples_that_do_not_fit_are_an_error_and_not_left_out() {
    let bench = Bench::start();
    let long = "many words ".repeat(400);
    let body = json!({
        "model": "long", "from": "mistral", "parameters": { "num_ctx": 256 },
        "messages": [{ "role": "user", "content": long }, { "role": "assistant", "content": "Yes." }],
    });
    bench.client.create(&body, |_| {}).await.unwrap();
    let error = bench.client.probe(&name("long"), Duration::ZERO, |_| {}).await.unwrap_err();
    insta::assert_snapshot!(said(&error), @r#"
    cannot talk to the model: system prompt and examples of `long` do not fit its context (status 400): "the input length exceeds the context length"
    Text { text: "set a larger context_window among the job's hyperparameters, or fewer examples" }
    "#);
}
