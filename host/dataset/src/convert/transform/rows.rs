//! Which parts of a row a transform sees, and how its result is written back.

use crate::containers::csv::quote;
use crate::containers::json::Value;
use crate::shapes::conversation::{Content, Conversation, MessageRole, Turn};
use crate::shapes::format::Format;
use crate::shapes::render;
use tunesmith_core::contract::{Conversations, Example, Role, Turns};

/// A part of a row that is written but that a transform would not see; `None` if it sees
/// everything.
pub(super) fn unseen(conversation: &Conversation, format: Format) -> Option<&'static str> {
    if conversation.text.is_some() {
        return Some("plain text without roles");
    }
    if !conversation.rejected.is_empty() {
        return Some("a preference pair");
    }
    // Fields of other formats are not written.
    let kept = |key: &str| format == Format::OpenAi || render::ROW_FIELDS.contains(&key);
    for (key, value) in &conversation.more {
        if matches!(key.as_str(), "tools" | "functions") && value != "null" {
            return Some("tool definitions");
        }
        if key != "parallel_tool_calls" && value != "null" && kept(key) {
            return Some("unknown fields");
        }
    }
    for turn in &conversation.turns {
        if turn.role.typed().is_none() {
            return Some("tool, function or developer messages");
        }
        for (key, value) in &turn.more {
            if key != "weight"
                && value != "null"
                && (format == Format::OpenAi || render::MESSAGE_FIELDS.contains(&key.as_str()))
            {
                return Some(match key.as_str() {
                    "tool_calls" | "function_call" => "tool calls",
                    _ => "unknown message fields",
                });
            }
        }
        match turn.content {
            Content::Text(_) => {}
            Content::Json(_) => return Some("images or other content parts"),
            Content::Absent => return Some("a message without content"),
        }
    }
    None
}

/// Adds a row of OpenAI's chat format with only roles and strings, as most are; returns
/// whether it is one. Any other goes to
/// [`conversation::read`](crate::shapes::conversation::read), which reports problems.
pub(super) fn add_plain(row: Value<'_>, to: &mut Conversations) -> bool {
    let mut entries = row.entries();
    let (Some((key, messages)), None) = (entries.next(), entries.next()) else { return false };
    let plain = key.is_text("messages")
        && messages.items().next().is_some()
        && messages.items().all(|message| add_plain_message(message, to));
    if plain {
        to.end_row();
    } else {
        to.abandon_row();
    }
    plain
}

fn add_plain_message(message: Value<'_>, to: &mut Conversations) -> bool {
    let mut entries = message.entries();
    let (Some(one), Some(other), None) = (entries.next(), entries.next(), entries.next()) else {
        return false;
    };
    let (role, content) = if one.0.is_text("role") { (one, other) } else { (other, one) };
    if !role.0.is_text("role") || !content.0.is_text("content") {
        return false;
    }
    let known = [Role::User, Role::Assistant, Role::System];
    let Some(role) = known.into_iter().find(|known| role.1.is_text(known.as_str())) else { return false };
    if !content.1.text_onto(to.next_text()) {
        return false;
    }
    to.end_message(role);
    true
}

/// Writes such a row, as [`render::write`] does.
pub(super) fn write_plain(out: &mut String, turns: Turns<'_>) {
    out.push_str("{\"messages\":[");
    for (n, (role, content)) in turns.enumerate() {
        out.push_str(match (n, role) {
            (0, Role::System) => "{\"role\":\"system\",\"content\":",
            (0, Role::User) => "{\"role\":\"user\",\"content\":",
            (0, Role::Assistant) => "{\"role\":\"assistant\",\"content\":",
            (_, Role::System) => ",{\"role\":\"system\",\"content\":",
            (_, Role::User) => ",{\"role\":\"user\",\"content\":",
            (_, Role::Assistant) => ",{\"role\":\"assistant\",\"content\":",
        });
        quote(content, out);
        out.push('}');
    }
    out.push_str("]}");
}

/// Takes the texts out of a conversation that a transform sees completely.
pub(super) fn add_texts(conversation: &mut Conversation, to: &mut Conversations) {
    for turn in &mut conversation.turns {
        if let (Content::Text(text), Some(role)) = (&mut turn.content, turn.role.typed()) {
            to.message(role, &std::mem::take(text));
        }
    }
    to.end_row();
}

/// Writes the transform's result back into the conversation. Weights stay with the
/// assistant messages, in order.
pub(super) fn put_back(conversation: &mut Conversation, example: Example) -> Result<(), &'static str> {
    let same_roles = conversation.turns.len() == example.messages.len()
        && conversation
            .turns
            .iter()
            .zip(&example.messages)
            .all(|(turn, message)| turn.role == MessageRole::from(message.role));
    if same_roles {
        for (turn, message) in conversation.turns.iter_mut().zip(example.messages) {
            turn.content = Content::Text(message.content);
        }
        return Ok(());
    }
    let weights: Vec<Vec<(String, String)>> = conversation
        .turns
        .iter_mut()
        .filter(|turn| turn.role == MessageRole::Assistant)
        .map(|turn| std::mem::take(&mut turn.more))
        .collect();
    let weighted = weights.iter().any(|more| !more.is_empty());
    let answers = example
        .messages
        .iter()
        .filter(|message| MessageRole::from(message.role) == MessageRole::Assistant)
        .count();
    if weighted && answers != weights.len() {
        return Err("number of assistant messages changed in a row with weights");
    }
    let Some(place) = conversation.turns.first().map(|turn| (turn.start, turn.at)) else {
        return Err("messages for a row that has none");
    };
    let mut weights = weights.into_iter();
    conversation.turns = example
        .messages
        .into_iter()
        .map(|message| {
            let role = MessageRole::from(message.role);
            let more = match role {
                MessageRole::Assistant => weights.next().unwrap_or_default(),
                _ => Vec::new(),
            };
            Turn { role, content: Content::Text(message.content), more, start: place.0, at: place.1 }
        })
        .collect();
    Ok(())
}
