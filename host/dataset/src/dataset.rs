//! A dataset that was read: its rows, tokens, tasks and verdict.

use crate::containers::compress::Compression;
use crate::containers::source::Source;
use crate::counting::{self, Counting, Tokens};
use crate::error::DatasetError;
use crate::file_checks::{check_amount, check_lengths};
use crate::options::ReadOptions;
use crate::scan::rows::Rows;
use crate::scan::shared::{SharedRows, shared_rows};
use crate::shapes::format::{self, Recognized};
use crate::verdict::Verdict;
use crate::verdict::row::Sums;
use crate::view::View;
use crate::{cache, scan};
use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tunesmith_core::contract::{Example, Task};
use tunesmith_core::tokens::Tokenizer;

/// Tokens as a provider counts them that cuts long rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BilledTokens {
    /// Tokens in one pass over all rows.
    pub tokens: u64,
    /// Rows that are cut.
    pub truncated: u64,
}

/// A dataset that was read and checked.
#[derive(Clone)]
pub struct Dataset {
    pub(crate) inner: Arc<Inner>,
    /// The verdict including the comparison with another file.
    verdict: Option<Arc<Verdict>>,
}

pub(crate) struct Inner {
    pub rows: Arc<Rows>,
    pub digest: String,
    pub bytes: u64,
    pub sums: Sums,
    pub verdict: Verdict,
    exact: bool,
    counted: Mutex<Vec<Arc<Tokens>>>,
}

impl Dataset {
    /// Reads and checks a file. Its rows may have errors: see
    /// [`verdict`](Self::verdict).
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, DatasetError> {
        let source =
            Source::open(path, options.temporary.as_deref())?.with_unpacked_limit(options.max_unpacked);
        let Some(directory) = &options.cache else {
            let undigested = (!options.digest).then(String::new);
            return Ok(Self::of(Inner::read(source, options, undigested)?));
        };
        let digest = source.digest()?;
        let stored = cache::path(directory, &digest, format::is_text_file(&source), options);
        if let Some(cached) = cache::load(&stored) {
            return Ok(Self::of(Inner::of_cached(source, digest, cached, options.exact)));
        }
        // A file that changes meanwhile is noticed by its size and time.
        let inner = Inner::read(source, options, Some(digest.clone()))?;
        let cached = cache::Cached {
            bytes: inner.bytes,
            recognized: Cow::Borrowed(&inner.rows.recognized),
            index: Cow::Borrowed(&inner.rows.index),
            sums: Cow::Borrowed(&inner.sums),
            verdict: Cow::Borrowed(&inner.verdict),
            tokens: Cow::Borrowed(&*inner.tokens(options.tokenizer)?),
        };
        cache::store(&stored, &cached);
        Ok(Self::of(inner))
    }

    fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), verdict: None }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        self.inner.rows.source.path()
    }

    /// The SHA-256 of the file's bytes, in hexadecimal; see [`ReadOptions::digest`].
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// Bytes of its rows, without compression.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// Its format and container, and why they were recognized.
    pub fn recognized(&self) -> &Recognized {
        &self.inner.rows.recognized
    }

    /// How it is compressed.
    pub fn compression(&self) -> Option<Compression> {
        self.inner.rows.source.compression()
    }

    /// Rows, good or bad: lines that are not blank.
    pub fn rows(&self) -> u64 {
        self.inner.rows.index.rows
    }

    /// Rows of plain system, user and assistant messages.
    pub fn typed_rows(&self) -> u64 {
        self.inner.rows.index.typed
    }

    /// Its errors and warnings.
    pub fn verdict(&self) -> &Verdict {
        self.verdict.as_deref().unwrap_or(&self.inner.verdict)
    }

    /// Its tokens by a tokenizer. The first call with another tokenizer than that of the
    /// options reads rows again.
    pub fn count(&self, tokenizer: Tokenizer) -> Result<Counting, DatasetError> {
        Ok(self.inner.tokens(tokenizer)?.summary)
    }

    /// The tokens as a provider counts them that cuts rows after `limit` tokens. An upper
    /// bound if the dataset has too many rows to index each one.
    pub fn billed(&self, tokenizer: Tokenizer, limit: Option<u32>) -> Result<BilledTokens, DatasetError> {
        let tokens = self.inner.tokens(tokenizer)?;
        let mut billed = BilledTokens { tokens: tokens.summary.total, truncated: 0 };
        let Some(limit) = limit.filter(|limit| tokens.summary.longest > *limit) else { return Ok(billed) };
        if self.inner.rows.index.stride == 1 {
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
        let tasks = self.inner.rows.index.tasks.iter().take(most).enumerate();
        tasks
            .map(|(n, task)| Ok(Task { system: self.inner.rows.system_prompt(n)?, rows: task.rows }))
            .collect()
    }

    /// How many tasks there are.
    pub fn task_count(&self) -> usize {
        self.inner.rows.index.tasks.len()
    }

    /// A row as a conversation, by its number from 0; `None` if there is no such row or
    /// the typed view cannot express it.
    pub fn example(&self, id: u32) -> Result<Option<Example>, DatasetError> {
        let Some(entry) = self.inner.rows.entry(id)? else { return Ok(None) };
        self.inner.rows.typed(&entry)
    }

    /// The dataset as methods see it, with every choice decided by `seed`.
    pub fn view(&self, tokenizer: Tokenizer, seed: u32) -> Result<View, DatasetError> {
        let Inner { rows, bytes, sums, .. } = &*self.inner;
        View::new(Arc::clone(rows), self.inner.tokens(tokenizer)?, *bytes, sums.messages(), seed)
    }

    /// Adds the rows that are also in a validation file to the verdict.
    pub fn compare(&mut self, validation: &Path, options: &ReadOptions) -> Result<SharedRows, DatasetError> {
        let shared = shared_rows(self.path(), validation, options)?;
        if shared.count > 0 {
            let mut verdict = self.inner.verdict.clone();
            shared.report(&mut verdict, &options.rules);
            self.verdict = Some(Arc::new(verdict));
        }
        Ok(shared)
    }

    /// Fails if the file changed since it was read.
    pub fn unchanged(&self) -> Result<(), DatasetError> {
        self.inner.rows.source.unchanged()
    }
}

impl Inner {
    /// Reads and checks a file.
    fn read(source: Source, options: &ReadOptions, digest: Option<String>) -> Result<Self, DatasetError> {
        let recognized = format::recognize(&source, options.format)?;
        let scanned = scan::scan(&source, &recognized, options, digest)?;
        if scanned.index.rows == 0 {
            return Err(DatasetError::Empty { path: source.path().to_owned() });
        }
        if scanned.index.rows > u64::from(u32::MAX) {
            let what = format!("has {} rows; the limit is {}", scanned.index.rows, u32::MAX);
            return Err(DatasetError::TooLarge { path: source.path().to_owned(), what });
        }
        let mut findings = scanned.findings;
        let mut inner = Self {
            rows: Arc::new(Rows { source, recognized, index: scanned.index }),
            digest: scanned.digest,
            bytes: scanned.bytes,
            sums: scanned.sums,
            verdict: Verdict::default(),
            exact: options.exact,
            counted: Mutex::default(),
        };
        let tokens = inner.tokens(options.tokenizer)?;
        let suspects = (&scanned.suspects[..], scanned.more_suspects);
        check_lengths(&inner.rows, suspects, &tokens, options, &mut findings)?;
        check_amount(&inner.rows, &options.rules, &mut findings);
        inner.verdict = findings.finish();
        Ok(inner)
    }

    fn of_cached(source: Source, digest: String, cached: cache::Cached<'_>, exact: bool) -> Self {
        let cache::Cached { bytes, recognized, index, sums, verdict, tokens } = cached;
        Self {
            rows: Arc::new(Rows { source, recognized: recognized.into_owned(), index: index.into_owned() }),
            digest,
            bytes,
            sums: sums.into_owned(),
            verdict: verdict.into_owned(),
            exact,
            counted: Mutex::new(vec![Arc::new(tokens.into_owned())]),
        }
    }

    /// Tokens by a tokenizer, counted at the first call.
    pub fn tokens(&self, tokenizer: Tokenizer) -> Result<Arc<Tokens>, DatasetError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counted.iter().find(|tokens| tokens.summary.tokenizer == tokenizer) {
            return Ok(Arc::clone(known));
        }
        let tokens = Arc::new(counting::count(&self.rows, tokenizer, self.exact)?);
        counted.push(Arc::clone(&tokens));
        Ok(tokens)
    }
}
