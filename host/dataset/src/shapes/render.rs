//! Writes a conversation as a row of a format, and counts details that the format cannot
//! express.

use crate::containers::csv::quote;
use crate::shapes::conversation::{Content, Conversation, MessageRole, Turn};
use crate::shapes::format::Format;
use std::collections::BTreeMap;

/// Details that a format cannot express, and how many of each were dropped.
pub(crate) type Losses = BTreeMap<&'static str, u64>;

/// Fields of an OpenAI row besides its messages.
pub(crate) const ROW_FIELDS: [&str; 3] = ["tools", "functions", "parallel_tool_calls"];

/// Fields of an OpenAI message besides role and content.
pub(crate) const MESSAGE_FIELDS: [&str; 7] =
    ["name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal", "audio"];

/// Writes a row of `to`, read from a row of `from`. If the format cannot express the
/// conversation, the error says why.
pub(crate) fn row(
    conversation: &Conversation,
    from: Format,
    to: Format,
    losses: &mut Losses,
) -> Result<String, &'static str> {
    let mut out = String::with_capacity(256);
    write(&mut out, conversation, from, to, losses)?;
    Ok(out)
}

/// Like [`row`], but appends to `out`, which may end with part of the row after an error.
pub(crate) fn write(
    out: &mut String,
    conversation: &Conversation,
    from: Format,
    to: Format,
    losses: &mut Losses,
) -> Result<(), &'static str> {
    let mut lost = Losses::new();
    let fields = &conversation.more;
    let kept = |key: &str| match to {
        _ if from == to => true,
        Format::OpenAi | Format::OpenAiPreference => ROW_FIELDS.contains(&key),
        _ => false,
    };
    let beside = if from == to { &[] } else { &conversation.beside[..] };
    if fields.iter().any(|(key, value)| !kept(key) && value != "null")
        || beside.iter().any(|(_, value)| value != "null")
    {
        if from == Format::OpenAi
            && fields.iter().any(|(key, _)| matches!(key.as_str(), "tools" | "functions"))
        {
            return Err("has tool definitions, which the format cannot express");
        }
        *lost.entry("fields of rows").or_default() += 1;
    }
    if (conversation.text.is_some()) != (to == Format::Text) {
        return Err(match to {
            Format::Text => "is a conversation, which raw text cannot express",
            _ => "is raw text without roles",
        });
    }
    if conversation.rejected.is_empty() && to.is_preference() {
        return Err("has one answer; a preference pair needs two");
    }
    if !conversation.rejected.is_empty() && !to.is_preference() {
        *lost.entry("rejected answers").or_default() += 1;
    }
    out.push('{');
    match to {
        Format::OpenAi => list(out, "messages", &conversation.turns, from, to, &mut lost)?,
        Format::OpenAiPreference => {
            let (answer, input) = conversation.turns.split_last().ok_or("has no messages")?;
            if answer.role != MessageRole::Assistant || input.is_empty() {
                return Err("last message is not from the assistant");
            }
            out.push_str("\"input\":{");
            list(out, "messages", input, from, to, &mut lost)?;
            append(out, fields.iter().filter(|(key, _)| kept(key)));
            out.push_str("},");
            list(out, "preferred_output", std::slice::from_ref(answer), from, to, &mut lost)?;
            out.push(',');
            list(out, "non_preferred_output", &conversation.rejected, from, to, &mut lost)?;
            if from == to {
                append(out, conversation.beside.iter());
            }
            out.push('}');
            done(lost, losses);
            return Ok(());
        }
        Format::ShareGpt => sharegpt(out, &conversation.turns, from, &mut lost)?,
        Format::Alpaca => alpaca(out, &conversation.turns, &mut lost)?,
        Format::PromptCompletion => pair(out, "completion", None, conversation, from, &mut lost)?,
        Format::Preference => pair(out, "chosen", Some("rejected"), conversation, from, &mut lost)?,
        Format::Text => {
            out.push_str("\"text\":");
            quote(conversation.text.as_deref().unwrap_or_default(), out);
        }
    }
    // Of a row with a question and an answer, which are written under these names.
    let repeats = |key: &str| to == Format::PromptCompletion && matches!(key, "prompt" | "completion");
    if fields.iter().any(|(key, _)| kept(key) && repeats(key)) {
        return Err("has both an answer and a completion");
    }
    append(out, fields.iter().filter(|(key, _)| kept(key)));
    out.push('}');
    done(lost, losses);
    Ok(())
}

