//! Checks what a method wants of Ollama: parameters, examples, given settings, and
//! the token budget.

use super::parameters::{ParameterValue, Parameters};
use super::{ASSUMED_CONTEXT_WINDOW, reserve};
use crate::settings::given_common;
use crate::violation::{List, Report, ShotPlace, Violation, Violations, check_notes, shot_fault};
use crate::warning::{Warning, WarningCode};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tunesmith_core::contract::{Example, JobSetting, Message, OllamaConfig, Role, Shot, Value};
use tunesmith_core::tokens::Tokenizer;

/// More examples than this make every answer slow: Ollama renders and counts all of
/// them again for each one.
pub const MOST_EXAMPLES: usize = 256;

/// From this many examples on, the plan warns of slow answers.
const MANY_EXAMPLES: usize = 100;

/// A system prompt is instructions, not a book; the token budget is usually far
/// tighter than this many bytes.
pub const LONGEST_SYSTEM: usize = 64 * 1024;

/// The same for each message of a written example.
pub const LONGEST_MESSAGE: usize = 64 * 1024;

/// Ollama's models have many tokenizers, and the host has none of them at hand.
pub const TOKENIZER: Tokenizer = Tokenizer::Cautious;

/// The settings that Ollama takes as parameters: the job's name for it, and Ollama's.
const MAPPED: [(&str, &str); 3] =
    [("context_window", "num_ctx"), ("temperature", "temperature"), ("seed", "seed")];

/// A config that was checked: what is baked into the model, and what it costs of the
/// context window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baked {
    /// The system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The examples, in order.
    pub shots: Vec<BakedShot>,
    /// The system prompt stands once more after the examples, because one of them
    /// has another one of its own.
    pub system_repeated: bool,
    /// The parameters, `num_ctx` always among them.
    pub parameters: Parameters,
    /// The context window and who chose it.
    pub context_window: ContextWindow,
    /// The tokens.
    pub budget: Budget,
    /// What the method says about its choices.
    pub notes: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// An example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BakedShot {
    /// Where it is from.
    pub source: ShotSource,
    /// What it adds to the stored messages. A system prompt stands first only where
    /// another one was in force. Not in JSON: the request has them.
    #[serde(skip)]
    pub messages: Vec<Message>,
    /// About how many tokens those are.
    pub tokens: u64,
}

/// Where an example is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ShotSource {
    /// The row of the dataset.
    Row(u32),
    /// The method wrote it.
    Written,
}

/// A context window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextWindow {
    /// In tokens.
    pub tokens: u32,
    /// Who chose it.
    pub origin: ContextOrigin,
}

/// Who chose the context window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextOrigin {
    /// The job gives it.
    Given,
    /// The method chose it.
    Method,
    /// Nobody did, or the method assumed the same: [`ASSUMED_CONTEXT_WINDOW`], until
    /// the server is asked.
    Assumed,
}

/// Where the context window goes, in tokens by a cautious estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The system prompt.
    pub system: u64,
    /// The examples.
    pub shots: u64,
    /// Kept free for question and answer.
    pub reserve: u64,
    /// The context window.
    pub context_window: u32,
}

impl Budget {
    /// All that must fit.
    pub fn total(&self) -> u64 {
        self.system + self.shots + self.reserve
    }
}

impl Baked {
    /// The longest answer in tokens, where the method sets one; below 0 for no limit.
    pub fn answer_limit(&self) -> Option<i32> {
        match self.parameters.get("num_predict") {
            Some(ParameterValue::Integer(tokens)) => Some(*tokens),
            _ => None,
        }
    }

    /// The stored messages: those of all examples, and the system prompt once more
    /// where that is needed.
    pub fn messages(&self) -> Vec<Message> {
        let repeated =
            self.system.iter().filter(|_| self.system_repeated).map(|system| system_message(system));
        self.shots.iter().flat_map(|shot| shot.messages.iter().cloned()).chain(repeated).collect()
    }
}

