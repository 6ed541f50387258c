//! Base models that stand in for real ones: their shape, without their weights.

use super::blobs::Blobs;
use super::gguf::{self, Entry};
use super::models::{Config, Layer, media};
use super::name::Name;
use std::io;
use tunesmith_core::digest::Digest;

struct Kind {
    model: &'static str,
    architecture: &'static str,
    size: &'static str,
    quantization: &'static str,
    context: u32,
    template: &'static str,
    stop: &'static [&'static str],
}

const CHATML: &str = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n";
const INST: &str = "{{- range .Messages }}{{ if eq .Role \"assistant\" }}{{ .Content }}</s>{{ else }}[INST] {{ .Content }} [/INST]{{ end }}{{ end }}";
const LLAMA3: &str = "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n";
const GEMMA: &str = "{{- range .Messages }}<start_of_turn>{{ .Role }}\n{{ .Content }}<end_of_turn>\n{{ end }}<start_of_turn>model\n";

const fn kind(
    model: &'static str,
    architecture: &'static str,
    size: &'static str,
    quantization: &'static str,
    context: u32,
    template: &'static str,
    stop: &'static [&'static str],
) -> Kind {
    Kind { model, architecture, size, quantization, context, template, stop }
}

const KINDS: &[Kind] = &[
    kind("llama2", "llama", "7B", "Q4_0", 4_096, INST, &["[INST]", "[/INST]"]),
    kind("llama3", "llama", "8.0B", "Q4_0", 8_192, LLAMA3, &["<|eot_id|>"]),
    kind("llama3.1", "llama", "8.0B", "Q4_K_M", 131_072, LLAMA3, &["<|eot_id|>"]),
    kind("llama3.2", "llama", "3.2B", "Q4_K_M", 131_072, LLAMA3, &["<|eot_id|>"]),
    kind("mistral", "llama", "7.2B", "Q4_K_M", 32_768, INST, &["[INST]", "[/INST]"]),
    kind("gemma2", "gemma2", "9.2B", "Q4_0", 8_192, GEMMA, &["<end_of_turn>"]),
    kind("gemma3", "gemma3", "4.3B", "Q4_K_M", 131_072, GEMMA, &["<end_of_turn>"]),
    kind("phi3", "phi3", "3.8B", "Q4_0", 131_072, CHATML, &["<|end|>"]),
    kind("qwen2.5", "qwen2", "7.6B", "Q4_K_M", 32_768, CHATML, &[]),
    kind("tinyllama", "llama", "1.1B", "Q4_0", 2_048, CHATML, &[]),
];

/// What a name that is not in the list stands in for.
const OTHER: Kind = kind("", "llama", "7B", "F16", 8_192, CHATML, &[]);

/// A base model: the same bytes, and so the same digests, every time.
pub(super) struct Base {
    pub(super) config: Config,
    /// Each layer's kind and content.
    pub(super) layers: Vec<(&'static str, Vec<u8>)>,
}

impl Base {
    pub(super) fn of(name: &Name) -> Self {
        let kind = KINDS.iter().find(|kind| kind.model == name.model).unwrap_or(&OTHER);
        let weights = gguf::write(&[
            ("general.architecture", Entry::Text(kind.architecture)),
            ("general.type", Entry::Text("model")),
            ("general.name", Entry::Text(&name.to_string())),
            ("general.description", Entry::Text("a stand-in without weights, by the tunesmith emulator")),
            ("general.file_type", Entry::Number(gguf::file_type_number(kind.quantization))),
            (&format!("{}.context_length", kind.architecture), Entry::Number(kind.context)),
            (&format!("{}.embedding_length", kind.architecture), Entry::Number(4_096)),
            (&format!("{}.block_count", kind.architecture), Entry::Number(32)),
        ]);
        let mut layers = vec![
            (media::MODEL, weights),
            (media::TEMPLATE, kind.template.as_bytes().to_vec()),
            (media::LICENSE, b"A stand-in of the tunesmith emulator. It holds no weights.\n".to_vec()),
        ];
        if !kind.stop.is_empty() {
            let mut params = serde_json::json!({ "stop": kind.stop }).to_string();
            params.push('\n');
            layers.push((media::PARAMS, params.into_bytes()));
        }
        let config = Config {
            model_format: "gguf".to_owned(),
            model_family: kind.architecture.to_owned(),
            model_families: vec![kind.architecture.to_owned()],
            model_type: kind.size.to_owned(),
            file_type: kind.quantization.to_owned(),
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            ..Config::default()
        };
        Self { config, layers }
    }

    /// The layers as a manifest lists them.
    pub(super) fn listed(&self) -> Vec<Layer> {
        self.layers
            .iter()
            .map(|(media_type, bytes)| Layer {
                media_type: (*media_type).to_owned(),
                digest: Digest::of(bytes).prefixed(),
                size: bytes.len() as u64,
            })
            .collect()
    }

    pub(super) fn store(&self, blobs: &Blobs) -> io::Result<()> {
        self.layers.iter().try_for_each(|(_, bytes)| blobs.put(bytes).map(drop))
    }
}
