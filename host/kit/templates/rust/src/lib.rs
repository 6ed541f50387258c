//! My Method: puts a few examples of the largest task into the prompt.

use tunesmith_plugin::prompt::{Arrangement, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Refusal, Setting,
    export_plugin,
};

struct MyMethod;

// The abilities, each with its trait; `training` and `transform` are the others.
export_plugin!(MyMethod: ollama, openai);

impl Method for MyMethod {
    fn describe() -> Descriptor {
        let summary = "Puts a few examples of the largest task into the prompt.";
        Descriptor::new("my-method", env!("CARGO_PKG_VERSION"), summary)
            .title("My Method")
            .docs(
                "Puts rows of the task with the most conversations in front of every question: at most \
                 `examples`, as far as the context window holds them. On OpenAI it trains with half of \
                 the service's learning rate.",
            )
            .setting(
                Setting::integer("examples")
                    .range(1..=64)
                    .default(8)
                    .doc("At most this many examples; more of them steer more and leave less room."),
            )
    }
}

impl Ollama for MyMethod {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        Prompt::new(job, dataset)
            .explain("Ollama does not train: the prompt contains examples instead.")
            .arrangement(Arrangement::LargestTask)
            .examples(job.integer("examples")?.unsigned_abs())
            .configure()
    }
}

impl OpenAi for MyMethod {
    fn configure_openai(job: &Job, _: &dyn Dataset) -> Result<OpenAiConfig, Refusal> {
        Ok(OpenAiConfig::supervised()
            .suffix("my-method")
            // A setting of the user always wins over the method's choice.
            .hyperparameter("learning_rate_multiplier", job.given_or("learning_rate_multiplier", 0.5)?)
            .given_hyperparameters(job, &["n_epochs", "batch_size"])
            .note("OpenAI chooses the technique; this is a supervised fine-tuning job.")
            .notes(job.without_effect(&["examples"], "on OpenAI")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_plugin::testing::{JobBuilder, TestDataset};

    #[test]
    fn the_setting_bounds_the_examples() -> Result<(), Refusal> {
        let dataset = TestDataset::new()
            .conversation("Be brief.", "Where is my bike?", "In the workshop.")
            .conversation("Be brief.", "When is it done?", "On Friday.");
        let job = JobBuilder::of::<MyMethod>().given("examples", 1).build();
        let config = MyMethod::configure_ollama(&job, &dataset)?;
        assert_eq!(config.shots.len(), 1);
        Ok(())
    }
}
