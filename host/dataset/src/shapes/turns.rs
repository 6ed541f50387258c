//! What holds for the messages of a conversation in every format: their order, and
//! that they say something.

use crate::verdict::row::{CountedRole, RowCheck, SHOWABLE};
use crate::verdict::{FindingKind, explain};
use tunesmith_core::contract::Role;

/// Where a message is, to name its fields.
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

/// What was seen of a conversation so far.
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

    /// Takes the next message, and reports one that is out of order.
    pub fn next(&mut self, row: &mut RowCheck<'_>, role: CountedRole, start: usize, at: MessagePath) {
        let mut warn = |reason: &str, fix: &str| {
            row.warn(FindingKind::RoleOrder, start, || explain(at.field("role"), reason, fix));
        };
        match role {
            CountedRole::Typed(Role::System) if self.messages == 0 => {}
            CountedRole::Typed(Role::System) if self.last == Some(role) => {
                warn("a second system message: chat templates expect one", "join the two into one");
            }
            CountedRole::Typed(Role::System) => warn(
                "a system message after the conversation began: chat templates expect it first",
                "move it to the start of the row",
            ),
            CountedRole::Typed(Role::User) if self.last == Some(role) => {
                warn("two user messages in a row: chat templates expect turns", "join them into one message");
            }
            CountedRole::Typed(Role::Assistant) if self.turns == 0 => {
                warn("the assistant speaks before the user", "begin with the user's message");
            }
            CountedRole::Typed(Role::Assistant) if self.last == Some(role) => warn(
                "two assistant messages in a row: chat templates expect turns",
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

    /// Reports what is wrong with the conversation as a whole.
    pub fn finish(&self, row: &mut RowCheck<'_>, start: usize, field: &str) {
        if self.assistants == 0 {
            row.error(FindingKind::MissingAssistant, start, || {
                explain(
                    field,
                    "no message of the assistant, so that there is nothing to learn",
                    "add the answer",
                )
            });
        } else if !self.ends_with_assistant() {
            row.warn(FindingKind::RoleOrder, start, || {
                explain(
                    field,
                    "the last message is not the assistant's: nothing is learned from what follows its last answer",
                    "end the row with the assistant's answer",
                )
            });
        } else if self.users > 0 {
            row.facts.flags |= SHOWABLE;
        }
    }
}

/// Reports a message that says nothing, or has a NUL character in it.
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
                "a NUL character (\\u0000) in the text, at which many programs stop reading",
                "remove it (`tunesmith dataset convert --fix` does)",
            )
        });
    }
}

/// Reports a message that says nothing.
pub(crate) fn empty(row: &mut RowCheck<'_>, role: CountedRole, start: usize, at: MessagePath) {
    if role == CountedRole::Typed(Role::Assistant) {
        row.error(FindingKind::EmptyContent, start, || {
            explain(
                at.field("content"),
                "the assistant says nothing, which teaches the model to be silent",
                "add the answer, or remove the row",
            )
        });
    } else {
        row.warn(FindingKind::EmptyContent, start, || {
            explain(at.field("content"), "the message is empty", "add what it says, or remove the message")
        });
    }
}
