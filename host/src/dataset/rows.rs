//! Checks a row of any format but OpenAI's chat, which has a faster check of its own.

use super::conversation::{self, Content, Conversation, Turn, Who, says_the_same};
use super::facts::{IMAGES, RowCheck, Speaker, TOOLS, TYPED, WEIGHTS};
use super::format::Format;
use super::json::Value;
use super::rules::Target;
use super::turns;
use super::verdict::{Kind, said};
use crate::contract::Role;

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
        super::chat::check(row, value, scratch);
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
    check_turns(row, &conversation, value);
    if format.is_preference() {
        check_preference(row, &conversation, value);
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

fn count(row: &mut RowCheck<'_>, turn: &Turn) {
    let who = speaker(turn.who);
    match &turn.content {
        Content::Text(text) => row.message(who, text),
        Content::Json(json) => {
            row.begin_message(who);
            for text in conversation::part_texts(json) {
                row.count_text(&text);
            }
            row.fold(super::facts::hash(json.as_bytes()));
        }
        Content::Absent => row.begin_message(who),
    }
    for (key, value) in &turn.more {
        if matches!(key.as_str(), "tool_calls" | "function_call" | "refusal" | "name") && value != "null" {
            row.count_text(value);
            row.fold(super::facts::hash(value.as_bytes()));
        }
    }
}

fn check_turns(row: &mut RowCheck<'_>, conversation: &Conversation, value: Value<'_>) {
    let mut seen = turns::Seen::default();
    for turn in &conversation.turns {
        let who = speaker(turn.who);
        seen.next(row, who, turn.start, turn.at.0);
        count(row, turn);
        let speaks_otherwise = turn.more.iter().any(|(key, value)| {
            matches!(key.as_str(), "tool_calls" | "function_call" | "refusal") && value != "null"
        });
        match &turn.content {
            Content::Text(text) if !speaks_otherwise => {
                turns::check_text(row, who, text, true, turn.start, turn.at.0);
            }
            Content::Absent if !speaks_otherwise => turns::empty(row, who, turn.start, turn.at.0),
            Content::Json(json) if json.contains("\"image_url\"") => row.facts.flags |= IMAGES,
            _ => {}
        }
        if turn.more.iter().any(|(key, _)| key == "weight") {
            row.facts.flags |= WEIGHTS;
        }
        if speaks_otherwise || who == Speaker::Tool {
            row.facts.flags |= TOOLS;
        }
    }
    let field = conversation.turns.last().map(|turn| turn.at.0.field("")).unwrap_or_default();
    seen.finish(row, value.start(), &field);
    if conversation.typed().is_some() {
        row.facts.flags |= TYPED;
    }
}

fn check_preference(row: &mut RowCheck<'_>, conversation: &Conversation, value: Value<'_>) {
    let preferred = conversation.turns.last();
    for turn in &conversation.rejected {
        count(row, turn);
        if let Content::Text(text) = &turn.content {
            turns::check_text(row, speaker(turn.who), text, true, turn.start, turn.at.0);
        }
    }
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
                rejected.at.0.field("role"),
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
