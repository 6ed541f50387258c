//! Chat datasets: reading, checking, figures, and the view that methods get.
//!
//! [`Dataset::open`] reads a file once, whole, in bounded memory, and keeps where its
//! rows are. What is wrong with them is the [`Verdict`]; only a file that cannot be
//! read at all is a [`DatasetError`].

mod cache;
mod chat;
mod compress;
mod conversation;
mod convert;
mod counting;
mod csv;
mod error;
mod facts;
mod figures;
mod format;
mod framing;
mod index;
mod json;
mod output;
mod pipeline;
mod plain;
mod render;
mod rows;
mod rules;
mod scan;
mod shared;
mod source;
mod split;
mod spool;
mod transform;
mod turns;
mod verdict;
mod view;

pub use compress::{Compression, MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO};
pub use convert::{Conversion, ConvertError, Converted, NAMED_ROWS, convert};
pub use counting::{COUNTED_BYTES, Counting};
pub use error::DatasetError;
pub use facts::{Script, Sums};
pub use figures::{Bar, Figures, LongRow, Roles, Special, Spread};
pub use format::{Format, Recognised};
pub use framing::{Container, MAX_ROW_BYTES};
pub use index::{COMPARED_ROWS, INDEXED_ROWS, LONGEST_ROWS, TASKS};
pub use json::MAX_DEPTH;
pub use output::{Destination, WriteError, Written};
pub use rules::{FEW_ROWS, OPENAI_FEWEST_ROWS, OPENAI_MOST_IMAGES, Rules, Target};
pub use shared::{SharedRows, shared_rows};
pub use split::{Divided, Division, split};
pub use spool::spool;
pub use transform::{
    BATCH_BYTES, BATCH_ROWS, Batch, KEPT_NOTES, TransformError, Transformation, Transformed, UntypedRows,
    transform,
};
pub use verdict::{Count, Finding, KEPT_PER_KIND, Kind, Severity, Verdict};
pub use view::{SAMPLED_ROWS, View};

use conversation::Conversation;
use counting::Tokens;
use framing::Framer;
use index::{Entry, Index};
use source::Source;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use tunesmith_core::contract::{Example, Task};
use tunesmith_core::failure::Advice;
use tunesmith_core::tokens::Tokenizer;
use verdict::{Findings, Place, said};

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes of the file.
    pub of: u64,
}

/// Is called from any thread, some hundred times a second at most.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How to read a dataset.
#[derive(Clone)]
pub struct Options {
    /// What to check it against.
    pub rules: Rules,
    /// By which tokenizer to count.
    pub tokenizer: Tokenizer,
    /// Whether to count the tokens of every row, however many there are.
    pub exact: bool,
    /// On how many threads; as many as there are processors where absent, 8 at most.
    pub threads: Option<NonZeroUsize>,
    /// The format of rows; recognised where absent.
    pub format: Option<Format>,
    /// Where compressed files are unpacked; where temporary files are, if absent.
    pub temporary: Option<PathBuf>,
    /// The most bytes that a compressed file may unpack to; [`MAX_UNPACKED_BYTES`]
    /// where absent, which holds in any case.
    pub most_unpacked: Option<u64>,
    /// Where results are kept by digest; nowhere if absent.
    pub cache: Option<PathBuf>,
    /// Whether to digest the file; [`Dataset::digest`] is empty otherwise. A cache needs
    /// the digest whatever is said here.
    pub digest: bool,
    /// Is told how far reading is.
    pub progress: Option<OnProgress>,
    /// Reading stops soon after this is set.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            tokenizer: Tokenizer::Cautious,
            exact: false,
            threads: None,
            format: None,
            temporary: None,
            most_unpacked: None,
            cache: None,
            digest: true,
            progress: None,
            cancel: None,
        }
    }
}

/// What a provider counts that cuts long rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billed {
    /// Tokens in one pass over all rows.
    pub tokens: u64,
    /// Rows that are cut.
    pub truncated: u64,
}

/// Opens a regular file whose bytes are known to have this SHA-256 (in hexadecimal), and
/// fails where they do not.
pub fn open_exactly(path: &Path, sha256: &str) -> Result<std::fs::File, DatasetError> {
    let source = Source::open(path, None)?;
    if source.digest()? != sha256 {
        return Err(source.changed());
    }
    Ok(source.into_file())
}

/// A dataset that was read and checked.
#[derive(Clone)]
pub struct Dataset {
    inner: Arc<Inner>,
    /// The verdict with what came of comparing it with another file.
    verdict: Option<Arc<Verdict>>,
}

