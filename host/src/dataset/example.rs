//! Reads a row as the typed conversation that methods see, and lists its texts for
//! counting tokens.

use super::json::{Kind as Json, Value};
use crate::contract::{Example, Message, Role};
use crate::tokens::{PER_CONVERSATION, PER_MESSAGE, Tokenizer};

/// The row as a conversation, if the typed view can express it.
pub(super) fn typed(value: Value<'_>) -> Option<Example> {
    let messages = value.get("messages")?.items().map(message).collect::<Option<Vec<_>>>()?;
    Some(Example { messages })
}

fn message(value: Value<'_>) -> Option<Message> {
    let role = match &*value.get("role")?.text()? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    Some(Message { role, content: value.get("content")?.text()?.into_owned() })
}

/// Tokens of a row of any kind, by the rule of OpenAI's cookbook; of calls and tool
/// definitions, those of their JSON.
pub(super) fn count(value: Value<'_>, tokenizer: Tokenizer) -> u64 {
    let mut tokens = PER_CONVERSATION;
    for (key, value) in value.entries() {
        match &*key.text().unwrap_or_default() {
            "messages" => {
                tokens += value.items().map(|message| count_message(message, tokenizer)).sum::<u64>();
            }
            "tools" | "functions" => tokens += tokenizer.count(value.raw()),
            _ => {}
        }
    }
    tokens
}

fn count_message(message: Value<'_>, tokenizer: Tokenizer) -> u64 {
    let mut tokens = PER_MESSAGE + 1;
    for (key, value) in message.entries() {
        match &*key.text().unwrap_or_default() {
            "content" => match value.kind() {
                Json::Text => tokens += tokenizer.count(&value.text().unwrap_or_default()),
                Json::Array => {
                    for text in value.items().filter_map(|part| part.get("text")) {
                        tokens += tokenizer.count(&text.text().unwrap_or_default());
                    }
                }
                _ => {}
            },
            "name" => tokens += 1 + tokenizer.count(&value.text().unwrap_or_default()),
            "tool_calls" | "function_call" | "refusal" if value.kind() != Json::Null => {
                tokens += tokenizer.count(value.raw());
            }
            _ => {}
        }
    }
    tokens
}