/// Checks a config that a method returned, resolves its rows and enforces the token
/// budget. `settings` are the job's, as the method got them; `row` gives a row of the
/// dataset as plain text.
///
/// System prompts of examples: a row's own is left out, as the contract says, since
/// `system` sets it once. An example that the method wrote keeps its own: Ollama puts
/// the model's system prompt first and the stored messages after it, and templates
/// render a system message where it stands. It is stored in front of its example, but
/// only where it differs from the one in force; an example without one gets the
/// model's again if another was in force; and after the last example the model's is
/// repeated if another was in force, so that the user's question comes under the
/// right one. Each repetition counts towards the budget.
///
/// # Errors
/// Every rule that the config breaks.
pub fn check(
    config: &OllamaConfig,
    settings: &[JobSetting],
    row: &dyn Fn(u32) -> Option<Example>,
) -> Result<Baked, Violations> {
    let mut report = Report::default();
    check_notes(&config.notes, &mut report);
    let system = check_system(config.system.as_deref(), &mut report);
    let mut parameters = Parameters::check(&config.parameters, &mut report);
    let given = honour(settings, &mut parameters, &mut report);
    let context_window = choose_context(&mut parameters, given);
    let resolved = resolve(&config.shots, row, &mut report);
    report.finish(())?;
    let left_out = count_left_out(system.as_deref(), &resolved);
    let (shots, system_repeated) = lay_out(system.as_deref(), resolved);

    let system_tokens = system.as_deref().map_or(0, |text| TOKENIZER.count_message(&system_message(text)));
    let repeated = if system_repeated { system_tokens } else { 0 };
    let budget = Budget {
        system: system_tokens,
        shots: shots.iter().map(|shot| shot.tokens).sum::<u64>() + repeated,
        reserve: u64::from(reserve(context_window.tokens)),
        context_window: context_window.tokens,
    };
    let mut report = Report::default();
    if budget.total() > u64::from(context_window.tokens) {
        report.add(Violation::OverBudget {
            system: budget.system,
            examples: budget.shots,
            count: shots.len(),
            reserve: budget.reserve,
            context_window: context_window.tokens,
        });
    }
    let warnings = warn(&system, shots.len(), left_out, context_window);
    let notes = config.notes.clone();
    report.finish(Baked {
        system,
        shots,
        system_repeated,
        parameters,
        context_window,
        budget,
        notes,
        warnings,
    })
}

fn system_message(text: &str) -> Message {
    Message { role: Role::System, content: text.to_owned() }
}

fn check_system(system: Option<&str>, report: &mut Report) -> Option<String> {
    // A blank system prompt is the same as none for Ollama, which then keeps the base's.
    let system = system.filter(|text| !text.trim().is_empty())?;
    if system.len() > LONGEST_SYSTEM {
        let what = "the system prompt".to_owned();
        report.add(Violation::TextTooLong { what, bytes: system.len(), most: LONGEST_SYSTEM });
    }
    Some(system.to_owned())
}

/// Makes sure that given settings come through: a parameter that the method left out
/// is filled in, and one that says otherwise is a violation. Says whether the context
/// window is given.
fn honour(settings: &[JobSetting], parameters: &mut Parameters, report: &mut Report) -> bool {
    let mut context_given = false;
    for (setting, name) in MAPPED {
        let value = match given_common(settings, setting) {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            Err(violation) => {
                report.add(violation);
                continue;
            }
        };
        context_given |= name == "num_ctx";
        let returned = parameters.get(name).cloned();
        parameters.set_checked(name, value);
        if let (Some(returned), Some(wanted)) = (returned, parameters.get(name))
            && returned != *wanted
        {
            report.add(Violation::NotHonoured {
                setting,
                given: value.to_string(),
                list: List::OllamaParameter,
                name,
                returned: returned.to_string(),
            });
        }
    }
    context_given
}

fn choose_context(parameters: &mut Parameters, given: bool) -> ContextWindow {
    let tokens = match parameters.get("num_ctx") {
        Some(ParameterValue::Integer(tokens)) => u32::try_from(*tokens).ok(),
        _ => None,
    };
    match tokens {
        Some(tokens) => {
            let origin = match tokens {
                _ if given => ContextOrigin::Given,
                // Ollama's own default is no choice of the method's.
                ASSUMED_CONTEXT_WINDOW => ContextOrigin::Assumed,
                _ => ContextOrigin::Method,
            };
            ContextWindow { tokens, origin }
        }
        None => {
            #[expect(clippy::cast_possible_wrap, reason = "the constant is far below i32::MAX")]
            parameters.set_checked("num_ctx", &Value::Integer(ASSUMED_CONTEXT_WINDOW as i32));
            ContextWindow { tokens: ASSUMED_CONTEXT_WINDOW, origin: ContextOrigin::Assumed }
        }
    }
}

