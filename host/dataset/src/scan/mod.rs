//! Reads a whole dataset once: cuts it into blocks, checks them on several threads,
//! and joins the results in order, so that they do not depend on the number of threads.

mod checker;
pub(crate) mod index;
pub(crate) mod rows;
pub(crate) mod shared;

use crate::containers::framing::{Block, Framer};
use crate::containers::source::Source;
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::pipeline::{self, Feed, Work};
use crate::shapes::format::Recognized;
use crate::verdict::row::Sums;
use crate::verdict::rules::Rules;
use crate::verdict::{FindingKind, Findings, Position, Severity, explain};
use checker::{CheckedBlock, Checker};
use index::{Entry, Index, IndexBuilder, LocatedRow};

/// Rows that may exceed the model's limit and are counted exactly later.
pub(crate) const SUSPECTS: usize = 20_000;

/// The result of a scan.
#[derive(Debug)]
pub(crate) struct Scan {
    pub digest: String,
    pub bytes: u64,
    pub index: Index,
    pub sums: Sums,
    pub findings: Findings,
    /// Rows so long that they may exceed the token limit.
    pub suspects: Vec<LocatedRow>,
    /// The number of further ones.
    pub more_suspects: u64,
}

/// Reads and checks everything, and digests it on the way unless the digest is known.
pub(crate) fn scan(
    source: &Source,
    recognized: &Recognized,
    options: &ReadOptions,
    digest: Option<String>,
) -> Result<Scan, DatasetError> {
    let of = source.plain_bytes()?;
    let feed = match digest {
        None => Feed::new(source)?,
        Some(_) => Feed::undigested(source)?,
    };
    let framer = Framer::new(&recognized.container, feed);
    let mut joined = JoinedBlocks::new(options.rules);
    let worker = || {
        let mut checker = Checker::new(&options.rules, recognized);
        move |block: &Block| Ok(checker.check(block))
    };
    let take = |checked| {
        joined.take(checked);
        Ok::<(), DatasetError>(())
    };
    let feed = pipeline::run(&Work { source, options, of }, framer, worker, take)?;
    source.unchanged()?;
    let digest = match (digest, feed) {
        (Some(digest), _) => digest,
        (None, Feed::Digested(reader)) => {
            let (_, digest, bytes) = reader.finish();
            if bytes != of {
                return Err(source.changed());
            }
            digest.to_string()
        }
        (None, Feed::Plain(..)) => source.digest()?,
    };
    Ok(joined.finish(digest, of))
}

/// The results so far, in order.
struct JoinedBlocks {
    lines: u64,
    index: IndexBuilder,
    sums: Sums,
    findings: Findings,
    suspects: Vec<LocatedRow>,
    more_suspects: u64,
    suspicious_bytes: u64,
}

impl JoinedBlocks {
    fn new(rules: Rules) -> Self {
        Self {
            lines: 0,
            index: IndexBuilder::new(),
            sums: Sums::default(),
            findings: Findings::default(),
            suspects: Vec::new(),
            more_suspects: 0,
            // A token has a byte at least, besides those that mark messages.
            suspicious_bytes: rules.row_tokens.map_or(u64::MAX, u64::from),
        }
    }

    fn take(&mut self, checked: CheckedBlock) {
        let rows_before = self.index.rows();
        let lines_before = self.lines;
        self.lines += checked.lines;
        self.sums.add(&checked.sums);
        self.findings.merge(checked.findings, lines_before, rows_before);
        self.index.expect(checked.rows.iter().map(|row| &row.facts));
        for row in checked.rows {
            let line = lines_before + u64::from(row.line);
            let number = self.index.rows();
            let offset = checked.offset + u64::from(row.start);
            let facts = &row.facts;
            if let Some(first) = self.index.add(offset, row.length, line, facts) {
                let place = Position { line: Some(line), row: Some(number), column: Some(1) };
                self.findings.add(Severity::Warning, FindingKind::DuplicateRow, place, || {
                    explain(
                        "",
                        format!("duplicate of line {first}"),
                        "remove one of them, unless it should count twice",
                    )
                });
            }
            let tokens_at_most = facts.text_bytes() + 8 * u64::from(facts.messages) + 8;
            if tokens_at_most > self.suspicious_bytes {
                if self.suspects.len() < SUSPECTS {
                    let entry = Entry {
                        offset,
                        length: row.length,
                        ascii: facts.ascii,
                        other: facts.other,
                        task: 0,
                        messages: u16::try_from(facts.messages).unwrap_or(u16::MAX),
                        flags: facts.flags,
                    };
                    self.suspects.push(LocatedRow { row: number, line, entry });
                } else {
                    self.more_suspects += 1;
                }
            }
        }
    }

    fn finish(self, digest: String, bytes: u64) -> Scan {
        Scan {
            digest,
            bytes,
            index: self.index.finish(),
            sums: self.sums,
            findings: self.findings,
            suspects: self.suspects,
            more_suspects: self.more_suspects,
        }
    }
}