pub(crate) struct Inner {
    source: Source,
    digest: String,
    bytes: u64,
    recognised: Recognised,
    index: Index,
    sums: Sums,
    verdict: Verdict,
    exact: bool,
    counted: Mutex<Vec<Arc<Tokens>>>,
}

impl Dataset {
    /// Reads and checks a file. Its rows may have errors: see
    /// [`verdict`](Self::verdict).
    pub fn open(path: &Path, options: &Options) -> Result<Self, DatasetError> {
        let source =
            Source::open(path, options.temporary.as_deref())?.unpacking_at_most(options.most_unpacked);
        let Some(directory) = &options.cache else {
            let undigested = (!options.digest).then(String::new);
            return Ok(Self::of(Inner::read(source, options, undigested)?));
        };
        let digest = source.digest()?;
        let kept = cache::path(directory, &digest, format::is_text_file(&source), options);
        if let Some(cached) = cache::load(&kept) {
            return Ok(Self::of(Inner::of_cached(source, digest, cached, options.exact)));
        }
        // A file that changes meanwhile is noticed by its size and time.
        let inner = Inner::read(source, options, Some(digest.clone()))?;
        let cached = cache::Cached {
            bytes: inner.bytes,
            recognised: inner.recognised.clone(),
            tokens: Tokens::clone(&*inner.tokens(options.tokenizer)?),
            index: inner.index,
            sums: inner.sums,
            verdict: inner.verdict,
        };
        cache::store(&kept, &cached);
        Ok(Self::of(Inner::of_cached(inner.source, digest, cached, options.exact)))
    }

    fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), verdict: None }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        self.inner.source.path()
    }

    /// The SHA-256 of the file's bytes, in hexadecimal; see [`Options::digest`].
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// Bytes of its rows, without compression.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// How it is read, and why.
    pub fn recognised(&self) -> &Recognised {
        &self.inner.recognised
    }

    /// How it is compressed.
    pub fn compression(&self) -> Option<Compression> {
        self.inner.source.compression()
    }

    /// Rows, good or bad: lines that are not blank.
    pub fn rows(&self) -> u64 {
        self.inner.index.rows
    }

    /// Rows of plain system, user and assistant texts.
    pub fn typed_rows(&self) -> u64 {
        self.inner.index.typed
    }

    /// What is wrong with it.
    pub fn verdict(&self) -> &Verdict {
        self.verdict.as_deref().unwrap_or(&self.inner.verdict)
    }

    /// Its tokens by a tokenizer. The first question after [`open`](Self::open) by
    /// another tokenizer than the options' reads rows again.
    pub fn count(&self, tokenizer: Tokenizer) -> Result<Counting, DatasetError> {
        Ok(self.inner.tokens(tokenizer)?.summary)
    }

    /// The tokens that a provider counts which cuts rows after `limit` tokens. Of a
    /// dataset with too many rows to index each, the cut is not taken off, so that the
    /// figure is not below the truth.
    pub fn billed(&self, tokenizer: Tokenizer, limit: Option<u32>) -> Result<Billed, DatasetError> {
        let tokens = self.inner.tokens(tokenizer)?;
        let mut billed = Billed { tokens: tokens.summary.total, truncated: 0 };
        let Some(limit) = limit.filter(|limit| tokens.summary.longest > *limit) else { return Ok(billed) };
        if self.inner.index.stride == 1 {
            for over in
                tokens.of_entries.iter().filter_map(|row| row.checked_sub(limit)).filter(|over| *over > 0)
            {
                billed.tokens = billed.tokens.saturating_sub(u64::from(over));
                billed.truncated += 1;
            }
        }
        Ok(billed)
    }

    /// The tasks with the most rows first, at most `most`; ties keep the order of
    /// first appearance.
    pub fn tasks(&self, most: usize) -> Result<Vec<Task>, DatasetError> {
        let tasks = self.inner.index.tasks.iter().take(most).enumerate();
        tasks.map(|(n, task)| Ok(Task { system: self.inner.system_prompt(n)?, rows: task.rows })).collect()
    }

    /// How many tasks there are; see [`TASKS`].
    pub fn task_count(&self) -> usize {
        self.inner.index.tasks.len()
    }

    /// A row as a conversation, by its place from 0; none if there is no such row or
    /// the typed view cannot express it.
    pub fn example(&self, id: u32) -> Result<Option<Example>, DatasetError> {
        let Some(entry) = self.inner.entry(id)? else { return Ok(None) };
        self.inner.typed(&entry)
    }

    /// The dataset as methods see it, with every choice decided by `seed`.
    pub fn view(&self, tokenizer: Tokenizer, seed: u32) -> Result<View, DatasetError> {
        View::new(Arc::clone(&self.inner), self.inner.tokens(tokenizer)?, seed)
    }

    /// Adds to the verdict the rows that a validation file has too.
    pub fn compare(&mut self, validation: &Path, options: &Options) -> Result<SharedRows, DatasetError> {
        let shared = shared_rows(self.path(), validation, options)?;
        if shared.count > 0 {
            let mut verdict = self.inner.verdict.clone();
            shared.report(&mut verdict, &options.rules);
            self.verdict = Some(Arc::new(verdict));
        }
        Ok(shared)
    }

    /// Fails if the file is no longer as it was when it was read.
    pub fn unchanged(&self) -> Result<(), DatasetError> {
        self.inner.source.unchanged()
    }
}

