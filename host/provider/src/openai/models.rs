//! What is known of OpenAI's base models and of the end of its fine-tuning platform,
//! with the date at which it was known.

use crate::prices::base_of;
use serde::{Deserialize, Serialize};
use tunesmith_core::contract::{Level, Note};
use tunesmith_core::text::{quoted, visible};
use tunesmith_core::time::{Date, date, days_between};
use tunesmith_core::tokens::Tokenizer;

/// When these facts were read.
pub const AS_OF: Date = date(2026, 11, 23);

/// Since then organisations that never fine-tuned cannot create jobs (reported).
pub const CLOSED_TO_NEW: Date = date(2026, 5, 7);

/// Since then nor can those that have not used a tuned model for 60 days (reported).
pub const CLOSED_TO_IDLE: Date = date(2026, 7, 2);

/// From then on nobody can create jobs (reported).
pub const CLOSED_TO_ALL: Date = date(2027, 1, 6);

/// A model's name has at most this many bytes; the longest in use have about 100.
const LONGEST_NAME: usize = 256;

/// What is known of a base model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The dated name.
    pub id: &'static str,
    /// Shorter names for it.
    pub aliases: &'static [&'static str],
    /// Whether chat examples can tune it.
    pub tunable: bool,
    /// When it shuts down, and what was tuned from it.
    pub shutdown: Date,
    /// Longer examples are cut at the end.
    pub most_example_tokens: u32,
    /// How it counts.
    pub tokenizer: Tokenizer,
}

const GONE: Date = date(2026, 10, 23);
const GOING: Date = date(2027, 1, 14);

const fn gpt_4(id: &'static str, aliases: &'static [&'static str], shutdown: Date) -> Model {
    Model { id, aliases, tunable: true, shutdown, most_example_tokens: 65_536, tokenizer: Tokenizer::O200k }
}

/// The bases that could be tuned, as of [`AS_OF`].
pub static MODELS: &[Model] = &[
    gpt_4("gpt-4.1-2025-04-14", &["gpt-4.1"], GOING),
    gpt_4("gpt-4.1-mini-2025-04-14", &["gpt-4.1-mini"], GOING),
    gpt_4("gpt-4o-2024-08-06", &["gpt-4o"], GOING),
    gpt_4("gpt-4o-mini-2024-07-18", &["gpt-4o-mini"], GOING),
    gpt_4("gpt-4.1-nano-2025-04-14", &["gpt-4.1-nano"], GONE),
    Model {
        id: "gpt-3.5-turbo-0125",
        aliases: &["gpt-3.5-turbo", "gpt-3.5-turbo-1106", "gpt-3.5-turbo-0613"],
        tunable: true,
        shutdown: GONE,
        most_example_tokens: 16_385,
        tokenizer: Tokenizer::Cl100k,
    },
    Model {
        id: "o4-mini-2025-04-16",
        aliases: &["o4-mini"],
        // By reinforcement only, which no method asks for.
        tunable: false,
        shutdown: GONE,
        most_example_tokens: 65_536,
        tokenizer: Tokenizer::O200k,
    },
];

/// What is known of the model, by its dated name, an alias, or as the base of a tuned
/// model.
pub fn lookup(model: &str) -> Option<&'static Model> {
    let base = base_of(model);
    MODELS.iter().find(|known| known.id == base || known.aliases.contains(&base))
}

/// A model name that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model name {} cannot be used: it must be 1 to {LONGEST_NAME} letters, digits and `-._:/`", quoted(.0))]
pub struct BadModelName(pub String);

/// Checks a model's name. Compatible services have names of their own, so any name
/// of ordinary characters will do.
///
/// # Errors
/// A name with other characters, an empty or a very long one.
pub fn check_name(model: &str) -> Result<(), BadModelName> {
    let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    if (1..=LONGEST_NAME).contains(&model.len()) && model.bytes().all(ordinary) {
        Ok(())
    } else {
        Err(BadModelName(model.to_owned()))
    }
}

/// How a model's tokens are counted, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedBy {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Whether the model is known to use it; otherwise it is the one of OpenAI's
    /// newer models.
    pub known: bool,
}

/// The tokenizer of a model: by name as the makers of tiktoken map them, otherwise
/// that of OpenAI's newer models, marked.
pub fn tokenizer(model: &str) -> CountedBy {
    use tiktoken_rs::tokenizer::{Tokenizer as Mapped, get_tokenizer};
    let mapped = match lookup(model) {
        Some(known) => Some(known.tokenizer),
        None => match get_tokenizer(model) {
            Some(Mapped::O200kBase | Mapped::O200kHarmony) => Some(Tokenizer::O200k),
            Some(Mapped::Cl100kBase) => Some(Tokenizer::Cl100k),
            _ => None,
        },
    };
    CountedBy { tokenizer: mapped.unwrap_or(Tokenizer::O200k), known: mapped.is_some() }
}

