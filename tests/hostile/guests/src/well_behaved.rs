//! A method that does everything right, with every ability. It is the plugin that
//! has to go on working next to every hostile one.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../../wit/method", world: "full-plugin" });

use exports::tunesmith::method::method::{Descriptor, IntegerRange, Kind, SettingDoc};
use exports::tunesmith::method::ollama::{OllamaConfig, Shot};
use exports::tunesmith::method::openai::OpenaiConfig;
use exports::tunesmith::method::training::Recipe;
use tunesmith::method::dataset::{self, Selection};
use tunesmith::method::diagnostics::{self, Level};
use tunesmith::method::types::{Example, Job, Refusal, Setting, Value};

struct WellBehaved;

impl exports::tunesmith::method::method::Guest for WellBehaved {
    fn describe() -> Descriptor {
        Descriptor {
            id: "well-behaved".into(),
            version: "1.2.3".into(),
            title: "Well behaved".into(),
            summary: "Does what it is asked.".into(),
            docs: "Nothing to add.".into(),
            settings: vec![SettingDoc {
                name: "shots".into(),
                doc: "How many examples the model sees.".into(),
                kind: Kind::Integer(IntegerRange { least: 0, most: 100 }),
                default: Some(Value::Integer(2)),
            }],
        }
    }
}

impl exports::tunesmith::method::ollama::Guest for WellBehaved {
    fn configure(job: Job) -> Result<OllamaConfig, Refusal> {
        if job.name == "refuse" {
            return Err(Refusal::UnsuitableDataset("this dataset is not to my taste".into()));
        }
        let shots = job
            .settings
            .iter()
            .find_map(|setting| match (setting.name.as_str(), &setting.value) {
                ("shots", Value::Integer(shots)) => Some(*shots),
                _ => None,
            })
            .unwrap_or(2);
        let rows = dataset::sample(Selection {
            count: u32::try_from(shots).unwrap_or(0),
            token_budget: None,
            longest_row_tokens: None,
            task: None,
        });
        diagnostics::note(Level::Info, &format!("{} of {} rows", rows.len(), dataset::describe().rows));
        Ok(OllamaConfig {
            system: dataset::tasks(1).pop().map(|task| task.system),
            shots: rows.iter().map(|row| Shot::Row(row.id)).collect(),
            parameters: vec![Setting { name: "temperature".into(), value: Value::Number(0.5) }],
            notes: vec![format!("for {}", job.name)],
        })
    }
}

impl exports::tunesmith::method::openai::Guest for WellBehaved {
    fn configure(_: Job) -> Result<OpenaiConfig, Refusal> {
        Ok(OpenaiConfig {
            objective: "supervised".into(),
            suffix: Some("well-behaved".into()),
            hyperparameters: vec![Setting { name: "n_epochs".into(), value: Value::Integer(2) }],
            notes: vec![],
        })
    }
}

impl exports::tunesmith::method::training::Guest for WellBehaved {
    fn plan(_: Job) -> Result<Recipe, Refusal> {
        Ok(Recipe {
            technique: "lora".into(),
            settings: vec![Setting { name: "rank".into(), value: Value::Integer(8) }],
            notes: vec![],
        })
    }
}

impl exports::tunesmith::method::transform::Guest for WellBehaved {
    /// Trims every message, and drops conversations of which nothing is left.
    fn apply(_: Job, batch: Vec<Example>) -> Result<Vec<Option<Example>>, Refusal> {
        let trim = |mut row: Example| {
            for message in &mut row.messages {
                message.content = message.content.trim().to_owned();
            }
            row.messages.iter().any(|message| !message.content.is_empty()).then_some(row)
        };
        Ok(batch.into_iter().map(trim).collect())
    }
}

export!(WellBehaved);
