use super::*;
use tunesmith_core::contract::{Origin, Setting};

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.into() }
}

/// A conversation from `s`, `u` and `a` with a colon and a text.
fn example(messages: &[&str]) -> Example {
    let role = |letter: &str| match letter {
        "s" => Role::System,
        "u" => Role::User,
        _ => Role::Assistant,
    };
    let split = |text: &&str| {
        let (letter, content) = text.split_once(':').unwrap();
        message(role(letter), content)
    };
    Example { messages: messages.iter().map(split).collect() }
}

fn dataset(id: u32) -> Option<Example> {
    match id {
        0 => Some(example(&["u:q0", "a:a0"])),
        1 => Some(example(&["s:Task one.", "u:q1", "a:a1"])),
        2 => Some(example(&["s:Task two.", "u:q2", "a:a2"])),
        3 => Some(example(&["s:Task two.", "u:q3", "a:a3"])),
        10 => Some(example(&[])),
        11 => Some(example(&["u:only a question"])),
        12 => Some(example(&["a:only an answer"])),
        13 => Some(example(&["u:q", "s:late", "a:a"])),
        14 => Some(example(&["u:q", "a: \n"])),
        15 => Some(example(&["s:alone"])),
        16 => Some(example(&["s:", "u:q16", "a:a16"])),
        20..=1000 => Some(example(&["u:question", "a:answer"])),
        _ => None,
    }
}

fn config(system: Option<&str>, shots: &[Shot], parameters: &[(&str, Value)]) -> OllamaConfig {
    OllamaConfig {
        system: system.map(str::to_owned),
        shots: shots.to_vec(),
        parameters: parameters
            .iter()
            .map(|(name, value)| Setting { name: (*name).into(), value: value.clone() })
            .collect(),
        notes: vec!["a note".into()],
    }
}

fn given(settings: &[(&str, Value)]) -> Vec<JobSetting> {
    settings
        .iter()
        .map(|(name, value)| JobSetting { name: (*name).into(), value: value.clone(), origin: Origin::Given })
        .collect()
}

fn checked(config: &OllamaConfig, settings: &[(&str, Value)]) -> Result<Baked, Violations> {
    check(config, &given(settings), &dataset)
}

fn rows(ids: &[u32]) -> Vec<Shot> {
    ids.iter().map(|&id| Shot::Row(id)).collect()
}

/// The stored messages, a letter and a text each.
fn stored(baked: &Baked) -> Vec<String> {
    baked.messages().iter().map(|m| format!("{}:{}", &m.role.as_str()[..1], m.content)).collect()
}

#[test]
fn an_honest_config_passes_in_json_without_its_texts() {
    let written = Shot::Written(example(&["u:hi", "a:hello"]));
    let baked = checked(
        &config(
            Some("Be kind."),
            &[Shot::Row(0), written],
            &[("temperature", Value::Number(0.2)), ("stop", Value::Texts(vec!["END".into()]))],
        ),
        &[("context_window", Value::Integer(2048))],
    )
    .unwrap();
    insta::assert_json_snapshot!(baked);
}

