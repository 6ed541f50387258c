//! What users rely on from `adapter`.

use super::*;
use tunesmith_plugin::testing::{JobBuilder, TestDataset};
use tunesmith_plugin::{Kind, NamedValue, Shot, Value};

fn value(settings: &[NamedValue], name: &str) -> Option<Value> {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.clone())
}

/// Three tasks of 6, 4 and 2 conversations, in turn, with a repeated one.
fn dataset() -> TestDataset {
    (0..12).fold(TestDataset::new(), |dataset, n| {
        let system = ["Answer.", "Label.", "Answer.", "Label.", "Answer.", "Sum up."][n % 6];
        dataset.conversation(system, &format!("question {n}"), &format!("reply {n}"))
    })
}

fn rows(config: &OllamaConfig) -> Vec<u32> {
    config.shots.iter().filter_map(|shot| if let Shot::Row(id) = shot { Some(*id) } else { None }).collect()
}

#[test]
fn settings_have_their_documented_defaults_and_ranges() {
    let settings = Adapter::describe().settings;
    let defaults: Vec<_> =
        settings.iter().map(|setting| (setting.name.as_str(), setting.default.clone())).collect();
    assert_eq!(defaults, [("adapter_size", Some(Value::Integer(64)))]);
    assert!(settings.iter().all(|setting| setting.doc.len() > 40), "every setting is explained");
    assert!(matches!(&settings[0].kind, Kind::Integer(range) if (range.least, range.most) == (1, 4096)));
}

#[test]
fn ollama_examples_come_task_by_task() -> Result<(), Refusal> {
    let config = Adapter::configure_ollama(&JobBuilder::of::<Adapter>().build(), &dataset())?;
    let system = config.system.as_deref().unwrap_or_default();
    assert!(system.ends_with("\n\n1. Answer.\n\n2. Label.\n\n3. Sum up."), "{system}");
    let tasks: Vec<_> = rows(&config).iter().map(|id| [0, 1, 0, 1, 0, 2][*id as usize % 6]).collect();
    // The largest task is nearest to the question.
    assert_eq!(tasks, [2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
    Ok(())
}

#[test]
fn a_single_task_keeps_its_own_system_prompt() -> Result<(), Refusal> {
    let dataset = TestDataset::new().conversation("Answer.", "a", "b").conversation("Answer.", "c", "d");
    let config = Adapter::configure_ollama(&JobBuilder::of::<Adapter>().build(), &dataset)?;
    assert_eq!(config.system.as_deref(), Some("Answer."));
    assert_eq!(config.shots.len(), 2);
    Ok(())
}

#[test]
fn openai_lowers_learning_rate_unless_the_user_sets_it() -> Result<(), Refusal> {
    let own = Adapter::configure_openai(&JobBuilder::of::<Adapter>().build(), &TestDataset::new())?;
    assert_eq!(own.objective, "supervised");
    assert_eq!(own.suffix.as_deref(), Some("adapter"));
    assert_eq!(
        own.hyperparameters,
        [NamedValue { name: "learning_rate_multiplier".to_owned(), value: Value::Number(0.7) }]
    );
    let job = JobBuilder::of::<Adapter>()
        .given("learning_rate_multiplier", 2.0)
        .given("n_epochs", 7)
        .given("batch_size", 4)
        .build();
    let given = Adapter::configure_openai(&job, &TestDataset::new())?;
    assert_eq!(value(&given.hyperparameters, "learning_rate_multiplier"), Some(Value::Number(2.0)));
    assert_eq!(value(&given.hyperparameters, "n_epochs"), Some(Value::Integer(7)));
    assert_eq!(value(&given.hyperparameters, "batch_size"), Some(Value::Integer(4)));
    assert!(given.notes[0].contains("OpenAI chooses the training technique"), "{:?}", given.notes);
    Ok(())
}

#[test]
fn recipe_prefers_the_users_settings() -> Result<(), Refusal> {
    let own = Adapter::plan_training(&JobBuilder::of::<Adapter>().build(), &TestDataset::new())?;
    assert_eq!(own.technique, "bottleneck-adapter");
    assert_eq!(value(&own.settings, "adapter_size"), Some(Value::Integer(64)));
    assert_eq!(value(&own.settings, "learning_rate"), Some(Value::Number(3e-4)));
    assert_eq!(value(&own.settings, "batch_size"), Some(Value::Integer(32)));
    assert_eq!(value(&own.settings, "warmup_ratio"), Some(Value::Number(0.1)));
    let job = JobBuilder::of::<Adapter>()
        .given("learning_rate", 0.5)
        .given("n_epochs", 9)
        .given("batch_size", 3)
        .build();
    let given = Adapter::plan_training(&job, &TestDataset::new())?;
    assert_eq!(value(&given.settings, "learning_rate"), Some(Value::Number(0.5)));
    assert_eq!(value(&given.settings, "n_epochs"), Some(Value::Integer(9)));
    assert_eq!(value(&given.settings, "batch_size"), Some(Value::Integer(3)));
    Ok(())
}

#[test]
fn ollama_refuses_dataset_without_plain_conversations() {
    let job = JobBuilder::of::<Adapter>().build();
    let refusal = Adapter::configure_ollama(&job, &TestDataset::new().untyped(3));
    assert!(
        matches!(&refusal, Err(Refusal::UnsuitableDataset(reason)) if reason.starts_with("none of the 3 rows")),
        "{refusal:?}"
    );
}
