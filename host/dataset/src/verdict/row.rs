//! Checking one row: its findings, its counts, and sums over all rows.

use crate::verdict::rules::Rules;
use crate::verdict::{FindingKind, FindingText, Findings, Position, Severity};
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, Hasher};
use tunesmith_core::contract::Role;

/// The row has only plain system, user and assistant messages.
pub(crate) const TYPED: u8 = 1;
/// The row has a user's message and ends with the assistant's, so that it can be shown
/// to a model as an example.
pub(crate) const SHOWABLE: u8 = 1 << 1;
/// The row is a duplicate of an earlier one.
pub(crate) const REPEATED: u8 = 1 << 2;
/// The row has an error.
pub(crate) const BAD: u8 = 1 << 3;
/// The row has tool or function calls or definitions.
pub(crate) const TOOLS: u8 = 1 << 4;
/// The row has images.
pub(crate) const IMAGES: u8 = 1 << 5;
/// The row has weights.
pub(crate) const WEIGHTS: u8 = 1 << 6;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowFacts {
    /// Bytes of text that are ASCII.
    pub ascii: u32,
    /// Bytes of text that are not.
    pub other: u32,
    pub messages: u32,
    /// See the constants of this module.
    pub flags: u8,
    /// Hash of the row's content.
    pub hash: u64,
    /// Hash of its system prompt.
    pub task: u64,
}

impl RowFacts {
    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub fn text_bytes(&self) -> u64 {
        u64::from(self.ascii) + u64::from(self.other)
    }
}

/// Scripts in which text is written, told apart by character ranges of Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    /// Arabic, also for Persian and Urdu.
    Arabic,
    /// The scripts of India, from Devanagari to Malayalam.
    Indic,
    /// Thai and Lao.
    Thai,
    /// Chinese characters, also in Japanese.
    Han,
    /// Hiragana and katakana.
    Kana,
    Hangul,
    /// Emoji and other pictures.
    Emoji,
    Other,
}

impl Script {
    /// Every script, in the order of its counts.
    pub const ALL: [Self; 12] = [
        Self::Latin,
        Self::Greek,
        Self::Cyrillic,
        Self::Hebrew,
        Self::Arabic,
        Self::Indic,
        Self::Thai,
        Self::Han,
        Self::Kana,
        Self::Hangul,
        Self::Emoji,
        Self::Other,
    ];

    /// The script of a character that is not ASCII; `None` for signs and marks.
    fn of(character: char) -> Option<Self> {
        Some(match character as u32 {
            0xc0..=0x24f | 0x1e00..=0x1eff => Self::Latin,
            0x370..=0x3ff | 0x1f00..=0x1fff => Self::Greek,
            0x400..=0x52f => Self::Cyrillic,
            0x590..=0x5ff => Self::Hebrew,
            0x600..=0x77f | 0x8a0..=0x8ff | 0xfb50..=0xfdff | 0xfe70..=0xfeff => Self::Arabic,
            0x900..=0xd7f => Self::Indic,
            0xe00..=0xeff => Self::Thai,
            0x3040..=0x30ff => Self::Kana,
            0x3400..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x323af => Self::Han,
            0x1100..=0x11ff | 0x3130..=0x318f | 0xac00..=0xd7af => Self::Hangul,
            0x1f000..=0x1faff | 0x2600..=0x27bf => Self::Emoji,
            _ if character.is_alphabetic() => Self::Other,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// Messages of the system.
    pub system: u64,
    pub user: u64,
    /// Messages of the assistant.
    pub assistant: u64,
    /// Messages of tools and functions.
    pub tool: u64,
    /// Letters by script, in the order of [`Script::ALL`].
    pub letters: [u64; 12],
}

impl Sums {
    pub fn messages(&self) -> u64 {
        self.system + self.user + self.assistant + self.tool
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.system += other.system;
        self.user += other.user;
        self.assistant += other.assistant;
        self.tool += other.tool;
        for (sum, more) in self.letters.iter_mut().zip(other.letters) {
            *sum += more;
        }
    }
}

/// A row while it is checked: its position, findings and counts.
pub(crate) struct RowCheck<'a> {
    pub rules: &'a Rules,
    pub findings: &'a mut Findings,
    pub sums: &'a mut Sums,
    pub facts: RowFacts,
    /// The row's line, from 1, in the block.
    pub line: u64,
    /// The row's number, from 0, in the block.
    pub row: u64,
    /// Maps bytes of the row to positions in the file.
    pub places: Places<'a>,
}

/// Maps bytes of a row to positions in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Places<'a> {
    /// The row is a line, whose text starts after this many bytes.
    Line(usize),
    /// The row is this text, which may span lines, after this many bytes of its first.
    Text(&'a str, usize),
    /// The row was made from a CSV record, this text: where each field starts in the
    /// row and in the record.
    Record(&'a str, &'a [(u32, u32)]),
}

impl Places<'_> {
    /// Lines after the row's first, and the column from 1.
    fn of(self, at: usize) -> (u64, u32) {
        let within = |text: &str, at: usize, first: usize| {
            let before = &text.as_bytes()[..at.min(text.len())];
            match memchr::memrchr(b'\n', before) {
                None => (0, (first + before.len() + 1) as u32),
                Some(end) => {
                    let lines = memchr::memchr_iter(b'\n', before).count() as u64;
                    (lines, (before.len() - end) as u32)
                }
            }
        };
        match self {
            Self::Line(first) => (0, u32::try_from(first + at + 1).unwrap_or(u32::MAX)),
            Self::Text(text, first) => within(text, at, first),
            Self::Record(record, fields) => {
                let field = fields.partition_point(|&(start, _)| start as usize <= at);
                let start = field.checked_sub(1).map_or(0, |field| fields[field].1 as usize);
                within(record, start, 0)
            }
        }
    }
}

impl RowCheck<'_> {
    /// Reports something at a byte of the row's text, from 0.
    pub fn report(
        &mut self,
        severity: Severity,
        kind: FindingKind,
        at: usize,
        say: impl FnOnce() -> FindingText,
    ) {
        if severity == Severity::Error {
            self.facts.flags |= BAD;
        }
        let (lines, column) = self.places.of(at);
        let place = Position { line: Some(self.line + lines), row: Some(self.row), column: Some(column) };
        self.findings.add(severity, kind, place, say);
    }

