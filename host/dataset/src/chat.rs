//! Checks a row of OpenAI's chat format.

use super::facts::{IMAGES, RowCheck, Speaker, TOOLS, TYPED, WEIGHTS};
use super::json::{Kind as Json, Value, unescape_into};
use super::plain;
use super::rules::OPENAI_MOST_IMAGES;
use super::turns::{self, At};
use super::verdict::{Kind, said};
use tunesmith_core::contract::Role;

/// Keys that a chat row may have.
const ROW_KEYS: [&str; 4] = ["messages", "tools", "functions", "parallel_tool_calls"];

/// Keys that a message may have.
const MESSAGE_KEYS: [&str; 9] =
    ["role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal", "audio"];

/// Checks a whole row.
pub(super) fn check(row: &mut RowCheck<'_>, value: Value<'_>, scratch: &mut String) {
    let mut typed = true;
    let mut messages = None;
    for (key, value) in value.entries() {
        if key.is_text("messages") {
            messages = Some(value);
        } else if key.is_text("tools") || key.is_text("functions") {
            typed = false;
            row.facts.flags |= TOOLS;
            row.count_text(value.raw());
            let hash = super::facts::hash(value.raw().as_bytes());
            row.fold(hash);
        } else if !key.is_text("parallel_tool_calls") {
            row.warn(Kind::UnknownKey, key.start(), || {
                let name = key.text().unwrap_or_default().into_owned();
                said(
                    name.clone(),
                    format!("the key {name:?} is not part of the chat format"),
                    format!("remove it, or check its spelling: known keys are {}", ROW_KEYS.join(", ")),
                )
            });
        }
    }
    let Some(messages) = messages else {
        row.error(Kind::MissingMessages, value.start(), || {
            said("messages", "the row has no \"messages\"", "add a list of messages")
        });
        return;
    };
    if messages.kind() != Json::Array {
        row.error(Kind::MissingMessages, messages.start(), || {
            said(
                "messages",
                format!("\"messages\" is {}", messages.kind().name()),
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

/// Checks a whole row that [`Plain`](super::plain::Plain) has read; finds what [`check`]
/// does.
pub(super) fn check_plain(
    row: &mut RowCheck<'_>,
    text: &str,
    start: usize,
    messages: &[plain::Message],
    scratch: &mut String,
) {
    let mut seen = turns::Seen::default();
    for (n, message) in messages.iter().enumerate() {
        let at = At::Item { list: "messages", n };
        let who = Speaker::Typed(message.role);
        seen.next(row, who, message.start, at);
        let raw = &text[message.content + 1..message.end - 1];
        let content = if message.escaped {
            scratch.clear();
            unescape_into(raw, scratch);
            &**scratch
        } else {
            raw
        };
        row.message(who, content);
        turns::check_text(row, who, content, message.escaped, message.content, at);
    }
    seen.finish(row, start, "messages");
    row.facts.flags |= TYPED;
}

/// What was seen of a conversation so far.
#[derive(Default)]
pub(super) struct Seen {
    turns: turns::Seen,
    /// See [`Seen::apart`].
    apart: bool,
    weighted: u32,
    zero_weights: u32,
    images: usize,
    /// Calls that wait for an answer: id and where.
    calls: Vec<(String, usize)>,
    tools_used: bool,
}

/// Checks a list of messages; says whether the typed view can express them.
fn conversation(
    row: &mut RowCheck<'_>,
    messages: Value<'_>,
    field: &'static str,
    scratch: &mut String,
) -> bool {
    let mut typed = true;
    let mut seen = Seen::default();
    let mut count = 0;
    for (n, message) in messages.items().enumerate() {
        count = n + 1;
        typed &= check_message(row, message, At::Item { list: field, n }, &mut seen, scratch);
    }
    if count == 0 {
        row.error(Kind::MissingMessages, messages.start(), || {
            said(field, "the list of messages is empty", "add the messages, or remove the row")
        });
        return false;
    }
    seen.finish(row, messages.start(), field);
    typed
}

impl Seen {
    /// For answers beside the conversation, whose order is not looked at.
    pub fn apart() -> Self {
        Self { apart: true, ..Self::default() }
    }

    /// Takes the next message, and reports one that is out of order.
    pub fn next(&mut self, row: &mut RowCheck<'_>, who: Speaker, start: usize, at: At) {
        if !self.apart {
            self.turns.next(row, who, start, at);
        }
    }

    /// Reports what is wrong with the conversation as a whole.
    pub fn finish(&mut self, row: &mut RowCheck<'_>, start: usize, field: &str) {
        // A row may end with a call: that is how calling is taught.
        if !self.turns.ends_with_assistant() {
            for (id, at) in std::mem::take(&mut self.calls) {
                unanswered(row, field, &id, at);
            }
        }
        self.turns.finish(row, start, field);
        if self.turns.assistants > 0 && self.zero_weights == self.turns.assistants {
            row.warn(Kind::AllWeightsZero, start, || {
                said(
                    field,
                    "every assistant message has weight 0, so that the row teaches nothing",
                    "give the answers to learn weight 1, or remove the row",
                )
            });
        }
        if self.images > OPENAI_MOST_IMAGES && row.rules.is_openai() {
            row.error(Kind::Image, start, || {
                said(
                    field,
                    format!("{} images; OpenAI takes at most {OPENAI_MOST_IMAGES} in a row", self.images),
                    "split the row",
                )
            });
        }
        self.note(row);
    }

    /// Notes in the row's facts what its messages have.
    pub fn note(&self, row: &mut RowCheck<'_>) {
        for (has, flag) in [(self.weighted > 0, WEIGHTS), (self.tools_used, TOOLS), (self.images > 0, IMAGES)]
        {
            if has {
                row.facts.flags |= flag;
            }
        }
    }
}

fn unanswered(row: &mut RowCheck<'_>, field: &str, id: &str, at: usize) {
    row.openai_error(Kind::UnansweredToolCall, at, || {
        said(
            field,
            format!("no tool message answers the call {id:?}"),
            "add a message of role \"tool\" with this tool_call_id right after it",
        )
    });
}

/// Checks one message; says whether the typed view can express it.
pub(super) fn check_message(
    row: &mut RowCheck<'_>,
    message: Value<'_>,
    at: At,
    seen: &mut Seen,
    scratch: &mut String,
) -> bool {
    if message.kind() != Json::Object {
        row.error(Kind::WrongType, message.start(), || {
            said(
                at.field(""),
                format!("the message is {}, not an object", message.kind().name()),
                "write it as {\"role\": …, \"content\": …}",
            )
        });
        return false;
    }
    let (mut role, mut content) = (None, None);
    let mut more = More::default();
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
    seen.next(row, speaker.who, message.start(), at);
    let assistant = speaker.who == Speaker::Typed(Role::Assistant);
    check_weight(row, more.weight, assistant, at, seen);
    check_tools(row, &more, &speaker, message, at, seen);
    let speaks_otherwise =
        more.tool_calls.is_some() || more.function_call.is_some() || more.refusal.is_some();
    let plain = check_content(row, content, &speaker, message, at, speaks_otherwise, seen, scratch);
    for value in [more.tool_calls, more.function_call, more.refusal, more.name].into_iter().flatten() {
        row.count_text(value.raw());
        let hash = super::facts::hash(value.raw().as_bytes());
        row.fold(hash);
    }
    plain
        && matches!(speaker.who, Speaker::Typed(_))
        && !speaker.developer
        && more.tool_calls.is_none()
        && more.function_call.is_none()
        && more.refusal.is_none()
        && more.tool_call_id.is_none()
        && !more.audio
}

/// A message's fields besides role and content. A `null` counts as absent.
#[derive(Default)]
struct More<'a> {
    name: Option<Value<'a>>,
    weight: Option<Value<'a>>,
    tool_calls: Option<Value<'a>>,
    tool_call_id: Option<Value<'a>>,
    function_call: Option<Value<'a>>,
    refusal: Option<Value<'a>>,
    audio: bool,
}

impl<'a> More<'a> {
    fn take(&mut self, row: &mut RowCheck<'_>, key: Value<'a>, value: Value<'a>, at: At) {
        let present = (value.kind() != Json::Null).then_some(value);
        let name = key.text().unwrap_or_default();
        match &*name {
            "name" => self.name = present,
            "weight" => self.weight = present,
            "tool_calls" => self.tool_calls = present,
            "tool_call_id" => self.tool_call_id = present,
            "function_call" => self.function_call = present,
            "refusal" => self.refusal = present,
            "audio" => self.audio = present.is_some(),
            _ => row.openai_error(Kind::UnknownKey, key.start(), || {
                said(
                    at.field(&name),
                    format!("messages have no key {name:?}"),
                    format!("remove it, or check its spelling: known keys are {}", MESSAGE_KEYS.join(", ")),
                )
            }),
        }
    }
}

#[derive(Clone, Copy)]
struct Spoken {
    who: Speaker,
    developer: bool,
    /// `function`: the role before `tool`.
    legacy: bool,
}

fn check_role(row: &mut RowCheck<'_>, role: Option<Value<'_>>, message: Value<'_>, at: At) -> Option<Spoken> {
    let Some(role) = role else {
        row.error(Kind::MissingField, message.start(), || {
            said(at.field("role"), "the message has no role", "add system, user, assistant or tool")
        });
        return None;
    };
    let spoken = |who| Some(Spoken { who, developer: false, legacy: false });
    if role.is_text("user") {
        return spoken(Speaker::Typed(Role::User));
    }
    if role.is_text("assistant") {
        return spoken(Speaker::Typed(Role::Assistant));
    }
    if role.is_text("system") {
        return spoken(Speaker::Typed(Role::System));
    }
    if role.is_text("tool") {
        return spoken(Speaker::Tool);
    }
    if role.is_text("function") {
        return Some(Spoken { who: Speaker::Tool, developer: false, legacy: true });
    }
    if role.is_text("developer") {
        row.warn(Kind::DeveloperRole, role.start(), || {
            said(
                at.field("role"),
                "OpenAI documents the role \"developer\" for chats, but not for fine-tuning files",
                "write \"system\"",
            )
        });
        return Some(Spoken { who: Speaker::Typed(Role::System), developer: true, legacy: false });
    }
    match role.text() {
        None => row.error(Kind::WrongType, role.start(), || {
            said(at.field("role"), format!("the role is {}, not a text", role.kind().name()), "write a text")
        }),
        Some(name) => row.error(Kind::UnknownRole, role.start(), || {
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
            said(at.field("role"), format!("the role {name:?} is not known"), fix)
        }),
    }
    None
}

fn check_weight(row: &mut RowCheck<'_>, weight: Option<Value<'_>>, assistant: bool, at: At, seen: &mut Seen) {
    let Some(weight) = weight else { return };
    seen.weighted += 1;
    let number = (weight.kind() == Json::Number).then(|| weight.raw().parse::<f64>().ok()).flatten();
    if !assistant {
        row.warn(Kind::Weight, weight.start(), || {
            said(
                at.field("weight"),
                "a weight on a message that is not the assistant's means nothing",
                "remove it",
            )
        });
    } else if number == Some(0.0) {
        seen.zero_weights += 1;
    } else if number != Some(1.0) {
        row.openai_error(Kind::Weight, weight.start(), || {
            let found: String = weight.raw().chars().take(40).collect();
            said(at.field("weight"), format!("the weight is {found}; it can be 0 or 1"), "write 0 or 1")
        });
    }
}

fn check_tools(
    row: &mut RowCheck<'_>,
    more: &More<'_>,
    spoken: &Spoken,
    message: Value<'_>,
    at: At,
    seen: &mut Seen,
) {
    if spoken.who == Speaker::Tool {
        seen.tools_used = true;
        if spoken.legacy {
            if more.name.is_none() {
                row.error(Kind::MissingField, message.start(), || {
                    said(at.field("name"), "a function's message has no name", "add the function's name")
                });
            }
            return;
        }
        let Some(id) = more.tool_call_id else {
            row.error(Kind::MissingField, message.start(), || {
                said(
                    at.field("tool_call_id"),
                    "a tool's message has no tool_call_id",
                    "add the id of the call that it answers",
                )
            });
            return;
        };
        let name = id.text().unwrap_or_default();
        match seen.calls.iter().position(|(call, _)| *call == *name) {
            Some(found) => {
                seen.calls.remove(found);
            }
            None => row.openai_error(Kind::AnswerWithoutCall, id.start(), || {
                said(
                    at.field("tool_call_id"),
                    format!("answers the call {name:?}, which the assistant did not just make"),
                    "use the id of a call in the assistant message before it",
                )
            }),
        }
        return;
    }
    for (id, place) in std::mem::take(&mut seen.calls) {
        unanswered(row, at.place(), &id, place);
    }
    if let Some(call) = more.function_call {
        seen.tools_used = true;
        check_function(row, call, || at.field("function_call"));
    }
    let Some(calls) = more.tool_calls else { return };
    seen.tools_used = true;
    if calls.kind() != Json::Array {
        row.error(Kind::WrongType, calls.start(), || {
            said(
                at.field("tool_calls"),
                format!("tool_calls is {}, not a list", calls.kind().name()),
                "make it a list of calls",
            )
        });
        return;
    }
    for (m, call) in calls.items().enumerate() {
        let field = |name: &str| at.field(&format!("tool_calls[{m}]{name}"));
        match call.get("id").and_then(|id| id.text()) {
            Some(id) => seen.calls.push((id.into_owned(), call.start())),
            None => row.error(Kind::MissingField, call.start(), || {
                said(field(".id"), "the call has no id", "add an id, and answer it with tool_call_id")
            }),
        }
        match call.get("function") {
            Some(function) => check_function(row, function, || field(".function")),
            None => row.error(Kind::MissingField, call.start(), || {
                said(field(".function"), "the call names no function", "add {\"name\": …, \"arguments\": …}")
            }),
        }
    }
}

fn check_function(row: &mut RowCheck<'_>, function: Value<'_>, field: impl Fn() -> String) {
    if function.get("name").and_then(|name| name.text()).is_none_or(|name| name.is_empty()) {
        row.error(Kind::MissingField, function.start(), || {
            said(format!("{}.name", field()), "the call names no function", "add its name")
        });
    }
    match function.get("arguments") {
        Some(arguments) if arguments.kind() == Json::Text => {}
        Some(arguments) => row.openai_error(Kind::WrongType, arguments.start(), || {
            said(
                format!("{}.arguments", field()),
                format!("the arguments are {}, not a text that holds JSON", arguments.kind().name()),
                "write them as JSON within a text",
            )
        }),
        None => row.openai_error(Kind::MissingField, function.start(), || {
            said(
                format!("{}.arguments", field()),
                "the call has no arguments",
                "add \"{}\" where there are none",
            )
        }),
    }
}

/// Checks what a message says; says whether it is plain text.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
fn check_content(
    row: &mut RowCheck<'_>,
    content: Option<Value<'_>>,
    spoken: &Spoken,
    message: Value<'_>,
    at: At,
    speaks_otherwise: bool,
    seen: &mut Seen,
    scratch: &mut String,
) -> bool {
    let assistant = spoken.who == Speaker::Typed(Role::Assistant);
    let Some(content) = content.filter(|content| content.kind() != Json::Null) else {
        row.begin_message(spoken.who);
        if !(assistant && speaks_otherwise) {
            row.error(Kind::MissingField, message.start(), || {
                said(
                    at.field("content"),
                    "the message has no content",
                    "add what it says, or remove the message",
                )
            });
        }
        return false;
    };
    if let Some(text) = content.text_in(scratch) {
        row.message(spoken.who, text);
        if !(assistant && speaks_otherwise) {
            turns::check_text(row, spoken.who, text, content.is_escaped(), content.start(), at);
        }
        return true;
    }
    if content.kind() == Json::Array {
        return check_parts(row, content, spoken, at, seen, scratch);
    }
    row.begin_message(spoken.who);
    row.error(Kind::WrongType, content.start(), || {
        said(
            at.field("content"),
            format!("the content is {}, not a text", content.kind().name()),
            "write it as a text",
        )
    });
    false
}

fn check_parts(
    row: &mut RowCheck<'_>,
    content: Value<'_>,
    spoken: &Spoken,
    at: At,
    seen: &mut Seen,
    scratch: &mut String,
) -> bool {
    row.begin_message(spoken.who);
    let mut parts = 0;
    for (m, part) in content.items().enumerate() {
        parts += 1;
        let field = || at.field(&format!("content[{m}]"));
        let kind = part.get("type").and_then(|kind| kind.text()).unwrap_or_default();
        match &*kind {
            "text" | "refusal" => match part.get(&kind).and_then(|text| text.text_in(scratch)) {
                Some(text) => {
                    let hash = row.count_text(text);
                    row.fold(hash);
                }
                None => row.error(Kind::MissingField, part.start(), || {
                    said(field(), "a text part without a text", "add \"text\"")
                }),
            },
            "image_url" => {
                seen.images += 1;
                let hash = super::facts::hash(part.raw().as_bytes());
                row.fold(hash);
                check_image(row, part, spoken, field);
            }
            _ => row.error(Kind::WrongType, part.start(), || {
                said(
                    field(),
                    "a part of the content that is neither a text nor an image",
                    "use parts of type text or image_url",
                )
            }),
        }
    }
    if parts == 0 {
        turns::empty(row, spoken.who, content.start(), at);
    }
    false
}

fn check_image(row: &mut RowCheck<'_>, part: Value<'_>, spoken: &Spoken, field: impl Fn() -> String) {
    if spoken.who != Speaker::Typed(Role::User) {
        row.openai_error(Kind::Image, part.start(), || {
            said(field(), "an image in a message that is not the user's", "move it to a user message")
        });
    }
    let Some(url) = part.get("image_url").and_then(|image| image.get("url")).and_then(|url| url.text())
    else {
        row.error(Kind::Image, part.start(), || {
            said(field(), "an image without a URL", "write {\"image_url\": {\"url\": …}}")
        });
        return;
    };
    const KINDS: [&str; 3] = ["data:image/jpeg;", "data:image/png;", "data:image/webp;"];
    let web = url.starts_with("https://") || url.starts_with("http://");
    if !web && !KINDS.iter().any(|kind| url.starts_with(kind)) {
        row.openai_error(Kind::Image, part.start(), || {
            said(
                field(),
                "an image that is neither a web address nor JPEG, PNG or WebP data",
                "use a https URL, or a data URL of one of these types",
            )
        });
    }
}
