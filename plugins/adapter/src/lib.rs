//! The method `adapter`: bottleneck adapters.

use tunesmith_plugin::prompt::{Arrangement, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Recipe, Refusal, Setting,
    Training, export_plugin,
};

/// The largest bottleneck: the hidden size of a model of 7 billion parameters. A
/// bottleneck as wide as the layer is none.
const WIDEST: i32 = 4096;

/// Examples on Ollama: enough for several of each task.
const MOST_EXAMPLES: u32 = 24;

/// On OpenAI 0.7 of the service's own learning rate: adapters add layers of their own
/// and may move further than low-rank updates.
const LEARNING_RATE_MULTIPLIER: f64 = 0.7;

/// Bottleneck adapters.
pub struct Adapter;

export_plugin!(Adapter: ollama, openai, training);

impl Method for Adapter {
    fn describe() -> Descriptor {
        let summary =
            "Trains small layers between those of the base model; on Ollama, one model serves several tasks.";
        Descriptor::new("adapter", env!("CARGO_PKG_VERSION"), summary)
            .title("Bottleneck adapters")
            .docs(include_str!("../README.md"))
            .setting(Setting::integer("adapter_size").range(1..=WIDEST).default(64).doc(
                "Width of the added layers: how much they can learn. Should divide the model's hidden \
                 size; 8, 64 and 256 are common.",
            ))
    }
}

impl Ollama for Adapter {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        let config = Prompt::new(job, dataset)
            .explain(
                "Ollama cannot run bottleneck adapters, so nothing is trained: the prompt contains the tasks of \
                 the dataset, with their examples grouped by task.",
            )
            .arrangement(Arrangement::ByTask)
            .examples(MOST_EXAMPLES)
            .configure()?;
        Ok(config.notes(job.without_effect(&["adapter_size"], "on Ollama")))
    }
}

impl OpenAi for Adapter {
    fn configure_openai(job: &Job, _: &dyn Dataset) -> Result<OpenAiConfig, Refusal> {
        let multiplier = job.given_or("learning_rate_multiplier", LEARNING_RATE_MULTIPLIER)?;
        let rate = if job.is_given("learning_rate_multiplier") {
            "the job's learning-rate multiplier"
        } else {
            "0.7 times OpenAI's learning rate"
        };
        Ok(OpenAiConfig::supervised()
            .suffix("adapter")
            .hyperparameter("learning_rate_multiplier", multiplier)
            .given_hyperparameters(job, &["n_epochs", "batch_size"])
            .note(format!(
                "OpenAI chooses the training technique; adapter is a supervised fine-tuning job with {rate} and \
                 the suffix adapter."
            ))
            .notes(job.without_effect(&["adapter_size"], "on OpenAI")))
    }
}

impl Training for Adapter {
    /// The hyperparameters are those of the adapter paper (arXiv 1902.00751).
    fn plan_training(job: &Job, _: &dyn Dataset) -> Result<Recipe, Refusal> {
        let size = job.integer("adapter_size")?;
        Ok(Recipe::new("bottleneck-adapter")
            .setting("adapter_size", size)
            .setting("learning_rate", job.given_or("learning_rate", 3e-4)?)
            .setting("n_epochs", job.given_or("n_epochs", 3)?)
            .setting("batch_size", job.given_or("batch_size", 32)?)
            .setting("warmup_ratio", 0.1)
            .setting("scheduler", "linear")
            .setting("max_gradient_norm", 1.0)
            .note(format!(
                "Two added layers in each block pass its output through {size} values; only they are trained."
            ))
            .note(
                "They remain in the model as layers, so each token takes slightly longer, and Ollama cannot \
                 serve them.",
            ))
    }
}

#[cfg(test)]
mod tests;
