//! Repairs that change no meaning.

use crate::containers::json::Tape;
use crate::shapes::conversation::{Content, Conversation, MessageRole, part_texts};
use std::collections::BTreeMap;

/// Repairs a row; returns whether it changed.
pub(super) fn fix(conversation: &mut Conversation, fixed: &mut BTreeMap<&'static str, u64>) -> bool {
    let mut any = false;
    let mut count = |what| {
        *fixed.entry(what).or_default() += 1;
        any = true;
    };
    for turn in conversation.turns.iter_mut().chain(&mut conversation.rejected) {
        if turn.role == MessageRole::Developer {
            turn.role = MessageRole::System;
            count("changed role \"developer\" to \"system\"");
        }
        if turn.role != MessageRole::Assistant && turn.more.iter().any(|(key, _)| key == "weight") {
            turn.more.retain(|(key, _)| key != "weight");
            count("removed weights from messages that are not the assistant's");
        }
        match &mut turn.content {
            Content::Text(text) if text.contains('\0') => {
                text.retain(|character| character != '\0');
                count("removed NUL characters");
            }
            Content::Json(json) if only_text_parts(json) => {
                turn.content = Content::Text(part_texts(json).concat());
                count("joined lists of text parts into strings");
            }
            _ => {}
        }
    }
    any
}

fn only_text_parts(json: &str) -> bool {
    let mut tape = Tape::default();
    let Ok(value) = tape.parse(json) else { return false };
    value.items().next().is_some()
        && value.items().all(|part| {
            part.get("type").is_some_and(|kind| kind.is_text("text"))
                && part.get("text").is_some_and(|text| text.text().is_some())
        })
}
