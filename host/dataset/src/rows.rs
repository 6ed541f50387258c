//! Checks a row of any format but OpenAI's chat, which has a faster check of its own.

use super::chat;
use super::conversation::{self, Content, Conversation, Origin, Turn, Who, says_the_same};
use super::facts::{IMAGES, RowCheck, Speaker, TOOLS, TYPED, WEIGHTS};
use super::format::Format;
use super::json::Value;
use super::rules::Target;
use super::turns;
use super::verdict::{Kind, said};
use tunesmith_core::contract::Role;

/// Checks a whole row of a file of this format.
pub(super) fn check(row: &mut RowCheck<'_>, format: Format, value: Value<'_>, scratch: &mut String) {
    if let Some(other) = Format::of(value)
        && other != format
    {
        row.error(Kind::OtherFormat, value.start(), || {
            said(
                "",
                format!("the row is {}, the file is {}", other.title(), format.title()),
                "put rows of different formats into different files",
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
            row.error(issue.kind, issue.at, || issue.said);
        } else {
            row.warn(issue.kind, issue.at, || issue.said);
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
        row.warn(Kind::EmptyContent, value.start(), || said("text", "the text is empty", "remove the row"));
    }
}

fn speaker(who: Who) -> Speaker {
    match who {
        Who::System | Who::Developer => Speaker::Typed(Role::System),
        Who::User => Speaker::Typed(Role::User),
        Who::Assistant => Speaker::Typed(Role::Assistant),
        Who::Tool | Who::Function => Speaker::Tool,
    }
}

/// Checks and counts a message. One of OpenAI's format is judged as those of chat rows
/// are.
fn check_turn(
    row: &mut RowCheck<'_>,
    turn: &Turn,
    value: Value<'_>,
    seen: &mut chat::Seen,
    scratch: &mut String,
) {
    let Origin { at, message } = turn.at;
    if let Some(message) = message {
        chat::check_message(row, value.in_place(message), at, seen, scratch);
        return;
    }
    let who = speaker(turn.who);
    seen.next(row, who, turn.start, at);
    let Content::Text(text) = &turn.content else { return };
    row.message(who, text);
    let mut speaks_otherwise = false;
    for (key, value) in turn.more.iter().filter(|(_, value)| value != "null") {
        if matches!(key.as_str(), "tool_calls" | "function_call" | "refusal" | "name") {
            row.count_text(value);
            row.fold(super::facts::hash(value.as_bytes()));
            speaks_otherwise |= key != "name";
        }
    }
    if !speaks_otherwise {
        turns::check_text(row, who, text, true, turn.start, at);
    }
    if turn.more.iter().any(|(key, _)| key == "weight") {
        row.facts.flags |= WEIGHTS;
    }
    if speaks_otherwise || who == Speaker::Tool {
        row.facts.flags |= TOOLS;
    }
}

fn check_turns(row: &mut RowCheck<'_>, conversation: &Conversation, value: Value<'_>, scratch: &mut String) {
    let mut seen = chat::Seen::default();
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
    let mut seen = chat::Seen::apart();
    for turn in &conversation.rejected {
        check_turn(row, turn, value, &mut seen, scratch);
    }
    seen.note(row);
    let [rejected] = &conversation.rejected[..] else {
        row.openai_error(Kind::Preference, value.start(), || {
            said(
                "",
                format!("the answer that is not preferred has {} messages", conversation.rejected.len()),
                "give one message of the assistant for each answer",
            )
        });
        return;
    };
    if rejected.who != Who::Assistant {
        row.error(Kind::Preference, rejected.start, || {
            said(
                rejected.at.at.field("role"),
                "the answer that is not preferred is not the assistant's",
                "give it the role assistant",
            )
        });
    }
    if preferred.is_some_and(|preferred| says_the_same(preferred, rejected)) {
        row.warn(Kind::SameAnswers, value.start(), || {
            said("", "both answers are the same, so that there is nothing to prefer", "remove the row")
        });
    }
    if row.rules.target == Target::OpenAi && row.facts.flags & (TOOLS | IMAGES) != 0 {
        row.error(Kind::Preference, value.start(), || {
            said("", "OpenAI takes only texts in preference pairs", "remove the row")
        });
    }
}
