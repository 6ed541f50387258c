//! What users rely on from `qlora`.

use super::*;
use tunesmith_plugin::testing::{JobBuilder, TestDataset};
use tunesmith_plugin::{Kind, NamedValue, Shot, Value};

fn value(settings: &[NamedValue], name: &str) -> Option<Value> {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.clone())
}

#[test]
fn settings_have_their_documented_defaults_and_ranges() {
    let settings = Qlora::describe().settings;
    let defaults: Vec<_> =
        settings.iter().map(|setting| (setting.name.as_str(), setting.default.clone())).collect();
    assert_eq!(
        defaults,
        [
            ("quantization_bits", Some(Value::Integer(4))),
            ("lora_rank", Some(Value::Integer(8))),
            ("lora_alpha", Some(Value::Integer(16))),
            ("lora_dropout", Some(Value::Number(0.1)))
        ]
    );
    assert!(settings.iter().all(|setting| setting.doc.len() > 40), "every setting is explained");
    assert!(matches!(&settings[0].kind, Kind::Integer(range) if (range.least, range.most) == (4, 8)));
}

#[test]
fn ollama_gets_small_window_and_short_examples() -> Result<(), Refusal> {
    let dataset = (0..20).fold(TestDataset::new(), |dataset, n| {
        dataset.conversation(
            "Answer.",
            &format!("question {n}"),
            &"long ".repeat(if n % 2 == 0 { 2 } else { 60 }),
        )
    });
    let config = Qlora::configure_ollama(&JobBuilder::of::<Qlora>().build(), &dataset)?;
    assert_eq!(value(&config.parameters, "num_ctx"), Some(Value::Integer(2048)));
    assert_eq!(config.shots.len(), 4);
    assert!(
        config.shots.iter().all(|shot| matches!(shot, Shot::Row(id) if id % 2 == 0)),
        "{:?}",
        config.shots
    );
    let wide = JobBuilder::of::<Qlora>().given("context_window", 8192).build();
    let config = Qlora::configure_ollama(&wide, &dataset)?;
    assert_eq!(value(&config.parameters, "num_ctx"), Some(Value::Integer(8192)));
    Ok(())
}

#[test]
fn bits_between_4_and_8_are_refused_everywhere() {
    let dataset = TestDataset::new().conversation("", "question", "reply");
    for bits in [5, 6, 7] {
        let job = JobBuilder::of::<Qlora>().given("quantization_bits", bits).build();
        let expected =
            Refusal::setting("quantization_bits", format!("expected 4 (nf4) or 8 (int8) bits, found {bits}"));
        assert_eq!(Qlora::configure_ollama(&job, &dataset), Err(expected.clone()));
        assert_eq!(Qlora::configure_openai(&job, &dataset), Err(expected.clone()));
        assert_eq!(Qlora::plan_training(&job, &dataset), Err(expected));
    }
}

#[test]
fn only_4_bits_are_nf4_with_double_quantisation() -> Result<(), Refusal> {
    let plan = |bits: i32| {
        let job = JobBuilder::of::<Qlora>().given("quantization_bits", bits).build();
        Qlora::plan_training(&job, &TestDataset::new())
    };
    let four = plan(4)?;
    assert_eq!(value(&four.settings, "quantization_type"), Some("nf4".into()));
    assert_eq!(value(&four.settings, "double_quantization"), Some(Value::Flag(true)));
    let eight = plan(8)?;
    assert_eq!(value(&eight.settings, "quantization_bits"), Some(Value::Integer(8)));
    assert_eq!(value(&eight.settings, "quantization_type"), None);
    assert_eq!(value(&eight.settings, "double_quantization"), None);
    Ok(())
}

#[test]
fn openai_lowers_learning_rate_unless_the_user_sets_it() -> Result<(), Refusal> {
    let own = Qlora::configure_openai(&JobBuilder::of::<Qlora>().build(), &TestDataset::new())?;
    assert_eq!(own.objective, "supervised");
    assert_eq!(own.suffix.as_deref(), Some("qlora"));
    assert_eq!(
        own.hyperparameters,
        [NamedValue { name: "learning_rate_multiplier".to_owned(), value: Value::Number(0.3) }]
    );
    let job = JobBuilder::of::<Qlora>()
        .given("learning_rate_multiplier", 2.0)
        .given("n_epochs", 7)
        .given("batch_size", 4)
        .build();
    let given = Qlora::configure_openai(&job, &TestDataset::new())?;
    assert_eq!(value(&given.hyperparameters, "learning_rate_multiplier"), Some(Value::Number(2.0)));
    assert_eq!(value(&given.hyperparameters, "n_epochs"), Some(Value::Integer(7)));
    assert_eq!(value(&given.hyperparameters, "batch_size"), Some(Value::Integer(4)));
    assert!(given.notes[0].contains("OpenAI chooses the training technique"), "{:?}", given.notes);
    Ok(())
}

#[test]
fn recipe_prefers_the_users_settings() -> Result<(), Refusal> {
    let own = Qlora::plan_training(&JobBuilder::of::<Qlora>().build(), &TestDataset::new())?;
    assert_eq!(own.technique, "qlora");
    assert_eq!(value(&own.settings, "quantization_bits"), Some(Value::Integer(4)));
    assert_eq!(value(&own.settings, "rank"), Some(Value::Integer(8)));
    assert_eq!(value(&own.settings, "target_modules"), Some("all-linear".into()));
    assert_eq!(value(&own.settings, "learning_rate"), Some(Value::Number(2e-4)));
    assert_eq!(value(&own.settings, "scheduler"), Some("constant".into()));
    assert_eq!(value(&own.settings, "max_gradient_norm"), Some(Value::Number(0.3)));
    let job = JobBuilder::of::<Qlora>()
        .given("learning_rate", 0.5)
        .given("n_epochs", 9)
        .given("batch_size", 3)
        .build();
    let given = Qlora::plan_training(&job, &TestDataset::new())?;
    assert_eq!(value(&given.settings, "learning_rate"), Some(Value::Number(0.5)));
    assert_eq!(value(&given.settings, "n_epochs"), Some(Value::Integer(9)));
    assert_eq!(value(&given.settings, "batch_size"), Some(Value::Integer(3)));
    Ok(())
}

#[test]
fn ollama_refuses_dataset_without_plain_conversations() {
    let job = JobBuilder::of::<Qlora>().build();
    let refusal = Qlora::configure_ollama(&job, &TestDataset::new().untyped(3));
    assert!(
        matches!(&refusal, Err(Refusal::UnsuitableDataset(reason)) if reason.starts_with("none of the 3 rows")),
        "{refusal:?}"
    );
}
