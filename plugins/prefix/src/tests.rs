//! What users rely on from `prefix`.

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
    let settings = Prefix::describe().settings;
    let defaults: Vec<_> =
        settings.iter().map(|setting| (setting.name.as_str(), setting.default.clone())).collect();
    assert_eq!(defaults, [("prefix_length", Some(Value::Integer(10)))]);
    assert!(settings.iter().all(|setting| setting.doc.len() > 40), "every setting is explained");
    assert!(matches!(&settings[0].kind, Kind::Integer(range) if (range.least, range.most) == (1, 512)));
}

#[test]
fn ollama_prefix_comes_from_the_largest_task() -> Result<(), Refusal> {
    let job = JobBuilder::of::<Prefix>().given("prefix_length", 4).build();
    let config = Prefix::configure_ollama(&job, &dataset())?;
    assert_eq!(config.system.as_deref(), Some("Answer."));
    let rows = rows(&config);
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|id| id % 2 == 0), "{rows:?}");
    let config = Prefix::configure_ollama(&JobBuilder::of::<Prefix>().build(), &dataset())?;
    assert_eq!(config.shots.len(), 6, "no more than the task has");
    assert!(config.notes[0].contains("at most 10 of its examples"), "{:?}", config.notes);
    Ok(())
}

#[test]
fn openai_gets_two_epochs_unless_the_user_chose() -> Result<(), Refusal> {
    let own = Prefix::configure_openai(&JobBuilder::of::<Prefix>().build(), &TestDataset::new())?;
    assert_eq!(own.objective, "supervised");
    assert_eq!(own.suffix.as_deref(), Some("prefix"));
    assert_eq!(own.hyperparameters, [NamedValue { name: "n_epochs".to_owned(), value: Value::Integer(2) }]);
    let job = JobBuilder::of::<Prefix>()
        .given("learning_rate_multiplier", 2.0)
        .given("n_epochs", 7)
        .given("batch_size", 4)
        .build();
    let given = Prefix::configure_openai(&job, &TestDataset::new())?;
    assert_eq!(value(&given.hyperparameters, "learning_rate_multiplier"), Some(Value::Number(2.0)));
    assert_eq!(value(&given.hyperparameters, "n_epochs"), Some(Value::Integer(7)));
    assert_eq!(value(&given.hyperparameters, "batch_size"), Some(Value::Integer(4)));
    assert!(given.notes[0].contains("OpenAI chooses the training technique"), "{:?}", given.notes);
    Ok(())
}

#[test]
fn recipe_prefers_the_users_settings() -> Result<(), Refusal> {
    let own = Prefix::plan_training(&JobBuilder::of::<Prefix>().build(), &TestDataset::new())?;
    assert_eq!(own.technique, "prefix");
    assert_eq!(value(&own.settings, "prefix_length"), Some(Value::Integer(10)));
    assert_eq!(value(&own.settings, "initialization"), Some("zero".into()));
    assert_eq!(value(&own.settings, "learning_rate"), Some(Value::Number(5e-3)));
    assert_eq!(value(&own.settings, "n_epochs"), Some(Value::Integer(5)));
    let job = JobBuilder::of::<Prefix>()
        .given("learning_rate", 0.5)
        .given("n_epochs", 9)
        .given("batch_size", 3)
        .build();
    let given = Prefix::plan_training(&job, &TestDataset::new())?;
    assert_eq!(value(&given.settings, "learning_rate"), Some(Value::Number(0.5)));
    assert_eq!(value(&given.settings, "n_epochs"), Some(Value::Integer(9)));
    assert_eq!(value(&given.settings, "batch_size"), Some(Value::Integer(3)));
    Ok(())
}

#[test]
fn ollama_refuses_dataset_without_plain_conversations() {
    let job = JobBuilder::of::<Prefix>().build();
    let refusal = Prefix::configure_ollama(&job, &TestDataset::new().untyped(3));
    assert!(
        matches!(&refusal, Err(Refusal::UnsuitableDataset(reason)) if reason.starts_with("none of the 3 rows")),
        "{refusal:?}"
    );
}
