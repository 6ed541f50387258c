//! The dimensions of well-known models, as their published configurations have them,
//! and how many parameters they make.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tunesmith_core::text::visible;
use tunesmith_core::time::{Date, date};

/// When the table was put together.
pub const AS_OF: Date = date(2026, 11, 23);

/// The dimensions of a decoder of the Llama family (RMS norms, gated feed-forward,
/// grouped keys and values).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// The model's name.
    pub name: Cow<'static, str>,
    /// Width of the hidden states.
    pub hidden: u64,
    /// Layers.
    pub layers: u64,
    /// Width of keys and of values: their heads times the width of a head.
    pub key_value: u64,
    /// Width inside the feed-forward layer.
    pub intermediate: u64,
    /// Entries of the vocabulary.
    pub vocabulary: u64,
    /// Whether input and output share one embedding.
    pub tied: bool,
    /// Whether queries, keys and values have biases.
    pub biased: bool,
}

/// The shape of a model is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shape of {} not known: no figures for memory and parameters", visible(.0))]
pub struct ShapeUnknown(pub String);

struct Entry {
    /// Families as Ollama and Hugging Face name them, in lower case.
    families: &'static [&'static str],
    /// How the tag, or the rest of the name, begins.
    variants: &'static [&'static str],
    /// Whether Ollama means this one when there is no tag.
    default: bool,
    shape: Shape,
}

const fn llama(
    name: &'static str,
    hidden: u64,
    layers: u64,
    key_value: u64,
    intermediate: u64,
    vocabulary: u64,
) -> Shape {
    Shape {
        name: Cow::Borrowed(name),
        hidden,
        layers,
        key_value,
        intermediate,
        vocabulary,
        tied: false,
        biased: false,
    }
}

const fn tied(mut shape: Shape) -> Shape {
    shape.tied = true;
    shape
}

const fn biased(mut shape: Shape) -> Shape {
    shape.biased = true;
    shape
}

const fn entry(
    families: &'static [&'static str],
    variants: &'static [&'static str],
    default: bool,
    shape: Shape,
) -> Entry {
    Entry { families, variants, default, shape }
}

const LLAMA_2: &[&str] = &["llama2", "llama-2"];
const LLAMA_3: &[&str] = &["llama3", "llama3.1", "meta-llama-3", "llama-3", "llama-3.1", "meta-llama-3.1"];
const LLAMA_3_2: &[&str] = &["llama3.2", "llama-3.2"];
const QWEN_2_5: &[&str] = &["qwen2.5", "qwen2.5-coder"];

static TABLE: &[Entry] = &[
    entry(LLAMA_2, &["7b"], true, llama("llama-2-7b", 4096, 32, 4096, 11_008, 32_000)),
    entry(LLAMA_2, &["13b"], false, llama("llama-2-13b", 5120, 40, 5120, 13_824, 32_000)),
    entry(LLAMA_3, &["8b"], true, llama("llama-3-8b", 4096, 32, 1024, 14_336, 128_256)),
    entry(LLAMA_3, &["70b"], false, llama("llama-3-70b", 8192, 80, 1024, 28_672, 128_256)),
    entry(LLAMA_3_2, &["1b"], false, tied(llama("llama-3.2-1b", 2048, 16, 512, 8192, 128_256))),
    entry(LLAMA_3_2, &["3b"], true, tied(llama("llama-3.2-3b", 3072, 28, 1024, 8192, 128_256))),
    entry(&["tinyllama"], &["1.1b"], true, llama("tinyllama-1.1b", 2048, 22, 256, 5632, 32_000)),
    // Versions 0.1 and 0.2 have a smaller vocabulary; Ollama's `mistral` is 0.3.
    entry(
        &["mistral"],
        &["7b-v0.1", "7b-v0.2", "7b-instruct-v0.1", "7b-instruct-v0.2"],
        false,
        llama("mistral-7b-v0.1", 4096, 32, 1024, 14_336, 32_000),
    ),
    entry(&["mistral"], &["7b"], true, llama("mistral-7b-v0.3", 4096, 32, 1024, 14_336, 32_768)),
    entry(QWEN_2_5, &["0.5b"], false, biased(tied(llama("qwen2.5-0.5b", 896, 24, 128, 4864, 151_936)))),
    entry(QWEN_2_5, &["1.5b"], false, biased(tied(llama("qwen2.5-1.5b", 1536, 28, 256, 8960, 151_936)))),
    entry(QWEN_2_5, &["3b"], false, biased(tied(llama("qwen2.5-3b", 2048, 36, 256, 11_008, 151_936)))),
    entry(QWEN_2_5, &["7b"], true, biased(llama("qwen2.5-7b", 3584, 28, 512, 18_944, 152_064))),
];

