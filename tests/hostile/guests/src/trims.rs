//! A transform as an author writes it, with the SDK: for measuring what a sandbox takes.
#![cfg(target_arch = "wasm32")]

use tunesmith_plugin::{Descriptor, Example, Job, Method, Refusal, Transform, export_plugin};

struct Trims;

impl Method for Trims {
    fn describe() -> Descriptor {
        Descriptor::new(
            "trims",
            "1.0.0",
            "Trims every message, and drops conversations of which nothing is left.",
        )
    }
}

impl Transform for Trims {
    fn transform(_: &Job, mut row: Example) -> Result<Option<Example>, Refusal> {
        for message in &mut row.messages {
            message.content = message.content.trim().to_owned();
        }
        Ok(row.messages.iter().any(|message| !message.content.is_empty()).then_some(row))
    }
}

export_plugin!(Trims: transform);
