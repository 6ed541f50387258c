//! A row of any format as one neutral conversation: what conversion, counting and the
//! typed view work on. Parts that only some formats know are kept as they were written.

use super::format::Format;
use super::json::{Kind as Json, Value};
use super::turns::At;
use super::verdict::{Kind, Said, said};
use tunesmith_core::contract::{Example, Message, Role};
use tunesmith_core::failure::Advice;
use tunesmith_core::tokens::{PER_CONVERSATION, PER_MESSAGE, Tokenizer};

/// Who speaks, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    System,
    /// The newer name for the system.
    Developer,
    User,
    Assistant,
    Tool,
    /// The older name for a tool.
    Function,
}

impl Who {
    /// OpenAI's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Function => "function",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Self::System, Self::Developer, Self::User, Self::Assistant, Self::Tool, Self::Function]
            .into_iter()
            .find(|who| who.name() == name)
    }

    /// The role of the typed view.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::System => Some(Role::System),
            Self::User => Some(Role::User),
            Self::Assistant => Some(Role::Assistant),
            _ => None,
        }
    }
}

impl From<Role> for Who {
    fn from(role: Role) -> Self {
        match role {
            Role::System => Self::System,
            Role::User => Self::User,
            Role::Assistant => Self::Assistant,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Plain text.
    Text(String),
    /// Anything else that was given, as JSON.
    Json(String),
    /// Nothing was given.
    Absent,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub who: Who,
    pub content: Content,
    /// Its other fields: name and JSON.
    pub more: Vec<(String, String)>,
    /// Where it starts in the row, and where it is.
    pub start: usize,
    pub at: Origin,
}

/// Where a turn came from; not part of what it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub at: At,
    /// The message's place among the values of its row, where it is one of OpenAI's
    /// format.
    pub message: Option<usize>,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Origin {
    fn of(at: At) -> Self {
        Self { at, message: None }
    }
}

/// A row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    pub turns: Vec<Turn>,
    /// Of a preference pair, the answer that is not preferred; `turns` ends with the
    /// one that is.
    pub rejected: Vec<Turn>,
    /// The row's other fields: name and JSON.
    pub more: Vec<(String, String)>,
    /// Fields beside `input`, of [`Format::OpenAiPreference`], whose `more` are within.
    pub beside: Vec<(String, String)>,
    /// Plain text without roles, of [`Format::Text`].
    pub text: Option<String>,
}

/// What a reader noticed.
pub(super) struct Issue {
    /// Whether it is an error.
    pub error: bool,
    pub kind: Kind,
    pub at: usize,
    pub said: Said,
}

/// Reads rows of one format.
struct Reader<'a> {
    issues: &'a mut Vec<Issue>,
    /// Where the row starts.
    start: usize,
}

