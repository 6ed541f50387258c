//! Plans as the ledger has them, of jobs that no plugin planned.

use serde_json::{Value, json};

/// SHA-256 of nothing that there is.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What Ollama is asked for: a model with a prompt and an example.
pub fn ollama(name: &str, from: &str) -> Value {
    let parameters = json!({"num_ctx": 4096, "temperature": 0.7});
    json!({"ollama": {
        "outcome": "prompt-baked, not trained",
        "request": {
            "model": name,
            "from": from,
            "system": "You help customers.",
            "parameters": parameters,
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
            "stream": true,
        },
        "baked": {
            "system": "You help customers.",
            "shots": [{"source": "written", "tokens": 20}],
            "systemRepeated": false,
            "parameters": parameters,
            "contextWindow": {"tokens": 4096, "origin": "method"},
            "budget": {"system": 10, "shots": 20, "reserve": 512, "contextWindow": 4096},
            "notes": [],
            "warnings": [],
        },
        "modelfile": {"name": format!("Modelfile-{name}"), "text": format!("FROM {from}\n")},
    }})
}

/// What a service with OpenAI's protocol is asked for: training over a file.
pub fn openai(sha256: &str, bytes: usize) -> Value {
    let model = "gpt-4.1-mini-2025-04-14";
    let hyperparameters = json!({"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": "auto"});
    json!({"openai": {
        "outcome": "a tuned model",
        "request": {
            "model": model,
            "training_file": "<known at run>",
            "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
            "suffix": "lora",
            "metadata": {"tunesmith_run": "<known at run>"},
        },
        "tuning": {"objective": "supervised", "suffix": "lora", "hyperparameters": hyperparameters, "notes": []},
        "trainingFile": {"name": "train.jsonl", "sha256": sha256, "bytes": bytes, "rows": 12, "unchanged": true},
        "cost": {
            "model": model,
            "tally": {"examples": 12, "tokens": 240, "truncated": 0},
            "countedBy": {"tokenizer": "o200k", "known": true},
            "epochs": {"epochs": "exact", "n": 2},
            "cost": {"kind": "no-price"},
            "prices": {"asOf": "2026-11-23", "source": "a test", "sha256": NO_DIGEST},
            "notes": [],
        },
    }})
}

/// The whole plan around it, as text.
pub fn plan(name: &str, provider: &str, config: &Value) -> String {
    let (version, contract) = ("0.1.0", "0.1.0");
    let tokens = json!({"tokenizer": "cautious", "total": 240, "exact": true, "error": 0.0, "longest": 20});
    let plan = json!({
        "format": 1,
        "tunesmith": version,
        "job": {"name": name, "baseModel": "base", "provider": provider},
        "method": {
            "id": "lora", "version": version, "title": "LoRA", "sha256": NO_DIGEST, "tier": "pure",
            "contract": contract, "builtIn": true,
        },
        "dataset": {
            "name": "train.jsonl", "sha256": NO_DIGEST, "bytes": 900, "rows": 12, "typedRows": 12, "tasks": 1,
            "tokens": tokens,
        },
        "settings": [],
        "seed": 42,
        "config": config,
        "notes": [],
        "warnings": [],
        "receipt": {
            "plugin": "lora", "version": version, "sha256": NO_DIGEST, "contract": contract, "tier": "pure",
            "call": format!("{provider}.configure"),
        },
    });
    plan.to_string()
}
