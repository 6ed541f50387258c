//! Checks a row of OpenAI's chat format.

mod content;
mod tools;

use crate::containers::json::{Value, ValueKind, unescape_into};
use crate::shapes::plain;
use crate::shapes::turns::{self, MessagePath};
use crate::verdict::row::{CountedRole, IMAGES, RowCheck, TOOLS, TYPED, WEIGHTS};
use crate::verdict::rules::OPENAI_MAX_IMAGES;
use crate::verdict::{FindingKind, explain};
use content::check_content;
use tools::{check_tools, unanswered};
use tunesmith_core::contract::Role;

/// Keys that a chat row may have.
const ROW_KEYS: [&str; 4] = ["messages", "tools", "functions", "parallel_tool_calls"];

/// Keys that a message may have.
const MESSAGE_KEYS: [&str; 9] =
    ["role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal", "audio"];

/// Checks a whole row.
pub(crate) fn check(row: &mut RowCheck<'_>, value: Value<'_>, scratch: &mut String) {
    let mut typed = true;
    let mut messages = None;
    for (key, value) in value.entries() {
        if key.is_text("messages") {
            messages = Some(value);
        } else if key.is_text("tools") || key.is_text("functions") {
            typed = false;
            row.facts.flags |= TOOLS;
            row.count_text(value.raw());
            let hash = crate::verdict::row::hash(value.raw().as_bytes());
            row.fold(hash);
        } else if !key.is_text("parallel_tool_calls") {
            row.warn(FindingKind::UnknownKey, key.start(), || {
                let name = key.text().unwrap_or_default().into_owned();
                explain(
                    name.clone(),
                    format!("unknown field {name:?}"),
                    format!("remove it, or check its spelling: known fields are {}", ROW_KEYS.join(", ")),
                )
            });
        }
    }
    let Some(messages) = messages else {
        row.error(FindingKind::MissingMessages, value.start(), || {
            explain("messages", "missing field \"messages\"", "add a list of messages")
        });
        return;
    };
    if messages.kind() != ValueKind::Array {
        row.error(FindingKind::MissingMessages, messages.start(), || {
            explain(
                "messages",
                format!("expected a list, found {}", messages.kind().name()),
                "make it a list of messages",
            )
        });
        return;
    }
    let typed = conversation(row, messages, "messages", scratch) && typed;
    if typed {
        row.facts.flags |= TYPED;
    }
}

/// Checks a whole row that [`Plain`](crate::shapes::plain::Plain) has read, with the same
/// findings as [`check`].
pub(crate) fn check_plain(
    row: &mut RowCheck<'_>,
    text: &str,
    start: usize,
    messages: &[plain::Message],
    scratch: &mut String,
) {
    let mut seen = turns::TurnOrder::default();
    for (n, message) in messages.iter().enumerate() {
        let at = MessagePath::Item { list: "messages", n };
        let role = CountedRole::Typed(message.role);
        seen.next(row, role, message.start, at);
        let raw = &text[message.content + 1..message.end - 1];
        let content = if message.escaped {
            scratch.clear();
            unescape_into(raw, scratch);
            &**scratch
        } else {
            raw
        };
        row.message(role, content);
        turns::check_text(row, role, content, message.escaped, message.content, at);
    }
    seen.finish(row, start, "messages");
    row.facts.flags |= TYPED;
}

/// The state of a conversation between two messages.
#[derive(Default)]
pub(crate) struct ChatCheck {
    turns: turns::TurnOrder,
    /// See [`ChatCheck::apart`].
    apart: bool,
    weighted: u32,
    zero_weights: u32,
    images: usize,
    /// Tool calls without an answer yet: id and position.
    calls: Vec<(String, usize)>,
    tools_used: bool,
}

/// Checks a list of messages; returns whether the typed view can express them.
fn conversation(
    row: &mut RowCheck<'_>,
    messages: Value<'_>,
    field: &'static str,
    scratch: &mut String,
) -> bool {
    let mut typed = true;
    let mut seen = ChatCheck::default();
    let mut count = 0;
    for (n, message) in messages.items().enumerate() {
        count = n + 1;
        typed &= check_message(row, message, MessagePath::Item { list: field, n }, &mut seen, scratch);
    }
    if count == 0 {
        row.error(FindingKind::MissingMessages, messages.start(), || {
            explain(field, "list of messages is empty", "add the messages, or remove the row")
        });
        return false;
    }
    seen.finish(row, messages.start(), field);
    typed
}

