//! Calls to a plugin in its sandbox: what comes back, and what it cost.

use crate::support;
use std::sync::Arc;
use std::time::Duration;
use support::{Place, get, guest, job, job_with_shots, row, rows};
use tunesmith_core::contract::{
    DatasetView, Example, JobSetting, Level, Message, MethodJob, Note, Origin, Overview, Refusal, Role, Row,
    Selection, Setting, Shot, Task, Value,
};
use tunesmith_plugin_host::{Ability, Limits, Source, Stopped, Tier};

#[test]
fn built_in_describes_itself_and_answers() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("well-behaved", "well_behaved")]);
    let plugin = get(&registry, "well-behaved");
    assert_eq!(plugin.descriptor().title, "Well behaved");
    assert_eq!(plugin.tier(), Tier::Pure);
    assert_eq!(plugin.contract(), "0.1.0");
    assert_eq!(plugin.source(), &Source::BuiltIn);
    assert_eq!(plugin.size(), guest("well_behaved").len() as u64);
    let all = [Ability::Ollama, Ability::OpenAi, Ability::Training, Ability::Transform];
    assert_eq!(plugin.abilities(), all);

    let answer = plugin.ollama(&job_with_shots(3), rows(100)).unwrap();
    let config = answer.result.unwrap();
    assert_eq!(config.system.as_deref(), Some(support::SYSTEM));
    assert_eq!(config.shots, [Shot::Row(0), Shot::Row(1), Shot::Row(2)]);
    assert_eq!(config.parameters, [Setting { name: "temperature".into(), value: Value::Number(0.5) }]);
    assert_eq!(answer.notes, [Note { level: Level::Info, text: "3 of 100 rows".into() }]);

    let receipt = answer.receipt;
    assert_eq!((receipt.plugin.as_str(), receipt.version.as_str()), ("well-behaved", "1.2.3"));
    assert_eq!((receipt.call.as_str(), receipt.tier), ("ollama.configure", Tier::Pure));
    assert_eq!(receipt.sha256, plugin.digest());
    assert_eq!((receipt.measured.rows, receipt.measured.host_calls), (3, 4));
    assert!(receipt.fuel.is_some_and(|fuel| fuel > 0));
    assert!(receipt.measured.peak_memory >= 64 << 10);
    assert!(receipt.measured.bytes_in > 0 && receipt.measured.bytes_out > 0);
}

#[test]
fn every_ability_answers() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("well-behaved", "well_behaved")]);
    let plugin = get(&registry, "well-behaved");
    let openai = plugin.openai(&job("support"), rows(10)).unwrap().result.unwrap();
    assert_eq!(openai.suffix.as_deref(), Some("well-behaved"));
    let recipe = plugin.training(&job("support"), rows(10)).unwrap().result.unwrap();
    assert_eq!(recipe.technique, "lora");

    let mut batch: Vec<_> = (0..3).map(|id| row(id).example).collect();
    batch[0].messages[1].content = "  padded\n".into();
    for message in &mut batch[1].messages {
        message.content = " ".into();
    }
    let answer = plugin.transform_examples(&job("support"), batch.clone()).unwrap();
    let transformed = answer.result.unwrap();
    assert_eq!(transformed[0].as_ref().unwrap().messages[1].content, "padded");
    assert_eq!(transformed[1], None);
    assert_eq!(transformed[2].as_ref(), Some(&batch[2]));
    assert_eq!(answer.receipt.fuel, None, "transforming is not metered");
}