impl Inner {
    /// Reads and checks a file.
    fn read(source: Source, options: &Options, digest: Option<String>) -> Result<Self, DatasetError> {
        let recognised = format::recognise(&source, options.format)?;
        let scanned = scan::scan(&source, &recognised, options, digest)?;
        if scanned.index.rows == 0 {
            return Err(DatasetError::Empty { path: source.path().to_owned() });
        }
        if scanned.index.rows > u64::from(u32::MAX) {
            let what = format!("has {} rows; at most {} are read", scanned.index.rows, u32::MAX);
            return Err(DatasetError::TooLarge { path: source.path().to_owned(), what });
        }
        let mut findings = scanned.findings;
        let mut inner = Self {
            source,
            digest: scanned.digest,
            bytes: scanned.bytes,
            recognised,
            index: scanned.index,
            sums: scanned.sums,
            verdict: Verdict::default(),
            exact: options.exact,
            counted: Mutex::default(),
        };
        let tokens = inner.tokens(options.tokenizer)?;
        inner.check_lengths(&scanned.suspects, scanned.more_suspects, &tokens, options, &mut findings)?;
        inner.check_amount(&options.rules, &mut findings);
        inner.verdict = findings.finish();
        Ok(inner)
    }

    fn of_cached(source: Source, digest: String, cached: cache::Cached, exact: bool) -> Self {
        let cache::Cached { bytes, recognised, index, sums, verdict, tokens } = cached;
        let counted = Mutex::new(vec![Arc::new(tokens)]);
        Self { source, digest, bytes, recognised, index, sums, verdict, exact, counted }
    }

