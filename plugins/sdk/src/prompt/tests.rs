//! What methods rely on from [`Prompt`].

use super::*;
use crate::testing::{JobBuilder, TestDataset};
use crate::{Shot, Value};

const SYSTEM: &str = "You answer customers of a small shop. Be warm, concrete and brief, and invent nothing.";

fn question(n: usize) -> String {
    format!("Question {n}: {}", "where is my order? ".repeat(1 + n % 5))
}

fn of_systems(systems: &[&str], rows: usize) -> TestDataset {
    (0..rows).fold(TestDataset::new(), |dataset, n| {
        dataset.conversation(systems[n % systems.len()], &question(n), "It is on its way to you.")
    })
}

fn window(config: &OllamaConfig) -> Option<i32> {
    config.parameters.iter().find(|setting| setting.name == "num_ctx").and_then(|setting| {
        match setting.value {
            Value::Integer(tokens) => Some(tokens),
            _ => None,
        }
    })
}

/// Tokens of the system prompt and of the examples without theirs.
fn cost(config: &OllamaConfig, dataset: &TestDataset) -> u32 {
    let system = config.system.as_deref().map_or(0, estimated_message_tokens);
    let shots = config.shots.iter().map(|shot| match shot {
        Shot::Row(id) => dataset.tokens_of(*id) - dataset.system_tokens_of(*id),
        Shot::Written(example) => estimated_tokens(example),
    });
    system + shots.sum::<u32>()
}

#[test]
fn quarter_of_the_window_stays_free() -> Result<(), Refusal> {
    let dataset = of_systems(&[SYSTEM], 300);
    for tokens in [256, 512, 1000, 2048, 4096, 7001] {
        let job = JobBuilder::new().given("context_window", tokens).build();
        let config = Prompt::new(&job, &dataset).configure()?;
        let cost = cost(&config, &dataset);
        assert_eq!(window(&config), Some(tokens));
        assert!(cost * 4 <= tokens.unsigned_abs() * 3, "{cost} of {tokens}");
        // The longest example costs about 60 tokens; a window that keeps a quarter
        // free, or as much as the longest row, has room for no more than one of those.
        assert!(cost + 100 + tokens.unsigned_abs() / 4 > tokens.unsigned_abs(), "{cost} of {tokens}");
    }
    Ok(())
}

#[test]
fn system_prompt_counts_once() -> Result<(), Refusal> {
    let long = SYSTEM.repeat(6);
    let dataset = of_systems(&[&long], 100);
    let job = JobBuilder::new().given("context_window", 2048).build();
    let config = Prompt::new(&job, &dataset).configure()?;
    let whole_rows = 2048 / dataset.tokens_of(0);
    assert!(config.shots.len() as u32 > 2 * whole_rows, "{} examples", config.shots.len());
    Ok(())
}

#[test]
fn too_small_window_suggests_a_larger_one() -> Result<(), Refusal> {
    let dataset = of_systems(&[&SYSTEM.repeat(10)], 5);
    let configure = |tokens: i32| {
        let job = JobBuilder::new().given("context_window", tokens).build();
        Prompt::new(&job, &dataset).configure()
    };
    let tokens = estimated_message_tokens(&SYSTEM.repeat(10));
    let expected = format!(
        "300 tokens are too few for the system prompt of about {tokens} tokens and a question with its answer; \
         use at least {}",
        tokens * 2
    );
    assert_eq!(configure(300), Err(Refusal::setting("context_window", expected)));
    configure((tokens * 2).cast_signed()).map(|_| ())
}

#[test]
fn examples_that_do_not_fit_are_noted() -> Result<(), Refusal> {
    let dataset = TestDataset::new().conversation("", "word ".repeat(900).trim_end(), "word ");
    let job = JobBuilder::new().given("context_window", 512).build();
    let config = Prompt::new(&job, &dataset).configure()?;
    assert!(config.shots.is_empty());
    assert!(config.notes.iter().any(|note| note.starts_with("No conversation fits")), "{:?}", config.notes);
    Ok(())
}

#[test]
fn long_system_prompt_leaves_room_for_examples() -> Result<(), Refusal> {
    // The room is smaller than a whole row, but holds several rows without their prompt.
    let dataset = of_systems(&[&SYSTEM.repeat(12)], 30);
    let job = JobBuilder::new().given("context_window", 900).build();
    let config = Prompt::new(&job, &dataset).configure()?;
    assert!(config.shots.len() >= 3, "{:?}", config.shots);
    assert!(cost(&config, &dataset) + 900 / 4 <= 900);
    Ok(())
}