impl ChatCheck {
    /// For answers outside the conversation, whose order is not checked.
    pub fn apart() -> Self {
        Self { apart: true, ..Self::default() }
    }

    /// Adds the next message; reports it if it is out of order.
    pub fn next(&mut self, row: &mut RowCheck<'_>, role: CountedRole, start: usize, at: MessagePath) {
        if !self.apart {
            self.turns.next(row, role, start, at);
        }
    }

    /// Reports problems of the conversation as a whole.
    pub fn finish(&mut self, row: &mut RowCheck<'_>, start: usize, field: &str) {
        // A row may end with a call: that is how calling is taught.
        if !self.turns.ends_with_assistant() {
            for (id, at) in std::mem::take(&mut self.calls) {
                unanswered(row, field, &id, at);
            }
        }
        self.turns.finish(row, start, field);
        if self.turns.assistants > 0 && self.zero_weights == self.turns.assistants {
            row.warn(FindingKind::AllWeightsZero, start, || {
                explain(
                    field,
                    "every assistant message has weight 0, so nothing is learned",
                    "set the weight of answers to learn to 1, or remove the row",
                )
            });
        }
        if self.images > OPENAI_MAX_IMAGES && row.rules.is_openai() {
            row.error(FindingKind::Image, start, || {
                explain(
                    field,
                    format!("{} images; OpenAI accepts at most {OPENAI_MAX_IMAGES} per row", self.images),
                    "split the row",
                )
            });
        }
        self.note(row);
    }

    /// Sets the row's flags for weights, tools and images.
    pub fn note(&self, row: &mut RowCheck<'_>) {
        for (has, flag) in [(self.weighted > 0, WEIGHTS), (self.tools_used, TOOLS), (self.images > 0, IMAGES)]
        {
            if has {
                row.facts.flags |= flag;
            }
        }
    }
}

/// Checks one message; returns whether the typed view can express it.
pub(crate) fn check_message(
    row: &mut RowCheck<'_>,
    message: Value<'_>,
    at: MessagePath,
    seen: &mut ChatCheck,
    scratch: &mut String,
) -> bool {
    if message.kind() != ValueKind::Object {
        row.error(FindingKind::WrongType, message.start(), || {
            explain(
                at.field(""),
                format!("expected an object, found {}", message.kind().name()),
                "write it as {\"role\": …, \"content\": …}",
            )
        });
        return false;
    }
    let (mut role, mut content) = (None, None);
    let mut more = MessageFields::default();
    for (key, value) in message.entries() {
        if key.is_text("role") {
            role = Some(value);
        } else if key.is_text("content") {
            content = Some(value);
        } else {
            more.take(row, key, value, at);
        }
    }
    let Some(speaker) = check_role(row, role, message, at) else {
        return false;
    };
    seen.next(row, speaker.role, message.start(), at);
    let assistant = speaker.role == CountedRole::Typed(Role::Assistant);
    check_weight(row, more.weight, assistant, at, seen);
    check_tools(row, &more, &speaker, message, at, seen);
    let speaks_otherwise =
        more.tool_calls.is_some() || more.function_call.is_some() || more.refusal.is_some();
    let plain = check_content(row, content, &speaker, message, at, speaks_otherwise, seen, scratch);
    for value in [more.tool_calls, more.function_call, more.refusal, more.name].into_iter().flatten() {
        row.count_text(value.raw());
        let hash = crate::verdict::row::hash(value.raw().as_bytes());
        row.fold(hash);
    }
    plain
        && matches!(speaker.role, CountedRole::Typed(_))
        && !speaker.developer
        && more.tool_calls.is_none()
        && more.function_call.is_none()
        && more.refusal.is_none()
        && more.tool_call_id.is_none()
        && !more.audio
}

/// A message's fields besides role and content. A `null` counts as absent.
#[derive(Default)]
struct MessageFields<'a> {
    name: Option<Value<'a>>,
    weight: Option<Value<'a>>,
    tool_calls: Option<Value<'a>>,
    tool_call_id: Option<Value<'a>>,
    function_call: Option<Value<'a>>,
    refusal: Option<Value<'a>>,
    audio: bool,
}

