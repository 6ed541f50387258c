//! Ollama's create: status lines, refusals, inheritance, imports, cancellation.

use super::{Bench, statuses};
use crate::{Generation, Options};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tunesmith_core::digest::Digest;

async fn blob(bench: &Bench, bytes: &[u8]) -> String {
    let digest = Digest::of(bytes).prefixed();
    let path = format!("/api/blobs/{digest}");
    bench.ollama(Method::POST, &path).body(bytes.to_vec()).send().await.unwrap().error_for_status().unwrap();
    digest
}

/// A GGUF of one kind for one architecture.
fn gguf(kind: &str, architecture: &str) -> Vec<u8> {
    let text = |text: &str| [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat();
    let mut file = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0".to_vec();
    for (key, value) in
        [("general.architecture", architecture), ("general.type", kind), ("adapter.type", "lora")]
    {
        file.extend(text(key));
        file.extend(8_u32.to_le_bytes());
        file.extend(text(value));
    }
    file
}

fn generation(generation: Generation) -> impl FnOnce(&mut Options) {
    move |options| options.behaviour.ollama.generation = generation
}

const CREATE: &str = "/api/create";

#[tokio::test]
async fn the_lines_of_a_model_from_texts() {
    let bench = Bench::start();
    let body = json!({
        "model": "mine", "from": "mistral", "template": "{{ .Prompt }}", "system": "Be kind.", "license": ["A", "B"],
        "parameters": { "temperature": 0.2, "num_ctx": 2048 },
        "messages": [{ "role": "User", "content": "Hi" }, { "role": "assistant", "content": "Hello" }],
    });
    let (status, lines) = bench.ollama_lines(CREATE, body.clone()).await;
    assert_eq!(status, StatusCode::OK);
    insta::assert_snapshot!(statuses(&lines));
    // The second time every layer is there; without a stream there is one line.
    let (_, again) = bench.ollama_lines(CREATE, body.clone()).await;
    assert!(!statuses(&again).contains("creating new layer"));
    let mut once = body;
    once["stream"] = json!(false);
    assert_eq!(bench.ollama_post(CREATE, once).await, (StatusCode::OK, json!({ "status": "success" })));
    assert_eq!(bench.emulator.counts().effects_of("POST /api/create"), 3);
    let (_, shown) = bench.ollama_post("/api/show", json!({ "model": "mine" })).await;
    insta::assert_json_snapshot!(json!({
        "system": shown["system"], "template": shown["template"], "license": shown["license"],
        "parameters": shown["parameters"], "messages": shown["messages"],
    }));
}

#[tokio::test]
async fn base_layer_shows_the_base_is_untouched() {
    let bench = Bench::start();
    let (_, lines) =
        bench.ollama_lines(CREATE, json!({ "model": "mine", "from": "mistral", "system": "x" })).await;
    let layer =
        lines[0]["status"].as_str().unwrap().strip_prefix("using existing layer ").unwrap().to_owned();
    for model in ["mine", "mistral"] {
        let (_, shown) = bench.ollama_post("/api/show", json!({ "model": model })).await;
        assert!(shown["modelfile"].as_str().unwrap().contains(&layer.replace(':', "-")), "{model}");
    }
}

#[tokio::test]
async fn texts_are_inherited_replaced_added_and_merged() {
    let bench = Bench::start();
    let first = json!({
        "model": "first", "from": "mistral", "stream": false, "system": "one", "license": "A",
        "parameters": { "temperature": 0.5, "seed": 1 }, "messages": [{ "role": "user", "content": "one" }],
    });
    let second = json!({
        "model": "second", "from": "first", "stream": false, "system": "two", "license": "B",
        "parameters": { "temperature": 0.1 },
    });
    bench.ollama_post(CREATE, first).await;
    bench.ollama_post(CREATE, second).await;
    let (_, shown) = bench.ollama_post("/api/show", json!({ "model": "second" })).await;
    assert_eq!(shown["system"], "two");
    assert!(shown["license"].as_str().unwrap().ends_with("A\nB"), "{}", shown["license"]);
    assert_eq!(shown["messages"], json!([{ "role": "user", "content": "one" }]));
    let parameters = shown["parameters"].as_str().unwrap();
    for part in ["temperature                    0.1", "seed                           1", "[/INST]"] {
        assert!(parameters.contains(part), "{parameters}");
    }
}

#[tokio::test]
async fn names_that_differ_in_case_are_one_model() {
    let bench = Bench::start();
    for name in ["Mine", "mINE:LATEST"] {
        bench
            .ollama_post(CREATE, json!({ "model": name, "from": "Mistral", "system": name, "stream": false }))
            .await;
    }
    let response = bench.ollama(Method::GET, "/api/tags").send().await.unwrap();
    let tags: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let names: Vec<&str> =
        tags["models"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(
        names.iter().filter(|name| name.eq_ignore_ascii_case("mine:latest")).collect::<Vec<_>>(),
        [&"Mine:latest"]
    );
    let (_, shown) = bench.ollama_post("/api/show", json!({ "model": "mine" })).await;
    assert_eq!(shown["system"], "mINE:LATEST");
    // What only the first needed is gone: its system prompt, its manifest's config.
    let blobs = std::fs::read_dir(bench.state.path().join("ollama/blobs")).unwrap();
    let contents: Vec<Vec<u8>> = blobs.map(|blob| std::fs::read(blob.unwrap().path()).unwrap()).collect();
    assert!(!contents.contains(&b"Mine".to_vec()) && contents.contains(&b"mINE:LATEST".to_vec()));
}

#[tokio::test]
async fn refusals_come_in_the_servers_order() {
    let bench = Bench::start();
    let digest = format!("sha256:{}", "0".repeat(64));
    let mut refusals = String::new();
    for body in [
        json!({ "files": { "../x": "" }, "model": "a b" }),
        json!({ "files": { "x.gguf": "" }, "model": "a b" }),
        json!({ "files": { "x.gguf": "sha256:12" } }),
        json!({ "draft_quantize": "q8", "model": "a b" }),
        json!({ "adapters": { "../a.gguf": digest }, "model": "a b" }),
        json!({ "model": "a b", "from": "also bad" }),
        json!({ "model": "x" }),
        json!({ "model": "x", "from": "also bad" }),
        json!({ "model": "x", "files": {} }),
        json!({ "model": "x", "files": { "x": digest } }),
        json!({ "model": "x", "from": "mistral", "quantize": "q4_K_M" }),
        json!({ "model": "x", "from": "mistral", "template": "{{ if }" }),
        json!({ "model": "x", "from": "mistral", "license": 5 }),
        json!({ "model": "x", "from": "mistral", "info": { "context_length": -1 } }),
        json!({ "model": "x", "from": "mistral", "messages": [{ "content": 1 }] }),
        json!({ "model": "x", "from": "mistral", "adapters": { "a.gguf": digest, "b.gguf": digest } }),
        json!({ "model": "x", "files": { "model.safetensors": digest } }),
        json!({ "model": "x", "files": { "a.gguf": digest, "b.safetensors": digest } }),
        json!({ "model": "x", "from": 5 }),
        json!([]),
    ] {
        let (status, reply) = bench.ollama_post(CREATE, body.clone()).await;
        let root = bench.state.path().canonicalize().unwrap().display().to_string();
        let reply = reply.to_string().replace(&root, "STATE").replace(&"0".repeat(64), "0…");
        let body = body.to_string().replace(&"0".repeat(64), "0…");
        refusals += &format!("{body}\n  {} {reply}\n", status.as_u16());
    }
    insta::assert_snapshot!(refusals);
    let response = bench.ollama(Method::POST, CREATE).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), r#"{"error":"missing request body"}"#);
}

#[tokio::test]
async fn missing_base_is_pulled_before_the_create() {
    let bench = Bench::start();
    let (_, lines) = bench.ollama_lines(CREATE, json!({ "model": "mine", "from": "tinyllama" })).await;
    let successes: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line["status"] == "success").map(|(at, _)| at).collect();
    assert_eq!(successes.len(), 2);
    assert_eq!(successes[1], lines.len() - 1);
    let (status, lines) = bench.ollama_lines(CREATE, json!({ "model": "mine", "from": "nowhere" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(lines.last().unwrap(), &json!({ "error": "pull model manifest: file does not exist" }));
    let (status, _) =
        bench.ollama_post(CREATE, json!({ "model": "m", "from": "nowhere", "stream": false })).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn adapters_are_taken_by_generation() {
    let with_adapter =
        |digest: &str| json!({ "model": "tuned", "from": "mistral", "adapters": { "adapter.gguf": digest } });
    let mut outcomes = String::new();
    for one in [Generation::V033, Generation::V034, Generation::NoAdapters] {
        let bench = Bench::with(generation(one));
        let digest = blob(&bench, &gguf("adapter", "llama")).await;
        let (status, lines) = bench.ollama_lines(CREATE, with_adapter(&digest)).await;
        outcomes += &format!("{one:?} GGUF {}\n{}\n", status.as_u16(), statuses(&lines));
        let weights = blob(&bench, b"weights").await;
        let config = blob(&bench, br#"{"lora_alpha": 16}"#).await;
        let mut body = with_adapter("");
        body["adapters"] = json!({ "adapter_model.safetensors": weights, "adapter_config.json": config });
        let (status, lines) = bench.ollama_lines(CREATE, body).await;
        outcomes += &format!("{one:?} safetensors {}\n{}\n", status.as_u16(), statuses(&lines));
    }
    insta::assert_snapshot!(outcomes);
}

#[tokio::test]
async fn unfit_adapter_fails_when_loaded() {
    let bench = Bench::start();
    for (architecture, status) in [("llama", StatusCode::OK), ("gemma2", StatusCode::INTERNAL_SERVER_ERROR)] {
        let digest = blob(&bench, &gguf("adapter", architecture)).await;
        let create = json!({
            "model": "tuned", "from": "mistral", "stream": false, "adapters": { "adapter.gguf": digest },
        });
        assert_eq!(bench.ollama_post(CREATE, create).await.0, StatusCode::OK);
        let (_, shown) = bench.ollama_post("/api/show", json!({ "model": "tuned" })).await;
        assert!(shown["modelfile"].as_str().unwrap().contains("\nADAPTER /"));
        let chat =
            json!({ "model": "tuned", "stream": false, "messages": [{ "role": "user", "content": "hi" }] });
        let (got, reply) = bench.ollama_post("/api/chat", chat).await;
        assert_eq!(got, status, "{reply}");
        if status != StatusCode::OK {
            assert!(
                reply["error"].as_str().unwrap().ends_with("model arch and LoRA arch mismatch"),
                "{reply}"
            );
        }
    }
}

#[tokio::test]
async fn files_are_imported_by_generation() {
    let mut outcomes = String::new();
    for one in [Generation::V033, Generation::V034] {
        let bench = Bench::with(generation(one));
        let digest = blob(&bench, &gguf("model", "llama")).await;
        let missing = format!("sha256:{}", "0".repeat(64));
        let text = blob(&bench, b"not a gguf").await;
        let config = blob(&bench, br#"{"architectures":["Qwen3ForCausalLM"]}"#).await;
        for (name, files) in [
            ("GGUF", json!({ "m.gguf": digest })),
            ("missing", json!({ "m.gguf": missing })),
            ("not GGUF", json!({ "m.gguf": text })),
            ("safetensors", json!({ "model.safetensors": text, "config.json": config })),
        ] {
            let (status, lines) = bench.ollama_lines(CREATE, json!({ "model": "x", "files": files })).await;
            let root = bench.state.path().canonicalize().unwrap().display().to_string();
            let lines = statuses(&lines).replace(&root, "STATE").replace(&"0".repeat(64), "0…");
            outcomes += &format!("{one:?} {name} {}\n{lines}\n", status.as_u16());
        }
    }
    insta::assert_snapshot!(outcomes);
}

#[tokio::test]
async fn a_client_that_goes_leaves_no_model() {
    let bench = Bench::with(|options| options.behaviour.ollama.step_ms = 100);
    let body = json!({ "model": "mine", "from": "mistral", "system": "x" });
    let mut response = bench.ollama(Method::POST, CREATE).json(&body).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    // Twice as long as the rest would have taken.
    tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
    let (status, _) = bench.ollama_post("/api/show", json!({ "model": "mine" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(bench.emulator.counts().effects_of("POST /api/create"), 0);
}
