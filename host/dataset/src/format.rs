//! The formats of rows, and how a file's format is recognised by its content.

use super::framing::{Container, Framer, is_space};
use super::json::{Kind as Json, Tape, Value};
use super::source::Source;
use super::{DatasetError, csv};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// OpenAI's chat format: `messages`.
    OpenAi,
    /// OpenAI's preference pairs: `input`, `preferred_output`, `non_preferred_output`.
    OpenAiPreference,
    /// `conversations` of `from` and `value`.
    ShareGpt,
    /// `instruction`, `input`, `output`, and `system` and `history` where given.
    Alpaca,
    /// `prompt` and `completion`, texts or messages.
    PromptCompletion,
    /// `chosen` and `rejected`, with `prompt` where given.
    Preference,
    /// `text`, or plain lines.
    Text,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::OpenAiPreference,
        Self::ShareGpt,
        Self::Alpaca,
        Self::PromptCompletion,
        Self::Preference,
        Self::Text,
    ];

    /// The name that `--format` and `--to` take.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiPreference => "openai-preference",
            Self::ShareGpt => "sharegpt",
            Self::Alpaca => "alpaca",
            Self::PromptCompletion => "prompt-completion",
            Self::Preference => "preference",
            Self::Text => "text",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI chat",
            Self::OpenAiPreference => "OpenAI preference pairs",
            Self::ShareGpt => "ShareGPT",
            Self::Alpaca => "Alpaca",
            Self::PromptCompletion => "prompt and completion",
            Self::Preference => "preference pairs",
            Self::Text => "raw text",
        }
    }

    /// Whether rows prefer one answer to another.
    pub fn is_preference(self) -> bool {
        matches!(self, Self::OpenAiPreference | Self::Preference)
    }

    /// What a row's keys tell of its format.
    pub(super) fn of(row: Value<'_>) -> Option<Self> {
        let has = |key: &str| row.get(key).is_some();
        Some(if has("messages") {
            Self::OpenAi
        } else if has("conversations") {
            Self::ShareGpt
        } else if has("preferred_output") || has("non_preferred_output") {
            Self::OpenAiPreference
        } else if has("chosen") && has("rejected") {
            Self::Preference
        } else if has("instruction") && (has("output") || has("response")) {
            Self::Alpaca
        } else if has("prompt") && (has("completion") || has("response")) || has("question") && has("answer")
        {
            Self::PromptCompletion
        } else if row.get("text").is_some_and(|text| text.kind() == Json::Text) {
            Self::Text
        } else {
            return None;
        })
    }

    /// The keys that tell it, for the evidence.
    fn keys(self) -> &'static str {
        match self {
            Self::OpenAi => "\"messages\"",
            Self::OpenAiPreference => "\"preferred_output\" and \"non_preferred_output\"",
            Self::ShareGpt => "\"conversations\"",
            Self::Alpaca => "\"instruction\" and \"output\"",
            Self::PromptCompletion => "\"prompt\" and \"completion\" (or \"question\" and \"answer\")",
            Self::Preference => "\"chosen\" and \"rejected\"",
            Self::Text => "\"text\"",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            format!("not a format; formats are {}", names.join(", "))
        })
    }
}

/// How a file is read, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recognised {
    /// What rows are.
    pub format: Format,
    /// How they lie in the file.
    pub container: Container,
    /// Why it is read so.
    pub evidence: String,
}

/// Rows that are looked at.
const LOOKED_AT: usize = 100;

/// Recognises a file by its first rows.
pub(super) fn recognise(source: &Source, given: Option<Format>) -> Result<Recognised, DatasetError> {
    let mut start = vec![0; 64 << 10];
    let count = super::source::read_up_to(&mut source.reader_at(0)?, &mut start)
        .map_err(|error| source.failed(error))?;
    start.truncate(count);
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
    let first = text.iter().copied().find(|&byte| !is_space(byte));
    let container = match first {
        Some(b'[') => Container::Array,
        Some(b'{') | None => Container::Jsonl,
        _ => match csv::header(text) {
            Some(columns) => Container::Csv(columns),
            None if given == Some(Format::Text) || is_text_file(source) => Container::Lines,
            None => Container::Jsonl,
        },
    };
    if container == Container::Lines {
        let evidence = match given {
            Some(_) => "the caller names the format",
            None => "the name ends in .txt, and the first line is not JSON",
        };
        return Ok(Recognised { format: Format::Text, container, evidence: evidence.to_owned() });
    }
    if let Some(format) = given {
        return Ok(Recognised { format, container, evidence: "the caller names the format".to_owned() });
    }
    let mut found = [0_usize; Format::ALL.len()];
    let mut rows = 0;
    let mut tape = Tape::default();
    let mut framer = Framer::new(&container, source.reader_at(0)?);
    'blocks: while let Some(block) = framer.next_block(Vec::new()).map_err(|error| source.failed(error))? {
        for record in block.records() {
            if rows == LOOKED_AT {
                break 'blocks;
            }
            rows += 1;
            let Ok(text) = std::str::from_utf8(record) else { continue };
            let Some(text) = csv::as_json(&container, text) else { continue };
            let Some(format) = tape.parse(&text).ok().and_then(Format::of) else { continue };
            found[format as usize] += 1;
        }
    }
    let most =
        Format::ALL.into_iter().max_by_key(|&format| (found[format as usize], std::cmp::Reverse(format)));
    let (format, count) = most.map_or((Format::OpenAi, 0), |format| (format, found[format as usize]));
    let evidence = match count {
        0 => "no row has the keys of a known format; read as OpenAI chat".to_owned(),
        _ if count == rows && rows < LOOKED_AT => format!("all {rows} rows have {}", format.keys()),
        _ if count == rows => format!("the first {rows} rows have {}", format.keys()),
        _ => format!("{count} of the first {rows} rows have {}", format.keys()),
    };
    Ok(Recognised { format, container, evidence })
}

/// Whether the name is that of plain text.
pub(super) fn is_text_file(source: &Source) -> bool {
    let name = source.path().file_name().map(|name| name.to_string_lossy().to_lowercase());
    name.is_some_and(|name| {
        let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
        name.ends_with(".txt") || name.ends_with(".md")
    })
}
