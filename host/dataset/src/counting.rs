//! Tokens of rows: counted if the dataset is small, otherwise estimated from the bytes of
//! text by rates measured on a sample.

use crate::error::DatasetError;
use crate::scan::index::{Entry, Index, spread};
use crate::scan::rows::Rows;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tunesmith_core::tokens::{PER_CONVERSATION, PER_MESSAGE, Tokenizer};

/// Datasets with no more text than this are counted row by row: about a sixth of a
/// second at 12 MB/s, what tiktoken does.
pub const COUNTED_BYTES: u64 = 2 << 20;

/// The text of a sample to measure rates on.
const SAMPLE_BYTES: u64 = 512 << 10;

/// The rows of a sample to measure rates on.
const SAMPLE_ROWS: usize = 1000;

/// Rows among which the longest one surely is, by estimate.
const SEEMINGLY_LONGEST: usize = 512;

/// Decides which rows are measured: the same ones each time.
const SAMPLE_SEED: u32 = 0x5eed;

/// Tokens of a dataset, counted or estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counting {
    pub tokenizer: Tokenizer,
    /// Tokens in all rows.
    pub total: u64,
    /// Whether every row was counted.
    pub exact: bool,
    /// Half width of the total's 95% confidence interval, as a share of the total. 0 if
    /// every row was counted.
    pub error: f64,
    /// Tokens of the longest row, counted even if the total is estimated, unless the row
    /// has half a megabyte or more.
    pub longest: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub summary: Counting,
    pub rates: Rates,
    /// For each entry of the index.
    pub of_entries: Vec<u32>,
}

/// Tokens per byte of text.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Rates {
    ascii: f64,
    other: f64,
    message: f64,
}

impl Rates {
    /// What [`Tokenizer::Cautious`] comes to, never below it: each message may round
    /// up twice.
    const CAUTIOUS: Self =
        Self { ascii: 1.0 / 3.0, other: 0.5, message: PER_MESSAGE as f64 + 1.0 + 2.0 / 3.0 + 0.5 };

    /// Tokens of a row.
    pub fn of(&self, entry: &Entry) -> f64 {
        f64::from(entry.ascii) * self.ascii
            + f64::from(entry.other) * self.other
            + f64::from(entry.messages) * self.message
            + PER_CONVERSATION as f64
    }

    fn rounded(&self, entry: &Entry) -> u32 {
        self.of(entry).ceil() as u32
    }
}

/// Counts or estimates the tokens of all rows.
pub(crate) fn count(rows: &Rows, tokenizer: Tokenizer, exact: bool) -> Result<Tokens, DatasetError> {
    let index = &rows.index;
    let text: u64 = index.entries.iter().map(Entry::text_bytes).sum();
    if index.stride == 1 && (exact || text <= COUNTED_BYTES) {
        return count_all(rows, tokenizer);
    }
    let (rates, error) = match tokenizer {
        Tokenizer::Cautious => (Rates::CAUTIOUS, 0.0),
        _ => measure(rows, tokenizer)?,
    };
    let of_entries: Vec<u32> = index.entries.iter().map(|entry| rates.rounded(entry)).collect();
    let longest = longest(rows, tokenizer, &rates, &of_entries)?;
    let total = estimate_total(rows, &rates);
    let summary = Counting { tokenizer, total, exact: false, error, longest };
    Ok(Tokens { summary, rates, of_entries })
}

/// The tokens of the longest row: the rows with the highest estimates are counted
/// within a budget, since they decide what fits.
fn longest(
    rows: &Rows,
    tokenizer: Tokenizer,
    rates: &Rates,
    of_entries: &[u32],
) -> Result<u32, DatasetError> {
    let entries = &rows.index.entries;
    // The least of those kept is on top. A later row of the same length stays out.
    let mut most: BinaryHeap<(Reverse<u32>, u32)> = BinaryHeap::with_capacity(SEEMINGLY_LONGEST + 1);
    for (n, &tokens) in (0..).zip(of_entries) {
        if most.len() < SEEMINGLY_LONGEST {
            most.push((Reverse(tokens), n));
        } else if most.peek().is_some_and(|(Reverse(least), _)| tokens > *least) {
            most.pop();
            most.push((Reverse(tokens), n));
        }
    }
    let named = rows.index.longest.iter().map(|spot| &spot.entry);
    let mut all: Vec<&Entry> =
        most.into_sorted_vec().into_iter().map(|(_, n)| &entries[n as usize]).chain(named).collect();
    all.sort_by_key(|entry| Reverse(rates.rounded(entry)));
    let mut longest = 0;
    let mut budget = SAMPLE_BYTES;
    for entry in all {
        let bytes = entry.text_bytes();
        longest = longest.max(if bytes <= budget {
            budget -= bytes;
            tokens_of(rows, entry, tokenizer)?
        } else {
            rates.rounded(entry)
        });
    }
    Ok(longest)
}

