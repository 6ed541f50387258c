//! DoRA: low-rank adaptation that trains direction and magnitude of each weight apart.
//!
//! A whole plugin: one method with settings of its own, two abilities, and tests.

use tunesmith_plugin::prompt::{Arrangement, Prompt};
use tunesmith_plugin::{
    Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, Recipe, Refusal, Setting, Training, export_plugin,
};

struct Dora;

// `openai` is left out, so a job for OpenAI is told that this method does not support it.
export_plugin!(Dora: ollama, training);

impl Method for Dora {
    fn describe() -> Descriptor {
        let summary =
            "Trains direction and magnitude of each weight apart; learns more than LoRA at low ranks.";
        Descriptor::new("dora", env!("CARGO_PKG_VERSION"), summary)
            .title("Weight-decomposed low-rank adaptation")
            .docs(include_str!("../README.md"))
            // Without a default: the method chooses one that suits the dataset.
            .setting(
                Setting::integer("dora_rank").range(1..=1024).doc(
                    "Rank of the update: how much it can learn. By the size of the dataset unless given.",
                ),
            )
            .setting(
                Setting::number("dora_dropout")
                    .at_least(0.0)
                    .up_to(0.99)
                    .default(0.05)
                    .doc("Share of the update's inputs that each training step leaves out; 0 turns it off."),
            )
    }
}

impl Training for Dora {
    fn plan_training(job: &Job, dataset: &dyn Dataset) -> Result<Recipe, Refusal> {
        let rows = dataset.overview().rows;
        if rows == 0 {
            return Err(Refusal::dataset("there are no conversations to train on"));
        }
        let rank = job.given_or("dora_rank", rank_for(rows))?;
        let recipe = Recipe::new("dora")
            .setting("rank", rank)
            .setting("alpha", 2 * rank)
            .setting("dropout", job.number("dora_dropout")?)
            .setting("target_modules", "all-linear")
            .setting("learning_rate", job.given_or("learning_rate", 1e-4)?)
            .setting("n_epochs", job.given_or("n_epochs", 3)?)
            .setting("batch_size", job.given_or("batch_size", 8)?)
            .note("DoRA costs more time and memory for each step than LoRA and must be merged before it is served.");
        Ok(if job.is_given("dora_rank") {
            recipe
        } else {
            recipe.note(format!("Rank {rank} suits {rows} conversations; dora_rank overrides it."))
        })
    }
}

impl Ollama for Dora {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        let config = Prompt::new(job, dataset)
            .explain("Ollama cannot train or load DoRA weights: the prompt contains examples instead.")
            .arrangement(Arrangement::Balanced)
            .examples(12)
            .configure()?;
        Ok(config.notes(job.without_effect(&["dora_rank", "dora_dropout"], "on Ollama")))
    }
}

/// A rank for a dataset of this many conversations. DoRA reaches LoRA's quality at
/// about half of its rank, so these are half of what is usual there.
fn rank_for(rows: u64) -> i32 {
    match rows {
        0..1_000 => 4,
        1_000..10_000 => 8,
        _ => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_plugin::Value;
    use tunesmith_plugin::testing::{JobBuilder, TestDataset};

    fn rank(recipe: &Recipe) -> Option<&Value> {
        recipe.settings.iter().find(|setting| setting.name == "rank").map(|setting| &setting.value)
    }

    #[test]
    fn the_rank_follows_the_dataset_unless_the_user_chose_it() -> Result<(), Refusal> {
        let small = TestDataset::new().conversation("Be brief.", "Where is my order?", "On its way.");
        let large = small.clone().untyped(20_000);
        let own = JobBuilder::of::<Dora>().build();
        assert_eq!(rank(&Dora::plan_training(&own, &small)?), Some(&Value::Integer(4)));
        assert_eq!(rank(&Dora::plan_training(&own, &large)?), Some(&Value::Integer(16)));
        let given = JobBuilder::of::<Dora>().given("dora_rank", 64).build();
        assert_eq!(rank(&Dora::plan_training(&given, &small)?), Some(&Value::Integer(64)));
        Ok(())
    }

    #[test]
    fn ollama_gets_the_datasets_system_prompt_and_examples() -> Result<(), Refusal> {
        let dataset = TestDataset::new().conversation("Be brief.", "Where is my order?", "On its way.");
        let config = Dora::configure_ollama(&JobBuilder::of::<Dora>().build(), &dataset)?;
        assert_eq!(config.system.as_deref(), Some("Be brief."));
        assert_eq!(config.shots.len(), 1);
        Ok(())
    }
}
