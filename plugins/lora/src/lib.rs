//! The method `lora`: low-rank adaptation.

use tunesmith_plugin::prompt::{Arrangement, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Recipe, Refusal, Setting,
    Training, Value, export_plugin,
};

/// The highest rank. An update of rank r cannot exceed a layer's smaller side, which
/// is 4096 in a model of 7 billion parameters; at a quarter of that it has half as many
/// parameters as the layer itself, and full fine-tuning is the better choice.
const MOST_RANK: i32 = 1024;

/// The largest alpha: four times the highest rank, beyond any published scale.
const MOST_ALPHA: i32 = 4 * MOST_RANK;

/// The highest dropout. At 1 nothing would be left to learn from, and ranges in the
/// contract include their upper end.
const MOST_DROPOUT: f64 = 0.99;

/// At most this many names of layers; architectures have about seven kinds.
const MOST_TARGETS: u32 = 64;

/// Bytes of such a name, with its path; as the trainer has it.
const LONGEST_TARGET: usize = 96;

/// Examples on Ollama: several of each task, and few enough to keep requests fast.
const MOST_EXAMPLES: u32 = 16;

/// On OpenAI half of the service's own learning rate, so that the model stays close to
/// its base, as low-rank updates do.
const LEARNING_RATE_MULTIPLIER: f64 = 0.5;

/// The settings that describe trained weights.
const OWN: [&str; 4] = ["lora_rank", "lora_alpha", "lora_dropout", "target_modules"];

/// Low-rank adaptation.
pub struct Lora;

export_plugin!(Lora: ollama, openai, training);

impl Method for Lora {
    fn describe() -> Descriptor {
        let summary = "Trains small low-rank updates and keeps the base weights unchanged.";
        Descriptor::new("lora", env!("CARGO_PKG_VERSION"), summary)
            .title("Low-rank adaptation")
            .docs(include_str!("../README.md"))
            .setting(Setting::integer("lora_rank").range(1..=MOST_RANK).default(8).doc(
                "Rank of the update: how much it can learn. 8 suits small datasets, 16 more than 1,000 \
                 conversations, 32 to 64 more than 10,000.",
            ))
            .setting(
                Setting::integer("lora_alpha")
                    .range(1..=MOST_ALPHA)
                    .default(16)
                    .doc("Strength of the update, which is scaled by lora_alpha / lora_rank."),
            )
            .setting(Setting::number("lora_dropout").at_least(0.0).up_to(MOST_DROPOUT).default(0.1).doc(
                "Share of the update's inputs that each training step drops, against overfitting; 0 disables \
                 it.",
            ))
            .setting(
                Setting::texts("target_modules", MOST_TARGETS).doc(
                    "Names of the layers to adapt, such as q_proj and v_proj. Default: all linear layers.",
                ),
            )
    }
}

impl Ollama for Lora {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        let config = Prompt::new(job, dataset)
            .explain(
                "Ollama does not train, so there are no LoRA weights: the prompt contains a system prompt and a \
                 balanced selection of examples instead.",
            )
            .arrangement(Arrangement::Balanced)
            .examples(MOST_EXAMPLES)
            .configure()?;
        Ok(config.notes(job.without_effect(&OWN, "on Ollama")))
    }
}

impl OpenAi for Lora {
    fn configure_openai(job: &Job, _: &dyn Dataset) -> Result<OpenAiConfig, Refusal> {
        let multiplier = job.given_or("learning_rate_multiplier", LEARNING_RATE_MULTIPLIER)?;
        let rate = if job.is_given("learning_rate_multiplier") {
            "the job's learning-rate multiplier"
        } else {
            "0.5 times OpenAI's learning rate"
        };
        Ok(OpenAiConfig::supervised()
            .suffix("lora")
            .hyperparameter("learning_rate_multiplier", multiplier)
            .given_hyperparameters(job, &["n_epochs", "batch_size"])
            .note(format!(
                "OpenAI chooses the training technique; lora is a supervised fine-tuning job with {rate} and \
                 the suffix lora."
            ))
            .notes(job.without_effect(&OWN, "on OpenAI")))
    }
}

impl Training for Lora {
    /// The hyperparameters are those of the LoRA paper (arXiv 2106.09685) and of later
    /// comparisons: all linear layers, a learning rate ten times that of full
    /// fine-tuning, small batches.
    fn plan_training(job: &Job, _: &dyn Dataset) -> Result<Recipe, Refusal> {
        let rank = job.integer("lora_rank")?;
        let alpha = job.integer("lora_alpha")?;
        Ok(Recipe::new("lora")
            .setting("rank", rank)
            .setting("alpha", alpha)
            .setting("dropout", job.number("lora_dropout")?)
            .setting("target_modules", target_modules(job)?)
            .setting("learning_rate", job.given_or("learning_rate", 2e-4)?)
            .setting("n_epochs", job.given_or("n_epochs", 3)?)
            .setting("batch_size", job.given_or("batch_size", 8)?)
            .setting("warmup_ratio", 0.03)
            .setting("scheduler", "linear")
            .setting("max_gradient_norm", 1.0)
            .note(format!(
                "LoRA trains two matrices of rank {rank} next to each adapted layer and adds their product, \
                 scaled by {alpha}/{rank}; the base weights stay unchanged."
            ))
            .note("The default learning rate is ten times that of full fine-tuning, which low-rank updates need."))
    }
}

/// The layers to adapt: those that the user named, otherwise all linear ones.
fn target_modules(job: &Job) -> Result<Value, Refusal> {
    let Some(names) = job.given::<Vec<String>>("target_modules")? else { return Ok("all-linear".into()) };
    match names.as_slice() {
        [] => Err(Refusal::setting(
            "target_modules",
            "empty list; name layers such as q_proj, or remove it for all linear layers",
        )),
        [all] if all == "all-linear" => Ok("all-linear".into()),
        _ => match names.iter().enumerate().find(|(n, name)| !is_layer(name) || names[..*n].contains(name)) {
            None => Ok(Value::Texts(names)),
            Some((n, name)) => Err(Refusal::setting(
                "target_modules",
                if is_layer(name) {
                    format!("duplicate name {name}")
                } else {
                    format!("name {} is not a valid layer name; use names such as q_proj", n + 1)
                },
            )),
        },
    }
}

/// Whether a layer can be called that, perhaps with its path.
fn is_layer(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name != "all-linear" && (1..=LONGEST_TARGET).contains(&name.len()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests;
