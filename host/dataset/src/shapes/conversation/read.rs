//! Reads rows of every format as conversations.

use super::{Content, Conversation, MessageOrigin, MessageRole, Turn, says_the_same};
use crate::containers::json::{Value, ValueKind};
use crate::shapes::format::Format;
use crate::shapes::turns::MessagePath;
use crate::verdict::{FindingKind, FindingText, explain};
use tunesmith_core::failure::Advice;

/// A problem that a reader found.
pub(crate) struct Issue {
    /// Whether it is an error.
    pub error: bool,
    pub kind: FindingKind,
    pub at: usize,
    pub text: FindingText,
}

/// Reads rows of one format.
struct Reader<'a> {
    issues: &'a mut Vec<Issue>,
    /// Where the row starts.
    start: usize,
}

/// Reads a row. Adds problems to `issues`; returns `None` if the row cannot be read.
pub(crate) fn read(format: Format, row: Value<'_>, issues: &mut Vec<Issue>) -> Option<Conversation> {
    let mut reader = Reader { issues, start: row.start() };
    if row.kind() != ValueKind::Object {
        reader.error(
            FindingKind::NotAnObject,
            row.start(),
            "",
            format!("expected an object, found {}", row.kind().name()),
            "write each row as a JSON object",
        );
        return None;
    }
    match format {
        Format::OpenAi => reader.openai(row),
        Format::ShareGpt => reader.sharegpt(row),
        Format::Alpaca => reader.alpaca(row),
        Format::PromptCompletion => reader.prompt_completion(row),
        Format::OpenAiPreference => reader.openai_preference(row),
        Format::Preference => reader.preference(row),
        Format::Text => reader.text(row),
    }
}