/// The conversations of the examples, each row at most once and each fit to be one.
fn resolve<'a>(
    shots: &'a [Shot],
    row: &dyn Fn(u32) -> Option<Example>,
    report: &mut Report,
) -> Vec<(ShotSource, Cow<'a, Example>)> {
    if shots.len() > MOST_EXAMPLES {
        report.add(Violation::TooManyExamples { count: shots.len(), most: MOST_EXAMPLES });
        return Vec::new();
    }
    let mut seen = BTreeMap::new();
    let mut resolved = Vec::with_capacity(shots.len());
    for (index, shot) in shots.iter().enumerate() {
        let number = index + 1;
        let (place, example) = match shot {
            Shot::Row(id) => {
                let place = ShotPlace { example: number, row: Some(*id) };
                if let Some(&first) = seen.get(id) {
                    report.add(Violation::RepeatedRow { place, first });
                    continue;
                }
                seen.insert(*id, number);
                let Some(example) = row(*id) else {
                    report.add(Violation::NoSuchRow { place });
                    continue;
                };
                (place, Cow::Owned(example))
            }
            Shot::Written(example) => {
                let place = ShotPlace { example: number, row: None };
                if let Some(long) =
                    example.messages.iter().find(|message| message.content.len() > LONGEST_MESSAGE)
                {
                    report.add(Violation::TextTooLong {
                        what: format!("the {} message of {place}", long.role.as_str()),
                        bytes: long.content.len(),
                        most: LONGEST_MESSAGE,
                    });
                    continue;
                }
                (place, Cow::Borrowed(example))
            }
        };
        if let Some(fault) = shot_fault(&example) {
            report.add(Violation::UnusableExample { place, fault });
            continue;
        }
        resolved.push((place.row.map_or(ShotSource::Written, ShotSource::Row), example));
    }
    resolved
}

/// How many rows lose a system prompt of their own that the model's does not contain.
fn count_left_out(system: Option<&str>, examples: &[(ShotSource, Cow<'_, Example>)]) -> usize {
    let told = |own: &str| own.is_empty() || system.is_some_and(|system| system.contains(own));
    let left_out = |(source, example): &&(ShotSource, Cow<'_, Example>)| {
        *source != ShotSource::Written
            && example
                .messages
                .first()
                .is_some_and(|first| first.role == Role::System && !told(first.content.trim()))
    };
    examples.iter().filter(left_out).count()
}

/// Puts the examples one after another with the system prompts that they need. Says
/// whether the model's own has to be repeated at the end.
fn lay_out(system: Option<&str>, examples: Vec<(ShotSource, Cow<'_, Example>)>) -> (Vec<BakedShot>, bool) {
    let mut in_force: Option<String> = system.map(str::to_owned);
    let mut shots = Vec::with_capacity(examples.len());
    for (source, example) in examples {
        let (own, turns) = match example.messages.split_first() {
            Some((first, turns)) if first.role == Role::System => (Some(first.content.as_str()), turns),
            _ => (None, example.messages.as_slice()),
        };
        let own = own.filter(|text| source == ShotSource::Written && !text.trim().is_empty());
        let wanted = own.or(system);
        let mut messages = Vec::with_capacity(turns.len() + 1);
        if let Some(wanted) = wanted
            && in_force.as_deref() != Some(wanted)
        {
            messages.push(system_message(wanted));
            in_force = Some(wanted.to_owned());
        }
        messages.extend_from_slice(turns);
        let tokens = messages.iter().map(|message| TOKENIZER.count_message(message)).sum();
        shots.push(BakedShot { source, messages, tokens });
    }
    let repeat = system.is_some() && in_force.as_deref() != system;
    (shots, repeat)
}

fn warn(
    system: &Option<String>,
    shots: usize,
    left_out: usize,
    context_window: ContextWindow,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if context_window.origin == ContextOrigin::Assumed {
        warnings.push(Warning::new(
            WarningCode::ContextAssumed,
            format!(
                "the context window of {ASSUMED_CONTEXT_WINDOW} tokens is assumed; give context_window to set it"
            ),
        ));
    }
    if system.is_none() && shots == 0 {
        warnings.push(Warning::new(
            WarningCode::NothingBaked,
            "the method returned neither a system prompt nor examples: the result answers like its base",
        ));
    }
    if shots >= MANY_EXAMPLES {
        warnings.push(Warning::new(
            WarningCode::ManyExamples,
            format!("{shots} examples are read again for every answer, which makes answers slower"),
        ));
    }
    if left_out > 0 {
        warnings.push(Warning::new(
            WarningCode::SystemPrompts,
            format!(
                "{left_out} of {shots} examples are rows with a system prompt of their own, which is left out: they \
                 were answered under other instructions than the result has"
            ),
        ));
    }
    warnings
}

#[cfg(test)]
mod tests;