fn count_all(rows: &Rows, tokenizer: Tokenizer) -> Result<Tokens, DatasetError> {
    let entries = &rows.index.entries;
    let of_entries =
        entries.iter().map(|entry| tokens_of(rows, entry, tokenizer)).collect::<Result<Vec<_>, _>>()?;
    let total = of_entries.iter().copied().map(u64::from).sum();
    let longest = of_entries.iter().copied().max().unwrap_or(0);
    let summary = Counting { tokenizer, total, exact: true, error: 0.0, longest };
    Ok(Tokens { summary, rates: Rates::CAUTIOUS, of_entries })
}

/// Tokens of one row, counted; 0 for a row that cannot be read.
pub(crate) fn tokens_of(rows: &Rows, entry: &Entry, tokenizer: Tokenizer) -> Result<u32, DatasetError> {
    let tokens = rows.conversation(entry)?.map_or(0, |conversation| conversation.tokens(tokenizer));
    Ok(u32::try_from(tokens).unwrap_or(u32::MAX))
}

fn estimate_total(rows: &Rows, rates: &Rates) -> u64 {
    let Index { stride, entries, rows, .. } = &rows.index;
    let kept: f64 = entries.iter().map(|entry| rates.of(entry)).sum();
    if *stride == 1 || entries.is_empty() {
        return kept.round() as u64;
    }
    (kept / entries.len() as f64 * *rows as f64).round() as u64
}

/// Measures tokens per byte on rows from the whole file.
fn measure(rows: &Rows, tokenizer: Tokenizer) -> Result<(Rates, f64), DatasetError> {
    let entries = &rows.index.entries;
    let fixed =
        |entry: &Entry| PER_CONVERSATION as f64 + f64::from(entry.messages) * (PER_MESSAGE as f64 + 1.0);
    let mut sample = Vec::new();
    let mut bytes = 0;
    for n in spread(entries.len() as u32, SAMPLE_SEED) {
        let entry = &entries[n as usize];
        if entry.messages == 0 {
            continue;
        }
        if sample.len() >= SAMPLE_ROWS || (bytes + entry.text_bytes() > SAMPLE_BYTES && sample.len() >= 30) {
            break;
        }
        bytes += entry.text_bytes();
        sample.push((*entry, f64::from(tokens_of(rows, entry, tokenizer)?)));
    }
    let rates = fit(sample.iter().map(|(entry, tokens)| {
        (f64::from(entry.ascii), f64::from(entry.other), (tokens - fixed(entry)).max(0.0))
    }));
    let mean = sample.iter().map(|(_, tokens)| tokens).sum::<f64>() / sample.len().max(1) as f64;
    let spread = sample.iter().map(|(entry, tokens)| (tokens - rates.of(entry)).powi(2)).sum::<f64>();
    let error = if sample.len() > 2 && mean > 0.0 {
        let deviation = (spread / (sample.len() - 2) as f64).sqrt();
        1.96 * deviation / (sample.len() as f64).sqrt() / mean
    } else {
        1.0
    };
    Ok((rates, error))
}

/// The two rates that come closest, each row weighing by its length.
fn fit(sample: impl Iterator<Item = (f64, f64, f64)>) -> Rates {
    let message = PER_MESSAGE as f64 + 1.0;
    let (mut aa, mut ao, mut oo, mut at, mut ot, mut bytes, mut tokens) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (ascii, other, count) in sample {
        let weight = 1.0 / (ascii + other).max(1.0);
        aa += weight * ascii * ascii;
        ao += weight * ascii * other;
        oo += weight * other * other;
        at += weight * ascii * count;
        ot += weight * other * count;
        bytes += ascii + other;
        tokens += count;
    }
    let determinant = aa * oo - ao * ao;
    if oo > 0.01 * aa && determinant > 1e-6 * aa * oo {
        let ascii = (at * oo - ot * ao) / determinant;
        let other = (ot * aa - at * ao) / determinant;
        if (0.02..=1.0).contains(&ascii) && (0.02..=1.0).contains(&other) {
            return Rates { ascii, other, message };
        }
    }
    let one = if bytes > 0.0 { tokens / bytes } else { 0.3 };
    Rates { ascii: one, other: one, message }
}
