//! Estimating tokens as the host does where it lacks the model's tokenizer.

use crate::{Example, Message, Role, Row};

/// Tokens that every message costs besides its text: three, and one for its role
/// (OpenAI's chat format, by which the host counts).
const PER_MESSAGE: usize = 4;

/// Tokens that every conversation costs besides its messages (same source).
const PER_CONVERSATION: u32 = 3;

/// Tokens of a text as a message, by a cautious estimate: one for three ASCII bytes,
/// one for two other bytes, and four for what a message costs besides. Common
/// tokenizers need fewer for ordinary text.
#[must_use]
pub fn estimated_message_tokens(text: &str) -> u32 {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let other = text.len() - ascii;
    u32::try_from(ascii.div_ceil(3) + other.div_ceil(2) + PER_MESSAGE).unwrap_or(u32::MAX)
}

/// Tokens of a whole conversation, by the same estimate.
#[must_use]
pub fn estimated_tokens(example: &Example) -> u32 {
    sum(&example.messages, |_| true)
}

/// Tokens that a row costs as an example: without its system prompt, which the
/// derived model has only once. Never more than the host's own count.
pub(super) fn as_shot(row: &Row) -> u32 {
    row.tokens.min(sum(&row.example.messages, |message| message.role != Role::System))
}

/// Tokens that rows cost as examples.
pub(super) fn as_shots(rows: &[Row]) -> u32 {
    rows.iter().map(as_shot).fold(0, u32::saturating_add)
}

fn sum(messages: &[Message], counts: impl Fn(&Message) -> bool) -> u32 {
    messages
        .iter()
        .filter(|message| counts(message))
        .map(|message| estimated_message_tokens(&message.content))
        .fold(PER_CONVERSATION, u32::saturating_add)
}
