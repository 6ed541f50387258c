//! The plain types of the plugin contract, shared by `plugin`, `dataset`,
//! `provider` and `job`, which do not otherwise know each other.
//!
//! They mirror `wit/method`, where their meaning is documented; the adapter in
//! `plugin::abi` converts to and from the generated bindings, once per version of
//! the contract.

mod conversations;

pub use conversations::{Conversations, Turns};

use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of `tunesmith:method` that this host speaks.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that frame the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that chat formats use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Example {
    /// The messages, in order.
    pub messages: Vec<Message>,
}

/// A setting's value. In JSON it is the bare value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A boolean.
    Flag(bool),
    /// A whole number.
    Integer(i32),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

impl Value {
    /// The value as a number, if it is a whole number or a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(f64::from(*value)),
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// What kind of value this is, in words that an error can use.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Flag(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Texts(_) => "a list of texts",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Texts(values) => write!(f, "{values:?}"),
        }
    }
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The name, in lower case with underscores.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// Who chose a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The user gave it, in the job file or with `--set`.
    Given,
    /// It is the method's own default.
    Default,
}

/// A setting of a job, with its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSetting {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Who chose it.
    pub origin: Origin,
}

/// What a method is told about the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodJob {
    /// The job's name.
    pub name: String,
    /// The base model, for display and for advice; a method cannot change it.
    pub base_model: String,
    /// All settings: the method's own, and the common ones that were given.
    pub settings: Vec<JobSetting>,
    /// Decides every choice that looks random.
    pub seed: u32,
}

/// Why a method does not want a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// A setting's value does not suit.
    InvalidSetting {
        /// The setting.
        name: String,
        /// Why.
        reason: String,
    },
    /// The dataset does not suit.
    UnsuitableDataset(String),
    /// The method cannot do this.
    Unsupported(String),
    /// Anything else.
    Other(String),
}

/// The dataset in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Rows in the dataset.
    pub rows: u64,
    /// Rows that the typed view can express (plain system, user and assistant texts).
    pub typed_rows: u64,
    /// Messages in all rows.
    pub messages: u64,
    /// Bytes of the dataset, uncompressed.
    pub bytes: u64,
    /// Tokens in all rows, by the provider's tokenizer where it is known, otherwise
    /// a cautious estimate.
    pub tokens: u64,
    /// Tokens of the longest row.
    pub longest_row_tokens: u32,
    /// What later hosts add.
    pub more: Vec<Setting>,
}

/// Rows that share a system prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The system prompt; empty for rows that have none.
    pub system: String,
    /// How many rows have it.
    pub rows: u64,
}

/// A row by reference, with its content for looking at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The row's id: its place in the dataset, from 0.
    pub id: u32,
    /// Its tokens.
    pub tokens: u32,
    /// Its task, an index into `tasks`.
    pub task: u32,
    /// Its conversation.
    pub example: Example,
}

/// Which rows a sample should have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// At most this many rows.
    pub count: u32,
    /// At most this many tokens in all.
    pub token_budget: Option<u32>,
    /// Only rows of at most this many tokens.
    pub longest_row_tokens: Option<u32>,
    /// Only rows of this task.
    pub task: Option<u32>,
}

/// The dataset as a method sees it. Answers depend only on the dataset's bytes and
/// the job's seed, so that the same plan comes out each time.
pub trait DatasetView: Send + Sync {
    /// The dataset in figures.
    fn overview(&self) -> Overview;

    /// The tasks with the most rows first, at most `most`; ties keep the order of
    /// first appearance. A task's index in the full list is its id.
    fn tasks(&self, most: u32) -> Vec<Task>;

    /// Typed rows, spread evenly over the tasks and over the whole dataset, without
    /// repeated conversations, within the selection's limits. Rows that would break
    /// the token budget are passed over in favour of shorter ones.
    fn sample(&self, which: &Selection) -> Vec<Row>;
}

/// The range and type of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// True or false.
    Flag,
    /// A whole number within bounds, both included.
    Integer {
        /// The smallest value.
        least: i32,
        /// The largest value.
        most: i32,
    },
    /// A number within bounds.
    Number {
        /// The smallest value.
        least: f64,
        /// The largest value, included.
        most: f64,
        /// Whether the smallest value is itself excluded.
        least_excluded: bool,
    },
    /// A text of at most this many bytes.
    Text(u32),
    /// One of these texts.
    Choice(Vec<String>),
    /// A list of at most this many texts.
    Texts(u32),
}

/// A setting that a method declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingDoc {
    /// The name, in lower case with underscores.
    pub name: String,
    /// What it means.
    pub doc: String,
    /// Its type and range.
    pub kind: Kind,
    /// Its value when the user gives none.
    pub default: Option<Value>,
}

/// What a method says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The id that a job names, such as `lora`.
    pub id: String,
    /// The method's own version.
    pub version: String,
    /// A short title.
    pub title: String,
    /// One sentence.
    pub summary: String,
    /// Markdown.
    pub docs: String,
    /// The method's own settings.
    pub settings: Vec<SettingDoc>,
}

/// An example for the model to see in its prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shot {
    /// A row of the dataset, by id.
    Row(u32),
    /// A conversation that the method wrote itself.
    Written(Example),
}

/// What a method wants of Ollama.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OllamaConfig {
    /// The system prompt.
    pub system: Option<String>,
    /// The examples, in the order in which the model sees them.
    pub shots: Vec<Shot>,
    /// Ollama parameters by name, from the host's closed list.
    pub parameters: Vec<Setting>,
    /// What the method says about its choices.
    pub notes: Vec<String>,
}

/// What a method wants of OpenAI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAiConfig {
    /// `supervised` or `dpo`.
    pub objective: String,
    /// The suffix of the tuned model's name.
    pub suffix: Option<String>,
    /// Hyperparameters by name, from the host's closed list; an absent one is `auto`.
    pub hyperparameters: Vec<Setting>,
    /// What the method says about its choices.
    pub notes: Vec<String>,
}

/// How a method wants weights to be trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The technique, from the host's list.
    pub technique: String,
    /// Its settings by name, from the host's list.
    pub settings: Vec<Setting>,
    /// What the method says about its choices.
    pub notes: Vec<String>,
}

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Worth acting on.
    Warning,
}

/// What a plugin told the user while it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How serious it is.
    pub level: Level,
    /// The text.
    pub text: String,
}
