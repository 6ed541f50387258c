//! Checks for messages of every format: their order, and that they are not empty.

use crate::verdict::row::{CountedRole, RowCheck, SHOWABLE};
use crate::verdict::{FindingKind, explain};
use tunesmith_core::contract::Role;

/// The path of a message in its row, such as `messages[1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MessagePath {
    /// An item of a list.
    Item { list: &'static str, n: usize },
    /// A field of the row.
    Field(&'static str),
}

impl MessagePath {
    /// The list that the message is in, or its field.
    pub fn place(self) -> &'static str {
        match self {
            Self::Item { list, .. } => list,
            Self::Field(field) => field,
        }
    }

    /// The name of one of the message's fields, or of the message.
    pub fn field(self, name: &str) -> String {
        match self {
            Self::Item { list, n } if name.is_empty() => format!("{list}[{n}]"),
            Self::Item { list, n } => format!("{list}[{n}].{name}"),
            Self::Field(field) => field.to_owned(),
        }
    }
}

/// The state of a conversation between two messages.
#[derive(Debug, Default)]
pub(crate) struct TurnOrder {
    messages: u32,
    last: Option<CountedRole>,
    turns: u32,
    users: u32,
    pub assistants: u32,
}

impl TurnOrder {
    /// Whether the last message is the assistant's.
    pub fn ends_with_assistant(&self) -> bool {
        self.last == Some(CountedRole::Typed(Role::Assistant))
    }

    /// Adds the next message; reports it if it is out of order.
    pub fn next(&mut self, row: &mut RowCheck<'_>, role: CountedRole, start: usize, at: MessagePath) {
        let mut warn = |reason: &str, fix: &str| {
            row.warn(FindingKind::RoleOrder, start, || explain(at.field("role"), reason, fix));
        };
        match role {
            CountedRole::Typed(Role::System) if self.messages == 0 => {}
            CountedRole::Typed(Role::System) if self.last == Some(role) => {
                warn("second system message; chat templates expect one", "join the two");
            }
            CountedRole::Typed(Role::System) => warn(
                "system message is not first; chat templates expect it first",
                "move it to the start of the row",
            ),
            CountedRole::Typed(Role::User) if self.last == Some(role) => {
                warn(
                    "two user messages in a row; chat templates expect alternating turns",
                    "join them into one message",
                );
            }
            CountedRole::Typed(Role::Assistant) if self.turns == 0 => {
                warn("conversation starts with the assistant", "start with a user message");
            }
            CountedRole::Typed(Role::Assistant) if self.last == Some(role) => warn(
                "two assistant messages in a row; chat templates expect alternating turns",
                "join them into one message",
            ),
            _ => {}
        }
        self.messages += 1;
        self.turns += u32::from(role != CountedRole::Typed(Role::System));
        self.users += u32::from(role == CountedRole::Typed(Role::User));
        self.assistants += u32::from(role == CountedRole::Typed(Role::Assistant));
        self.last = Some(role);
    }

    /// Reports problems of the conversation as a whole.
    pub fn finish(&self, row: &mut RowCheck<'_>, start: usize, field: &str) {
        if self.assistants == 0 {
            row.error(FindingKind::MissingAssistant, start, || {
                explain(field, "no assistant message, so there is nothing to learn", "add the answer")
            });
        } else if !self.ends_with_assistant() {
            row.warn(FindingKind::RoleOrder, start, || {
                explain(
                    field,
                    "last message is not from the assistant; nothing after the last answer is learned",
                    "end the row with an assistant message",
                )
            });
        } else if self.users > 0 {
            row.facts.flags |= SHOWABLE;
        }
    }
}

/// Reports a message that is empty or contains a NUL character.
pub(crate) fn check_text(
    row: &mut RowCheck<'_>,
    role: CountedRole,
    text: &str,
    escaped: bool,
    start: usize,
    at: MessagePath,
) {
    if text.trim_ascii().is_empty() {
        empty(row, role, start, at);
    }
    if escaped && memchr::memchr(0, text.as_bytes()).is_some() {
        row.warn(FindingKind::Nul, start, || {
            explain(
                at.field("content"),
                "NUL character (\\u0000) in the text; many programs stop reading there",
                "remove it",
            )
        });
    }
}

/// Reports an empty message.
pub(crate) fn empty(row: &mut RowCheck<'_>, role: CountedRole, start: usize, at: MessagePath) {
    if role == CountedRole::Typed(Role::Assistant) {
        row.error(FindingKind::EmptyContent, start, || {
            explain(
                at.field("content"),
                "empty assistant message, which teaches the model to say nothing",
                "add the answer, or remove the row",
            )
        });
    } else {
        row.warn(FindingKind::EmptyContent, start, || {
            explain(at.field("content"), "message is empty", "add the text, or remove the message")
        });
    }
}