    pub fn error(&mut self, kind: FindingKind, at: usize, say: impl FnOnce() -> FindingText) {
        self.report(Severity::Error, kind, at, say);
    }

    pub fn warn(&mut self, kind: FindingKind, at: usize, say: impl FnOnce() -> FindingText) {
        self.report(Severity::Warning, kind, at, say);
    }

    /// Reports an error for OpenAI, otherwise a warning.
    pub fn openai_error(&mut self, kind: FindingKind, at: usize, say: impl FnOnce() -> FindingText) {
        let severity = if self.rules.is_openai() { Severity::Error } else { Severity::Warning };
        self.report(severity, kind, at, say);
    }

    /// Counts a message and its text.
    pub fn message(&mut self, role: CountedRole, text: &str) {
        self.begin_message(role);
        let hash = self.count_text(text);
        self.fold(hash);
        if role == CountedRole::Typed(Role::System) && self.facts.task == 0 {
            self.facts.task = task_hash(hash);
        }
    }

    /// Counts a message whose parts follow one by one.
    pub fn begin_message(&mut self, role: CountedRole) {
        self.facts.messages = self.facts.messages.saturating_add(1);
        let (sum, code) = match role {
            CountedRole::Typed(Role::System) => (&mut self.sums.system, 1),
            CountedRole::Typed(Role::User) => (&mut self.sums.user, 2),
            CountedRole::Typed(Role::Assistant) => (&mut self.sums.assistant, 3),
            CountedRole::Tool => (&mut self.sums.tool, 4),
        };
        *sum += 1;
        self.fold(code);
    }

    /// Counts a text and returns its hash.
    pub fn count_text(&mut self, text: &str) -> u64 {
        let (other, letters) = count_bytes(text.as_bytes());
        self.facts.ascii = self.facts.ascii.saturating_add((text.len() - other) as u32);
        self.facts.other = self.facts.other.saturating_add(other as u32);
        self.sums.letters[0] += letters as u64;
        if other > 0 {
            for script in text.chars().filter(|c| !c.is_ascii()).filter_map(Script::of) {
                self.sums.letters[script as usize] += 1;
            }
        }
        hash(text.as_bytes())
    }

    /// Mixes a value into the row's hash.
    pub fn fold(&mut self, with: u64) {
        const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
        let product = u128::from(self.facts.hash ^ ODD[0]) * u128::from(with ^ ODD[1]);
        self.facts.hash = (product as u64) ^ ((product >> 64) as u64);
    }
}

/// The roles that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountedRole {
    /// A role of the typed view.
    Typed(Role),
    /// A tool or a function.
    Tool,
}

/// Hash of a text, which is only compared within one run.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// Hash of a system prompt; 0 is no system prompt.
pub(crate) fn task_hash(text_hash: u64) -> u64 {
    text_hash.max(1)
}

/// Bytes that are not ASCII, and ASCII letters.
fn count_bytes(bytes: &[u8]) -> (usize, usize) {
    let (mut other, mut letters) = (0, 0);
    // Sums of a byte each in chunks below 256 become vector instructions.
    for chunk in bytes.chunks(192) {
        let (mut high, mut letter) = (0_u8, 0_u8);
        for &byte in chunk {
            high += byte >> 7;
            letter += u8::from((byte | 0x20).wrapping_sub(b'a') < 26);
        }
        other += usize::from(high);
        letters += usize::from(letter);
    }
    (other, letters)
}