/// Whether a model can be tuned is not known, in words.
pub fn not_known(model: &str) -> String {
    format!(
        "model {} is not known to this version of tunesmith (facts as of {AS_OF}): whether it can be tuned, its \
         limits and its closing date are for the service to say",
        visible(model)
    )
}

/// Plain words on what the end of OpenAI's fine-tuning platform means for a job on
/// this model, today. Only for OpenAI itself: compatible services have their own
/// terms. It depends on the date, so it stays out of what a plan digests. Of a model
/// that is not known it says nothing: [`not_known`] does.
pub fn closing_notes(model: &str, today: Date) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut say = |level, text: String| notes.push(Note { level, text });
    if today >= CLOSED_TO_ALL {
        say(
            Level::Warning,
            format!(
                "OpenAI has closed its fine-tuning platform: by its announcement nobody can create jobs since \
                 {CLOSED_TO_ALL}; a compatible service may still take this job"
            ),
        );
    } else {
        say(
            Level::Warning,
            format!(
                "OpenAI is closing its fine-tuning platform: by its announcement nobody can create jobs from \
                 {CLOSED_TO_ALL} on, {}; {}",
                in_days(today, CLOSED_TO_ALL),
                if today >= CLOSED_TO_IDLE {
                    format!(
                        "already refused are organisations that had never fine-tuned (since {CLOSED_TO_NEW}) or \
                         had not used a tuned model for 60 days (since {CLOSED_TO_IDLE})"
                    )
                } else if today >= CLOSED_TO_NEW {
                    format!(
                        "already refused are organisations that had never fine-tuned (since {CLOSED_TO_NEW})"
                    )
                } else {
                    "new organisations are refused before that".to_owned()
                }
            ),
        );
    }
    if let Some(known) = lookup(model) {
        if !known.tunable {
            say(Level::Warning, format!("{} cannot be tuned with chat examples", known.id));
        }
        if today >= known.shutdown {
            say(
                Level::Warning,
                format!("{} was shut down on {}; choose another base", known.id, known.shutdown),
            );
        } else {
            say(
                Level::Warning,
                format!(
                    "{} shuts down on {}, {}, and every model tuned from it with it",
                    known.id,
                    known.shutdown,
                    in_days(today, known.shutdown)
                ),
            );
        }
    }
    say(
        Level::Info,
        format!("these dates are as of {AS_OF}, from copies of OpenAI's deprecations page; check it"),
    );
    notes
}

fn in_days(today: Date, then: Date) -> String {
    match days_between(today, then) {
        1 => "tomorrow".to_owned(),
        days => format!("in {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_by_any_of_their_names() {
        assert_eq!(lookup("gpt-4o-mini").map(|model| model.id), Some("gpt-4o-mini-2024-07-18"));
        assert_eq!(
            lookup("ft:gpt-4o-mini-2024-07-18:acme::x").map(|model| model.id),
            Some("gpt-4o-mini-2024-07-18")
        );
        assert_eq!(lookup("gpt-3.5-turbo").map(|model| model.most_example_tokens), Some(16_385));
        assert_eq!(lookup("gpt-6-luna"), None);
        assert_eq!(lookup("ft:"), None);
    }

    #[test]
    fn tokenizers() {
        let of = |model| {
            let counted = tokenizer(model);
            (counted.tokenizer, counted.known)
        };
        assert_eq!(of("gpt-4o-mini-2024-07-18"), (Tokenizer::O200k, true));
        assert_eq!(of("gpt-3.5-turbo"), (Tokenizer::Cl100k, true));
        assert_eq!(of("ft:gpt-4:x"), (Tokenizer::Cl100k, true));
        assert_eq!(of("mistral-small"), (Tokenizer::O200k, false));
    }

    #[test]
    fn names_that_can_be_sent() {
        for name in ["gpt-4o", "ft:gpt-4o:a::b", "meta-llama/Llama-3.2-3B", "anthropic.x:0"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "a b", "a\n", "é", "a\"b", &"a".repeat(257)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_closes_when() {
        let mut text = String::new();
        for (model, today) in [
            ("gpt-4o-mini", "2026-04-01"),
            ("gpt-4o-mini", "2026-06-01"),
            ("gpt-4o-mini", "2026-11-23"),
            ("gpt-4o-mini", "2027-01-05"),
            ("gpt-4o-mini", "2027-01-10"),
            ("gpt-4o-mini", "2027-01-14"),
            ("gpt-3.5-turbo", "2026-11-23"),
            ("o4-mini", "2026-11-23"),
            ("gpt-6-\u{202e}luna", "2026-11-23"),
        ] {
            text.push_str(&format!("{} on {today}\n", visible(model)));
            for note in closing_notes(model, today.parse().unwrap()) {
                text.push_str(&format!("  {:?}: {}\n", note.level, note.text));
            }
        }
        insta::assert_snapshot!(text);
    }
}