#[test]
fn transform_gets_job_and_messages_unchanged() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("misbehaves", "misbehaves")]);
    let plugin = get(&registry, "misbehaves");
    let setting = |name: &str, value, origin| JobSetting { name: name.into(), value, origin };
    let texts = Value::Texts(vec!["q_proj".into(), String::new(), "ü".into()]);
    let job = MethodJob {
        name: "tell-job".into(),
        base_model: "llama3.2".into(),
        seed: u32::MAX,
        settings: vec![
            setting("flag", Value::Flag(true), Origin::Given),
            setting("integer", Value::Integer(-7), Origin::Default),
            setting("number", Value::Number(-0.25), Origin::Given),
            setting("text", Value::Text("\u{1f980}".into()), Origin::Default),
            setting("texts", texts, Origin::Given),
            setting("nothing", Value::Texts(vec![]), Origin::Default),
        ],
    };
    let told = plugin.transform_examples(&job, vec![row(0).example]).unwrap().result.unwrap();
    let told: Vec<String> =
        told[0].iter().flat_map(|row| &row.messages).map(|message| message.content.clone()).collect();
    insta::assert_snapshot!(told.join("\n"));

    let message = |role, content: &str| Message { role, content: content.into() };
    let batch: Vec<Example> = (0..300)
        .map(|n: usize| Example {
            messages: (0..n % 4)
                .map(|m| {
                    let role = [Role::System, Role::User, Role::Assistant][(n + m) % 3];
                    message(role, ["", "ü\u{1f980}\0", &"long ".repeat(n)][(n + m) % 3])
                })
                .collect(),
        })
        .collect();
    let same = plugin.transform_examples(&support::job("as they are"), batch.clone()).unwrap();
    assert_eq!(same.result.unwrap(), batch.iter().cloned().map(Some).collect::<Vec<_>>());
    let texts: usize = batch.iter().flat_map(|row| &row.messages).map(|message| message.content.len()).sum();
    assert_eq!(same.receipt.measured.bytes_out, texts as u64);
    assert!(same.receipt.measured.bytes_in >= texts as u64);
    let every_other = plugin.transform_examples(&support::job("drop-odd"), batch.clone()).unwrap();
    let expected: Vec<_> = (0..).zip(batch).map(|(n, row)| (n % 2 == 0).then_some(row)).collect();
    assert_eq!(every_other.result.unwrap(), expected);
    assert_eq!(plugin.transform_examples(&support::job("nothing"), vec![]).unwrap().result, Ok(vec![]));
}

#[test]
fn a_transform_may_refuse_and_has_limits() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("misbehaves", "misbehaves")]);
    let plugin = get(&registry, "misbehaves");
    let with = |name: &str| plugin.transform_examples(&support::job(name), vec![row(0).example]);
    let refused = |name: &str| with(name).unwrap().result.unwrap_err();
    let setting = Refusal::InvalidSetting { name: "shots".into(), reason: "too many".into() };
    assert_eq!(refused("refuse-setting"), setting);
    assert_eq!(refused("refuse-dataset"), Refusal::UnsuitableDataset("not to my taste".into()));
    assert_eq!(refused("refuse-all"), Refusal::Unsupported(String::new()));
    assert_eq!(refused("refuse-otherwise"), Refusal::Other("\u{1f980}".into()));
    assert_eq!(with("no-messages").unwrap().result.unwrap()[0].as_ref().unwrap().messages, []);
    let stopped = |name: &str| with(name).unwrap_err().stopped;
    assert!(matches!(stopped("giant-text"), Stopped::ResultSize { found: 2_097_152, .. }));
    assert!(matches!(stopped("many-texts"), Stopped::Memory { .. }));
    assert!(matches!(stopped("no-utf8"), Stopped::BadResult(why) if why.contains("not valid UTF-8")));
}

#[test]
fn a_refusal_is_an_answer() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("well-behaved", "well_behaved")]);
    let answer = get(&registry, "well-behaved").ollama(&job("refuse"), rows(10)).unwrap();
    assert_eq!(answer.result, Err(Refusal::UnsuitableDataset("this dataset is not to my taste".into())));
}

#[test]
fn fuel_is_the_same_in_every_run() {
    let fuel = || {
        let place = Place::new();
        let registry = place.with_built_ins(&[("well-behaved", "well_behaved")]);
        let plugin = get(&registry, "well-behaved");
        let mut fuel = (0..3).map(|_| plugin.ollama(&job_with_shots(50), rows(100)).unwrap().receipt.fuel);
        let first = fuel.next().unwrap();
        assert!(fuel.all(|other| other == first));
        first
    };
    assert_eq!(fuel(), fuel());
}

#[test]
fn std_plugin_sees_the_same_empty_world() {
    let place = Place::new();
    place.put("uses-wasi.wasm", guest("uses_wasi"));
    let plugin = get(&place.load(), "uses-wasi");
    assert_eq!(plugin.tier(), Tier::Std);
    let look = || plugin.ollama(&job("looks-around"), rows(10)).unwrap();
    let first = look();
    assert_eq!(first.receipt.tier, Tier::Std);
    let seen = first.result.unwrap().notes;
    insta::assert_snapshot!(seen.join("\n"));
    let again = look();
    assert_eq!(again.result.unwrap().notes, seen);
    assert_eq!(again.receipt.fuel, first.receipt.fuel);
    let other = plugin.ollama(&support::job_with_seed("looks-around", 8), rows(10)).unwrap();
    assert_ne!(other.result.unwrap().notes, seen, "randomness follows the seed");
}

