//! The parameters of an Ollama model: a closed list with types and ranges, and who
//! may set them.

use crate::accepts::{Accepts, Listed, check_all};
use crate::settings::{LEAST_CONTEXT_WINDOW, MOST_CONTEXT_WINDOW};
use crate::violation::{List, Report, Violation};
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use tunesmith_core::contract::{Setting, Value};

/// More stop sequences than this no template needs.
const MOST_STOPS: u32 = 16;

/// A stop sequence is a marker, not a text: at most this many bytes.
const LONGEST_STOP: u32 = 128;

/// Ollama reads these as whole numbers (Go `int`), the others with a fraction as
/// 32-bit floats.
const fn whole(name: &'static str, least: i32, most: i32, doc: &'static str) -> Listed {
    Listed { name, accepts: Accepts::Integer { least, most }, doc }
}

const fn number(
    name: &'static str,
    least: f64,
    most: f64,
    least_excluded: bool,
    doc: &'static str,
) -> Listed {
    Listed { name, accepts: Accepts::Number { least, most, least_excluded }, doc }
}

/// What a method may set. Ollama checks neither names nor ranges when it creates a
/// model, and a wrong type breaks every later answer, so this list does.
pub static PARAMETERS: &[Listed] = &[
    whole(
        "num_ctx",
        LEAST_CONTEXT_WINDOW as i32,
        MOST_CONTEXT_WINDOW as i32,
        "The context window in tokens.",
    ),
    number("temperature", 0.0, 2.0, false, "How freely answers are worded; 0 takes the likeliest word."),
    whole("top_k", 0, 1_000, "Only the likeliest words are considered, this many; 0 for no limit."),
    number(
        "top_p",
        0.0,
        1.0,
        true,
        "Only the likeliest words are considered, up to this probability in all.",
    ),
    number(
        "min_p",
        0.0,
        1.0,
        false,
        "Words less likely than this share of the likeliest are not considered.",
    ),
    number("typical_p", 0.0, 1.0, true, "Locally typical sampling, up to this probability; 1 turns it off."),
    whole("repeat_last_n", -1, 65_536, "How many tokens back repetition counts; -1 for the whole context."),
    number("repeat_penalty", 0.0, 2.0, true, "How much repetition is penalised; 1 turns it off."),
    number("presence_penalty", -2.0, 2.0, false, "Penalises words that occurred at all."),
    number("frequency_penalty", -2.0, 2.0, false, "Penalises words by how often they occurred."),
    whole("seed", -1, i32::MAX, "Makes sampling repeatable; -1 for a new seed each time."),
    whole(
        "num_predict",
        -2,
        131_072,
        "The longest answer in tokens; -1 for no limit, -2 to fill the context.",
    ),
    whole(
        "num_keep",
        -1,
        131_072,
        "How many tokens of the prompt stay when the context overflows; -1 for all.",
    ),
    Listed {
        name: "stop",
        accepts: Accepts::Texts { most: MOST_STOPS, longest: LONGEST_STOP },
        doc: "Texts at which an answer ends.",
    },
];

const OF_THE_MACHINE: &str = "it depends on the machine that serves the model";
const REMOVED: &str = "Ollama no longer has it and drops it";

/// What exists, or existed, and a method may not set; with the reason.
pub static FORBIDDEN: &[(&str, &str)] = &[
    ("num_gpu", OF_THE_MACHINE),
    ("main_gpu", OF_THE_MACHINE),
    ("num_thread", OF_THE_MACHINE),
    ("num_batch", OF_THE_MACHINE),
    ("use_mmap", OF_THE_MACHINE),
    ("draft_num_predict", "it depends on a draft model, which tunesmith does not add"),
    ("use_mlock", REMOVED),
    ("low_vram", REMOVED),
    ("f16_kv", REMOVED),
    ("logits_all", REMOVED),
    ("vocab_only", REMOVED),
    ("penalize_newline", REMOVED),
    ("mirostat", REMOVED),
    ("mirostat_tau", REMOVED),
    ("mirostat_eta", REMOVED),
];

/// A parameter's value, of the type that Ollama wants in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// A whole number.
    Integer(i32),
    /// A number that is exactly one of Ollama's 32-bit floats, held as the shortest
    /// decimal of it, so that it reads `0.7` in JSON and in a Modelfile.
    Number(f64),
    /// A list of texts.
    Texts(Vec<String>),
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Texts(values) => write!(f, "{values:?}"),
        }
    }
}

/// Checked parameters, in the list's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    entries: BTreeMap<usize, ParameterValue>,
}

impl Parameters {
    /// Checks what a plugin returned.
    pub(crate) fn check(settings: &[Setting], report: &mut Report) -> Self {
        let mut parameters = Self::default();
        let mut allowed = Vec::with_capacity(settings.len().min(PARAMETERS.len()));
        for setting in settings {
            match FORBIDDEN.iter().find(|(name, _)| *name == setting.name) {
                Some(&(name, reason)) => {
                    report.add(Violation::ForbiddenName { list: List::OllamaParameter, name, reason });
                }
                None => allowed.push(rounded(setting)),
            }
        }
        for (entry, value) in
            check_all(List::OllamaParameter, PARAMETERS, &allowed, |found| report.add(found))
        {
            if entry.name == "num_predict" && *value == Value::Integer(0) {
                report.add(Violation::OutOfRange {
                    list: List::OllamaParameter,
                    name: entry.name,
                    accepted: "-2, -1 or above 0 (0 would leave no answer)".to_owned(),
                    found: value.to_string(),
                });
            }
            parameters.set_checked(entry.name, value);
        }
        parameters
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.entries.get(&place(name)?)
    }

