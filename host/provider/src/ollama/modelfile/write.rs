//! Writes a Modelfile and reads it back before anyone sees it.

use super::read::{Read, ReadValue, read};
use super::represent::{Place, Unrepresentable, fault};
use crate::ollama::check::{Baked, ContextOrigin, ShotSource};
use crate::ollama::parameters::ParameterValue;
use crate::ollama::request::CreateRequest;
use crate::warning::{Warning, WarningCode};
use serde::{Deserialize, Serialize};
use std::fmt;
use tunesmith_core::contract::Message;
use tunesmith_core::text::visible;

/// Comments are folded at this many characters.
const COMMENT_WIDTH: usize = 100;

/// At most this many texts are named when a Modelfile is withheld.
const MOST_NAMED: usize = 8;

/// What the comments at the top say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The method's id.
    pub method: &'a str,
    /// The Modelfile's own name.
    pub file_name: &'a str,
}

/// Why a Modelfile is not written. The request goes through the API all the same,
/// which has no such limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Withheld {
    /// Texts that its grammar cannot hold.
    Unrepresentable {
        /// The first of them, each with its first fault.
        texts: Vec<Unrepresentable>,
        /// How many more there are.
        more: usize,
    },
    /// Reading it back gave something else: a fault of tunesmith's.
    ReadsBackDifferently {
        /// The field that differs.
        field: String,
    },
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Modelfile is withheld, since it could not hold the text unchanged (the API can): ")?;
        match self {
            Self::Unrepresentable { texts, more } => {
                for (index, text) in texts.iter().enumerate() {
                    write!(f, "{}{text}", if index > 0 { "; " } else { "" })?;
                }
                if *more > 0 { write!(f, "; and {more} more texts") } else { Ok(()) }
            }
            Self::ReadsBackDifferently { field } => {
                write!(f, "reading it back gave another {field}; please report this")
            }
        }
    }
}

impl std::error::Error for Withheld {}

impl From<&Withheld> for Warning {
    fn from(withheld: &Withheld) -> Self {
        Self::new(WarningCode::ArtifactWithheld, withheld.to_string())
    }
}

/// Writes the Modelfile of a request, with comments that explain it, reads it back
/// with Ollama's grammar and compares every field.
///
/// # Errors
/// Texts that the grammar cannot hold; they are never changed to fit.
pub fn render_checked(
    request: &CreateRequest,
    baked: &Baked,
    heading: Heading<'_>,
) -> Result<String, Withheld> {
    // Comments and places come from the config: it must be the one of the request.
    if request.messages != baked.messages() || request.system != baked.system {
        return Err(Withheld::ReadsBackDifferently { field: "list of messages".to_owned() });
    }
    refuse_unrepresentable(request, baked)?;
    let text = write(request, baked, heading);
    let differs = |field: &str| Withheld::ReadsBackDifferently { field: field.to_owned() };
    let back = read(text.as_bytes()).map_err(|_| differs("syntax"))?;
    match difference(request, &back) {
        None => Ok(text),
        Some(field) => Err(differs(field)),
    }
}

fn refuse_unrepresentable(request: &CreateRequest, baked: &Baked) -> Result<(), Withheld> {
    let mut texts: Vec<(Place, &str)> = Vec::new();
    texts.extend(request.system.iter().map(|system| (Place::System, system.as_str())));
    for (index, shot) in baked.shots.iter().enumerate() {
        let place = |message: &Message| Place::Message {
            example: index + 1,
            source: shot.source,
            role: message.role,
        };
        texts.extend(shot.messages.iter().map(|message| (place(message), message.content.as_str())));
    }
    if let Some(ParameterValue::Texts(stops)) = request.parameters.get("stop") {
        texts.extend(
            stops.iter().enumerate().map(|(index, stop)| (Place::Stop { number: index + 1 }, stop.as_str())),
        );
    }
    let mut found = texts.into_iter().filter_map(|(place, text)| {
        fault(text).map(|(line, column, reason)| Unrepresentable { place, line, column, reason })
    });
    let texts: Vec<Unrepresentable> = found.by_ref().take(MOST_NAMED).collect();
    if texts.is_empty() { Ok(()) } else { Err(Withheld::Unrepresentable { more: found.count(), texts }) }
}

