//! What users rely on from `lora`.

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
    let settings = Lora::describe().settings;
    let defaults: Vec<_> =
        settings.iter().map(|setting| (setting.name.as_str(), setting.default.clone())).collect();
    assert_eq!(
        defaults,
        [
            ("lora_rank", Some(Value::Integer(8))),
            ("lora_alpha", Some(Value::Integer(16))),
            ("lora_dropout", Some(Value::Number(0.1))),
            ("target_modules", None)
        ]
    );
    assert!(settings.iter().all(|setting| setting.doc.len() > 40), "every setting is explained");
    assert!(matches!(&settings[0].kind, Kind::Integer(range) if (range.least, range.most) == (1, 1024)));
    assert!(matches!(&settings[2].kind, Kind::Number(range) if range.least == 0.0 && range.most < 1.0));
}

#[test]
fn ollama_examples_are_balanced_over_the_tasks() -> Result<(), Refusal> {
    let dataset = dataset().conversation("Sum up.", "question 12", "reply 12");
    let config = Lora::configure_ollama(&JobBuilder::of::<Lora>().build(), &dataset)?;
    // The largest task has 6 of 13 conversations, less than half: all tasks, in turn.
    let system = config.system.as_deref().unwrap_or_default();
    assert!(
        system.contains("1. Answer.") && system.contains("2. Label.") && system.contains("3. Sum up."),
        "{system}"
    );
    let rows = rows(&config);
    assert_eq!(rows.len(), 13);
    let task = |id: &u32| if *id == 12 { 2 } else { [0, 1, 0, 1, 0, 2][*id as usize % 6] };
    assert_eq!(rows.iter().map(task).collect::<Vec<_>>(), [0, 0, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0]);
    Ok(())
}

#[test]
fn ollama_takes_only_the_task_that_dominates() -> Result<(), Refusal> {
    let config = Lora::configure_ollama(&JobBuilder::of::<Lora>().build(), &dataset())?;
    assert_eq!(config.system.as_deref(), Some("Answer."));
    let mut rows = rows(&config);
    rows.sort_unstable();
    assert_eq!(rows, [0, 2, 4, 6, 8, 10]);
    Ok(())
}

#[test]
fn ollama_says_which_settings_do_nothing_there() -> Result<(), Refusal> {
    let job = JobBuilder::of::<Lora>().given("lora_rank", 32).given("temperature", 0.2).build();
    let config = Lora::configure_ollama(&job, &dataset())?;
    assert!(config.notes.contains(&"lora_rank has no effect on Ollama.".to_owned()), "{:?}", config.notes);
    assert!(config.notes[0].starts_with("Ollama does not train"), "{:?}", config.notes);
    assert_eq!(value(&config.parameters, "temperature"), Some(Value::Number(0.2)));
    assert_eq!(value(&config.parameters, "num_ctx"), Some(Value::Integer(4096)));
    assert_eq!(value(&config.parameters, "seed"), None);
    Ok(())
}

#[test]
fn target_modules_are_all_linear_layers_unless_named() -> Result<(), Refusal> {
    let plan = |job: JobBuilder| Lora::plan_training(&job.build(), &TestDataset::new());
    let own = plan(JobBuilder::of::<Lora>())?;
    assert_eq!(value(&own.settings, "target_modules"), Some("all-linear".into()));
    let named = plan(JobBuilder::of::<Lora>().given("target_modules", ["q_proj", "v_proj"]))?;
    assert_eq!(value(&named.settings, "target_modules"), Some(["q_proj", "v_proj"].into()));
    let all = plan(JobBuilder::of::<Lora>().given("target_modules", ["all-linear"]))?;
    assert_eq!(value(&all.settings, "target_modules"), Some("all-linear".into()));
    let empty = plan(JobBuilder::of::<Lora>().given("target_modules", Vec::new()));
    assert!(matches!(empty, Err(Refusal::InvalidSetting(setting)) if setting.name == "target_modules"));
    Ok(())
}

#[test]
fn openai_halves_learning_rate_unless_the_user_sets_it() -> Result<(), Refusal> {
    let own = Lora::configure_openai(&JobBuilder::of::<Lora>().build(), &TestDataset::new())?;
    assert_eq!(own.objective, "supervised");
    assert_eq!(own.suffix.as_deref(), Some("lora"));
    assert_eq!(
        own.hyperparameters,
        [NamedValue { name: "learning_rate_multiplier".to_owned(), value: Value::Number(0.5) }]
    );
    let job = JobBuilder::of::<Lora>()
        .given("learning_rate_multiplier", 2.0)
        .given("n_epochs", 7)
        .given("batch_size", 4)
        .build();
    let given = Lora::configure_openai(&job, &TestDataset::new())?;
    assert_eq!(value(&given.hyperparameters, "learning_rate_multiplier"), Some(Value::Number(2.0)));
    assert_eq!(value(&given.hyperparameters, "n_epochs"), Some(Value::Integer(7)));
    assert_eq!(value(&given.hyperparameters, "batch_size"), Some(Value::Integer(4)));
    assert!(given.notes[0].contains("OpenAI chooses the training technique"), "{:?}", given.notes);
    Ok(())
}

#[test]
fn recipe_prefers_the_users_settings() -> Result<(), Refusal> {
    let own = Lora::plan_training(&JobBuilder::of::<Lora>().build(), &TestDataset::new())?;
    assert_eq!(own.technique, "lora");
    assert_eq!(value(&own.settings, "rank"), Some(Value::Integer(8)));
    assert_eq!(value(&own.settings, "alpha"), Some(Value::Integer(16)));
    assert_eq!(value(&own.settings, "dropout"), Some(Value::Number(0.1)));
    assert_eq!(value(&own.settings, "learning_rate"), Some(Value::Number(2e-4)));
    assert_eq!(value(&own.settings, "n_epochs"), Some(Value::Integer(3)));
    let job = JobBuilder::of::<Lora>()
        .given("learning_rate", 0.5)
        .given("n_epochs", 9)
        .given("batch_size", 3)
        .build();
    let given = Lora::plan_training(&job, &TestDataset::new())?;
    assert_eq!(value(&given.settings, "learning_rate"), Some(Value::Number(0.5)));
    assert_eq!(value(&given.settings, "n_epochs"), Some(Value::Integer(9)));
    assert_eq!(value(&given.settings, "batch_size"), Some(Value::Integer(3)));
    Ok(())
}

#[test]
fn ollama_refuses_dataset_without_plain_conversations() {
    let job = JobBuilder::of::<Lora>().build();
    let refusal = Lora::configure_ollama(&job, &TestDataset::new().untyped(3));
    assert!(
        matches!(&refusal, Err(Refusal::UnsuitableDataset(reason)) if reason.starts_with("none of the 3 rows")),
        "{refusal:?}"
    );
}

#[test]
fn invalid_layer_names_are_refused() {
    for names in [["q_proj", "../x"], ["q_proj", ""], ["q_proj", "all-linear"], ["q_proj", "q_proj"]] {
        let job = JobBuilder::of::<Lora>().given("target_modules", names).build();
        let refusal = Lora::plan_training(&job, &TestDataset::new());
        assert!(
            matches!(&refusal, Err(Refusal::InvalidSetting(setting)) if setting.name == "target_modules"),
            "{names:?}: {refusal:?}"
        );
    }
}
