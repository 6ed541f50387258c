//! The common settings of a job, and what each provider does with each: one table,
//! which the warnings of a plan and the README's table come from.

use super::accepts::Accepts;
use super::violation::{List, Violation};
use super::warning::{Warning, WarningCode};
use crate::facts;
use serde::Serialize;
use tunesmith_core::ProviderId;
use tunesmith_core::contract::{JobSetting, Origin, SettingDoc, Value};

/// The smallest context window that holds a short question and its answer beside a
/// sentence of instructions.
pub const LEAST_CONTEXT_WINDOW: u32 = 256;

/// The largest context window that any model of note was trained for; Ollama clamps
/// to what the model was trained for.
pub const MOST_CONTEXT_WINDOW: u32 = 1_048_576;

/// OpenAI's specification: 1 to 50.
pub const MOST_EPOCHS: i32 = 50;

/// OpenAI's specification: 1 to 256.
pub const MOST_BATCH_SIZE: i32 = 256;

/// OpenAI's specification only says "above 0". Useful values lie between 0.02 and 2;
/// ten times OpenAI's own choice already destroys a model, so more is a mistake.
pub const MOST_LEARNING_RATE_MULTIPLIER: f64 = 10.0;

/// What a provider does with a common setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "use", content = "text", rename_all = "lowercase")]
pub enum Use {
    /// It has the same meaning there.
    Used,
    /// It becomes something else there: what.
    Mapped(&'static str),
    /// It has no meaning there: why. The plan warns.
    Ignored(&'static str),
}

/// A setting that the host declares for every method. It is absent unless given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Common {
    /// The name; methods cannot declare it.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Its type and range.
    pub accepts: Accepts,
    /// On Ollama.
    pub ollama: Use,
    /// On OpenAI.
    pub openai: Use,
    /// On the local trainer.
    pub local: Use,
}

const NOTHING_IS_TRAINED: Use = Use::Ignored("Ollama trains nothing");
const CHOSEN_WHEN_ASKED: Use =
    Use::Ignored("it is chosen when the tuned model is asked, not when it is trained");

/// Setting by provider.
pub static COMMON: [Common; 7] = [
    Common {
        name: "n_epochs",
        doc: "How often training goes through the dataset.",
        accepts: Accepts::Integer { least: 1, most: MOST_EPOCHS },
        ollama: NOTHING_IS_TRAINED,
        openai: Use::Used,
        local: Use::Used,
    },
    Common {
        name: "learning_rate",
        doc: "The step size of training.",
        accepts: Accepts::Number { least: 0.0, most: 1.0, least_excluded: true },
        ollama: NOTHING_IS_TRAINED,
        openai: Use::Ignored("OpenAI chooses the learning rate; learning_rate_multiplier scales it"),
        local: Use::Used,
    },
    Common {
        name: "learning_rate_multiplier",
        doc: "Scales the learning rate that OpenAI chooses.",
        accepts: Accepts::Number { least: 0.0, most: MOST_LEARNING_RATE_MULTIPLIER, least_excluded: true },
        ollama: NOTHING_IS_TRAINED,
        openai: Use::Used,
        local: Use::Ignored("there is no provider's rate to scale; learning_rate sets the rate itself"),
    },
    Common {
        name: "batch_size",
        doc: "How many examples each training step sees.",
        accepts: Accepts::Integer { least: 1, most: MOST_BATCH_SIZE },
        ollama: NOTHING_IS_TRAINED,
        openai: Use::Used,
        local: Use::Used,
    },
    Common {
        name: "temperature",
        doc: "How freely the model words its answers; 0 always takes the likeliest word.",
        accepts: Accepts::Number { least: 0.0, most: 2.0, least_excluded: false },
        ollama: Use::Used,
        openai: CHOSEN_WHEN_ASKED,
        local: CHOSEN_WHEN_ASKED,
    },
    Common {
        name: "context_window",
        doc: "How many tokens the model works with at once.",
        accepts: Accepts::Integer { least: LEAST_CONTEXT_WINDOW as i32, most: MOST_CONTEXT_WINDOW as i32 },
        ollama: Use::Mapped("num_ctx"),
        openai: Use::Ignored("OpenAI sets it by model, and cuts longer examples at the end"),
        local: Use::Mapped("the longest training sequence"),
    },
    Common {
        name: "seed",
        doc: "Makes choices that look random repeatable.",
        accepts: Accepts::Integer { least: 0, most: i32::MAX },
        ollama: Use::Mapped("the choice of examples, and the parameter seed"),
        openai: Use::Used,
        local: Use::Used,
    },
];

impl Common {
    /// What the provider does with it.
    pub fn on(&self, provider: ProviderId) -> Use {
        match provider {
            ProviderId::Ollama => self.ollama,
            ProviderId::OpenAi => self.openai,
            ProviderId::Local => self.local,
        }
    }

