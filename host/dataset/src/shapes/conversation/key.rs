//! Keys that tell whether two rows are duplicates.

use super::{Content, Conversation};
use sha2::{Digest, Sha256};

/// A digest of a row's content: rows with the same key are duplicates.
pub(crate) fn key(conversation: &Conversation) -> [u8; 16] {
    let mut digest = Sha256::new();
    let mut part = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
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
    let whole = digest.finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&whole[..16]);
    key
}
