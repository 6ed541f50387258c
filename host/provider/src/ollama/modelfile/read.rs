//! What a Modelfile asks for: its commands turned into the fields of a create
//! request, as Ollama's own command does.

use super::syntax::{Command, SyntaxError, parse};
use std::collections::BTreeMap;
use tunesmith_core::text::quoted;

/// The fields of a create request that a Modelfile gives. Repeated commands: the last
/// one wins, except that licenses, messages and stop texts add up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// `FROM`.
    pub from: String,
    /// `SYSTEM`; empty is the same as none.
    pub system: String,
    /// `PARAMETER`, by name.
    pub parameters: BTreeMap<String, ReadValue>,
    /// `MESSAGE`: role and text.
    pub messages: Vec<(String, String)>,
    /// Every other command, by name.
    pub others: Vec<(String, String)>,
}

/// A parameter's value, in the types that Ollama has.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadValue {
    /// A whole number.
    Integer(i64),
    /// A 32-bit float.
    Float(f32),
    /// A boolean.
    Flag(bool),
    /// A list of texts.
    Texts(Vec<String>),
}

/// Why a Modelfile cannot be turned into a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not a Modelfile.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A parameter that Ollama does not have.
    #[error("unknown parameter {}", quoted(.0))]
    UnknownParameter(String),
    /// A parameter of another type.
    #[error("invalid {kind} value {} of parameter {name}", quoted(.value))]
    Value {
        /// The parameter.
        name: &'static str,
        /// The type.
        kind: &'static str,
        /// The text.
        value: String,
    },
}

#[derive(Clone, Copy)]
enum Type {
    Int,
    Float,
    Bool,
    Strings,
}

/// Every parameter that Ollama knows, with its type; more than a method may set.
const TYPES: &[(&str, Type)] = &[
    ("num_keep", Type::Int),
    ("seed", Type::Int),
    ("num_predict", Type::Int),
    ("top_k", Type::Int),
    ("repeat_last_n", Type::Int),
    ("num_ctx", Type::Int),
    ("num_batch", Type::Int),
    ("num_gpu", Type::Int),
    ("main_gpu", Type::Int),
    ("num_thread", Type::Int),
    ("draft_num_predict", Type::Int),
    ("top_p", Type::Float),
    ("min_p", Type::Float),
    ("typical_p", Type::Float),
    ("temperature", Type::Float),
    ("repeat_penalty", Type::Float),
    ("presence_penalty", Type::Float),
    ("frequency_penalty", Type::Float),
    ("use_mmap", Type::Bool),
    ("stop", Type::Strings),
];

/// Accepted with a warning, and dropped.
const DROPPED: &[&str] = &[
    "penalize_newline",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mlock",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
];

/// Reads a Modelfile.
///
/// # Errors
/// What Ollama's command would refuse.
pub fn read(bytes: &[u8]) -> Result<Read, ReadError> {
    let mut read = Read::default();
    for Command { name, value } in parse(bytes)? {
        match name.as_str() {
            "model" => read.from = value,
            "system" => read.system = value,
            "message" => {
                let (role, text) = value.split_once(": ").unwrap_or((&value, ""));
                read.messages.push((role.to_owned(), text.to_owned()));
            }
            "license" | "template" | "adapter" | "draft" | "renderer" | "parser" | "requires" => {
                read.others.push((name, value));
            }
            dropped if DROPPED.contains(&dropped) => {}
            _ => read_parameter(&mut read.parameters, name, value)?,
        }
    }
    Ok(read)
}

fn read_parameter(
    parameters: &mut BTreeMap<String, ReadValue>,
    name: String,
    value: String,
) -> Result<(), ReadError> {
    let Some(&(known, kind)) = TYPES.iter().find(|(known, _)| *known == name) else {
        return Err(ReadError::UnknownParameter(name));
    };
    let invalid = |kind, value: &str| ReadError::Value { name: known, kind, value: value.to_owned() };
    let value = match kind {
        Type::Int => ReadValue::Integer(value.parse().map_err(|_| invalid("int", &value))?),
        Type::Float => ReadValue::Float(float32(&value).ok_or_else(|| invalid("float", &value))?),
        Type::Bool => ReadValue::Flag(boolean(&value).ok_or_else(|| invalid("bool", &value))?),
        Type::Strings => {
            if let Some(ReadValue::Texts(texts)) = parameters.get_mut(&name) {
                texts.push(value);
                return Ok(());
            }
            ReadValue::Texts(vec![value])
        }
    };
    parameters.insert(name, value);
    Ok(())
}

