//! What is wrong with a dataset: findings with their place, reason and fix, and
//! counts by kind.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tunesmith_core::failure::Advice;

/// Findings of one kind that are kept with their place; further ones are counted.
/// Twenty are enough to see the pattern, and a file with a million bad rows must not
/// fill memory or hide its other problems.
pub const KEPT_PER_KIND: usize = 20;

/// Declares the kinds of finding with their names, in the order in which a verdict
/// lists them.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The kinds of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$variant),+];

            /// The name, which scripts can rely on.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// Bytes that are not UTF-8.
    NotUtf8 = "not-utf8",
    /// A NUL byte, raw or as an escape.
    Nul = "nul",
    /// Longer than the cap on a row.
    RowTooLong = "row-too-long",
    /// Not JSON.
    JsonSyntax = "json-syntax",
    /// Nested too deep.
    TooDeep = "too-deep",
    /// An object with one key twice.
    DuplicateKey = "duplicate-key",
    /// A CSV record that does not fit its header.
    CsvRecord = "csv-record",
    /// A row that is not an object.
    NotAnObject = "not-an-object",
    /// A row of another format than the file.
    OtherFormat = "other-format",
    /// No `messages`, or not a list with messages.
    MissingMessages = "missing-messages",
    /// Something needed is absent.
    MissingField = "missing-field",
    /// A value of the wrong kind.
    WrongType = "wrong-type",
    /// A key that the format does not know.
    UnknownKey = "unknown-key",
    /// A role that the format does not know.
    UnknownRole = "unknown-role",
    /// A role that the provider may not take for fine-tuning.
    DeveloperRole = "developer-role",
    /// A message that says nothing.
    EmptyContent = "empty-content",
    /// No message of the assistant.
    MissingAssistant = "missing-assistant",
    /// Messages in an order that chat templates do not expect.
    RoleOrder = "role-order",
    /// A tool call that no message answers.
    UnansweredToolCall = "unanswered-tool-call",
    /// A tool's answer to no call.
    AnswerWithoutCall = "answer-without-call",
    /// A weight that is not 0 or 1, or not on an assistant's message.
    Weight = "weight",
    /// Every assistant message has weight 0.
    AllWeightsZero = "all-weights-zero",
    /// An image that the provider does not take.
    Image = "image",
    /// A preference pair that the provider does not take.
    Preference = "preference",
    /// The two answers of a preference pair are the same.
    SameAnswers = "same-answers",
    /// A row that says what an earlier one says.
    DuplicateRow = "duplicate-row",
    /// A row that another file of the same job has too.
    SharedRow = "shared-row",
    /// More tokens than the model takes in a row.
    TooManyTokens = "too-many-tokens",
    /// Fewer rows than are needed or useful.
    FewRows = "few-rows",
    /// No rows that can be used.
    NoUsableRows = "no-usable-rows",
    /// A format that the provider does not take.
    FormatNotTaken = "format-not-taken",
    /// A byte order mark at the start.
    ByteOrderMark = "byte-order-mark",
    /// Lines that end in CR LF.
    CrLf = "crlf",
    /// A line without a row.
    BlankLine = "blank-line",
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The dataset cannot be used with it.
    Error,
    /// It can, but the user should know.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// What kind of thing.
    pub kind: Kind,
    /// The line, from 1; none where it is about the whole file.
    pub line: Option<u64>,
    /// The row, from 0: its place among lines that are not blank.
    pub row: Option<u64>,
    /// The byte within the line, from 1.
    pub column: Option<u32>,
    /// Which field, such as `messages[1].content`; empty for the whole row.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    #[serde(rename = "advice")]
    pub fix: Advice,
}

/// How often a kind was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How serious.
    pub severity: Severity,
    /// What kind.
    pub kind: Kind,
    /// How often.
    pub count: u64,
}

/// What is wrong with a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Findings with their place, errors first, then by line; at most
    /// [`KEPT_PER_KIND`] of each kind.
    pub findings: Vec<Finding>,
    /// Every finding, counted, errors first.
    pub counts: Vec<Count>,
}

impl Verdict {
    /// How many errors were found.
    pub fn errors(&self) -> u64 {
        self.total(Severity::Error)
    }

    /// How many warnings were found.
    pub fn warnings(&self) -> u64 {
        self.total(Severity::Warning)
    }

    fn total(&self, severity: Severity) -> u64 {
        self.counts.iter().filter(|count| count.severity == severity).map(|count| count.count).sum()
    }

    /// How often a kind was found.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.iter().filter(|count| count.kind == kind).map(|count| count.count).sum()
    }
}

/// Where a finding is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Line, from 1, relative to the block until merged.
    pub line: Option<u64>,
    /// Row, from 0, relative to the block until merged.
    pub row: Option<u64>,
    /// Byte within the line, from 1.
    pub column: Option<u32>,
}

/// Findings as they are collected. Texts are made only for those that are kept.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<(Severity, Kind), u64>,
}

impl Findings {
    /// Counts a finding, and keeps it if few of its kind were found before.
    pub fn add(&mut self, severity: Severity, kind: Kind, place: Place, say: impl FnOnce() -> Said) {
        let count = self.counts.entry((severity, kind)).or_default();
        *count += 1;
        if *count <= KEPT_PER_KIND as u64 {
            let Said { field, reason, fix } = say();
            self.kept.push(Finding {
                severity,
                kind,
                line: place.line,
                row: place.row,
                column: place.column,
                field,
                reason,
                fix,
            });
        }
    }

    /// Takes over a block's findings, whose lines and rows count from the block's
    /// start.
    pub fn merge(&mut self, block: Findings, lines_before: u64, rows_before: u64) {
        if block.counts.is_empty() {
            return;
        }
        let mut have: BTreeMap<(Severity, Kind), u64> = BTreeMap::new();
        for finding in block.kept {
            let key = (finding.severity, finding.kind);
            let before = self.counts.get(&key).copied().unwrap_or(0);
            let taken = have.entry(key).or_default();
            if before + *taken < KEPT_PER_KIND as u64 {
                *taken += 1;
                self.kept.push(Finding {
                    line: finding.line.map(|line| line + lines_before),
                    row: finding.row.map(|row| row + rows_before),
                    ..finding
                });
            }
        }
        for (key, count) in block.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    /// The verdict in the order in which people read it.
    pub fn finish(mut self) -> Verdict {
        self.kept.sort_by_key(|finding| {
            let Finding { severity, line, column, kind, .. } = *finding;
            (severity, line.unwrap_or(0), column.unwrap_or(0), kind)
        });
        let counts = self
            .counts
            .into_iter()
            .map(|((severity, kind), count)| Count { severity, kind, count })
            .collect();
        Verdict { findings: self.kept, counts }
    }
}

/// The texts of a finding.
#[derive(Debug)]
pub(super) struct Said {
    /// Which field.
    pub field: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub fix: Advice,
}

/// The texts of a finding.
pub(super) fn said(field: impl Into<String>, reason: impl Into<String>, fix: impl Into<Advice>) -> Said {
    Said { field: field.into(), reason: reason.into(), fix: fix.into() }
}