/// Reads a row. What is wrong is added to `issues`; none is given where nothing can be
/// made of the row.
pub(super) fn read(format: Format, row: Value<'_>, issues: &mut Vec<Issue>) -> Option<Conversation> {
    let mut reader = Reader { issues, start: row.start() };
    if row.kind() != Json::Object {
        reader.error(
            Kind::NotAnObject,
            row.start(),
            "",
            format!("the row is {}, not an object", row.kind().name()),
            "write each row as an object in braces",
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
        kind: Kind,
        at: usize,
        field: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<Advice>,
    ) {
        self.issues.push(Issue { error: true, kind, at, said: said(field, reason, fix) });
    }

    fn missing(&mut self, field: &str) {
        let at = self.start;
        self.error(
            Kind::MissingField,
            at,
            field,
            format!("the row has no {field:?}"),
            "add it, or remove the row",
        );
    }

    fn text_of(&mut self, value: Value<'_>, field: &str) -> Option<String> {
        if let Some(text) = value.text() {
            return Some(text.into_owned());
        }
        let reason = format!("{field:?} is {}, not a text", value.kind().name());
        self.error(Kind::WrongType, value.start(), field, reason, "write it as a text");
        None
    }

    /// A field of a format in which every message is a field.
    fn turn(&mut self, row: Value<'_>, who: Who, field: &'static str) -> Option<Turn> {
        let Some(value) = row.get(field).filter(|value| value.kind() != Json::Null) else {
            self.missing(field);
            return None;
        };
        let content = Content::Text(self.text_of(value, field)?);
        Some(Turn { who, content, more: Vec::new(), start: value.start(), at: Origin::of(At::Field(field)) })
    }

    /// The same, for a field that may be absent or empty.
    fn optional(&mut self, row: Value<'_>, who: Who, field: &'static str) -> Option<Turn> {
        let value = row.get(field)?;
        if value.kind() == Json::Null || value.is_text("") { None } else { self.turn(row, who, field) }
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
        if list.kind() != Json::Array || list.items().next().is_none() {
            let reason = match list.kind() {
                Json::Array => "the list of messages is empty".to_owned(),
                kind => format!("{field:?} is {}, not a list", kind.name()),
            };
            self.error(Kind::MissingMessages, list.start(), field, reason, "make it a list of messages");
            return None;
        }
        let turns =
            list.items().enumerate().map(|(n, value)| self.message(value, At::Item { list: field, n }));
        let turns: Vec<_> = turns.collect();
        turns.into_iter().collect()
    }

    /// One message in OpenAI's format.
    fn message(&mut self, value: Value<'_>, at: At) -> Option<Turn> {
        if value.kind() != Json::Object {
            let reason = format!("the message is {}, not an object", value.kind().name());
            self.error(
                Kind::WrongType,
                value.start(),
                at.field(""),
                reason,
                "write it as {\"role\": …, \"content\": …}",
            );
            return None;
        }
        let role = value.get("role").and_then(|role| role.text());
        let Some(who) = role.as_deref().and_then(Who::of) else {
            match role {
                None => self.error(
                    Kind::MissingField,
                    value.start(),
                    at.field("role"),
                    "the message has no role",
                    "add system, user or assistant",
                ),
                Some(role) => self.error(
                    Kind::UnknownRole,
                    value.start(),
                    at.field("role"),
                    format!("the role {role:?} is not known"),
                    "use system, user or assistant",
                ),
            }
            return None;
        };
        let content = match value.get("content") {
            None => Content::Absent,
            Some(content) if content.kind() == Json::Null => Content::Absent,
            Some(content) => match content.text() {
                Some(text) => Content::Text(text.into_owned()),
                None => Content::Json(content.raw().to_owned()),
            },
        };
        let more = self.others(value, &["role", "content"]);
        let at = Origin { at, message: Some(value.place()) };
        Some(Turn { who, content, more, start: value.start(), at })
    }

    fn sharegpt(&mut self, row: Value<'_>) -> Option<Conversation> {
        let Some(list) = row.get("conversations") else {
            self.missing("conversations");
            return None;
        };
        if list.kind() != Json::Array || list.items().next().is_none() {
            self.error(
                Kind::MissingMessages,
                list.start(),
                "conversations",
                "not a list with messages",
                "make it a list of messages",
            );
            return None;
        }
        let mut turns: Vec<Turn> = self.optional(row, Who::System, "system").into_iter().collect();
        let mut whole = true;
        for (n, value) in list.items().enumerate() {
            match self.sharegpt_turn(value, At::Item { list: "conversations", n }) {
                Some(turn) => turns.push(turn),
                None => whole = false,
            }
        }
        let more = self.others(row, &["conversations", "system"]);
        whole.then_some(Conversation { turns, more, ..Conversation::default() })
    }

    fn sharegpt_turn(&mut self, value: Value<'_>, at: At) -> Option<Turn> {
        let from = value.get("from").or_else(|| value.get("role"));
        let text = value.get("value").or_else(|| value.get("content"));
        let (Some(from), Some(text)) = (from, text) else {
            let field = if from.is_none() { "from" } else { "value" };
            self.error(
                Kind::MissingField,
                value.start(),
                at.field(field),
                format!("the message has no {field:?}"),
                "add it",
            );
            return None;
        };
        let name = from.text().unwrap_or_default();
        let who = match &*name {
            "human" | "user" => Who::User,
            "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot" => Who::Assistant,
            "system" => Who::System,
            "tool" | "observation" | "function_response" => Who::Tool,
            "function_call" => {
                self.error(
                    Kind::UnknownRole,
                    from.start(),
                    at.field("from"),
                    "calls of functions in ShareGPT rows are not read",
                    "write the row in OpenAI's chat format",
                );
                return None;
            }
            _ => {
                self.error(
                    Kind::UnknownRole,
                    from.start(),
                    at.field("from"),
                    format!("{name:?} is not a known speaker"),
                    "use human, gpt or system",
                );
                return None;
            }
        };
        let content = Content::Text(self.text_of(text, &at.field("value"))?);
        let used = |name, other| if value.get(name).is_some() { name } else { other };
        let more = self.others(value, &[used("from", "role"), used("value", "content")]);
        Some(Turn { who, content, more, start: value.start(), at: Origin::of(at) })
    }

    fn alpaca(&mut self, row: Value<'_>) -> Option<Conversation> {
        let answer_field = if row.get("output").is_some() { "output" } else { "response" };
        let mut turns: Vec<Turn> = self.optional(row, Who::System, "system").into_iter().collect();
        if let Some(history) = row.get("history").filter(|history| history.kind() != Json::Null) {
            for (n, pair) in history.items().enumerate() {
                let at = At::Item { list: "history", n };
                let said: Vec<_> = pair.items().collect();
                let [question, answer] = said[..] else {
                    self.error(
                        Kind::WrongType,
                        pair.start(),
                        at.field(""),
                        "not a pair of question and answer",
                        "write it as [\"question\", \"answer\"]",
                    );
                    return None;
                };
                for (who, value) in [(Who::User, question), (Who::Assistant, answer)] {
                    let content = Content::Text(self.text_of(value, &at.field(""))?);
                    turns.push(Turn {
                        who,
                        content,
                        more: Vec::new(),
                        start: value.start(),
                        at: Origin::of(at),
                    });
                }
            }
        }
        let question = self.turn(row, Who::User, "instruction");
        let input = self.optional(row, Who::User, "input");
        let answer = self.turn(row, Who::Assistant, answer_field);
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
        let mut turns: Vec<Turn> = self.optional(row, Who::System, "system").into_iter().collect();
        let asked = self.messages_or_text(row, Who::User, prompt);
        let answered = self.messages_or_text(row, Who::Assistant, completion);
        turns.extend(asked?);
        turns.extend(answered?);
        let more = self.others(row, &[prompt, completion, "system"]);
        Some(Conversation { turns, more, ..Conversation::default() })
    }

    fn messages_or_text(&mut self, row: Value<'_>, who: Who, field: &'static str) -> Option<Vec<Turn>> {
        match row.get(field).filter(|value| value.kind() == Json::Array) {
            Some(list) => self.messages(list, field),
            None => self.turn(row, who, field).map(|turn| vec![turn]),
        }
    }

    fn openai_preference(&mut self, row: Value<'_>) -> Option<Conversation> {
        let Some(input) = row.get("input") else {
            self.missing("input");
            return None;
        };
        let Some(messages) = input.get("messages") else {
            self.error(
                Kind::MissingMessages,
                input.start(),
                "input.messages",
                "\"input\" has no \"messages\"",
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
        let mut turns: Vec<Turn> = self.optional(row, Who::System, "system").into_iter().collect();
        if row.get("prompt").is_some_and(|prompt| prompt.kind() != Json::Null) {
            turns.extend(self.messages_or_text(row, Who::User, "prompt")?);
        }
        let chosen = self.messages_or_text(row, Who::Assistant, "chosen");
        let rejected = self.messages_or_text(row, Who::Assistant, "rejected");
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

/// Whether two messages say the same.
pub(super) fn says_the_same(a: &Turn, b: &Turn) -> bool {
    a.who == b.who && a.content == b.content && a.more == b.more
}

impl Conversation {
    /// The conversation, if the typed view can express it. Names and weights are left
    /// to the host.
    pub fn typed(&self) -> Option<Example> {
        if self.text.is_some() || !self.is_plain() {
            return None;
        }
        let messages = self.turns.iter().map(|turn| match &turn.content {
            Content::Text(text) => Some(Message { role: turn.who.role()?, content: text.clone() }),
            _ => None,
        });
        Some(Example { messages: messages.collect::<Option<Vec<_>>>()? })
    }

    /// Whether it has nothing but texts of system, user and assistant.
    fn is_plain(&self) -> bool {
        let tools = |(key, value): &(String, String)| {
            matches!(key.as_str(), "tools" | "functions") && value != "null"
        };
        !self.more.iter().any(tools)
            && self.turns.iter().all(|turn| {
                turn.who.role().is_some()
                    && matches!(turn.content, Content::Text(_))
                    && turn.more.iter().all(|(key, value)| !blocks_typed(key) || value == "null")
            })
    }

    /// Tokens by the rule of OpenAI's cookbook; of calls and tool definitions, those of
    /// their JSON. Both answers of a preference pair count.
    pub fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        if let Some(text) = &self.text {
            return tokenizer.count(text);
        }
        let definitions: u64 = self
            .more
            .iter()
            .filter(|(key, _)| matches!(key.as_str(), "tools" | "functions"))
            .map(|(_, value)| tokenizer.count(value))
            .sum();
        let turns = self.turns.iter().chain(&self.rejected);
        PER_CONVERSATION + definitions + turns.map(|turn| turn.tokens(tokenizer)).sum::<u64>()
    }
}

/// Whether a message with this field says more than the typed view can express.
fn blocks_typed(field: &str) -> bool {
    matches!(field, "tool_calls" | "tool_call_id" | "function_call" | "refusal" | "audio")
}

impl Turn {
    fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        let content = match &self.content {
            Content::Text(text) => tokenizer.count(text),
            Content::Json(json) => part_texts(json).iter().map(|text| tokenizer.count(text)).sum(),
            Content::Absent => 0,
        };
        let more = self.more.iter().map(|(key, value)| match key.as_str() {
            "name" => 1 + tokenizer.count(value.trim_matches('"')),
            "tool_calls" | "function_call" | "refusal" if value != "null" => tokenizer.count(value),
            _ => 0,
        });
        PER_MESSAGE + 1 + content + more.sum::<u64>()
    }
}

/// The texts among the parts of a content; images have none.
pub(super) fn part_texts(json: &str) -> Vec<String> {
    let mut tape = super::json::Tape::default();
    let Ok(parts) = tape.parse(json) else { return Vec::new() };
    parts
        .items()
        .filter_map(|part| {
            part.get("text").or_else(|| part.get("refusal"))?.text().map(|text| text.into_owned())
        })
        .collect()
}