    fn tokens(&self, tokenizer: Tokenizer) -> Result<Arc<Tokens>, DatasetError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counted.iter().find(|tokens| tokens.summary.tokenizer == tokenizer) {
            return Ok(Arc::clone(known));
        }
        let tokens = Arc::new(counting::count(self, tokenizer, self.exact)?);
        counted.push(Arc::clone(&tokens));
        Ok(tokens)
    }

    /// Where a row is.
    fn entry(&self, id: u32) -> Result<Option<Entry>, DatasetError> {
        let Index { stride, entries, rows, .. } = &self.index;
        let id = u64::from(id);
        if id >= *rows {
            return Ok(None);
        }
        let Some(&before) = entries.get((id / stride) as usize) else { return Ok(None) };
        let mut rows_on = id % stride;
        if rows_on == 0 {
            return Ok(Some(before));
        }
        self.source.unchanged()?;
        let start = before.offset + u64::from(before.length);
        let mut framer = Framer::after_row(&self.recognised.container, self.source.reader_at(start)?);
        let mut memory = Vec::new();
        // The rest of the line before is blank, and no row.
        while let Some(block) = framer.next_block(memory).map_err(|error| self.source.failed(error))? {
            if block.too_long.is_some() {
                rows_on -= 1;
                if rows_on == 0 {
                    return Ok(Some(Entry { offset: start + block.offset, length: 0, ..before }));
                }
            }
            for record in block.records() {
                rows_on -= 1;
                if rows_on == 0 {
                    let at = record.as_ptr().addr() - block.bytes.as_ptr().addr();
                    let offset = start + block.offset + at as u64;
                    return Ok(Some(Entry { offset, length: record.len() as u32, ..before }));
                }
            }
            memory = block.bytes;
        }
        Err(self.source.changed())
    }

    /// Reads a row again and shows it parsed; none where it is not JSON.
    fn with_row<T>(
        &self,
        entry: &Entry,
        see: impl FnOnce(json::Value<'_>) -> T,
    ) -> Result<Option<T>, DatasetError> {
        self.source.unchanged()?;
        let mut bytes = vec![0; entry.length as usize];
        self.source.read_at(entry.offset, &mut bytes)?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(None) };
        let Some(text) = csv::as_json(&self.recognised.container, text) else { return Ok(None) };
        Ok(json::Tape::default().parse(&text).ok().map(see))
    }

    /// A row as a conversation; none where it cannot be read.
    fn conversation(&self, entry: &Entry) -> Result<Option<Conversation>, DatasetError> {
        let format = self.recognised.format;
        let read = self.with_row(entry, |value| conversation::read(format, value, &mut Vec::new()))?;
        Ok(read.flatten())
    }

    /// A row as the typed view shows it; none where it cannot.
    fn typed(&self, entry: &Entry) -> Result<Option<Example>, DatasetError> {
        Ok(self.conversation(entry)?.and_then(|conversation| conversation.typed()))
    }

    fn system_prompt(&self, task: usize) -> Result<String, DatasetError> {
        let Some(task) = self.index.tasks.get(task) else { return Ok(String::new()) };
        if task.none {
            return Ok(String::new());
        }
        let first = self.typed(&task.first)?;
        let system = first.and_then(|example| {
            example
                .messages
                .into_iter()
                .find(|message| message.role == tunesmith_core::contract::Role::System)
        });
        Ok(system.map(|message| message.content).unwrap_or_default())
    }

    /// Reports rows of more tokens than the model takes.
    fn check_lengths(
        &self,
        suspects: &[index::Spot],
        more: u64,
        tokens: &Tokens,
        options: &Options,
        findings: &mut Findings,
    ) -> Result<(), DatasetError> {
        let Some(limit) = options.rules.row_tokens else { return Ok(()) };
        // What is clearly under or over by estimate need not be counted.
        let margin = 0.1 + 3.0 * tokens.summary.error;
        let mut budget = if options.exact { u64::MAX } else { COUNTED_BYTES };
        for spot in suspects {
            let estimate = tokens.rates.of(&spot.entry);
            let clear = !tokens.summary.exact && (estimate / f64::from(limit) - 1.0).abs() > margin;
            let bytes = spot.entry.text_bytes();
            let (count, counted) = if clear && !options.exact || bytes > budget {
                (estimate as u32, false)
            } else {
                budget -= bytes;
                (counting::tokens_of(self, &spot.entry, options.tokenizer)?, true)
            };
            if count <= limit {
                continue;
            }
            let place = Place { line: Some(spot.line), row: Some(spot.row), column: Some(1) };
            findings.add(Severity::Warning, Kind::TooManyTokens, place, || {
                let about = if counted { "" } else { "about " };
                let reason = match options.rules.target {
                    Target::OpenAi => format!(
                        "the row has {about}{count} tokens; the model takes {limit}, and the row is cut at the end, where the answer is"
                    ),
                    _ => format!("the row has {about}{count} tokens; the model takes {limit}"),
                };
                said("", reason, "shorten or split it")
            });
        }
        if more > 0 {
            findings.add(Severity::Warning, Kind::TooManyTokens, Place::default(), || {
                said(
                    "",
                    format!(
                        "{more} further rows are so long that they may be over the limit of {limit} tokens"
                    ),
                    "shorten them; the file has too many such rows to count each",
                )
            });
        }
        Ok(())
    }

    /// Reports too few rows.
    fn check_amount(&self, rules: &Rules, findings: &mut Findings) {
        let rows = self.index.rows;
        let place = Place::default();
        if rows < OPENAI_FEWEST_ROWS && rules.is_openai() {
            findings.add(Severity::Error, Kind::FewRows, place, || {
                said("", format!("{rows} rows; OpenAI takes {OPENAI_FEWEST_ROWS} or more"), "add rows")
            });
        } else if rows < FEW_ROWS && rules.target != Target::Ollama {
            findings.add(Severity::Warning, Kind::FewRows, place, || {
                said(
                    "",
                    format!("{rows} rows; a tuned model seldom improves with fewer than {FEW_ROWS}"),
                    "add rows, or try the examples in a prompt first",
                )
            });
        }
        let format = self.recognised.format;
        let taken = matches!(format, Format::OpenAi | Format::OpenAiPreference)
            || rules.converted && format != Format::Text;
        if rules.is_openai() && !taken {
            findings.add(Severity::Error, Kind::FormatNotTaken, place, || {
                let to = if format.is_preference() { "openai-preference" } else { "openai" };
                let fix = match format {
                    Format::Text => "write conversations: raw text cannot be made into them".into(),
                    _ => Advice::ConvertDataset { path: None, to: Some(to.to_owned()) },
                };
                said("", format!("the rows are {}; OpenAI takes its own format", format.title()), fix)
            });
        }
        if self.index.showable == 0 && rules.target == Target::Ollama {
            findings.add(Severity::Error, Kind::NoUsableRows, place, || {
                said(
                    "",
                    "no row is a plain conversation that ends with the assistant's answer, so that none can become an example",
                    "add rows of system, user and assistant texts",
                )
            });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