impl<'a> MessageFields<'a> {
    fn take(&mut self, row: &mut RowCheck<'_>, key: Value<'a>, value: Value<'a>, at: MessagePath) {
        let present = (value.kind() != ValueKind::Null).then_some(value);
        let name = key.text().unwrap_or_default();
        match &*name {
            "name" => self.name = present,
            "weight" => self.weight = present,
            "tool_calls" => self.tool_calls = present,
            "tool_call_id" => self.tool_call_id = present,
            "function_call" => self.function_call = present,
            "refusal" => self.refusal = present,
            "audio" => self.audio = present.is_some(),
            _ => row.openai_error(FindingKind::UnknownKey, key.start(), || {
                explain(
                    at.field(&name),
                    format!("unknown message field {name:?}"),
                    format!("remove it, or check its spelling: known fields are {}", MESSAGE_KEYS.join(", ")),
                )
            }),
        }
    }
}

#[derive(Clone, Copy)]
struct CheckedRole {
    role: CountedRole,
    developer: bool,
    /// `function`: the role before `tool`.
    legacy: bool,
}

fn check_role(
    row: &mut RowCheck<'_>,
    role: Option<Value<'_>>,
    message: Value<'_>,
    at: MessagePath,
) -> Option<CheckedRole> {
    let Some(role) = role else {
        row.error(FindingKind::MissingField, message.start(), || {
            explain(at.field("role"), "missing field \"role\"", "add system, user, assistant or tool")
        });
        return None;
    };
    let spoken = |role| Some(CheckedRole { role, developer: false, legacy: false });
    if role.is_text("user") {
        return spoken(CountedRole::Typed(Role::User));
    }
    if role.is_text("assistant") {
        return spoken(CountedRole::Typed(Role::Assistant));
    }
    if role.is_text("system") {
        return spoken(CountedRole::Typed(Role::System));
    }
    if role.is_text("tool") {
        return spoken(CountedRole::Tool);
    }
    if role.is_text("function") {
        return Some(CheckedRole { role: CountedRole::Tool, developer: false, legacy: true });
    }
    if role.is_text("developer") {
        row.warn(FindingKind::DeveloperRole, role.start(), || {
            explain(
                at.field("role"),
                "role \"developer\" is documented for chats, but not for fine-tuning files",
                "write \"system\"",
            )
        });
        return Some(CheckedRole { role: CountedRole::Typed(Role::System), developer: true, legacy: false });
    }
    match role.text() {
        None => row.error(FindingKind::WrongType, role.start(), || {
            explain(
                at.field("role"),
                format!("expected a string, found {}", role.kind().name()),
                "write a string",
            )
        }),
        Some(name) => row.error(FindingKind::UnknownRole, role.start(), || {
            let lower = name.trim().to_lowercase();
            let meant = match lower.as_str() {
                "system" | "user" | "assistant" | "tool" => lower.as_str(),
                "human" => "user",
                "gpt" | "bot" | "model" | "ai" => "assistant",
                _ => "",
            };
            let fix = if meant.is_empty() {
                "use system, user, assistant or tool".to_owned()
            } else {
                format!("write {meant:?}")
            };
            explain(at.field("role"), format!("unknown role {name:?}"), fix)
        }),
    }
    None
}

fn check_weight(
    row: &mut RowCheck<'_>,
    weight: Option<Value<'_>>,
    assistant: bool,
    at: MessagePath,
    seen: &mut ChatCheck,
) {
    let Some(weight) = weight else { return };
    seen.weighted += 1;
    let number = (weight.kind() == ValueKind::Number).then(|| weight.raw().parse::<f64>().ok()).flatten();
    if !assistant {
        row.warn(FindingKind::Weight, weight.start(), || {
            explain(
                at.field("weight"),
                "weight on a message that is not from the assistant has no effect",
                "remove it",
            )
        });
    } else if number == Some(0.0) {
        seen.zero_weights += 1;
    } else if number != Some(1.0) {
        row.openai_error(FindingKind::Weight, weight.start(), || {
            let found: String = weight.raw().chars().take(40).collect();
            explain(at.field("weight"), format!("invalid weight {found}; expected 0 or 1"), "write 0 or 1")
        });
    }
}
