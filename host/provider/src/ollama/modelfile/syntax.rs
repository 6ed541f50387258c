//! Ollama's Modelfile grammar as its own reader has it, character by character:
//! comments, commands, quoting without escapes, and the characters that it drops.

use crate::ollama::printable::is_printable;
use tunesmith_core::text::{quoted, visible};

/// The words that a line may begin with, in any case.
const COMMANDS: [&str; 11] = [
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
];

const QUOTES: &str = "\"\"\"";

/// One command. Commands and parameters share one name space: `PARAMETER system x` is
/// the same as `SYSTEM x`, and `FROM` is called `model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command's name in lower case, `model` for `FROM`, or the parameter's name.
    pub name: String,
    /// The value. That of a message is its role, a colon, a space and its text.
    pub value: String,
}

/// Why a text is not a Modelfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A line does not begin with a command.
    #[error("line {line}: command must be one of {}", COMMANDS.join(", "))]
    Command {
        /// The line as Ollama counts: each line feed and carriage return begins one.
        line: usize,
    },
    /// A role that is none.
    #[error("line {line}: message role must be system, user or assistant")]
    Role {
        /// The line.
        line: usize,
    },
    /// A parameter's name or a role with another character in it.
    #[error("unexpected end after {}", quoted(.after))]
    Name {
        /// What stands before it.
        after: String,
    },
    /// The text ends inside a command or a quoted value.
    #[error("unexpected end of file")]
    End,
    /// There is no base.
    #[error("no FROM line")]
    NoFrom,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Name,
    Value,
    Parameter,
    Role,
    Comment,
}

/// What has been read of the current word or value. Holds printable characters and
/// ASCII white space only, and knows its own trimmed bounds, so that a value of many
/// lines is not trimmed anew at each.
#[derive(Default)]
struct Buffer {
    text: String,
    /// Where the first character that is not white space begins.
    start: Option<usize>,
    /// Where the last character that is not white space ends.
    end: usize,
}

