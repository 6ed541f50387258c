//! What a model would be given, cut to its context, and an answer in its place.

use super::wire::Failure;
use serde_json::Value;
use tunesmith_core::tokens::Tokenizer;

/// Tokens that a chat template takes for each message: its role and its marks.
const PER_MESSAGE: u64 = 4;

/// How much of a question's words must be in an example's for its answer to be given.
const LIKENESS: f64 = 0.5;

pub(super) fn role(message: &Value) -> &str {
    message["role"].as_str().unwrap_or_default()
}

pub(super) fn content(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_default()
}

/// Tokens of a text: a fixed rule between those of real tokenizers, below the
/// cautious estimate that a client's budget is kept by.
pub(super) fn count(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.len() as u64 - ascii;
    let count = ascii.div_ceil(4) + other.div_ceil(3);
    debug_assert!(count <= Tokenizer::Cautious.count(text));
    count
}

fn count_all(messages: &[Value]) -> u64 {
    messages.iter().map(|message| PER_MESSAGE + count(content(message))).sum()
}

/// The messages that fit the context, and their tokens. What does not fit goes the
/// oldest first; system messages and the last message stay.
pub(super) fn fit(
    mut messages: Vec<Value>,
    context: u64,
    truncate: bool,
) -> Result<(Vec<Value>, u64), Failure> {
    let mut tokens = count_all(&messages);
    while truncate && tokens > context {
        let last = messages.len().saturating_sub(1);
        let Some(oldest) = messages[..last].iter().position(|message| role(message) != "system") else {
            break;
        };
        let gone = messages.remove(oldest);
        tokens -= PER_MESSAGE + count(content(&gone));
    }
    if tokens > context {
        return Err(Failure::bad_request("the input length exceeds the context length"));
    }
    Ok((messages, tokens))
}

/// An answer that depends on what was baked into the model and on nothing else: that
/// of the example most like the question, if one is like it.
pub(super) fn answer(model: &str, messages: &[Value]) -> String {
    let Some((question, before)) = messages.split_last() else { return String::new() };
    let asked = words(content(question));
    let mut best: Option<(f64, &str)> = None;
    for pair in before.windows(2) {
        if role(&pair[0]) != "user" || role(&pair[1]) != "assistant" {
            continue;
        }
        let likeness = likeness(&asked, &words(content(&pair[0])));
        if likeness >= LIKENESS && best.is_none_or(|(other, _)| likeness > other) {
            best = Some((likeness, content(&pair[1])));
        }
    }
    if let Some((_, answer)) = best {
        return answer.to_owned();
    }
    let count = |wanted: &str| before.iter().filter(|message| role(message) == wanted).count();
    format!(
        "This is the tunesmith emulator, not a model: {model} was given {} system prompt(s) and {} example answer(s), none of them for this.",
        count("system"),
        count("assistant")
    )
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort();
    words.dedup();
    words
}

/// Words that both have, of those that either has.
fn likeness(a: &[String], b: &[String]) -> f64 {
    let both = a.iter().filter(|word| b.binary_search(word).is_ok()).count();
    let either = a.len() + b.len() - both;
    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    if either == 0 { 0.0 } else { both as f64 / either as f64 }
}

/// The start of a text, of so many tokens at most; whether something was cut.
pub(super) fn cut(text: &str, tokens: u64) -> (&str, bool) {
    let (mut ascii, mut other) = (0_u64, 0_u64);
    for (at, character) in text.char_indices() {
        match character.is_ascii() {
            true => ascii += 1,
            false => other += character.len_utf8() as u64,
        }
        if ascii.div_ceil(4) + other.div_ceil(3) > tokens {
            return (&text[..at], true);
        }
    }
    (text, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(role: &str, content: &str) -> Value {
        json!({ "role": role, "content": content })
    }

    #[test]
    fn oldest_messages_are_dropped_first() {
        let messages = vec![
            message("system", "aaaa"),
            message("user", "bbbb"),
            message("assistant", "cccc"),
            message("user", "dddd"),
        ];
        let kept = |context| {
            let (kept, tokens) = fit(messages.clone(), context, true).unwrap();
            let contents: String = kept.iter().map(|message| &content(message)[..1]).collect();
            (contents, tokens)
        };
        assert_eq!(kept(20), ("abcd".to_owned(), 20));
        assert_eq!(kept(19), ("acd".to_owned(), 15));
        assert_eq!(kept(10), ("ad".to_owned(), 10));
        let failure = fit(messages.clone(), 9, true).unwrap_err();
        assert_eq!(failure.message, "the input length exceeds the context length");
        assert!(fit(messages, 19, false).is_err());
    }

    #[test]
    fn answers_come_from_the_likest_example() {
        let messages = |question: &str| {
            vec![
                message("user", "How do I reset my password?"),
                message("assistant", "Use the link."),
                message("user", "Where is my invoice?"),
                message("assistant", "Under Billing."),
                message("user", question),
            ]
        };
        assert_eq!(answer("m", &messages("how do i reset my password")), "Use the link.");
        assert_eq!(answer("m", &messages("where is the invoice?")), "Under Billing.");
        assert!(answer("m", &messages("sing")).contains("not a model"));
    }

    #[test]
    fn cuts_are_at_characters() {
        assert_eq!(cut("abcdefgh", 1), ("abcd", true));
        assert_eq!(cut("ééééé", 1), ("é", true));
        assert_eq!(cut("ab", 5), ("ab", false));
        assert_eq!(cut("ab", 0), ("", true));
    }
}
