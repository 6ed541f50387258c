//! Errors and warnings about a dataset: findings with position, reason and fix, and
//! counts by kind.

pub(crate) mod row;
pub(crate) mod rules;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tunesmith_core::failure::Advice;

/// Findings of one kind that are listed; further ones are only counted.
/// Twenty are enough to see the pattern, and a file with a million bad rows must not
/// fill memory or hide its other problems.
pub const KEPT_PER_KIND: usize = 20;

/// Declares the kinds of finding with their names, in the order in which a verdict
/// lists them.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)+) => {
        /// The kinds of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FindingKind {
            $($(#[doc = $doc])* $variant,)+
        }

        impl FindingKind {
            pub const ALL: &[FindingKind] = &[$(FindingKind::$variant),+];

            /// The name, which stays the same between versions.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Whether conversion with [`ConvertOptions::fix`](crate::ConvertOptions::fix)
            /// repairs it.
            pub fn is_repairable(self) -> bool {
                matches!(
                    self,
                    Self::Nul
                        | Self::DeveloperRole
                        | Self::DuplicateRow
                        | Self::ByteOrderMark
                        | Self::CrLf
                        | Self::BlankLine
                )
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
    /// `messages` is missing, or not a list of messages.
    MissingMessages = "missing-messages",
    /// A required field is missing.
    MissingField = "missing-field",
    /// A value of the wrong kind.
    WrongType = "wrong-type",
    /// An unknown field.
    UnknownKey = "unknown-key",
    /// An unknown role.
    UnknownRole = "unknown-role",
    /// A role that the provider may not accept for fine-tuning.
    DeveloperRole = "developer-role",
    /// A message without content.
    EmptyContent = "empty-content",
    /// No assistant message.
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
    /// An image that the provider does not accept.
    Image = "image",
    /// A preference pair that the provider does not accept.
    Preference = "preference",
    /// The two answers of a preference pair are the same.
    SameAnswers = "same-answers",
    /// A duplicate of an earlier row.
    DuplicateRow = "duplicate-row",
    /// A duplicate of a row in another file of the job.
    SharedRow = "shared-row",
    /// More tokens than the model takes in a row.
    TooManyTokens = "too-many-tokens",
    /// Fewer rows than are needed or useful.
    FewRows = "few-rows",
    /// No usable rows.
    NoUsableRows = "no-usable-rows",
    /// A format that the provider does not accept.
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
    /// The dataset cannot be used.
    Error,
    /// The dataset can be used, but the user should know.
    Warning,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// What kind of thing.
    pub kind: FindingKind,
    /// The line, from 1; `None` if it is about the whole file.
    pub line: Option<u64>,
    /// The row, from 0, blank lines not counted.
    pub row: Option<u64>,
    /// The byte within the line, from 1.
    pub column: Option<u32>,
    /// Which field, such as `messages[1].content`; empty for the whole row.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    #[serde(rename = "advice")]
    pub fix: Advice,
}

/// The number of findings of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingCount {
    pub severity: Severity,
    pub kind: FindingKind,
    pub count: u64,
}

/// The findings about a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Findings, errors first, then by line; at most
    /// [`KEPT_PER_KIND`] of each kind.
    pub findings: Vec<Finding>,
    /// Every finding, counted, errors first.
    pub counts: Vec<FindingCount>,
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

    /// The number of findings of one kind.
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.counts.iter().filter(|count| count.kind == kind).map(|count| count.count).sum()
    }
}

/// Where a finding is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    /// Line, from 1, relative to the block until merged.
    pub line: Option<u64>,
    /// Row, from 0, relative to the block until merged.
    pub row: Option<u64>,
    /// Byte within the line, from 1.
    pub column: Option<u32>,
}

/// Collects findings. The text is only built for those that are listed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<(Severity, FindingKind), u64>,
}

impl Findings {
    /// Counts a finding, and lists it if few of its kind were found before.
    pub fn add(
        &mut self,
        severity: Severity,
        kind: FindingKind,
        place: Position,
        say: impl FnOnce() -> FindingText,
    ) {
        let count = self.counts.entry((severity, kind)).or_default();
        *count += 1;
        if *count <= KEPT_PER_KIND as u64 {
            let FindingText { field, reason, fix } = say();
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

    /// Adds a block's findings, whose lines and rows count from the block's start.
    pub fn merge(&mut self, block: Findings, lines_before: u64, rows_before: u64) {
        if block.counts.is_empty() {
            return;
        }
        let mut have: BTreeMap<(Severity, FindingKind), u64> = BTreeMap::new();
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

    /// The verdict, in display order.
    pub fn finish(mut self) -> Verdict {
        self.kept.sort_by_key(|finding| {
            let Finding { severity, line, column, kind, .. } = *finding;
            (severity, line.unwrap_or(0), column.unwrap_or(0), kind)
        });
        let counts = self
            .counts
            .into_iter()
            .map(|((severity, kind), count)| FindingCount { severity, kind, count })
            .collect();
        Verdict { findings: self.kept, counts }
    }
}

/// The text of a finding.
#[derive(Debug)]
pub(crate) struct FindingText {
    pub field: String,
    pub reason: String,
    pub fix: Advice,
}

impl FindingText {
    /// The reason after the field, where there is one.
    pub fn with_field(self) -> String {
        with_field(&self.field, self.reason)
    }
}

/// A reason after its field, where there is one.
pub(crate) fn with_field(field: &str, reason: String) -> String {
    if field.is_empty() { reason } else { format!("{field}: {reason}") }
}

/// Builds the text of a finding: the field, the reason, and what to do.
pub(crate) fn explain(
    field: impl Into<String>,
    reason: impl Into<String>,
    fix: impl Into<Advice>,
) -> FindingText {
    FindingText { field: field.into(), reason: reason.into(), fix: fix.into() }
}