#[test]
fn a_std_plugin_transforms_as_a_pure_one_does() {
    let place = Place::new();
    place.put("uses-wasi.wasm", guest("uses_wasi"));
    let plugin = get(&place.load(), "uses-wasi");
    let batch: Vec<_> = (0..5).map(|id| row(id).example).collect();
    let answer = plugin.transform_examples(&job("support"), batch.clone()).unwrap();
    assert_eq!(answer.result.unwrap(), batch.into_iter().map(Some).collect::<Vec<_>>());
}

#[test]
fn requests_are_bounded_and_output_is_cleaned() {
    let place = Place { limits: Limits { rows_per_sample: 25, ..Limits::default() }, ..Place::new() };
    let registry = place.with_built_ins(&[("misbehaves", "misbehaves")]);
    let plugin = get(&registry, "misbehaves");
    let notes = |name| plugin.ollama(&job(name), rows(100)).unwrap().result.unwrap().notes;
    assert_eq!(notes("greedy-sample"), ["got 25 rows"]);
    assert_eq!(notes("escape-note"), ["\u{fffd}[2J\u{fffd}gone"]);
}

#[test]
fn values_are_left_to_the_provider() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("misbehaves", "misbehaves")]);
    let plugin = get(&registry, "misbehaves");
    let config = |name| plugin.ollama(&job(name), rows(10)).unwrap().result.unwrap();
    assert_eq!(config("bad-row").shots, [Shot::Row(u32::MAX)]);
    assert_eq!(config("out-of-range").parameters[0].value, Value::Number(1e9));
}

/// A dataset that goes wrong inside a host function.
struct Wrong(fn());

impl DatasetView for Wrong {
    fn overview(&self) -> Overview {
        support::Rows(1).overview()
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        support::Rows(1).tasks(most)
    }

    fn sample(&self, _: &Selection) -> Vec<Row> {
        (self.0)();
        vec![]
    }
}

#[test]
fn call_stuck_in_the_host_is_abandoned() {
    let limits = Limits {
        plan_deadline: Duration::from_millis(100),
        grace: Duration::from_millis(50),
        queue_wait: Duration::from_millis(50),
        calls_per_plugin: 1,
        ..Limits::default()
    };
    let place = Place { limits, ..Place::new() };
    let registry = place.with_built_ins(&[("well-behaved", "well_behaved")]);
    let plugin = get(&registry, "well-behaved");
    let stuck = Arc::new(Wrong(|| std::thread::sleep(Duration::from_millis(1500))));
    let error = plugin.ollama(&job("support"), stuck).unwrap_err();
    assert!(matches!(error.stopped, Stopped::Deadline { .. }), "{error}");
    // Its thread is still there, and keeps its place.
    let error = plugin.ollama(&job("support"), rows(1)).unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn host_fault_does_not_blame_the_plugin() {
    let place = Place::new();
    let registry = place.with_built_ins(&[("well-behaved", "well_behaved")]);
    let plugin = get(&registry, "well-behaved");
    let error = plugin.ollama(&job("support"), Arc::new(Wrong(|| panic!("view")))).unwrap_err();
    assert!(matches!(error.stopped, Stopped::Host(_)), "{error}");
    plugin.ollama(&job("support"), rows(1)).unwrap();
}

#[test]
fn total_time_of_all_calls_is_bounded() {
    let total = Duration::from_millis(400);
    let limits = Limits { total: Some(total), fuel: u64::MAX / 4, ..Limits::default() };
    let place = Place { limits, ..Place::new() };
    let registry = place.with_built_ins(&[("misbehaves", "misbehaves"), ("well-behaved", "well_behaved")]);
    let error = get(&registry, "misbehaves").ollama(&job("endless-loop"), rows(1)).unwrap_err();
    assert_eq!(error.stopped, Stopped::Total { limit: total }, "{error}");
    // Nothing is left for anyone.
    let error = get(&registry, "well-behaved").ollama(&job("support"), rows(1)).unwrap_err();
    assert_eq!(error.stopped, Stopped::Total { limit: total }, "{error}");
    assert!(error.to_string().contains("total limit of 400 ms"), "{error}");
}
