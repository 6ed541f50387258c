//! The method `qlora`: low-rank adaptation of a quantized base model.

use tunesmith_plugin::prompt::{Arrangement, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Recipe, Refusal, Setting,
    Training, export_plugin,
};

/// The highest rank: a quarter of a layer's side in a model of 7 billion parameters.
/// Beyond it the update is no longer small, which is what the method is for.
const MOST_RANK: i32 = 1024;

/// The largest alpha: four times the highest rank, beyond any published scale.
const MOST_ALPHA: i32 = 4 * MOST_RANK;

/// The highest dropout. At 1 nothing would be left to learn from, and ranges in the
/// contract include their upper end.
const MOST_DROPOUT: f64 = 0.99;

/// The context window on Ollama where the job gives none: half of Ollama's own, which
/// halves the memory that the window takes.
const TIGHT_WINDOW: i32 = 2048;

/// Examples on Ollama: each one costs time on every request, which small hardware
/// feels first.
const MOST_EXAMPLES: u32 = 4;

/// On OpenAI three tenths of the service's own learning rate: the gentlest of the methods.
const LEARNING_RATE_MULTIPLIER: f64 = 0.3;

/// The settings that describe trained weights.
const OWN: [&str; 4] = ["quantization_bits", "lora_rank", "lora_alpha", "lora_dropout"];

/// Low-rank adaptation of a quantized base model.
pub struct Qlora;

export_plugin!(Qlora: ollama, openai, training);

impl Method for Qlora {
    fn describe() -> Descriptor {
        let summary = "Trains low-rank updates on a base model stored in 4 or 8 bits, to fit small hardware.";
        Descriptor::new("qlora", env!("CARGO_PKG_VERSION"), summary)
            .title("Quantized low-rank adaptation")
            .docs(include_str!("../README.md"))
            .setting(Setting::integer("quantization_bits").range(4..=8).default(4).doc(
                "Bits per weight of the base model during training: 4 or 8. 4 needs about half the memory of 8.",
            ))
            .setting(Setting::integer("lora_rank").range(1..=MOST_RANK).default(8).doc(
                "Rank of the update: how much it can learn. 8 suits small datasets; the QLoRA paper used 64.",
            ))
            .setting(
                Setting::integer("lora_alpha")
                    .range(1..=MOST_ALPHA)
                    .default(16)
                    .doc("Strength of the update, which is scaled by lora_alpha / lora_rank."),
            )
            .setting(Setting::number("lora_dropout").at_least(0.0).up_to(MOST_DROPOUT).default(0.1).doc(
                "Share of the update's inputs that each training step drops, against overfitting. 0.1 suits \
                 models up to 13 billion parameters, 0.05 larger ones.",
            ))
    }
}

impl Ollama for Qlora {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        bits(job)?;
        let config = Prompt::new(job, dataset)
            .explain(
                "Ollama does not train or quantize: for small hardware, the prompt contains a system prompt and a \
                 few short examples, with a small context window.",
            )
            .arrangement(Arrangement::LargestTask)
            .assumed_window(TIGHT_WINDOW)
            .examples(MOST_EXAMPLES)
            .only_short()
            .configure()?;
        Ok(config.notes(job.without_effect(&OWN, "on Ollama")))
    }
}

impl OpenAi for Qlora {
    fn configure_openai(job: &Job, _: &dyn Dataset) -> Result<OpenAiConfig, Refusal> {
        bits(job)?;
        let multiplier = job.given_or("learning_rate_multiplier", LEARNING_RATE_MULTIPLIER)?;
        let rate = if job.is_given("learning_rate_multiplier") {
            "the job's learning-rate multiplier"
        } else {
            "0.3 times OpenAI's learning rate"
        };
        Ok(OpenAiConfig::supervised()
            .suffix("qlora")
            .hyperparameter("learning_rate_multiplier", multiplier)
            .given_hyperparameters(job, &["n_epochs", "batch_size"])
            .note(format!(
                "OpenAI chooses the training technique and quantizes nothing; qlora is a supervised fine-tuning \
                 job with {rate} and the suffix qlora."
            ))
            .notes(job.without_effect(&OWN, "on OpenAI")))
    }
}

impl Training for Qlora {
    /// The hyperparameters are those of the QLoRA paper (arXiv 2305.14314, appendix B)
    /// for models up to 13 billion parameters.
    fn plan_training(job: &Job, _: &dyn Dataset) -> Result<Recipe, Refusal> {
        let bits = bits(job)?;
        let rank = job.integer("lora_rank")?;
        let alpha = job.integer("lora_alpha")?;
        let mut recipe = Recipe::new("qlora").setting("quantization_bits", bits);
        if bits == 4 {
            recipe = recipe.setting("quantization_type", "nf4").setting("double_quantization", true);
        }
        let storage = if bits == 4 {
            "in 4-bit NormalFloat with double quantization"
        } else {
            "in 8-bit integers, which loses less quality than QLoRA's 4 bits and takes twice the memory"
        };
        Ok(recipe
            .setting("rank", rank)
            .setting("alpha", alpha)
            .setting("dropout", job.number("lora_dropout")?)
            .setting("target_modules", "all-linear")
            .setting("learning_rate", job.given_or("learning_rate", 2e-4)?)
            .setting("n_epochs", job.given_or("n_epochs", 3)?)
            .setting("batch_size", job.given_or("batch_size", 16)?)
            .setting("warmup_ratio", 0.03)
            .setting("scheduler", "constant")
            .setting("max_gradient_norm", 0.3)
            .note(format!(
                "QLoRA stores the base model {storage}, and trains matrices of rank {rank} next to every linear \
                 layer, scaled by {alpha}/{rank}."
            ))
            .note("It saves memory, not time: each step is slower than with LoRA, since weights are unpacked when \
                 used."))
    }
}

/// The bits per weight, which a range alone cannot describe.
fn bits(job: &Job) -> Result<i32, Refusal> {
    match job.integer("quantization_bits")? {
        bits @ (4 | 8) => Ok(bits),
        bits => Err(Refusal::setting(
            "quantization_bits",
            format!("expected 4 (nf4) or 8 (int8) bits, found {bits}"),
        )),
    }
}

#[cfg(test)]
mod tests;
