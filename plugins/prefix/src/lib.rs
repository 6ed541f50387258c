//! The method `prefix`: prefix tuning.

use tunesmith_plugin::prompt::{Arrangement, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Recipe, Refusal, Setting,
    Training, export_plugin,
};

/// The longest prefix. It takes its length from every context window, and published
/// prefixes end at 200; 512 is half of the smallest window still in use.
const LONGEST_PREFIX: i32 = 512;

/// Passes over the data on OpenAI: few, as for the small change that a prefix is.
const EPOCHS: i32 = 2;

/// Prefix tuning.
pub struct Prefix;

export_plugin!(Prefix: ollama, openai, training);

impl Method for Prefix {
    fn describe() -> Descriptor {
        let summary = "Puts a trained prefix, or on Ollama a text, in front of every conversation.";
        Descriptor::new("prefix", env!("CARGO_PKG_VERSION"), summary)
            .title("Prefix tuning")
            .docs(include_str!("../README.md"))
            .setting(Setting::integer("prefix_length").range(1..=LONGEST_PREFIX).default(10).doc(
                "Length of the prefix: virtual tokens in training, at most this many examples on Ollama. Longer \
                 ones steer more and leave less of the context window.",
            ))
    }
}

impl Ollama for Prefix {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        let length = job.integer("prefix_length")?;
        let explanation = format!(
            "Ollama cannot use a trained prefix, so the prefix is text: the system prompt of the largest task \
             and at most {length} of its examples."
        );
        Prompt::new(job, dataset)
            .explain(&explanation)
            .arrangement(Arrangement::LargestTask)
            .examples(length.unsigned_abs())
            .configure()
    }
}

impl OpenAi for Prefix {
    fn configure_openai(job: &Job, _: &dyn Dataset) -> Result<OpenAiConfig, Refusal> {
        let epochs = job.given_or("n_epochs", EPOCHS)?;
        Ok(OpenAiConfig::supervised()
            .suffix("prefix")
            .hyperparameter("n_epochs", epochs)
            .given_hyperparameters(job, &["learning_rate_multiplier", "batch_size"])
            .note(format!(
                "OpenAI chooses the training technique; prefix is a supervised fine-tuning job of {epochs} \
                 epochs with the suffix prefix."
            ))
            .notes(job.without_effect(&["prefix_length"], "on OpenAI")))
    }
}

impl Training for Prefix {
    /// The hyperparameters are those of the prefix-tuning paper (arXiv 2101.00190) where
    /// it states them; the rate is the one that did best in PEFT's published comparison.
    fn plan_training(job: &Job, _: &dyn Dataset) -> Result<Recipe, Refusal> {
        let length = job.integer("prefix_length")?;
        Ok(Recipe::new("prefix")
            .setting("prefix_length", length)
            .setting("initialization", "zero")
            .setting("learning_rate", job.given_or("learning_rate", 5e-3)?)
            .setting("n_epochs", job.given_or("n_epochs", 5)?)
            .setting("batch_size", job.given_or("batch_size", 8)?)
            .setting("warmup_ratio", 0.0)
            .setting("scheduler", "linear")
            .setting("max_gradient_norm", 1.0)
            .note(format!(
                "Prefix tuning trains {length} virtual tokens in front of every layer's input and keeps all \
                 weights unchanged; they take {length} tokens of the context window."
            ))
            .note(
                "The prefix starts at zero, so training starts from the base model's quality; random values \
                 would reduce it.",
            ))
    }
}

#[cfg(test)]
mod tests;
