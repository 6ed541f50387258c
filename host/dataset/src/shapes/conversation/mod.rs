//! A row of any format as one neutral conversation: what conversion, counting and the
//! typed view work on. Fields that only some formats have stay as they were written.

mod key;
mod read;

pub(crate) use key::key;
pub(crate) use read::read;

use crate::containers::json::Tape;
use crate::shapes::turns::MessagePath;
use tunesmith_core::contract::{Example, Message, Role};
use tunesmith_core::tokens::{PER_CONVERSATION, PER_MESSAGE, Tokenizer};

/// The author of a message, by OpenAI's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageRole {
    System,
    /// The newer name for the system.
    Developer,
    User,
    Assistant,
    Tool,
    /// The older name for a tool.
    Function,
}

impl MessageRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Function => "function",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Self::System, Self::Developer, Self::User, Self::Assistant, Self::Tool, Self::Function]
            .into_iter()
            .find(|role| role.name() == name)
    }

    /// The role of the typed view.
    pub fn typed(self) -> Option<Role> {
        match self {
            Self::System => Some(Role::System),
            Self::User => Some(Role::User),
            Self::Assistant => Some(Role::Assistant),
            _ => None,
        }
    }
}

impl From<Role> for MessageRole {
    fn from(role: Role) -> Self {
        match role {
            Role::System => Self::System,
            Role::User => Self::User,
            Role::Assistant => Self::Assistant,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Plain text.
    Text(String),
    /// Any other content, as JSON.
    Json(String),
    Absent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub role: MessageRole,
    pub content: Content,
    /// Its other fields: name and JSON.
    pub more: Vec<(String, String)>,
    /// Byte offset in the row, and the message it was read from.
    pub start: usize,
    pub at: MessageOrigin,
}

/// Where a turn was read from; ignored when turns are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageOrigin {
    pub at: MessagePath,
    /// The message's place among the values of its row, where it is one of OpenAI's
    /// format.
    pub message: Option<usize>,
}

impl PartialEq for MessageOrigin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for MessageOrigin {}

impl MessageOrigin {
    fn of(at: MessagePath) -> Self {
        Self { at, message: None }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub turns: Vec<Turn>,
    /// Of a preference pair, the answer that is not preferred; `turns` ends with the
    /// one that is.
    pub rejected: Vec<Turn>,
    /// The row's other fields: name and JSON.
    pub more: Vec<(String, String)>,
    /// Fields beside `input`, of `Format::OpenAiPreference`, whose `more` are within.
    pub beside: Vec<(String, String)>,
    /// Plain text without roles, of `Format::Text`.
    pub text: Option<String>,
}

/// Whether two messages have the same role, content and fields.
pub(crate) fn says_the_same(a: &Turn, b: &Turn) -> bool {
    a.role == b.role && a.content == b.content && a.more == b.more
}

impl Conversation {
    /// The conversation, if the typed view can express it. Names and weights
    /// stay with the host.
    pub fn typed(&self) -> Option<Example> {
        if self.text.is_some() || !self.is_plain() {
            return None;
        }
        let messages = self.turns.iter().map(|turn| match &turn.content {
            Content::Text(text) => Some(Message { role: turn.role.typed()?, content: text.clone() }),
            _ => None,
        });
        Some(Example { messages: messages.collect::<Option<Vec<_>>>()? })
    }

    /// Whether it has only plain system, user and assistant messages.
    fn is_plain(&self) -> bool {
        let tools = |(key, value): &(String, String)| {
            matches!(key.as_str(), "tools" | "functions") && value != "null"
        };
        !self.more.iter().any(tools)
            && self.turns.iter().all(|turn| {
                turn.role.typed().is_some()
                    && matches!(turn.content, Content::Text(_))
                    && turn.more.iter().all(|(key, value)| !blocks_typed(key) || value == "null")
            })
    }

    /// Tokens by the rule of OpenAI's cookbook; of calls and tool definitions, those of
    /// their JSON. Both answers of a preference pair count.
    pub fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        if let Some(text) = &self.text {
            return tokenizer.count(text);
        }
        let definitions: u64 = self
            .more
            .iter()
            .filter(|(key, _)| matches!(key.as_str(), "tools" | "functions"))
            .map(|(_, value)| tokenizer.count(value))
            .sum();
        let turns = self.turns.iter().chain(&self.rejected);
        PER_CONVERSATION + definitions + turns.map(|turn| turn.tokens(tokenizer)).sum::<u64>()
    }
}

/// Whether the typed view cannot express a message with this field.
fn blocks_typed(field: &str) -> bool {
    matches!(field, "tool_calls" | "tool_call_id" | "function_call" | "refusal" | "audio")
}

impl Turn {
    fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        let content = match &self.content {
            Content::Text(text) => tokenizer.count(text),
            Content::Json(json) => part_texts(json).iter().map(|text| tokenizer.count(text)).sum(),
            Content::Absent => 0,
        };
        let more = self.more.iter().map(|(key, value)| match key.as_str() {
            "name" => 1 + tokenizer.count(value.trim_matches('"')),
            "tool_calls" | "function_call" | "refusal" if value != "null" => tokenizer.count(value),
            _ => 0,
        });
        PER_MESSAGE + 1 + content + more.sum::<u64>()
    }
}

/// The texts among the parts of a content; images have none.
pub(crate) fn part_texts(json: &str) -> Vec<String> {
    let mut tape = Tape::default();
    let Ok(parts) = tape.parse(json) else { return Vec::new() };
    parts
        .items()
        .filter_map(|part| {
            part.get("text").or_else(|| part.get("refusal"))?.text().map(|text| text.into_owned())
        })
        .collect()
}