#[test]
fn only_short_uses_the_average_per_task() -> Result<(), Refusal> {
    let long = SYSTEM.repeat(8);
    let dataset = (0..60).fold(TestDataset::new(), |dataset, n| match n % 3 {
        0 => dataset.conversation("Label.", &question(n), "order"),
        1 => dataset.conversation(&long, &question(n), "On its way."),
        _ => dataset.conversation(&long, &question(n), &"It is on its way to you. ".repeat(20)),
    });
    let job = JobBuilder::new().build();
    let prompt = Prompt::new(&job, &dataset).arrangement(Arrangement::LargestTask).examples(8).only_short();
    let config = prompt.configure()?;
    assert_eq!(config.shots.len(), 8);
    assert!(
        config.shots.iter().all(|shot| matches!(shot, Shot::Row(id) if id % 3 == 1)),
        "{:?}",
        config.shots
    );
    Ok(())
}

#[test]
fn an_assumed_window_is_called_assumed() -> Result<(), Refusal> {
    let dataset = of_systems(&[SYSTEM], 3);
    let config = Prompt::new(&JobBuilder::new().build(), &dataset).configure()?;
    assert_eq!(
        config.notes,
        [
            "The system prompt is that of all 3 conversations.",
            "3 of 3 conversations are examples, in about 108 tokens.",
            "The context window has 4096 tokens (default, since the job does not set context_window); 1024 of them \
             are reserved for a question and its answer.",
        ]
    );
    Ok(())
}

#[test]
fn dominant_task_is_served_alone_when_balanced() -> Result<(), Refusal> {
    let dataset = of_systems(&["Answer.", "Label.", "Answer.", "Sum up."], 40);
    let config = Prompt::new(&JobBuilder::new().build(), &dataset).configure()?;
    assert_eq!(config.system.as_deref(), Some("Answer."));
    assert_eq!(config.shots.len(), 20);
    assert!(
        config.notes[0].starts_with("The system prompt is that of 20 of 40 conversations. The others"),
        "{:?}",
        config.notes
    );
    Ok(())
}

#[test]
fn tasks_have_equal_shares_of_the_window() -> Result<(), Refusal> {
    let dataset = of_systems(&["Answer.", "Label.", "Sum up."], 300);
    let job = JobBuilder::new().given("context_window", 1024).build();
    let config = Prompt::new(&job, &dataset).configure()?;
    let mut counts = [0; 3];
    for shot in &config.shots {
        if let Shot::Row(id) = shot {
            counts[*id as usize % 3] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
    assert!(
        counts.iter().max().zip(counts.iter().min()).is_some_and(|(most, least)| most - least <= 2),
        "{counts:?}"
    );
    Ok(())
}

#[test]
fn unique_system_prompts_are_not_set() -> Result<(), Refusal> {
    let dataset = (0..100).fold(TestDataset::new(), |dataset, n| {
        dataset.conversation(
            &format!("The customer is number {n}."),
            &question(n),
            "It is on its way to you.",
        )
    });
    for arrangement in [Arrangement::Balanced, Arrangement::LargestTask, Arrangement::ByTask] {
        let config =
            Prompt::new(&JobBuilder::new().build(), &dataset).arrangement(arrangement).configure()?;
        assert_eq!(config.system, None);
        assert!(config.shots.len() > 10);
        assert!(config.notes[0].contains("differ between conversations"), "{:?}", config.notes);
    }
    Ok(())
}

#[test]
fn tasks_that_do_not_fit_are_noted() -> Result<(), Refusal> {
    let (first, second, third) = ("Answer. ".repeat(20), "Label. ".repeat(20), "Sum up. ".repeat(200));
    let dataset = of_systems(&[&first, &second, &third], 30);
    let job = JobBuilder::new().given("context_window", 2048).build();
    let config = Prompt::new(&job, &dataset).arrangement(Arrangement::ByTask).configure()?;
    let system = config.system.clone().unwrap_or_default();
    assert!(system.contains(&first) && system.contains(&second) && !system.contains("Sum up."), "{system}");
    assert!(
        config.shots.iter().all(|shot| matches!(shot, Shot::Row(id) if id % 3 != 2)),
        "{:?}",
        config.shots
    );
    assert!(config.notes.iter().any(|note| note.starts_with("1 more")), "{:?}", config.notes);
    Ok(())
}

#[test]
fn conversations_without_an_answer_are_no_examples() -> Result<(), Refusal> {
    let question = |content: &str| crate::Message { role: Role::User, content: content.to_owned() };
    let dataset = TestDataset::new()
        .row(Example { messages: vec![question("Hello?")] })
        .conversation("", "Hello?", "")
        .conversation("", "Where is it?", "On its way.");
    let config = Prompt::new(&JobBuilder::new().build(), &dataset).configure()?;
    assert_eq!(config.shots, [Shot::Row(2)]);
    Ok(())
}

#[test]
fn a_dataset_without_typed_rows_is_refused() {
    let job = JobBuilder::new().build();
    let empty = Prompt::new(&job, &TestDataset::new()).configure();
    assert!(matches!(empty, Err(Refusal::UnsuitableDataset(reason)) if reason.contains("no rows")));
    let untyped = Prompt::new(&job, &TestDataset::new().untyped(7)).configure();
    assert!(
        matches!(untyped, Err(Refusal::UnsuitableDataset(reason)) if reason.contains("none of the 7 rows"))
    );
}