    /// Name and value, in the list's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &ParameterValue)> {
        self.entries.iter().filter_map(|(&place, value)| Some((PARAMETERS.get(place)?.name, value)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets a value that was checked against the list; anything else is passed over.
    pub(crate) fn set_checked(&mut self, name: &str, value: &Value) {
        let Some(place) = place(name) else { return };
        let value = match (PARAMETERS[place].accepts, value) {
            (Accepts::Number { .. }, value) => {
                let Some(number) = value.as_f64() else { return };
                ParameterValue::Number(as_float32(number))
            }
            (_, Value::Integer(value)) => ParameterValue::Integer(*value),
            (_, Value::Texts(values)) => ParameterValue::Texts(values.clone()),
            _ => return,
        };
        self.entries.insert(place, value);
    }
}

/// The setting with its number as Ollama will hold it, so that ranges are checked on
/// that: a number just above 0 may become 0.
fn rounded(setting: &Setting) -> Setting {
    let value = match &setting.value {
        Value::Number(number) if as_float32(*number).is_finite() => Value::Number(as_float32(*number)),
        other => other.clone(),
    };
    Setting { name: setting.name.clone(), value }
}

/// The shortest decimal of the 32-bit float nearest to the number.
pub(crate) fn as_float32(number: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "Ollama holds these as 32-bit floats")]
    let nearest = number as f32;
    // The shortest decimal of a finite float always reads back as one.
    nearest.to_string().parse().unwrap_or(f64::from(nearest))
}

fn place(name: &str) -> Option<usize> {
    PARAMETERS.iter().position(|entry| entry.name == name)
}

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let settings: Vec<Setting> = given.into_iter().map(|(name, value)| Setting { name, value }).collect();
        let mut report = Report::default();
        let parameters = Self::check(&settings, &mut report);
        report.finish(parameters).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(settings: &[(&str, Value)]) -> Result<Parameters, String> {
        let settings: Vec<Setting> = settings
            .iter()
            .map(|(name, value)| Setting { name: (*name).to_owned(), value: value.clone() })
            .collect();
        let mut report = Report::default();
        let parameters = Parameters::check(&settings, &mut report);
        report.finish(parameters).map_err(|violations| violations.to_string())
    }

    #[test]
    fn json_has_numbers_and_arrays_of_the_right_type() {
        let parameters = checked(&[
            ("stop", Value::Texts(vec!["</s>".into(), "\n\n".into()])),
            ("temperature", Value::Number(0.7)),
            ("top_p", Value::Integer(1)),
            ("num_ctx", Value::Integer(2048)),
            ("min_p", Value::Number(0.05)),
        ])
        .unwrap();
        let json = r#"{"num_ctx":2048,"temperature":0.7,"top_p":1.0,"min_p":0.05,"stop":["</s>","\n\n"]}"#;
        assert_eq!(serde_json::to_string(&parameters).unwrap(), json);
        // Through a tree, too: a 32-bit float would come out as 0.699999988079071.
        assert_eq!(serde_json::to_value(&parameters).unwrap().to_string(), json);
        assert_eq!(serde_json::from_str::<Parameters>(json).unwrap(), parameters);
    }

    #[test]
    fn each_lie_has_its_message() {
        let messages: Vec<String> = [
            ("temprature", Value::Number(0.7)),
            ("model", Value::Text("evil".into())),
            ("num_gpu", Value::Integer(99)),
            ("mirostat", Value::Integer(1)),
            ("num_ctx", Value::Number(4096.0)),
            ("num_ctx", Value::Text("4096".into())),
            ("num_ctx", Value::Integer(4)),
            ("temperature", Value::Number(f64::NAN)),
            ("temperature", Value::Number(f64::NEG_INFINITY)),
            ("temperature", Value::Number(2.5)),
            ("top_p", Value::Integer(0)),
            ("num_predict", Value::Integer(0)),
            ("stop", Value::Text("x".into())),
            ("stop", Value::Texts(vec!["x".into(), "x".into()])),
            ("stop", Value::Texts(vec![String::new()])),
        ]
        .into_iter()
        .map(|setting| checked(&[setting]).unwrap_err())
        .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn ranges_hold_for_the_float_that_ollama_holds() {
        let message = checked(&[("top_p", Value::Number(1e-300))]).unwrap_err();
        assert_eq!(message, "Ollama parameter `top_p` must be a number above 0, at most 1, but is 0");
        assert!(checked(&[("temperature", Value::Number(2.000_000_001))]).is_ok());
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let twice = [("seed", Value::Integer(1)), ("seed", Value::Integer(2))];
        assert_eq!(checked(&twice).unwrap_err(), "Ollama parameter `seed` is given twice");
    }

    #[test]
    fn a_flood_is_cut() {
        let flood: Vec<(&str, Value)> = (0..1000).map(|_| ("x", Value::Integer(1))).collect();
        let message = checked(&flood).unwrap_err();
        assert!(message.ends_with("; and 988 more"), "{message}");
    }
}