/// The shape of a model, by its name at Ollama (`llama3.2:1b-instruct-q4_K_M`) or at
/// Hugging Face (`meta-llama/Llama-3.2-1B-Instruct`).
///
/// # Errors
/// A model that is not in the table; none is guessed.
pub fn shape(model: &str) -> Result<Shape, ShapeUnknown> {
    let lower = model.to_ascii_lowercase();
    let name = lower.rsplit_once('/').map_or(lower.as_str(), |(_, name)| name);
    let found = TABLE.iter().find(|entry| {
        entry.families.iter().any(|family| {
            let Some(rest) = name.strip_prefix(family) else { return false };
            if rest.is_empty() || rest == ":latest" {
                return entry.default;
            }
            let Some(rest) = rest.strip_prefix([':', '-']) else { return false };
            entry.variants.iter().any(|variant| {
                rest.strip_prefix(variant).is_some_and(|end| end.is_empty() || end.starts_with('-'))
            })
        })
    });
    found.map(|entry| entry.shape.clone()).ok_or_else(|| ShapeUnknown(model.to_owned()))
}

impl Shape {
    /// Parameters of the linear layers inside the blocks: attention and feed-forward.
    pub fn linear_parameters(&self) -> u64 {
        let (h, k, i) = (self.hidden, self.key_value, self.intermediate);
        self.layers * (2 * h * h + 2 * h * k + 3 * h * i)
    }

    /// Parameters of the embeddings: one or two times vocabulary times width.
    pub fn embedding_parameters(&self) -> u64 {
        let tables = if self.tied { 1 } else { 2 };
        tables * self.vocabulary * self.hidden
    }

    /// All parameters: linear layers, embeddings, norms and biases.
    pub fn parameters(&self) -> u64 {
        let norms = self.layers * 2 * self.hidden + self.hidden;
        let biases = if self.biased { self.layers * (self.hidden + 2 * self.key_value) } else { 0 };
        self.linear_parameters() + self.embedding_parameters() + norms + biases
    }

    /// Input and output width of each linear layer of a block, by the name that
    /// Hugging Face gives it.
    pub fn modules(&self) -> [(&'static str, u64, u64); 7] {
        let (h, k, i) = (self.hidden, self.key_value, self.intermediate);
        [
            ("q_proj", h, h),
            ("k_proj", h, k),
            ("v_proj", h, k),
            ("o_proj", h, h),
            ("gate_proj", h, i),
            ("up_proj", h, i),
            ("down_proj", i, h),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_that_the_makers_publish() {
        for (model, parameters) in [
            ("llama2", 6_738_415_616),
            ("llama2:13b", 13_015_864_320),
            ("llama3", 8_030_261_248),
            ("llama3.1:70b", 70_553_706_496),
            ("llama3.2", 3_212_749_824),
            ("llama3.2:1b", 1_235_814_400),
            ("tinyllama", 1_100_048_384),
            ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
            ("mistral", 7_248_023_552),
            ("qwen2.5:0.5b", 494_032_768),
            ("qwen2.5:1.5b", 1_543_714_304),
            ("qwen2.5:3b", 3_085_938_688),
            ("qwen2.5", 7_615_616_512),
        ] {
            assert_eq!(shape(model).unwrap().parameters(), parameters, "{model}");
        }
    }

    #[test]
    fn models_by_the_names_in_use() {
        let name = |model: &str| shape(model).map_or("none".into(), |shape| shape.name);
        for (model, expected) in [
            ("llama2:latest", "llama-2-7b"),
            ("library/llama2:7b-chat-q4_0", "llama-2-7b"),
            ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
            ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3-8b"),
            ("meta-llama/Llama-3.2-3B-Instruct", "llama-3.2-3b"),
            ("llama3.2:1b-instruct-q4_K_M", "llama-3.2-1b"),
            ("mistral:7b-instruct", "mistral-7b-v0.3"),
            ("mistralai/Mistral-7B-Instruct-v0.2", "mistral-7b-v0.1"),
            ("Qwen/Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b"),
            ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "tinyllama-1.1b"),
            // Not guessed:
            ("llama3.3", "none"),
            ("llama2-uncensored", "none"),
            ("llama2:70b", "none"),
            ("mistral-nemo", "none"),
            ("mistral-small:22b", "none"),
            ("qwen2.5:32b", "none"),
            ("", "none"),
            ("gpt-4o", "none"),
            ("llama2é", "none"),
        ] {
            assert_eq!(name(model), expected, "{model}");
        }
        assert_eq!(
            shape("my\nmodel").unwrap_err().to_string(),
            "shape of my\\nmodel not known: no figures for memory and parameters"
        );
    }
}