/// The first field that differs, if one does.
fn difference(request: &CreateRequest, back: &Read) -> Option<&'static str> {
    if back.from != request.from.as_str() {
        return Some("base");
    }
    if back.system != request.system.as_deref().unwrap_or_default() {
        return Some("system prompt");
    }
    if !back.others.is_empty() {
        return Some("list of commands");
    }
    let same_messages = back.messages.len() == request.messages.len()
        && back
            .messages
            .iter()
            .zip(&request.messages)
            .all(|((role, text), message)| role == message.role.as_str() && *text == message.content);
    if !same_messages {
        return Some("list of messages");
    }
    let same_value = |name: &str, value: &ParameterValue| match (back.parameters.get(name), value) {
        (Some(ReadValue::Integer(back)), ParameterValue::Integer(value)) => *back == i64::from(*value),
        #[expect(clippy::cast_possible_truncation, reason = "the value is a 32-bit float")]
        (Some(ReadValue::Float(back)), ParameterValue::Number(value)) => {
            back.to_bits() == (*value as f32).to_bits()
        }
        (Some(ReadValue::Texts(back)), ParameterValue::Texts(values)) => back == values,
        _ => false,
    };
    let same_parameters = back.parameters.len() == request.parameters.iter().count()
        && request.parameters.iter().all(|(name, value)| same_value(name, value));
    if same_parameters { None } else { Some("list of parameters") }
}

fn write(request: &CreateRequest, baked: &Baked, heading: Heading<'_>) -> String {
    let mut page = Page::default();
    page.comment(heading.job);
    page.comment(&format!(
        "Made by tunesmith with the method {} for the base model {}.",
        heading.method, request.from
    ));
    page.comment(&format!(
        "Ollama trains nothing. This model is prompt-baked: its weights are exactly those of {}; its system prompt, \
         examples and parameters are new.",
        request.from
    ));
    let budget = baked.budget;
    page.comment(&format!(
        "About {} of the {} tokens of the context window are taken before a question is asked{}.",
        budget.system + budget.shots,
        budget.context_window,
        match baked.context_window.origin {
            ContextOrigin::Given => "",
            ContextOrigin::Method => " (the method chose the window)",
            ContextOrigin::Assumed => " (the window is assumed; the job gives none)",
        }
    ));
    page.comment(&format!("To create it yourself: ollama create {} -f {}", request.model, heading.file_name));
    if !baked.notes.is_empty() {
        page.comment("");
        page.comment(&format!("What the method {} says:", heading.method));
        for note in &baked.notes {
            page.comment(&format!("- {note}"));
        }
    }
    page.gap();
    page.line(&format!("FROM {}", request.from));
    page.gap();
    for (name, value) in request.parameters.iter() {
        match value {
            ParameterValue::Texts(texts) => {
                for text in texts {
                    page.quoted(&format!("PARAMETER {name}"), text);
                }
            }
            number => page.line(&format!("PARAMETER {name} {number}")),
        }
    }
    if let Some(system) = &request.system {
        page.gap();
        page.quoted("SYSTEM", system);
    }
    for (index, shot) in baked.shots.iter().enumerate() {
        page.gap();
        page.comment(&match shot.source {
            ShotSource::Row(row) => format!("Example {}: row {row} of the dataset", index + 1),
            ShotSource::Written => format!("Example {}: written by the method", index + 1),
        });
        page.messages(&shot.messages);
    }
    if baked.system_repeated
        && let Some(last) = request.messages.last()
    {
        page.gap();
        page.comment("The system prompt again, since an example had one of its own");
        page.messages(std::slice::from_ref(last));
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A value that may be any text that [`fault`] lets pass: always in three quotes,
    /// which is the one form that keeps every such text as it is.
    fn quoted(&mut self, command: &str, text: &str) {
        self.line(&format!("{command} \"\"\"{text}\"\"\""));
    }

    fn messages(&mut self, messages: &[Message]) {
        for message in messages {
            self.quoted(&format!("MESSAGE {}", message.role.as_str()), &message.content);
        }
    }

    /// Comment lines. Only a line feed or a carriage return ends one for Ollama, and
    /// other line ends for other readers; the text is split at all of them, and what
    /// else is hidden is escaped, so it cannot leave its comment.
    fn comment(&mut self, text: &str) {
        let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
        let indent = if text.starts_with("- ") { "  " } else { "" };
        let mut first = true;
        for line in text.replace("\r\n", "\n").split(ends) {
            let line = visible(&line.replace('\t', " ")).into_owned();
            let mut rest = line.trim_end();
            loop {
                let (now, later) = fold(rest);
                self.line(format!("# {}{now}", if first { "" } else { indent }).trim_end());
                first = false;
                match later {
                    Some(later) => rest = later,
                    None => break,
                }
            }
        }
    }
}

/// A first line that is not too wide, and the rest.
fn fold(text: &str) -> (&str, Option<&str>) {
    let Some((limit, _)) = text.char_indices().nth(COMMENT_WIDTH) else { return (text, None) };
    match text.get(..limit).and_then(|head| head.rfind(' ')).filter(|&at| at > 0) {
        Some(at) => (text.get(..at).unwrap_or(text), text.get(at + 1..)),
        None => (text.get(..limit).unwrap_or(text), text.get(limit..)),
    }
}

#[cfg(test)]
mod tests;
