//! Ollama without create: lists, show, blobs, chat, copy, delete, pull.

use super::{Bench, read, statuses};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tunesmith_core::digest::Digest;

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).prefixed()
}

#[tokio::test]
async fn the_root_answers_as_ollama_does() {
    let bench = Bench::start();
    let response = bench.ollama(Method::GET, "/").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "Ollama is running");
    let head = bench.ollama(Method::HEAD, "/").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let missing = bench.ollama(Method::GET, "/api/nope").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.text().await.unwrap(), "404 page not found");
    let wrong = bench.ollama(Method::GET, "/api/create").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.text().await.unwrap(), "405 method not allowed");
}

#[tokio::test]
async fn base_models_have_stable_digests() {
    let (one, other) = (Bench::start(), Bench::start());
    let mut tags = Vec::new();
    for bench in [&one, &other] {
        let (status, list) = read(bench.ollama(Method::GET, "/api/tags").send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        let models = list["models"].as_array().unwrap().clone();
        tags.push(
            models.iter().map(|model| (model["name"].clone(), model["digest"].clone())).collect::<Vec<_>>(),
        );
        assert_eq!(models[0]["details"]["format"], "gguf");
        assert!(models[0]["modified_at"].as_str().unwrap().ends_with('Z'));
    }
    tags.iter_mut().for_each(|tags| tags.sort_by_key(|(name, _)| name.to_string()));
    assert_eq!(tags[0], tags[1]);
    assert_eq!(
        tags[0].iter().map(|(name, _)| name.as_str().unwrap()).collect::<Vec<_>>(),
        ["llama3.2:latest", "mistral:latest"]
    );
}

#[tokio::test]
async fn show_gives_what_a_client_checks() {
    let bench = Bench::start();
    let (status, shown) = bench.ollama_post("/api/show", json!({ "model": "llama3.2" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown["model_info"]["llama.context_length"], 131_072);
    assert_eq!(shown["details"]["parameter_size"], "3.2B");
    assert_eq!(shown["capabilities"], json!(["completion"]));
    assert_eq!(shown["parameters"], "stop                           \"<|eot_id|>\"");
    assert!(shown["modelfile"].as_str().unwrap().contains("\nFROM /"), "{shown}");
    assert!(shown.get("system").is_none() && shown.get("messages").is_none());
    for (body, status, message) in [
        (json!({}), StatusCode::BAD_REQUEST, "model is required"),
        (json!({ "model": "a b" }), StatusCode::BAD_REQUEST, "invalid model name"),
        (json!({ "model": "nope" }), StatusCode::NOT_FOUND, "model 'nope:latest' not found"),
    ] {
        assert_eq!(bench.ollama_post("/api/show", body).await, (status, json!({ "error": message })));
    }
}

#[tokio::test]
async fn blobs_are_taken_by_their_digest_alone() {
    let bench = Bench::start();
    let (bytes, other) = (vec![7_u8; 3_000_000], digest(b"other"));
    let path = format!("/api/blobs/{}", digest(&bytes));
    let head = |path: String| bench.ollama(Method::HEAD, &path).send();
    assert_eq!(head(path.clone()).await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(head("/api/blobs/sha256:12".to_owned()).await.unwrap().status(), StatusCode::BAD_REQUEST);
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let post = bench.ollama(Method::POST, &path).body(bytes.clone()).send().await.unwrap();
        assert_eq!(post.status(), status);
    }
    assert_eq!(head(path).await.unwrap().status(), StatusCode::OK);
    let post = bench.ollama(Method::POST, &format!("/api/blobs/{other}")).body("something");
    let (status, reply) = read(post.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let expected = format!("digest mismatch, expected {other:?}, got {:?}", digest(b"something"));
    assert_eq!(reply, json!({ "error": expected }));
    let post = bench.ollama(Method::POST, "/api/blobs/md5:1").body("x").send().await.unwrap();
    assert_eq!(read(post).await.1, json!({ "error": "invalid digest format" }));
    assert_eq!(bench.emulator.counts().effects_of("POST /api/blobs/{digest}"), 2);
}

/// An answer that needs nothing of the body, such as that a blob is there, must reach a
/// client that is still sending.
#[tokio::test]
async fn early_answer_waits_for_the_whole_upload() {
    let bench = Bench::start();
    let bytes = axum::body::Bytes::from(vec![7_u8; 30_000_000]);
    let path = format!("/api/blobs/{}", digest(&bytes));
    let post = |path: &str| bench.ollama(Method::POST, path).body(bytes.clone()).send();
    assert_eq!(post(&path).await.unwrap().status(), StatusCode::CREATED);
    for _ in 0..10 {
        assert_eq!(post(&path).await.unwrap().status(), StatusCode::OK);
        assert_eq!(post("/api/blobs/md5:1").await.unwrap().status(), StatusCode::BAD_REQUEST);
        assert_eq!(post("/api/nowhere").await.unwrap().status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn chat_depends_on_what_is_baked_in() {
    let bench = Bench::start();
    let create = json!({
        "model": "mine", "from": "llama3.2", "system": "You are terse.", "stream": false,
        "messages": [
            { "role": "user", "content": "Where is my invoice?" },
            { "role": "assistant", "content": "Under Billing." },
        ],
    });
    assert_eq!(bench.ollama_post("/api/create", create).await.0, StatusCode::OK);
    let ask = |model: &str| json!({ "model": model, "stream": false, "messages": [{ "role": "user", "content": "where is my invoice" }] });
    let (status, answer) = bench.ollama_post("/api/chat", ask("mine")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["message"], json!({ "role": "assistant", "content": "Under Billing." }));
    assert_eq!((&answer["done"], &answer["done_reason"]), (&json!(true), &json!("stop")));
    let (_, bare) = bench.ollama_post("/api/chat", ask("llama3.2")).await;
    assert!(bare["message"]["content"].as_str().unwrap().contains("not a model"), "{bare}");
    assert!(answer["prompt_eval_count"].as_u64() > bare["prompt_eval_count"].as_u64());

    let (_, lines) = bench
        .ollama_lines("/api/chat", {
            let mut body = ask("mine");
            body["stream"] = json!(true);
            body["options"] = json!({ "num_predict": 1 });
            body
        })
        .await;
    let text: String = lines.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(text, "Unde");
    assert_eq!(lines.last().unwrap()["done_reason"], "length");

    let (_, rendered) = bench
        .ollama_post("/api/chat", {
            let mut body = ask("mine");
            body["_debug_render_only"] = json!(true);
            body
        })
        .await;
    let prompt = rendered["_debug_info"]["rendered_template"].as_str().unwrap();
    let at = |text: &str| prompt.find(text).unwrap();
    assert!(at("You are terse.") < at("Under Billing.") && at("Under Billing.") < at("where is my invoice"));

    let generate = json!({ "model": "mine", "prompt": "Where is my invoice?", "stream": false });
    assert_eq!(bench.ollama_post("/api/generate", generate).await.1["response"], "Under Billing.");
}

#[tokio::test]
async fn examples_beyond_the_context_vanish_oldest_first() {
    let bench = Bench::start();
    let filler = "word ".repeat(200);
    let create = json!({
        "model": "mine", "from": "llama3.2", "stream": false,
        "messages": [
            { "role": "user", "content": "Where is my invoice?" },
            { "role": "assistant", "content": "Under Billing." },
            { "role": "user", "content": filler },
            { "role": "assistant", "content": "Yes." },
        ],
    });
    bench.ollama_post("/api/create", create).await;
    let ask = |context: u64, truncate: bool| {
        json!({
            "model": "mine", "stream": false, "truncate": truncate, "options": { "num_ctx": context },
            "messages": [{ "role": "user", "content": "Where is my invoice?" }],
        })
    };
    let (_, all) = bench.ollama_post("/api/chat", ask(4_096, true)).await;
    assert_eq!(all["message"]["content"], "Under Billing.");
    let (_, cut) = bench.ollama_post("/api/chat", ask(280, true)).await;
    assert_ne!(cut["message"]["content"], "Under Billing.");
    assert!(cut["prompt_eval_count"].as_u64().unwrap() <= 280);
    let (status, refused) = bench.ollama_post("/api/chat", ask(280, false)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused, json!({ "error": "the input length exceeds the context length" }));
}

#[tokio::test]
async fn wrong_option_types_fail_at_first_chat() {
    let bench = Bench::start();
    for (parameters, message) in [
        (json!({ "num_ctx": "4096" }), "option \"num_ctx\" must be of type integer"),
        (json!({ "stop": "x" }), "option \"stop\" must be of type array"),
        (json!({ "temperature": true }), "option \"temperature\" must be of type float32"),
        (json!({ "use_mmap": 1 }), "option \"use_mmap\" must be of type boolean"),
    ] {
        let create = json!({ "model": "odd", "from": "llama3.2", "stream": false, "parameters": parameters });
        assert_eq!(bench.ollama_post("/api/create", create).await.0, StatusCode::OK);
        let chat = json!({ "model": "odd", "messages": [{ "role": "user", "content": "hi" }] });
        let (status, reply) = bench.ollama_post("/api/chat", chat).await;
        assert_eq!((status, reply), (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": message })));
        bench.ollama(Method::DELETE, "/api/delete").json(&json!({ "model": "odd" })).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_chat_without_messages_loads_and_unloads() {
    let bench = Bench::start();
    let (_, loaded) = bench.ollama_post("/api/chat", json!({ "model": "mistral" })).await;
    assert_eq!(loaded["done_reason"], "load");
    let ps = || async { read(bench.ollama(Method::GET, "/api/ps").send().await.unwrap()).await.1 };
    assert_eq!(ps().await["models"][0]["name"], "mistral:latest");
    assert_eq!(ps().await["models"][0]["context_length"], 4_096);
    let (_, gone) = bench.ollama_post("/api/chat", json!({ "model": "mistral", "keep_alive": 0 })).await;
    assert_eq!(gone["done_reason"], "unload");
    assert_eq!(ps().await["models"], json!([]));
    let (status, reply) = bench.ollama_post("/api/chat", json!({ "model": "nope" })).await;
    assert_eq!((status, reply), (StatusCode::NOT_FOUND, json!({ "error": "model 'nope' not found" })));
}

#[tokio::test]
async fn copies_and_deletions() {
    let bench = Bench::start();
    let copy = |source: &str, destination: &str| {
        bench.ollama_post("/api/copy", json!({ "source": source, "destination": destination }))
    };
    assert_eq!(copy("mistral", "me/other:1").await, (StatusCode::OK, json!("")));
    assert_eq!(
        copy("nope", "x").await,
        (StatusCode::NOT_FOUND, json!({ "error": "model \"nope\" not found" }))
    );
    let invalid = json!({ "error": "source \"a b\" is invalid" });
    assert_eq!(copy("a b", "x").await, (StatusCode::BAD_REQUEST, invalid));
    let delete = |model: &str| {
        let request = bench.ollama(Method::DELETE, "/api/delete").json(&json!({ "model": model }));
        async { read(request.send().await.unwrap()).await }
    };
    assert_eq!(delete("mistral").await, (StatusCode::OK, json!("")));
    assert_eq!(
        delete("mistral").await,
        (StatusCode::NOT_FOUND, json!({ "error": "model 'mistral' not found" }))
    );
    assert_eq!(delete("a b").await, (StatusCode::BAD_REQUEST, json!({ "error": "name \"a b\" is invalid" })));
    // What both shared is still there for the copy.
    let chat =
        json!({ "model": "me/other:1", "stream": false, "messages": [{ "role": "user", "content": "hi" }] });
    assert_eq!(bench.ollama_post("/api/chat", chat).await.0, StatusCode::OK);
    delete("me/other:1").await;
    delete("llama3.2").await;
    let blobs = std::fs::read_dir(bench.state.path().join("ollama/blobs")).unwrap().count();
    assert_eq!(blobs, 0);
}

#[tokio::test]
async fn pulls_come_from_the_emulators_registry() {
    let bench = Bench::start();
    let (status, lines) = bench.ollama_lines("/api/pull", json!({ "model": "tinyllama" })).await;
    assert_eq!(status, StatusCode::OK);
    insta::assert_snapshot!(statuses(&lines));
    let (_, again) = bench.ollama_lines("/api/pull", json!({ "model": "tinyllama" })).await;
    let blobs: std::collections::BTreeSet<&str> =
        again.iter().filter_map(|line| line["digest"].as_str()).collect();
    let about_blobs = again.iter().filter(|line| line["digest"].is_string()).count();
    assert!(blobs.len() > 1, "{again:?}");
    assert_eq!(about_blobs, blobs.len(), "cached blobs have one line: {again:?}");
    let (status, lines) = bench.ollama_lines("/api/pull", json!({ "model": "nope" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        lines,
        [
            json!({ "status": "pulling manifest" }),
            json!({ "error": "pull model manifest: file does not exist" })
        ]
    );
    let (status, reply) = bench.ollama_post("/api/pull", json!({ "model": "nope", "stream": false })).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply, json!({ "error": "pull model manifest: file does not exist" }));
}
