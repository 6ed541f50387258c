//! Keys that tell whether two rows are duplicates.

use super::{Content, Conversation};
use tunesmith_core::digest::Hasher;

/// A digest of a row's content: rows with the same key are duplicates.
pub(crate) fn key(conversation: &Conversation) -> [u8; 16] {
    let mut hasher = Hasher::default();
    let mut part = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    for (kind, turns) in [("turns", &conversation.turns), ("rejected", &conversation.rejected)] {
        part(kind);
        for turn in turns {
            part(turn.role.name());
            match &turn.content {
                Content::Text(text) => part(text),
                Content::Json(json) => {
                    part("json");
                    part(json);
                }
                Content::Absent => {
                    part("json");
                    part("null");
                }
            }
            for (key, value) in &turn.more {
                part(key);
                part(value);
            }
            part("end");
        }
    }
    part(conversation.text.as_deref().unwrap_or_default());
    for (key, value) in &conversation.more {
        part(key);
        part(value);
    }
    for (key, value) in &conversation.beside {
        part("beside");
        part(key);
        part(value);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finish().as_bytes()[..16]);
    key
}
