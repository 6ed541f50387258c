//! One call to a plugin by function name, and the provider's check of the answer.

use super::{Function, Subject};
use serde::Serialize;
use serde_json::Value;
use tunesmith_core::contract::{Example, MethodJob, Note, Refusal};
use tunesmith_plugin_host::{Answer, CallError, Plugin, Receipt};
use tunesmith_provider::{local, ollama, openai};

/// The answer of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum CallResult {
    /// Its result, with the contract's names.
    Result(Value),
    /// It rejects the job.
    Refusal(Refusal),
}

/// A completed call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallReport {
    /// What the plugin answered.
    pub outcome: CallResult,
    /// Its notes to the user.
    pub notes: Vec<Note>,
    pub receipt: Receipt,
    /// How the result breaks the rules of its provider. No plan would be made from it.
    pub breaks: Option<String>,
}

impl CallReport {
    /// Whether two calls have the same result, notes and fuel.
    pub fn is_same(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.notes == other.notes && self.receipt.fuel == other.receipt.fuel
    }
}

/// Calls a function in the same sandbox and within the same limits as a plan.
///
/// # Errors
/// When the plugin lacks the ability, exceeds a limit, traps, or breaks the contract.
pub fn call(
    plugin: &Plugin,
    function: Function,
    job: &MethodJob,
    subject: &dyn Subject,
) -> Result<CallReport, CallError> {
    let settings = &job.settings;
    match function {
        Function::Describe => Ok(called(plugin.describe()?, |_| None)),
        Function::Ollama => {
            let row = |id| subject.row(id);
            let check = |config: &_| ollama::check(config, settings, &row).err().map(|it| it.to_string());
            Ok(called(plugin.ollama(job, subject.view())?, check))
        }
        Function::OpenAi => {
            let check = |config: &_| openai::check(config, settings).err().map(|it| it.to_string());
            Ok(called(plugin.openai(job, subject.view())?, check))
        }
        Function::Training => {
            let check = |recipe: &_| local::check(recipe, settings).err().map(|it| it.to_string());
            Ok(called(plugin.training(job, subject.view())?, check))
        }
        Function::Transform => {
            Ok(called(plugin.transform_examples(job, subject.batch())?, |rows| without_messages(rows)))
        }
    }
}

fn called<T: Serialize>(answer: Answer<T>, check: impl Fn(&T) -> Option<String>) -> CallReport {
    let Answer { result, notes, receipt } = answer;
    match result {
        Ok(result) => {
            // Plain data with string keys.
            let value = serde_json::to_value(&result).unwrap_or(Value::Null);
            CallReport { outcome: CallResult::Result(value), notes, receipt, breaks: check(&result) }
        }
        Err(refusal) => CallReport { outcome: CallResult::Refusal(refusal), notes, receipt, breaks: None },
    }
}

/// A transformed row has at least one message.
fn without_messages(rows: &[Option<Example>]) -> Option<String> {
    let empty = rows.iter().position(|row| row.as_ref().is_some_and(|row| row.messages.is_empty()))?;
    Some(format!("conversation {} has no messages; drop it instead", empty + 1))
}

/// A refusal on one line.
pub fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::InvalidSetting { name, reason } => format!("{name}: {reason}"),
        Refusal::UnsuitableDataset(reason) | Refusal::Unsupported(reason) | Refusal::Other(reason) => {
            reason.clone()
        }
    }
}