/// Booleans as Go reads them.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A 32-bit float as Go reads it: Rust's forms, hexadecimal ones, and underscores
/// between digits. A finite number that is too large is refused.
fn float32(text: &str) -> Option<f32> {
    let plain = without_underscores(text)?;
    let (negative, unsigned) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let number = if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        hexadecimal(&unsigned[2..])?
    } else {
        let number: f32 = unsigned.parse().ok()?;
        let spelled_out = unsigned.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        if number.is_infinite() && !spelled_out {
            return None;
        }
        // A second sign reads in neither language.
        if unsigned.starts_with(['+', '-']) {
            return None;
        }
        number
    };
    Some(if negative { -number } else { number })
}

/// Drops underscores that stand between digits (or after `0x`); others make the text
/// no number.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_hexdigit);
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'_' {
            let after_prefix =
                index >= 2 && bytes[index - 2] == b'0' && matches!(bytes[index - 1], b'x' | b'X');
            if index == 0 || !(digit(index - 1) || after_prefix) || !digit(index + 1) {
                return None;
            }
        }
    }
    Some(text.replace('_', ""))
}

/// A hexadecimal float without its prefix: digits, perhaps a point, and a power of
/// two, which must be there.
fn hexadecimal(text: &str) -> Option<f32> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0_f64;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounds to the nearest, and to infinity when too large"
    )]
    let number = (number * 2.0_f64.powi(exponent.checked_sub(places)?)) as f32;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Read {
        read(format!("FROM b\n{text}").as_bytes()).unwrap()
    }

    fn refused(text: &str) -> String {
        read(format!("FROM b\n{text}").as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_repeated() {
        let read = of("FROM c\nSYSTEM one\nSYSTEM two\nADAPTER /x\nLICENSE l\nLICENSE m\nMESSAGE user a\n\
             MESSAGE assistant b\nPARAMETER stop x\nPARAMETER stop x\nPARAMETER stop \"\"\nPARAMETER top_k 1\nPARAMETER top_k 2");
        assert_eq!((read.from.as_str(), read.system.as_str()), ("c", "two"));
        assert_eq!(read.messages, [("user".into(), "a".into()), ("assistant".into(), "b".into())]);
        assert_eq!(read.parameters["stop"], ReadValue::Texts(vec!["x".into(), "x".into(), String::new()]));
        assert_eq!(read.parameters["top_k"], ReadValue::Integer(2));
        assert_eq!(read.others.len(), 3);
    }

    #[test]
    fn parameters_can_pretend_to_be_commands() {
        let read = of(
            "PARAMETER model evil\nPARAMETER system obey\nPARAMETER adapter /etc/hostname\nPARAMETER message root: x",
        );
        assert_eq!((read.from.as_str(), read.system.as_str()), ("evil", "obey"));
        assert_eq!(read.others, [("adapter".into(), "/etc/hostname".into())]);
        assert_eq!(read.messages, [("root".into(), "x".into())]);
    }

    #[test]
    fn numbers_as_go_reads_them() {
        let int = |text: &str| of(&format!("PARAMETER num_ctx {text}")).parameters["num_ctx"].clone();
        assert_eq!(int("+5"), ReadValue::Integer(5));
        assert_eq!(int("-5"), ReadValue::Integer(-5));
        assert_eq!(int("\"4096\""), ReadValue::Integer(4096));
        for text in ["0x10", "4096.0", "99999999999999999999", "1_0", ""] {
            assert!(refused(&format!("PARAMETER num_ctx {text}")).starts_with("invalid int value"), "{text}");
        }
        let float = |text: &str| of(&format!("PARAMETER top_p {text}")).parameters["top_p"].clone();
        for (text, number) in [
            (".5", 0.5),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1_0", 10.0),
            ("0x1p-2", 0.25),
            ("-0x1.8p1", -3.0),
            ("1e-3", 0.001),
        ] {
            assert_eq!(float(text), ReadValue::Float(number), "{text}");
        }
        assert!(matches!(float("NaN"), ReadValue::Float(number) if number.is_nan()));
        assert_eq!(float("-Inf"), ReadValue::Float(f32::NEG_INFINITY));
        for text in ["1e400", "_1", "1__0", "0x10", "++1", "1,5", "half"] {
            assert!(refused(&format!("PARAMETER top_p {text}")).starts_with("invalid float value"), "{text}");
        }
        assert_eq!(of("PARAMETER use_mmap T").parameters["use_mmap"], ReadValue::Flag(true));
        assert_eq!(refused("PARAMETER use_mmap yes"), "invalid bool value `yes` of parameter use_mmap");
    }

    #[test]
    fn names_that_ollama_does_not_have() {
        assert!(of("PARAMETER mirostat 1").parameters.is_empty());
        for name in ["tfs_z", "num_gqa", "numa", "rope_frequency_base", "embedding_only", "Top_k"] {
            assert_eq!(refused(&format!("PARAMETER {name} 1")), format!("unknown parameter `{name}`"));
        }
        assert_eq!(refused("PARAMETER  top_k 1"), "unknown parameter ``");
    }
}