impl Buffer {
    fn push(&mut self, character: char) {
        let at = self.text.len();
        self.text.push(character);
        if !character.is_ascii_whitespace() {
            self.start.get_or_insert(at);
            self.end = self.text.len();
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.start = None;
        self.end = 0;
    }

    /// The value, if it is complete.
    fn value(&self) -> Option<&str> {
        let trimmed = self.start.and_then(|start| self.text.get(start..self.end)).unwrap_or_default();
        unquote(trimmed)
    }
}

/// The value inside its quotes; none while the closing ones are missing.
fn unquote(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix(QUOTES) {
        rest.strip_suffix(QUOTES)
    } else if let Some(rest) = text.strip_prefix('"') {
        rest.strip_suffix('"')
    } else {
        Some(text)
    }
}

/// Reads a Modelfile's commands, in order.
///
/// # Errors
/// What Ollama's reader would stop at.
pub fn parse(bytes: &[u8]) -> Result<Vec<Command>, SyntaxError> {
    let mut commands = Vec::new();
    let mut state = State::Between;
    let mut line = 1;
    let mut buffer = Buffer::default();
    let mut name = String::new();
    let mut role: Option<String> = None;
    for character in decode(bytes).chars() {
        let newline = matches!(character, '\n' | '\r');
        let blank = matches!(character, ' ' | '\t');
        line += usize::from(newline);
        let letter = character.is_ascii_alphabetic();
        let next = match state {
            State::Between if character == '#' => State::Comment,
            State::Between if newline || blank => State::Between,
            State::Between => State::Name,
            State::Name if letter => State::Name,
            State::Name if blank => {
                let word = buffer.text.to_ascii_lowercase();
                if !COMMANDS.contains(&word.as_str()) {
                    return Err(SyntaxError::Command { line });
                }
                match word.as_str() {
                    "parameter" => State::Parameter,
                    "message" => {
                        name = word;
                        State::Role
                    }
                    "from" => {
                        "model".clone_into(&mut name);
                        State::Value
                    }
                    _ => {
                        name = word;
                        State::Value
                    }
                }
            }
            State::Name => return Err(SyntaxError::Command { line }),
            State::Parameter if letter || character.is_ascii_digit() || character == '_' => State::Parameter,
            State::Parameter if blank => {
                name.clone_from(&buffer.text);
                State::Value
            }
            State::Role if letter => State::Role,
            State::Role if blank => {
                if !matches!(buffer.text.as_str(), "system" | "user" | "assistant") {
                    return Err(SyntaxError::Role { line });
                }
                role = Some(buffer.text.clone());
                State::Value
            }
            State::Parameter | State::Role => {
                return Err(SyntaxError::Name { after: buffer.text });
            }
            State::Value if newline => {
                if let Some(value) = buffer.value() {
                    commands.push(Command { name: name.clone(), value: with_role(role.take(), value) });
                    State::Between
                } else {
                    buffer.push(character);
                    continue;
                }
            }
            State::Value if blank => {
                buffer.push(character);
                continue;
            }
            State::Value => State::Value,
            State::Comment if newline => State::Between,
            State::Comment => State::Comment,
        };
        if next != state {
            buffer.clear();
        }
        // The blank that ends a word is no part of what follows, and a comment is not
        // kept; everything else is, if it is printable. What is not printable is
        // silently dropped, also in front of a command and before closing quotes.
        let entering = next != state && state != State::Between;
        if !entering && next != State::Comment && next != State::Between && is_printable(character) {
            buffer.push(character);
        }
        state = next;
    }
    match state {
        State::Between | State::Comment => {}
        State::Value => match buffer.value() {
            Some(value) => commands.push(Command { name, value: with_role(role, value) }),
            None => return Err(SyntaxError::End),
        },
        State::Name | State::Parameter | State::Role => return Err(SyntaxError::End),
    }
    if commands.iter().any(|command| command.name == "model") {
        Ok(commands)
    } else {
        Err(SyntaxError::NoFrom)
    }
}

fn with_role(role: Option<String>, value: &str) -> String {
    match role {
        Some(role) => format!("{role}: {value}"),
        None => value.to_owned(),
    }
}

/// UTF-8, or UTF-16 with a byte order mark; what is malformed becomes U+FFFD.
fn decode(bytes: &[u8]) -> String {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let mut text: String = char::decode_utf16(pairs.iter().map(|&pair| unit(pair)))
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        if !odd.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        text
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", visible(&self.name), visible(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `name=value` for each command after a leading `FROM b`, or the error.
    fn parsed(text: &str) -> Vec<String> {
        match parse(format!("FROM b\n{text}").as_bytes()) {
            Ok(commands) => commands[1..].iter().map(|c| format!("{}={}", c.name, c.value)).collect(),
            Err(error) => vec![format!("error: {error}")],
        }
    }

    fn error(text: &str) -> SyntaxError {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_hash_begins_a_comment_only_where_a_command_could_start() {
        assert_eq!(parse(b"FROM llama3 # base").unwrap()[0].value, "llama3 # base");
        assert_eq!(parsed("  # SYSTEM no\n\t#\r# x\nSYSTEM yes"), ["system=yes"]);
    }

    #[test]
    fn commands_are_letters_of_any_case_and_need_a_blank() {
        assert_eq!(parsed("sYsTeM x"), ["system=x"]);
        assert_eq!(parsed("SYSTEM\tx"), ["system=x"]);
        assert_eq!(error("FROM b\nSYSTEM\n"), SyntaxError::Command { line: 3 });
        assert_eq!(error("FROM b\nEMBED x"), SyntaxError::Command { line: 2 });
        assert_eq!(error("FROM b\r\n\r\nPROMPT x"), SyntaxError::Command { line: 5 });
        assert_eq!(error("FROM"), SyntaxError::End);
        assert_eq!(error("FROM b\nFROM#"), SyntaxError::Command { line: 2 });
        assert_eq!(error("SYSTEM x"), SyntaxError::NoFrom);
        assert_eq!(error(""), SyntaxError::NoFrom);
        assert_eq!(parse(b"SYSTEM x\nFROM ").unwrap()[1].value, "");
    }

    #[test]
    fn parameter_names_take_one_separator_and_keep_their_case() {
        assert_eq!(parsed("PARAMETER top_k 5"), ["top_k=5"]);
        assert_eq!(parsed("PARAMETER Top_K 5"), ["Top_K=5"]);
        assert_eq!(parsed("PARAMETER  top_k 5"), ["=top_k 5"]);
        assert_eq!(parsed("PARAMETER top-k 5"), ["error: unexpected end after `top`"]);
    }

    #[test]
    fn roles_are_exact() {
        assert_eq!(parsed("MESSAGE user hi"), ["message=user: hi"]);
        assert_eq!(
            parsed("MESSAGE User hi"),
            ["error: line 2: message role must be system, user or assistant"]
        );
        assert_eq!(
            parsed("MESSAGE tool hi"),
            ["error: line 2: message role must be system, user or assistant"]
        );
        assert_eq!(
            parsed("MESSAGE  user hi"),
            ["error: line 2: message role must be system, user or assistant"]
        );
        assert_eq!(parsed("MESSAGE user: hi"), ["error: unexpected end after `user`"]);
    }

    #[test]
    fn values_end_where_quotes_close_at_the_end_of_a_line() {
        assert_eq!(
            parsed("SYSTEM \"\"\"a \"\"\" b\"\"\"  \t\nLICENSE x"),
            ["system=a \"\"\" b", "license=x"]
        );
        assert_eq!(parsed("SYSTEM \"\"\"a\n b \n\"\"\""), ["system=a\n b \n"]);
        assert_eq!(parsed("SYSTEM \"\"\"a\"\"\"\nLICENSE x\"\"\""), ["system=a", "license=x\"\"\""]);
        assert_eq!(parsed("SYSTEM \"one\ntwo\""), ["system=one\ntwo"]);
        assert_eq!(parsed("SYSTEM \"open\nLICENSE x"), ["error: unexpected end of file"]);
        assert_eq!(parsed("SYSTEM \"hi\" and \"bye\""), ["system=hi\" and \"bye"]);
        assert_eq!(parsed("SYSTEM   say \"hi\" now \t"), ["system=say \"hi\" now"]);
        assert_eq!(parsed("SYSTEM \"\""), ["system="]);
        assert_eq!(parsed("SYSTEM \"\"\"\"\"\""), ["system="]);
        assert_eq!(parsed("SYSTEM \"\"\" \t a\r\nb \"\"\""), ["system= \t a\r\nb "]);
        assert_eq!(parsed("SYSTEM \"\"\"\"quoted\"\"\"\""), ["system=\"quoted\""]);
        assert_eq!(parsed("SYSTEM \""), ["error: unexpected end of file"]);
        assert_eq!(parsed("SYSTEM \"\"\"\"\""), ["error: unexpected end of file"]);
    }

    #[test]
    fn there_are_no_escapes() {
        assert_eq!(parsed(r#"SYSTEM "a\"b\n\u0041""#), [r#"system=a\"b\n\u0041"#]);
        assert_eq!(parsed("SYSTEM 'a'"), ["system='a'"]);
        assert_eq!(parsed("SYSTEM a\\\nLICENSE b"), ["system=a\\", "license=b"]);
    }

    #[test]
    fn characters_that_are_not_printable_vanish() {
        assert_eq!(parsed("SYSTEM a\0\x1b\u{a0}\u{200d}\u{202e}\u{3000}\u{1fae9}b"), ["system=ab"]);
        assert_eq!(
            parsed("SYSTEM \u{2764}\u{fe0f}e\u{301}\u{fffd}"),
            ["system=\u{2764}\u{fe0f}e\u{301}\u{fffd}"]
        );
        // Before the closing quotes are looked for, and in front of a command.
        assert_eq!(parsed("SYSTEM \"\"\"a\"\"\u{200b}\"\nLICENSE x"), ["system=a", "license=x"]);
        assert_eq!(parsed("SYSTEM \"\"\"a\"\"\"\u{a0}\nLICENSE x"), ["system=a", "license=x"]);
        assert_eq!(parsed("\0SYSTEM a\n\u{feff}LICENSE x"), ["system=a", "license=x"]);
    }

    #[test]
    fn text_put_naively_between_quotes_can_break_out() {
        assert_eq!(
            parsed("SYSTEM \"\"\"use \"\"\"\nADAPTER /etc/hostname\nLICENSE x\"\"\""),
            ["system=use ", "adapter=/etc/hostname", "license=x\"\"\""]
        );
    }

    #[test]
    fn parameters_share_the_names_of_commands() {
        assert_eq!(parsed("PARAMETER model x"), ["model=x"]);
        assert_eq!(parsed("PARAMETER adapter /path"), ["adapter=/path"]);
        assert_eq!(parsed("PARAMETER message root: x"), ["message=root: x"]);
    }

    #[test]
    fn encodings() {
        let utf16 = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain("FROM b".encode_utf16().flat_map(unit)).collect()
        };
        for bytes in [
            utf16([0xff, 0xfe], u16::to_le_bytes),
            utf16([0xfe, 0xff], u16::to_be_bytes),
            b"\xef\xbb\xbfFROM b".to_vec(),
        ] {
            assert_eq!(parse(&bytes).unwrap()[0].value, "b");
        }
        let unmarked: Vec<u8> = "FROM b".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&unmarked), Err(SyntaxError::Command { line: 1 }));
        assert_eq!(parse(b"FROM a\xffb").unwrap()[0].value, "a\u{fffd}b");
    }

    #[test]
    fn a_long_run_of_lines_is_read_in_time_proportional_to_it() {
        let text = format!("FROM b\nSYSTEM \"\"\"{}\"\"\"", "\n".repeat(4_000_000));
        assert_eq!(parse(text.as_bytes()).unwrap()[1].value.len(), 4_000_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn anything_like_a_modelfile_is_read_without_panic(
            text in r#"((FROM|SYSTEM|PARAMETER|MESSAGE|#|user|stop| |\t|\n|\r|"|"""|a|\x00|\u{a0}|-|:){1,3}){0,30}"#
        ) {
            let _ = parse(text.as_bytes());
        }
    }
}