impl Reader<'_> {
    fn error(
        &mut self,
        kind: FindingKind,
        at: usize,
        field: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<Advice>,
    ) {
        self.issues.push(Issue { error: true, kind, at, text: explain(field, reason, fix) });
    }

    fn missing(&mut self, field: &str) {
        let at = self.start;
        self.error(
            FindingKind::MissingField,
            at,
            field,
            format!("missing field {field:?}"),
            "add it, or remove the row",
        );
    }

    fn text_of(&mut self, value: Value<'_>, field: &str) -> Option<String> {
        if let Some(text) = value.text() {
            return Some(text.into_owned());
        }
        let reason = format!("expected a string, found {}", value.kind().name());
        self.error(FindingKind::WrongType, value.start(), field, reason, "write it as a string");
        None
    }

    /// A field of a format in which every message is a field.
    fn turn(&mut self, row: Value<'_>, role: MessageRole, field: &'static str) -> Option<Turn> {
        let Some(value) = row.get(field).filter(|value| value.kind() != ValueKind::Null) else {
            self.missing(field);
            return None;
        };
        let content = Content::Text(self.text_of(value, field)?);
        Some(Turn {
            role,
            content,
            more: Vec::new(),
            start: value.start(),
            at: MessageOrigin::of(MessagePath::Field(field)),
        })
    }

    /// Like [`turn`](Self::turn), for a field that may be absent or empty.
    fn optional(&mut self, row: Value<'_>, role: MessageRole, field: &'static str) -> Option<Turn> {
        let value = row.get(field)?;
        if value.kind() == ValueKind::Null || value.is_text("") { None } else { self.turn(row, role, field) }
    }

    fn others(&self, row: Value<'_>, known: &[&str]) -> Vec<(String, String)> {
        row.entries()
            .filter(|(key, _)| !known.iter().any(|known| key.is_text(known)))
            .map(|(key, value)| (key.text().unwrap_or_default().into_owned(), value.raw().to_owned()))
            .collect()
    }

    fn openai(&mut self, row: Value<'_>) -> Option<Conversation> {
        let Some(messages) = row.get("messages") else {
            self.missing("messages");
            return None;
        };
        let turns = self.messages(messages, "messages")?;
        Some(Conversation { turns, more: self.others(row, &["messages"]), ..Conversation::default() })
    }

    fn messages(&mut self, list: Value<'_>, field: &'static str) -> Option<Vec<Turn>> {
        if list.kind() != ValueKind::Array || list.items().next().is_none() {
            let reason = match list.kind() {
                ValueKind::Array => "list of messages is empty".to_owned(),
                kind => format!("expected a list, found {}", kind.name()),
            };
            self.error(
                FindingKind::MissingMessages,
                list.start(),
                field,
                reason,
                "make it a list of messages",
            );
            return None;
        }
        let turns = list
            .items()
            .enumerate()
            .map(|(n, value)| self.message(value, MessagePath::Item { list: field, n }));
        let turns: Vec<_> = turns.collect();
        turns.into_iter().collect()
    }

    /// One message in OpenAI's format.
    fn message(&mut self, value: Value<'_>, at: MessagePath) -> Option<Turn> {
        if value.kind() != ValueKind::Object {
            let reason = format!("expected an object, found {}", value.kind().name());
            self.error(
                FindingKind::WrongType,
                value.start(),
                at.field(""),
                reason,
                "write it as {\"role\": …, \"content\": …}",
            );
            return None;
        }
        let role = value.get("role").and_then(|role| role.text());
        let Some(role) = role.as_deref().and_then(MessageRole::of) else {
            match role {
                None => self.error(
                    FindingKind::MissingField,
                    value.start(),
                    at.field("role"),
                    "missing field \"role\"",
                    "add system, user or assistant",
                ),
                Some(role) => self.error(
                    FindingKind::UnknownRole,
                    value.start(),
                    at.field("role"),
                    format!("unknown role {role:?}"),
                    "use system, user or assistant",
                ),
            }
            return None;
        };
        let content = match value.get("content") {
            None => Content::Absent,
            Some(content) if content.kind() == ValueKind::Null => Content::Absent,
            Some(content) => match content.text() {
                Some(text) => Content::Text(text.into_owned()),
                None => Content::Json(content.raw().to_owned()),
            },
        };
        let more = self.others(value, &["role", "content"]);
        let at = MessageOrigin { at, message: Some(value.place()) };
        Some(Turn { role, content, more, start: value.start(), at })
    }

    fn sharegpt(&mut self, row: Value<'_>) -> Option<Conversation> {
        let Some(list) = row.get("conversations") else {
            self.missing("conversations");
            return None;
        };
        if list.kind() != ValueKind::Array || list.items().next().is_none() {
            self.error(
                FindingKind::MissingMessages,
                list.start(),
                "conversations",
                "expected a list of messages",
                "make it a list of messages",
            );
            return None;
        }
        let mut turns: Vec<Turn> = self.optional(row, MessageRole::System, "system").into_iter().collect();
        let mut whole = true;
        for (n, value) in list.items().enumerate() {
            match self.sharegpt_turn(value, MessagePath::Item { list: "conversations", n }) {
                Some(turn) => turns.push(turn),
                None => whole = false,
            }
        }
        let more = self.others(row, &["conversations", "system"]);
        whole.then_some(Conversation { turns, more, ..Conversation::default() })
    }

    fn sharegpt_turn(&mut self, value: Value<'_>, at: MessagePath) -> Option<Turn> {
        let from = value.get("from").or_else(|| value.get("role"));
        let text = value.get("value").or_else(|| value.get("content"));
        let (Some(from), Some(text)) = (from, text) else {
            let field = if from.is_none() { "from" } else { "value" };
            self.error(
                FindingKind::MissingField,
                value.start(),
                at.field(field),
                format!("missing field {field:?}"),
                "add it",
            );
            return None;
        };
        let name = from.text().unwrap_or_default();
        let role = match &*name {
            "human" | "user" => MessageRole::User,
            "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot" => MessageRole::Assistant,
            "system" => MessageRole::System,
            "tool" | "observation" | "function_response" => MessageRole::Tool,
            "function_call" => {
                self.error(
                    FindingKind::UnknownRole,
                    from.start(),
                    at.field("from"),
                    "function calls in ShareGPT rows are not supported",
                    "write the row in OpenAI's chat format",
                );
                return None;
            }
            _ => {
                self.error(
                    FindingKind::UnknownRole,
                    from.start(),
                    at.field("from"),
                    format!("unknown speaker {name:?}"),
                    "use human, gpt or system",
                );
                return None;
            }
        };
        let content = Content::Text(self.text_of(text, &at.field("value"))?);
        let used = |name, other| if value.get(name).is_some() { name } else { other };
        let more = self.others(value, &[used("from", "role"), used("value", "content")]);
        Some(Turn { role, content, more, start: value.start(), at: MessageOrigin::of(at) })
    }

    fn alpaca(&mut self, row: Value<'_>) -> Option<Conversation> {
        let answer_field = if row.get("output").is_some() { "output" } else { "response" };
        let mut turns: Vec<Turn> = self.optional(row, MessageRole::System, "system").into_iter().collect();
        if let Some(history) = row.get("history").filter(|history| history.kind() != ValueKind::Null) {
            for (n, pair) in history.items().enumerate() {
                let at = MessagePath::Item { list: "history", n };
                let said: Vec<_> = pair.items().collect();
                let [question, answer] = said[..] else {
                    self.error(
                        FindingKind::WrongType,
                        pair.start(),
                        at.field(""),
                        "expected a pair of question and answer",
                        "write it as [\"question\", \"answer\"]",
                    );
                    return None;
                };
                for (role, value) in [(MessageRole::User, question), (MessageRole::Assistant, answer)] {
                    let content = Content::Text(self.text_of(value, &at.field(""))?);
                    turns.push(Turn {
                        role,
                        content,
                        more: Vec::new(),
                        start: value.start(),
                        at: MessageOrigin::of(at),
                    });
                }
            }
        }
        let question = self.turn(row, MessageRole::User, "instruction");
        let input = self.optional(row, MessageRole::User, "input");
        let answer = self.turn(row, MessageRole::Assistant, answer_field);
        let mut question = question?;
        if let (Content::Text(text), Some(Content::Text(input))) =
            (&mut question.content, input.map(|input| input.content))
        {
            text.push_str("\n\n");
            text.push_str(&input);
        }
        turns.push(question);
        turns.push(answer?);
        let more = self.others(row, &["instruction", "input", answer_field, "system", "history"]);
        Some(Conversation { turns, more, ..Conversation::default() })
    }

    fn prompt_completion(&mut self, row: Value<'_>) -> Option<Conversation> {
        let has = |field: &str| row.get(field).is_some();
        let (prompt, completion) = if has("question") && !has("prompt") {
            ("question", "answer")
        } else if has("response") && !has("completion") {
            ("prompt", "response")
        } else {
            ("prompt", "completion")
        };
        let mut turns: Vec<Turn> = self.optional(row, MessageRole::System, "system").into_iter().collect();
        let asked = self.messages_or_text(row, MessageRole::User, prompt);
        let answered = self.messages_or_text(row, MessageRole::Assistant, completion);
        turns.extend(asked?);
        turns.extend(answered?);
        let more = self.others(row, &[prompt, completion, "system"]);
        Some(Conversation { turns, more, ..Conversation::default() })
    }

    fn messages_or_text(
        &mut self,
        row: Value<'_>,
        role: MessageRole,
        field: &'static str,
    ) -> Option<Vec<Turn>> {
        match row.get(field).filter(|value| value.kind() == ValueKind::Array) {
            Some(list) => self.messages(list, field),
            None => self.turn(row, role, field).map(|turn| vec![turn]),
        }
    }

    fn openai_preference(&mut self, row: Value<'_>) -> Option<Conversation> {
        let Some(input) = row.get("input") else {
            self.missing("input");
            return None;
        };
        let Some(messages) = input.get("messages") else {
            self.error(
                FindingKind::MissingMessages,
                input.start(),
                "input.messages",
                "missing field \"input.messages\"",
                "add the conversation before the answer",
            );
            return None;
        };
        let mut turns = self.messages(messages, "input.messages");
        let mut answer = |field: &'static str| match row.get(field) {
            Some(list) => self.messages(list, field),
            None => {
                self.missing(field);
                None
            }
        };
        let preferred = answer("preferred_output");
        let rejected = answer("non_preferred_output")?;
        if let (Some(turns), Some(preferred)) = (&mut turns, preferred) {
            turns.extend(preferred);
        } else {
            return None;
        }
        let more = self.others(input, &["messages"]);
        let beside = self.others(row, &["input", "preferred_output", "non_preferred_output"]);
        Some(Conversation { turns: turns?, rejected, more, beside, text: None })
    }

    fn preference(&mut self, row: Value<'_>) -> Option<Conversation> {
        let mut turns: Vec<Turn> = self.optional(row, MessageRole::System, "system").into_iter().collect();
        if row.get("prompt").is_some_and(|prompt| prompt.kind() != ValueKind::Null) {
            turns.extend(self.messages_or_text(row, MessageRole::User, "prompt")?);
        }
        let chosen = self.messages_or_text(row, MessageRole::Assistant, "chosen");
        let rejected = self.messages_or_text(row, MessageRole::Assistant, "rejected");
        let (mut chosen, mut rejected) = (chosen?, rejected?);
        // Without a prompt, both answers repeat the conversation before them.
        let same = chosen.iter().zip(&rejected).take_while(|(a, b)| says_the_same(a, b)).count();
        let shared = same.min(chosen.len().saturating_sub(1)).min(rejected.len().saturating_sub(1));
        turns.extend(chosen.drain(..shared));
        rejected.drain(..shared);
        turns.extend(chosen);
        let more = self.others(row, &["prompt", "chosen", "rejected", "system"]);
        Some(Conversation { turns, rejected, more, ..Conversation::default() })
    }

    fn text(&mut self, row: Value<'_>) -> Option<Conversation> {
        let Some(text) = row.get("text") else {
            self.missing("text");
            return None;
        };
        let text = Some(self.text_of(text, "text")?);
        Some(Conversation { text, more: self.others(row, &["text"]), ..Conversation::default() })
    }
}