    /// The same as a method's setting would be declared.
    pub fn setting_doc(&self) -> SettingDoc {
        SettingDoc {
            name: self.name.to_owned(),
            doc: self.doc.to_owned(),
            kind: self.accepts.kind(),
            default: None,
        }
    }
}

/// The common setting of that name. Its name is reserved: no method declares it.
pub fn common(name: &str) -> Option<&'static Common> {
    COMMON.iter().find(|setting| setting.name == name)
}

/// Warnings for the given settings that the provider ignores, in the table's order.
pub fn warnings(provider: ProviderId, settings: &[JobSetting]) -> Vec<Warning> {
    COMMON
        .iter()
        .filter(|setting| given(settings, setting.name).is_some())
        .filter_map(|setting| match setting.on(provider) {
            Use::Ignored(reason) => Some(Warning::new(
                WarningCode::SettingIgnored,
                format!("{} is ignored on {}: {reason}", setting.name, facts::of(provider).title),
            )),
            Use::Used | Use::Mapped(_) => None,
        })
        .collect()
}

/// The table in Markdown, as the README shows it.
pub fn markdown_table() -> String {
    let cell = |what: Use| match what {
        Use::Used => "used".to_owned(),
        Use::Mapped(to) => format!("becomes {to}"),
        Use::Ignored(why) => format!("ignored: {why}"),
    };
    let mut table =
        "| setting | meaning | accepts | ollama | openai | local |\n|---|---|---|---|---|---|\n".to_owned();
    for setting in &COMMON {
        let row = [
            format!("`{}`", setting.name),
            setting.doc.to_owned(),
            setting.accepts.to_string(),
            cell(setting.ollama),
            cell(setting.openai),
            cell(setting.local),
        ];
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table
}

/// The value of a setting that the user gave.
pub fn given<'a>(settings: &'a [JobSetting], name: &str) -> Option<&'a Value> {
    settings
        .iter()
        .find(|setting| setting.name == name && setting.origin == Origin::Given)
        .map(|setting| &setting.value)
}

/// The value of a given common setting, within the table's range.
///
/// # Errors
/// A value that the table does not accept; a caller that validated the job's
/// settings never sees this.
pub(crate) fn given_common<'a>(
    settings: &'a [JobSetting],
    name: &'static str,
) -> Result<Option<&'a Value>, Violation> {
    match (given(settings, name), common(name)) {
        (Some(value), Some(setting)) => {
            setting.accepts.check(List::CommonSetting, setting.name, value)?;
            Ok(Some(value))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: Value, origin: Origin) -> JobSetting {
        JobSetting { name: name.into(), value, origin }
    }

    #[test]
    fn the_table() {
        insta::assert_snapshot!(markdown_table());
    }

    #[test]
    fn what_a_provider_ignores_is_said() {
        let settings = [
            setting("temperature", Value::Number(0.2), Origin::Given),
            setting("n_epochs", Value::Integer(3), Origin::Given),
            setting("learning_rate", Value::Number(1e-4), Origin::Default),
            setting("lora_rank", Value::Integer(8), Origin::Given),
        ];
        let said = |provider| -> Vec<String> {
            warnings(provider, &settings).iter().map(ToString::to_string).collect()
        };
        assert_eq!(said(ProviderId::Ollama), ["n_epochs is ignored on Ollama: Ollama trains nothing"]);
        assert_eq!(
            said(ProviderId::OpenAi),
            [
                "temperature is ignored on OpenAI: it is chosen when the tuned model is asked, not when it is trained"
            ]
        );
        assert_eq!(
            said(ProviderId::Local),
            [
                "temperature is ignored on the local trainer: it is chosen when the tuned model is asked, not when it is trained"
            ]
        );
    }
}