#[test]
fn each_lie_has_its_message() {
    let of = |config: OllamaConfig, settings: &[(&str, Value)]| {
        checked(&config, settings).unwrap_err().to_string()
    };
    let shots = |shots: &[Shot]| of(config(None, shots, &[]), &[]);
    let notes = |notes: Vec<String>| of(OllamaConfig { notes, ..config(None, &[], &[]) }, &[]);
    let long = "x".repeat(LONGEST_SYSTEM + 1);
    let messages = [
        shots(&rows(&[0, 5])),
        shots(&rows(&[u32::MAX])),
        shots(&rows(&[0, 1, 0])),
        shots(&rows(&[10])),
        shots(&rows(&[11])),
        shots(&rows(&[12])),
        shots(&rows(&[13])),
        shots(&rows(&[14])),
        shots(&rows(&[15])),
        shots(&[Shot::Written(example(&["u:hi"]))]),
        shots(&[Shot::Written(example(&[&format!("u:{long}"), "a:x"]))]),
        shots(&rows(&(20..277).collect::<Vec<_>>())),
        of(config(Some(&long), &[], &[]), &[]),
        notes(vec!["x".into(); 33]),
        notes(vec!["ok".into(), "x".repeat(2001)]),
        of(config(None, &[], &[("temperature", Value::Number(0.2))]), &[("temperature", Value::Number(0.7))]),
        of(
            config(None, &[], &[("num_ctx", Value::Integer(8192))]),
            &[("context_window", Value::Integer(2048))],
        ),
        of(config(None, &[], &[("seed", Value::Integer(1))]), &[("seed", Value::Integer(2))]),
        of(config(None, &[], &[("seed", Value::Integer(1)), ("num_gpu", Value::Integer(0))]), &[]),
        of(config(None, &[], &[]), &[("context_window", Value::Integer(1))]),
        of(
            config(Some(&"word ".repeat(1000)), &rows(&[0]), &[]),
            &[("context_window", Value::Integer(1024))],
        ),
        of(config(None, &rows(&[11, 12, 5]), &[("tempo", Value::Flag(true))]), &[]),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn who_chooses_the_context_window() {
    let window = |parameters: &[(&str, Value)], settings: &[(&str, Value)]| {
        let baked = checked(&config(Some("x"), &[], parameters), settings).unwrap();
        assert_eq!(
            baked.parameters.get("num_ctx"),
            Some(&ParameterValue::Integer(baked.context_window.tokens.try_into().unwrap()))
        );
        let assumed = baked.warnings.iter().any(|warning| warning.code == WarningCode::ContextAssumed);
        assert_eq!(assumed, baked.context_window.origin == ContextOrigin::Assumed);
        (baked.context_window.tokens, baked.context_window.origin)
    };
    assert_eq!(window(&[], &[("context_window", Value::Integer(2048))]), (2048, ContextOrigin::Given));
    assert_eq!(
        window(&[("num_ctx", Value::Integer(2048))], &[("context_window", Value::Integer(2048))]),
        (2048, ContextOrigin::Given)
    );
    assert_eq!(window(&[("num_ctx", Value::Integer(1024))], &[]), (1024, ContextOrigin::Method));
    assert_eq!(window(&[], &[]), (ASSUMED_CONTEXT_WINDOW, ContextOrigin::Assumed));
    assert_eq!(window(&[("num_ctx", Value::Integer(4096))], &[]), (4096, ContextOrigin::Assumed));
}

#[test]
fn a_given_value_comes_through_even_if_the_method_forgets_it() {
    let settings = [("temperature", Value::Number(0.7)), ("seed", Value::Integer(5))];
    let baked = checked(&config(Some("x"), &[], &[]), &settings).unwrap();
    assert_eq!(baked.parameters.get("temperature"), Some(&ParameterValue::Number(0.7)));
    assert_eq!(baked.parameters.get("seed"), Some(&ParameterValue::Integer(5)));
    // The same value in another form is no lie: 1 is 1.0, and 0.7 may have been rounded.
    for same in [Value::Number(f64::from(0.7_f32)), Value::Number(0.7)] {
        assert!(checked(&config(Some("x"), &[], &[("temperature", same)]), &settings).is_ok());
    }
}

#[test]
fn a_rows_system_prompt_is_left_out() {
    let layout =
        |system: Option<&str>, ids: &[u32]| stored(&checked(&config(system, &rows(ids), &[]), &[]).unwrap());
    assert_eq!(layout(None, &[0, 1]), ["u:q0", "a:a0", "u:q1", "a:a1"]);
    assert_eq!(layout(Some("Main."), &[2, 16]), ["u:q2", "a:a2", "u:q16", "a:a16"]);
    // A blank one is none.
    assert_eq!(checked(&config(Some(" \n"), &[], &[]), &[]).unwrap().system, None);
}

#[test]
fn a_written_system_prompt_stands_where_it_changes() {
    let layout =
        |system: Option<&str>, shots: &[Shot]| stored(&checked(&config(system, shots, &[]), &[]).unwrap());
    let written = |system: &str| Shot::Written(example(&[&format!("s:{system}"), "u:q", "a:a"]));
    assert_eq!(layout(None, &[Shot::Row(0), written("One.")]), ["u:q0", "a:a0", "s:One.", "u:q", "a:a"]);
    // The model's own is in force from the start, and is not said again.
    assert_eq!(layout(Some("One."), &[written("One."), Shot::Row(0)]), ["u:q", "a:a", "u:q0", "a:a0"]);
    // Neighbours of one kind say it once; a blank one is none.
    assert_eq!(
        layout(None, &[written("Two."), written("Two."), written(" ")]),
        ["s:Two.", "u:q", "a:a", "u:q", "a:a", "u:q", "a:a"]
    );
    // An example without one, and the user's question, come under the model's own.
    assert_eq!(
        layout(Some("Main."), &[written("Two."), Shot::Row(1), written("One.")]),
        ["s:Two.", "u:q", "a:a", "s:Main.", "u:q1", "a:a1", "s:One.", "u:q", "a:a", "s:Main."]
    );
}

#[test]
fn the_budget_counts_every_stored_message() {
    let written = Shot::Written(example(&["s:Other.", "u:q", "a:a"]));
    let baked = checked(&config(Some("Main."), &[written, Shot::Row(1)], &[]), &[]).unwrap();
    let tokens: u64 = baked.messages().iter().map(|message| TOKENIZER.count_message(message)).sum();
    let system = TOKENIZER.count_message(&system_message("Main."));
    assert_eq!(baked.budget.shots, tokens);
    assert_eq!(baked.budget.system, system);
    assert_eq!(baked.budget.total(), tokens + system + 1024);
}

#[test]
fn the_budget_is_kept_to_the_token() {
    // 512 - 128 kept free - 4 for the message = 380 tokens of text.
    let with = |bytes: usize| {
        checked(&config(Some(&"x".repeat(bytes)), &[], &[]), &[("context_window", Value::Integer(512))])
    };
    assert!(with(380 * 3).is_ok());
    let violations = with(380 * 3 + 1).unwrap_err();
    assert_eq!(
        violations.list,
        [Violation::OverBudget { system: 385, examples: 0, count: 0, reserve: 128, context_window: 512 }]
    );
}

#[test]
fn what_the_user_should_know() {
    let said = |config: &OllamaConfig| -> Vec<String> {
        let baked = checked(config, &[("context_window", Value::Integer(8192))]).unwrap();
        baked.warnings.iter().map(ToString::to_string).collect()
    };
    let all = [
        said(&config(None, &[], &[])),
        said(&config(None, &rows(&(20..120).collect::<Vec<_>>()), &[])),
        said(&config(Some("x"), &rows(&[0, 1]), &[])),
        said(&config(Some("1. Task one.\n2. Task three."), &rows(&[1]), &[])),
    ];
    insta::assert_debug_snapshot!(all);
}

#[test]
fn rows_are_asked_for_only_as_often_as_they_may_be() {
    let asked = std::cell::Cell::new(0);
    let count = |id: u32| {
        asked.set(asked.get() + 1);
        dataset(id)
    };
    let flood = config(None, &rows(&vec![0; 1_000_000]), &[]);
    assert!(check(&flood, &[], &count).is_err());
    assert_eq!(asked.get(), 0);
}

mod any_answer {
    use super::*;
    use crate::ollama::parameters::{FORBIDDEN, PARAMETERS};
    use crate::ollama::{CreateRequest, ModelName};
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::Flag),
            (-3..9000_i32).prop_map(Value::Integer),
            any::<i32>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Number),
            (-3.0..3.0_f64).prop_map(Value::Number),
            ".{0,8}".prop_map(Value::Text),
            proptest::collection::vec(".{0,4}", 0..4).prop_map(Value::Texts),
        ]
    }

    fn name() -> impl Strategy<Value = String> {
        let known: Vec<String> = PARAMETERS.iter().map(|entry| entry.name.to_owned()).collect();
        let forbidden: Vec<String> = FORBIDDEN.iter().map(|(name, _)| (*name).to_owned()).collect();
        prop_oneof![
            20 => proptest::sample::select(known),
            1 => proptest::sample::select(forbidden),
            1 => any::<String>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// Whatever comes back, it is refused in words, or what becomes of it keeps every
        /// promise.
        #[test]
        fn is_refused_or_keeps_every_promise(
            system in proptest::option::of(".{0,40}"),
            ids in proptest::collection::vec(prop_oneof![4 => 20..60_u32, 1 => any::<u32>()], 0..6),
            parameters in proptest::collection::vec((name(), value()), 0..3),
            temperature in proptest::option::of(0.0..2.0_f64),
            window in proptest::option::of(256..9000_i32),
        ) {
            let parameters: Vec<(&str, Value)> =
                parameters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            let mut settings = Vec::new();
            settings.extend(temperature.map(|value| ("temperature", Value::Number(value))));
            settings.extend(window.map(|value| ("context_window", Value::Integer(value))));
            let baked = match checked(&config(system.as_deref(), &rows(&ids), &parameters), &settings) {
                Ok(baked) => baked,
                Err(violations) => {
                    let message = violations.to_string();
                    prop_assert!(!message.is_empty() && !message.contains(tunesmith_core::text::is_hidden));
                    return Ok(());
                }
            };
            prop_assert!(baked.budget.total() <= u64::from(baked.context_window.tokens));
            if let Some(window) = window {
                prop_assert_eq!(baked.parameters.get("num_ctx"), Some(&ParameterValue::Integer(window)));
            }
            if let (Some(given), Some(ParameterValue::Number(kept))) = (temperature, baked.parameters.get("temperature")) {
                prop_assert!((given - kept).abs() < 1e-6);
            } else {
                prop_assert!(temperature.is_none());
            }
            let (model, base) = (ModelName::parse("new").unwrap(), ModelName::parse("base").unwrap());
            let request = CreateRequest::new(model, base, &baked).unwrap();
            let json = serde_json::to_string(&request).unwrap();
            prop_assert_eq!(serde_json::from_str::<CreateRequest>(&json).unwrap(), request);
        }
    }
}
