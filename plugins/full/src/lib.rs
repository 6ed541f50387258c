//! The method `full`: full fine-tuning.

use tunesmith_plugin::prompt::{Arrangement, MOST_EXAMPLES, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Recipe, Refusal, Training,
    export_plugin,
};

/// Full fine-tuning.
pub struct Full;

export_plugin!(Full: ollama, openai, training);

impl Method for Full {
    fn describe() -> Descriptor {
        let summary =
            "Trains every weight; on Ollama, the prompt has as many examples as the context window holds.";
        Descriptor::new("full", env!("CARGO_PKG_VERSION"), summary)
            .title("Full fine-tuning")
            .docs(include_str!("../README.md"))
    }
}

impl Ollama for Full {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        let explanation = format!(
            "Ollama does not train, so no weight changes: the prompt contains a system prompt and as many \
             examples as the context window holds, at most {MOST_EXAMPLES}."
        );
        Prompt::new(job, dataset)
            .explain(&explanation)
            .arrangement(Arrangement::Balanced)
            .examples(MOST_EXAMPLES)
            .configure()
    }
}

impl OpenAi for Full {
    fn configure_openai(job: &Job, _: &dyn Dataset) -> Result<OpenAiConfig, Refusal> {
        Ok(OpenAiConfig::supervised()
            .suffix("ft")
            .given_hyperparameters(job, &["n_epochs", "batch_size", "learning_rate_multiplier"])
            .note(
                "OpenAI chooses the training technique, which may not change every weight; full is a supervised \
                 fine-tuning job with the suffix ft.",
            )
            .note("OpenAI chooses hyperparameters that the job does not set (auto), as it recommends for a first run."))
    }
}

impl Training for Full {
    /// The hyperparameters are those that common trainers and comparisons agree on.
    fn plan_training(job: &Job, _: &dyn Dataset) -> Result<Recipe, Refusal> {
        Ok(Recipe::new("full")
            .setting("learning_rate", job.given_or("learning_rate", 2e-5)?)
            .setting("n_epochs", job.given_or("n_epochs", 3)?)
            .setting("batch_size", job.given_or("batch_size", 16)?)
            .setting("warmup_ratio", 0.03)
            .setting("scheduler", "cosine")
            .setting("max_gradient_norm", 1.0)
            .note("Every weight is trained, which takes about 16 bytes of memory per parameter, plus data \
                 (AdamW in mixed precision).")
            .note("The result is a complete model, not an adapter, and forgets more of the base model's knowledge \
                 than with smaller methods."))
    }
}

#[cfg(test)]
mod tests;
