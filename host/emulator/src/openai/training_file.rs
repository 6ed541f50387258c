//! What a job finds out about its training file, line by line.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

/// Examples that a job needs.
const MIN_EXAMPLES: u64 = 10;

/// The longest line that is read. The service cuts examples at 65,536 tokens; this is
/// some hundred times that, and bounds memory.
const MAX_LINE: u64 = 32 << 20;

/// Bytes to a token, where none is counted.
const BYTES_PER_TOKEN: u64 = 4;

const ROLES: &[&str] = &["system", "user", "assistant", "tool", "function", "developer"];

/// Why a job failed, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobError {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) param: Option<String>,
}

impl JobError {
    pub(super) fn of_training_file(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), param: Some("training_file".to_owned()) }
    }
}

/// What a good file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) examples: u64,
    pub(super) tokens: u64,
}

/// The kinds of training, whose lines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    Supervised,
    Dpo,
    Reinforcement,
}

/// Reads a file in its pieces, as long as `go_on` says so; none where it was stopped.
pub(super) fn examine(
    paths: &[PathBuf],
    method: Method,
    go_on: impl Fn() -> bool,
) -> io::Result<Option<Result<Summary, JobError>>> {
    let mut chain: Box<dyn Read> = Box::new(io::empty());
    for path in paths {
        chain = Box::new(chain.chain(File::open(path)?));
    }
    let mut lines = BufReader::with_capacity(1 << 17, chain);
    let mut summary = Summary { examples: 0, tokens: 0 };
    let mut line = Vec::new();
    for number in 1_u64.. {
        if number.is_multiple_of(1_024) && !go_on() {
            return Ok(None);
        }
        line.clear();
        let read = lines.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            break;
        }
        let bad = |code: &str, text: String| Ok(Some(Err(JobError::of_training_file(code, text))));
        if read > MAX_LINE {
            return bad("invalid_file_format", format!("Line {number} is too long."));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Ok(Value::Object(example)) = serde_json::from_slice::<Value>(&line) else {
            let start: String = String::from_utf8_lossy(&line).chars().take(12).collect();
            let text = format!(
                "Expected file to have JSONL format, where every line is a valid JSON dictionary. Line {number} is not a dictionary (HINT: line starts with: \"{}...\").",
                start.trim_end()
            );
            return bad("invalid_file_format", text);
        };
        let checked = match method {
            Method::Supervised => supervised(example.get("messages").unwrap_or(&Value::Null)),
            Method::Dpo => dpo(&Value::Object(example)),
            Method::Reinforcement => reinforcement(example.get("messages").unwrap_or(&Value::Null)),
        };
        if let Err(reason) = checked {
            return bad("invalid_training_data", format!("Invalid file format. Example {number} {reason}"));
        }
        summary.examples += 1;
        summary.tokens += read.div_ceil(BYTES_PER_TOKEN);
    }
    if summary.examples < MIN_EXAMPLES {
        let text = format!(
            "Training file has {} example(s), but must have at least {MIN_EXAMPLES} examples.",
            summary.examples
        );
        return Ok(Some(Err(JobError::of_training_file("invalid_n_examples", text))));
    }
    Ok(Some(Ok(summary)))
}

fn messages(value: &Value) -> Result<&[Value], String> {
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or("is missing key \"messages\".")?;
    for message in list {
        let role = message["role"].as_str().ok_or("has a message without \"role\".")?;
        if !ROLES.contains(&role) {
            return Err(format!("has a message with the unrecognized role \"{role}\"."));
        }
        let has = |key: &str| message.get(key).is_some_and(|value| !value.is_null());
        if !has("content") && !has("tool_calls") && !has("function_call") {
            return Err("has a message without \"content\".".to_owned());
        }
        if let Some(weight) = message.get("weight")
            && !matches!(weight.as_u64(), Some(0 | 1))
        {
            return Err("has a message whose \"weight\" is neither 0 nor 1.".to_owned());
        }
    }
    Ok(list)
}

fn supervised(value: &Value) -> Result<(), String> {
    let has_answer = messages(value)?.iter().any(|message| message["role"] == "assistant");
    if has_answer { Ok(()) } else { Err("must have at least one message from the assistant.".to_owned()) }
}

fn dpo(example: &Value) -> Result<(), String> {
    messages(&example["input"]["messages"]).map_err(|reason| format!("\"input\" {reason}"))?;
    for key in ["preferred_output", "non_preferred_output"] {
        let output = messages(&example[key]).map_err(|_| format!("is missing key \"{key}\"."))?;
        if output.iter().any(|message| message["role"] != "assistant") {
            return Err(format!("has a message in \"{key}\" that is not the assistant's."));
        }
    }
    Ok(())
}

fn reinforcement(value: &Value) -> Result<(), String> {
    let ends_with_user = messages(value)?.last().is_some_and(|message| message["role"] == "user");
    if ends_with_user { Ok(()) } else { Err("must end with a message from the user.".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(lines: &[&str], method: Method) -> Result<Summary, JobError> {
        // Two pieces that break in the middle of a line.
        let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::write(&a, &text[..text.len() / 2]).unwrap();
        std::fs::write(&b, &text[text.len() / 2..]).unwrap();
        examine(&[a, b], method, || true).unwrap().unwrap()
    }

    const GOOD: &str = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;

    #[test]
    fn ten_examples_are_enough_and_nine_are_not() {
        assert_eq!(verdict(&[GOOD; 10], Method::Supervised).unwrap().examples, 10);
        let error = verdict(&[GOOD; 9], Method::Supervised).unwrap_err();
        assert_eq!(error.code, "invalid_n_examples");
        assert_eq!(error.message, "Training file has 9 example(s), but must have at least 10 examples.");
    }

    #[test]
    fn the_first_bad_line_is_named() {
        for (line, method, part) in [
            (
                "hello",
                Method::Supervised,
                "Line 2 is not a dictionary (HINT: line starts with: \"hello...\")",
            ),
            ("[1]", Method::Supervised, "Line 2 is not a dictionary"),
            ("{}", Method::Supervised, "Example 2 is missing key \"messages\""),
            (
                r#"{"messages":[{"role":"bot","content":"x"}]}"#,
                Method::Supervised,
                "unrecognized role \"bot\"",
            ),
            (r#"{"messages":[{"role":"user","content":"x"}]}"#, Method::Supervised, "from the assistant"),
            (r#"{"messages":[{"role":"user"}]}"#, Method::Supervised, "without \"content\""),
            (GOOD, Method::Reinforcement, "Example 1 must end with a message from the user"),
            (GOOD, Method::Dpo, "Example 1 \"input\" is missing key \"messages\""),
        ] {
            let error = verdict(&[GOOD, line], method).unwrap_err();
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn preference_and_reinforcement_examples_are_taken() {
        let dpo = r#"{"input":{"messages":[{"role":"user","content":"a"}]},"preferred_output":[{"role":"assistant","content":"b"}],"non_preferred_output":[{"role":"assistant","content":"c"}]}"#;
        assert!(verdict(&[dpo; 10], Method::Dpo).is_ok());
        let graded = r#"{"messages":[{"role":"user","content":"a"}],"reference":"b"}"#;
        assert!(verdict(&[graded; 10], Method::Reinforcement).is_ok());
    }
}
