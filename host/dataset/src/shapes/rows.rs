//! Checks a row of any format but OpenAI's chat, which has a faster check of its own.

use crate::containers::json::Value;
use crate::shapes::chat;
use crate::shapes::conversation::{
    self, Content, Conversation, MessageOrigin, MessageRole, Turn, says_the_same,
};
use crate::shapes::format::Format;
use crate::shapes::turns;
use crate::verdict::row::{CountedRole, IMAGES, RowCheck, TOOLS, TYPED, WEIGHTS};
use crate::verdict::rules::Target;
use crate::verdict::{FindingKind, explain};
use tunesmith_core::contract::Role;

/// Checks a whole row of a file of this format.
pub(crate) fn check(row: &mut RowCheck<'_>, format: Format, value: Value<'_>, scratch: &mut String) {
    if let Some(other) = Format::of(value)
        && other != format
    {
        row.error(FindingKind::OtherFormat, value.start(), || {
            explain(
                "",
                format!("row is {}, the file is {}", other.title(), format.title()),
                "put rows of each format into a file of their own",
            )
        });
        return;
    }
    if format == Format::OpenAi {
        chat::check(row, value, scratch);
        return;
    }
    let mut issues = Vec::new();
    let conversation = conversation::read(format, value, &mut issues);
    for issue in issues {
        if issue.error {
            row.error(issue.kind, issue.at, || issue.text);
        } else {
            row.warn(issue.kind, issue.at, || issue.text);
        }
    }
    let Some(conversation) = conversation else { return };
    if let Some(text) = &conversation.text {
        check_plain(row, text, value);
        return;
    }
    check_turns(row, &conversation, value, scratch);
    if format.is_preference() {
        check_preference(row, &conversation, value, scratch);
    }
}

fn check_plain(row: &mut RowCheck<'_>, text: &str, value: Value<'_>) {
    row.facts.messages = 1;
    let hash = row.count_text(text);
    row.fold(hash);
    if text.trim_ascii().is_empty() {
        row.warn(FindingKind::EmptyContent, value.start(), || {
            explain("text", "text is empty", "remove the row")
        });
    }
}

fn speaker(role: MessageRole) -> CountedRole {
    match role {
        MessageRole::System | MessageRole::Developer => CountedRole::Typed(Role::System),
        MessageRole::User => CountedRole::Typed(Role::User),
        MessageRole::Assistant => CountedRole::Typed(Role::Assistant),
        MessageRole::Tool | MessageRole::Function => CountedRole::Tool,
    }
}

/// Checks and counts a message. Messages in OpenAI's format get the checks of
/// chat rows.
fn check_turn(
    row: &mut RowCheck<'_>,
    turn: &Turn,
    value: Value<'_>,
    seen: &mut chat::ChatCheck,
    scratch: &mut String,
) {
    let MessageOrigin { at, message } = turn.at;
    if let Some(message) = message {
        chat::check_message(row, value.in_place(message), at, seen, scratch);
        return;
    }
    let role = speaker(turn.role);
    seen.next(row, role, turn.start, at);
    let Content::Text(text) = &turn.content else { return };
    row.message(role, text);
    let mut speaks_otherwise = false;
    for (key, value) in turn.more.iter().filter(|(_, value)| value != "null") {
        if matches!(key.as_str(), "tool_calls" | "function_call" | "refusal" | "name") {
            row.count_text(value);
            row.fold(crate::verdict::row::hash(value.as_bytes()));
            speaks_otherwise |= key != "name";
        }
    }
    if !speaks_otherwise {
        turns::check_text(row, role, text, true, turn.start, at);
    }
    if turn.more.iter().any(|(key, _)| key == "weight") {
        row.facts.flags |= WEIGHTS;
    }
    if speaks_otherwise || role == CountedRole::Tool {
        row.facts.flags |= TOOLS;
    }
}

fn check_turns(row: &mut RowCheck<'_>, conversation: &Conversation, value: Value<'_>, scratch: &mut String) {
    let mut seen = chat::ChatCheck::default();
    for turn in &conversation.turns {
        check_turn(row, turn, value, &mut seen, scratch);
    }
    let field = conversation.turns.last().map(|turn| turn.at.at.field("")).unwrap_or_default();
    seen.finish(row, value.start(), &field);
    if conversation.typed().is_some() {
        row.facts.flags |= TYPED;
    }
}

fn check_preference(
    row: &mut RowCheck<'_>,
    conversation: &Conversation,
    value: Value<'_>,
    scratch: &mut String,
) {
    let preferred = conversation.turns.last();
    let mut seen = chat::ChatCheck::apart();
    for turn in &conversation.rejected {
        check_turn(row, turn, value, &mut seen, scratch);
    }
    seen.note(row);
    let [rejected] = &conversation.rejected[..] else {
        row.openai_error(FindingKind::Preference, value.start(), || {
            explain(
                "",
                format!("rejected answer has {} messages", conversation.rejected.len()),
                "write each answer as one assistant message",
            )
        });
        return;
    };
    if rejected.role != MessageRole::Assistant {
        row.error(FindingKind::Preference, rejected.start, || {
            explain(
                rejected.at.at.field("role"),
                "rejected answer is not from the assistant",
                "set its role to \"assistant\"",
            )
        });
    }
    if preferred.is_some_and(|preferred| says_the_same(preferred, rejected)) {
        row.warn(FindingKind::SameAnswers, value.start(), || {
            explain("", "both answers are the same, so there is nothing to prefer", "remove the row")
        });
    }
    if row.rules.target == Target::OpenAi && row.facts.flags & (TOOLS | IMAGES) != 0 {
        row.error(FindingKind::Preference, value.start(), || {
            explain("", "OpenAI accepts only text in preference pairs", "remove the row")
        });
    }
}
