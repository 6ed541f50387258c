//! What holds for the messages of a conversation in every format: their order, and
//! that they say something.

use super::facts::{RowCheck, SHOWABLE, Speaker};
use super::verdict::{Kind, said};
use tunesmith_core::contract::Role;
use tunesmith_core::failure::Advice;

/// Where a message is, to name its fields.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// An item of a list.
    Item { list: &'static str, n: usize },
    /// A field of the row.
    Field(&'static str),
}

impl At {
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
pub(super) struct Seen {
    messages: u32,
    last: Option<Speaker>,
    turns: u32,
    users: u32,
    pub assistants: u32,
}

impl Seen {
    /// Whether the last message is the assistant's.
    pub fn ends_with_assistant(&self) -> bool {
        self.last == Some(Speaker::Typed(Role::Assistant))
    }

    /// Takes the next message, and reports one that is out of order.
    pub fn next(&mut self, row: &mut RowCheck<'_>, who: Speaker, start: usize, at: At) {
        let mut warn = |reason: &str, fix: &str| {
            row.warn(Kind::RoleOrder, start, || said(at.field("role"), reason, fix));
        };
        match who {
            Speaker::Typed(Role::System) if self.messages == 0 => {}
            Speaker::Typed(Role::System) if self.last == Some(who) => {
                warn("a second system message: chat templates expect one", "join the two into one");
            }
            Speaker::Typed(Role::System) => warn(
                "a system message after the conversation began: chat templates expect it first",
                "move it to the start of the row",
            ),
            Speaker::Typed(Role::User) if self.last == Some(who) => {
                warn("two user messages in a row: chat templates expect turns", "join them into one message");
            }
            Speaker::Typed(Role::Assistant) if self.turns == 0 => {
                warn("the assistant speaks before the user", "begin with the user's message");
            }
            Speaker::Typed(Role::Assistant) if self.last == Some(who) => warn(
                "two assistant messages in a row: chat templates expect turns",
                "join them into one message",
            ),
            _ => {}
        }
        self.messages += 1;
        self.turns += u32::from(who != Speaker::Typed(Role::System));
        self.users += u32::from(who == Speaker::Typed(Role::User));
        self.assistants += u32::from(who == Speaker::Typed(Role::Assistant));
        self.last = Some(who);
    }

    /// Reports what is wrong with the conversation as a whole.
    pub fn finish(&self, row: &mut RowCheck<'_>, start: usize, field: &str) {
        if self.assistants == 0 {
            row.error(Kind::MissingAssistant, start, || {
                said(
                    field,
                    "no message of the assistant, so that there is nothing to learn",
                    "add the answer",
                )
            });
        } else if !self.ends_with_assistant() {
            row.warn(Kind::RoleOrder, start, || {
                said(
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
pub(super) fn check_text(
    row: &mut RowCheck<'_>,
    who: Speaker,
    text: &str,
    escaped: bool,
    start: usize,
    at: At,
) {
    if text.trim_ascii().is_empty() {
        empty(row, who, start, at);
    }
    if escaped && memchr::memchr(0, text.as_bytes()).is_some() {
        row.warn(Kind::Nul, start, || {
            said(
                at.field("content"),
                "a NUL character (\\u0000) in the text, at which many programs stop reading",
                Advice::fix_rows("remove it"),
            )
        });
    }
}

/// Reports a message that says nothing.
pub(super) fn empty(row: &mut RowCheck<'_>, who: Speaker, start: usize, at: At) {
    if who == Speaker::Typed(Role::Assistant) {
        row.error(Kind::EmptyContent, start, || {
            said(
                at.field("content"),
                "the assistant says nothing, which teaches the model to be silent",
                "add the answer, or remove the row",
            )
        });
    } else {
        row.warn(Kind::EmptyContent, start, || {
            said(at.field("content"), "the message is empty", "add what it says, or remove the message")
        });
    }
}
