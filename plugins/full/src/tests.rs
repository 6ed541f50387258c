//! What users rely on from `full`.

use super::*;
use tunesmith_plugin::testing::{JobBuilder, TestDataset};
use tunesmith_plugin::{NamedValue, Value};

fn value(settings: &[NamedValue], name: &str) -> Option<Value> {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.clone())
}

#[test]
fn it_has_no_settings_of_its_own() {
    assert!(Full::describe().settings.is_empty());
}

#[test]
fn ollama_gets_examples_up_to_the_window() -> Result<(), Refusal> {
    let dataset = (0..600).fold(TestDataset::new(), |dataset, n| {
        dataset.conversation("Answer.", &format!("question {n}"), "A reply of a few words.")
    });
    let count = |window: i32| {
        let job = JobBuilder::of::<Full>().given("context_window", window).build();
        Full::configure_ollama(&job, &dataset).map(|config| config.shots.len())
    };
    // Each example costs 3 + 4 + 4 (question) + 4 + 8 (reply) = 23 tokens or one more;
    // the system prompt 7, and a quarter of the window stays free.
    assert!((57..=66).contains(&count(2048)?), "{}", count(2048)?);
    assert!((118..=133).contains(&count(4096)?), "{}", count(4096)?);
    assert_eq!(count(131_072)?, 256);
    Ok(())
}

#[test]
fn openai_gets_no_hyperparameters_unless_the_user_chose() -> Result<(), Refusal> {
    let own = Full::configure_openai(&JobBuilder::of::<Full>().build(), &TestDataset::new())?;
    assert_eq!(own.objective, "supervised");
    assert_eq!(own.suffix.as_deref(), Some("ft"));
    assert_eq!(own.hyperparameters, []);
    let job = JobBuilder::of::<Full>()
        .given("learning_rate_multiplier", 2.0)
        .given("n_epochs", 7)
        .given("batch_size", 4)
        .build();
    let given = Full::configure_openai(&job, &TestDataset::new())?;
    assert_eq!(value(&given.hyperparameters, "learning_rate_multiplier"), Some(Value::Number(2.0)));
    assert_eq!(value(&given.hyperparameters, "n_epochs"), Some(Value::Integer(7)));
    assert_eq!(value(&given.hyperparameters, "batch_size"), Some(Value::Integer(4)));
    assert!(given.notes[0].contains("OpenAI chooses the training technique"), "{:?}", given.notes);
    Ok(())
}

#[test]
fn recipe_prefers_the_users_settings() -> Result<(), Refusal> {
    let own = Full::plan_training(&JobBuilder::of::<Full>().build(), &TestDataset::new())?;
    assert_eq!(own.technique, "full");
    assert_eq!(value(&own.settings, "learning_rate"), Some(Value::Number(2e-5)));
    assert_eq!(value(&own.settings, "n_epochs"), Some(Value::Integer(3)));
    assert_eq!(value(&own.settings, "scheduler"), Some("cosine".into()));
    let job = JobBuilder::of::<Full>()
        .given("learning_rate", 0.5)
        .given("n_epochs", 9)
        .given("batch_size", 3)
        .build();
    let given = Full::plan_training(&job, &TestDataset::new())?;
    assert_eq!(value(&given.settings, "learning_rate"), Some(Value::Number(0.5)));
    assert_eq!(value(&given.settings, "n_epochs"), Some(Value::Integer(9)));
    assert_eq!(value(&given.settings, "batch_size"), Some(Value::Integer(3)));
    Ok(())
}

#[test]
fn ollama_refuses_dataset_without_plain_conversations() {
    let job = JobBuilder::of::<Full>().build();
    let refusal = Full::configure_ollama(&job, &TestDataset::new().untyped(3));
    assert!(
        matches!(&refusal, Err(Refusal::UnsuitableDataset(reason)) if reason.starts_with("none of the 3 rows")),
        "{refusal:?}"
    );
}