fn done(lost: Losses, losses: &mut Losses) {
    for (what, count) in lost {
        *losses.entry(what).or_default() += count;
    }
}

fn append<'a>(out: &mut String, fields: impl Iterator<Item = &'a (String, String)>) {
    for (key, value) in fields {
        out.push(',');
        quote(key, out);
        out.push(':');
        out.push_str(value);
    }
}

/// A list of messages in OpenAI's format, which prompts and answers of other formats
/// use too.
fn list(
    out: &mut String,
    name: &str,
    turns: &[Turn],
    from: Format,
    to: Format,
    lost: &mut Losses,
) -> Result<(), &'static str> {
    quote(name, out);
    out.push_str(":[");
    for (n, turn) in turns.iter().enumerate() {
        if from == Format::ShareGpt {
            // There, nothing says how calls look, and their answers have no ids.
            let has = |field: &str| turn.more.iter().any(|(key, value)| key == field && value != "null");
            if has("tool_calls")
                || has("function_call")
                || turn.role == MessageRole::Tool && !has("tool_call_id")
            {
                return Err("has tool calls without ids, which the format cannot express");
            }
        }
        if n > 0 {
            out.push(',');
        }
        out.push_str("{\"role\":");
        quote(turn.role.name(), out);
        match &turn.content {
            Content::Text(text) => {
                out.push_str(",\"content\":");
                quote(text, out);
            }
            Content::Json(json) => {
                out.push_str(",\"content\":");
                out.push_str(json);
            }
            Content::Absent => out.push_str(",\"content\":null"),
        }
        let known = |key: &str| from == to || MESSAGE_FIELDS.contains(&key);
        append(out, turn.more.iter().filter(|(key, _)| known(key)));
        if turn.more.iter().any(|(key, _)| !known(key)) {
            *lost.entry("fields of messages").or_default() += 1;
        }
        out.push('}');
    }
    out.push(']');
    Ok(())
}

/// A message's text for a format that knows nothing else.
fn plain<'a>(turn: &'a Turn, from: Format, to: Format, lost: &mut Losses) -> Result<&'a str, &'static str> {
    for (key, value) in &turn.more {
        match key.as_str() {
            _ if value == "null" => {}
            "tool_calls" | "function_call" | "tool_call_id" => {
                return Err("has tool calls, which the format cannot express");
            }
            "refusal" | "audio" => return Err("has a refusal or audio, which the format cannot express"),
            "weight" => *lost.entry("message weights").or_default() += 1,
            "name" => *lost.entry("speaker names").or_default() += 1,
            _ if from == to => {}
            _ => *lost.entry("fields of messages").or_default() += 1,
        }
    }
    match &turn.content {
        Content::Text(text) => Ok(text),
        Content::Json(_) => Err("has images or content parts, which the format cannot express"),
        Content::Absent => Err("has a message without content"),
    }
}

fn sharegpt(out: &mut String, turns: &[Turn], from: Format, lost: &mut Losses) -> Result<(), &'static str> {
    out.push_str("\"conversations\":[");
    for (n, turn) in turns.iter().enumerate() {
        let text = plain(turn, from, Format::ShareGpt, lost)?;
        let speaker = match turn.role {
            MessageRole::System => "system",
            MessageRole::User => "human",
            MessageRole::Assistant => "gpt",
            MessageRole::Tool if from == Format::ShareGpt => "tool",
            _ => {
                return Err("has tool, function or developer messages, which the format cannot express");
            }
        };
        if n > 0 {
            out.push(',');
        }
        out.push_str("{\"from\":");
        quote(speaker, out);
        out.push_str(",\"value\":");
        quote(text, out);
        if from == Format::ShareGpt {
            append(out, turn.more.iter());
        }
        out.push('}');
    }
    out.push(']');
    Ok(())
}

fn alpaca(out: &mut String, turns: &[Turn], lost: &mut Losses) -> Result<(), &'static str> {
    const ORDER: &str = "user and assistant messages do not alternate, which the format requires";
    let text = |turn, lost: &mut Losses| plain(turn, Format::OpenAi, Format::Alpaca, lost);
    let (system, turns) = match turns {
        [first, rest @ ..] if first.role == MessageRole::System => (Some(first), rest),
        turns => (None, turns),
    };
    let (pairs, rest) = turns.as_chunks::<2>();
    let [history @ .., [question, answer]] = pairs else { return Err(ORDER) };
    let in_turn =
        |pair: &[Turn; 2]| pair[0].role == MessageRole::User && pair[1].role == MessageRole::Assistant;
    if !rest.is_empty() || !pairs.iter().all(in_turn) {
        return Err(ORDER);
    }
    if let Some(system) = system {
        let system = text(system, lost)?;
        if system.is_empty() {
            return Err("system message is empty, which the format cannot express");
        }
        out.push_str("\"system\":");
        quote(system, out);
        out.push(',');
    }
    out.push_str("\"instruction\":");
    quote(text(question, lost)?, out);
    out.push_str(",\"input\":\"\",\"output\":");
    quote(text(answer, lost)?, out);
    if !history.is_empty() {
        out.push_str(",\"history\":[");
        for (n, [question, answer]) in history.iter().enumerate() {
            out.push_str(if n > 0 { ",[" } else { "[" });
            quote(text(question, lost)?, out);
            out.push(',');
            quote(text(answer, lost)?, out);
            out.push(']');
        }
        out.push(']');
    }
    Ok(())
}

/// A prompt and one or two answers: strings if these express everything, else messages.
fn pair(
    out: &mut String,
    answer: &str,
    other: Option<&str>,
    conversation: &Conversation,
    from: Format,
    lost: &mut Losses,
) -> Result<(), &'static str> {
    let to = if other.is_some() { Format::Preference } else { Format::PromptCompletion };
    let (last, prompt) = conversation.turns.split_last().ok_or("has no messages")?;
    if last.role != MessageRole::Assistant || prompt.is_empty() {
        return Err("last message is not from the assistant");
    }
    let bare = |turn: &Turn| match &turn.content {
        Content::Text(text) if turn.more.is_empty() => Some(text.clone()),
        _ => None,
    };
    let answers: Option<Vec<String>> = match other {
        None => bare(last).map(|last| vec![last]),
        Some(_) => match &conversation.rejected[..] {
            [rejected] if rejected.role == MessageRole::Assistant => {
                bare(last).zip(bare(rejected)).map(|(last, rejected)| vec![last, rejected])
            }
            _ => None,
        },
    };
    if let ([question], Some(answers)) = (prompt, answers)
        && question.role == MessageRole::User
        && let Some(question) = bare(question)
    {
        out.push_str("\"prompt\":");
        quote(&question, out);
        for (name, text) in [Some(answer), other].into_iter().flatten().zip(answers) {
            out.push(',');
            quote(name, out);
            out.push(':');
            quote(&text, out);
        }
        return Ok(());
    }
    list(out, "prompt", prompt, from, to, lost)?;
    out.push(',');
    list(out, answer, std::slice::from_ref(last), from, to, lost)?;
    if let Some(other) = other {
        out.push(',');
        list(out, other, &conversation.rejected, from, to, lost)?;
    }
    Ok(())
}
