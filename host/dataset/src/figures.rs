//! Figures about a dataset: sizes of rows, tasks, duplicates.

use crate::counting::Counting;
use crate::dataset::Dataset;
use crate::error::DatasetError;
use crate::scan::index::{Entry, LONGEST_ROWS};
use crate::verdict::row::{IMAGES, Script, TOOLS, WEIGHTS};
use serde::Serialize;
use tunesmith_core::contract::Task;
use tunesmith_core::tokens::Tokenizer;

/// Bars of a histogram.
const BARS: usize = 16;

/// Tasks that are listed.
const NAMED_TASKS: usize = 10;

/// The distribution of a quantity over rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Distribution {
    pub min: u64,
    /// First quartile.
    pub p25: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    pub max: u64,
    pub mean: f64,
    /// Rows in equal steps from `min` to `max`.
    pub histogram: Vec<Bar>,
}

/// A bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bar {
    pub from: u64,
    /// To this, inclusive.
    pub to: u64,
    pub rows: u64,
}

/// One of the longest rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LongRow {
    /// Its line, from 1.
    pub line: u64,
    /// Its number, from 0.
    pub row: u64,
    pub tokens: u32,
}

/// Figures about a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    pub rows: u64,
    /// Rows of plain system, user and assistant messages.
    pub typed_rows: u64,
    /// Bytes, without compression.
    pub bytes: u64,
    /// Total tokens and how they were counted.
    pub counting: Counting,
    pub roles: Roles,
    pub tokens: Distribution,
    pub messages: Distribution,
    /// Distributions come from every n-th row; from every row if 1.
    pub every: u64,
    /// The number of distinct system prompts.
    pub tasks: BoundedCount,
    /// Those with max rows.
    pub largest_tasks: Vec<Task>,
    /// The number of duplicate rows.
    pub repeated_rows: BoundedCount,
    /// Letters by script, the max frequent first.
    pub scripts: Vec<(Script, u64)>,
    /// Rows with tools, images or weights, among the rows that distributions come from.
    pub special: Special,
    /// The longest rows by text.
    pub longest: Vec<LongRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Roles {
    pub system: u64,
    pub user: u64,
    pub assistant: u64,
    pub tool: u64,
}

/// A count that may be a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BoundedCount {
    pub count: u64,
    /// Whether `count` is exact; a lower bound otherwise.
    pub exact: bool,
}

/// Rows with more than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Special {
    /// With tool calls or definitions.
    pub tools: u64,
    pub images: u64,
    pub weights: u64,
}

impl Dataset {
    /// Figures about the dataset, with tokens by `tokenizer`.
    pub fn figures(&self, tokenizer: Tokenizer) -> Result<Figures, DatasetError> {
        let inner = &self.inner;
        let tokens = inner.tokens(tokenizer)?;
        let index = &inner.rows.index;
        let with = |flag| index.entries.iter().filter(|entry| entry.is(flag)).count() as u64;
        let mut scripts: Vec<(Script, u64)> =
            Script::ALL.into_iter().zip(inner.sums.letters).filter(|(_, letters)| *letters > 0).collect();
        scripts.sort_by_key(|&(script, letters)| (std::cmp::Reverse(letters), script));
        let longest = index.longest.iter().take(LONGEST_ROWS).map(|spot| {
            let place = spot.row / index.stride;
            let known =
                (spot.row % index.stride == 0).then(|| tokens.of_entries.get(place as usize)).flatten();
            let tokens = known.copied().unwrap_or_else(|| tokens.rates.of(&spot.entry).ceil() as u32);
            LongRow { line: spot.line, row: spot.row, tokens }
        });
        let mut longest: Vec<_> = longest.collect();
        longest.sort_by_key(|row| (std::cmp::Reverse(row.tokens), row.line));
        let sums = &inner.sums;
        Ok(Figures {
            rows: index.rows,
            typed_rows: index.typed,
            bytes: inner.bytes,
            counting: tokens.summary,
            roles: Roles { system: sums.system, user: sums.user, assistant: sums.assistant, tool: sums.tool },
            tokens: spread(tokens.of_entries.clone()),
            messages: spread(index.entries.iter().map(|entry: &Entry| u32::from(entry.messages)).collect()),
            every: index.stride,
            tasks: BoundedCount { count: index.tasks.len() as u64, exact: index.tasks_are_exact },
            largest_tasks: self.tasks(NAMED_TASKS)?,
            repeated_rows: BoundedCount { count: index.repeated, exact: index.repeated_is_exact },
            scripts,
            special: Special { tools: with(TOOLS), images: with(IMAGES), weights: with(WEIGHTS) },
            longest,
        })
    }
}

/// Ranges up to this are counted value by value, which takes a fraction of sorting.
const COUNTED_RANGE: u64 = 1 << 16;

/// The distribution of values; percentiles by nearest rank.
fn spread(values: Vec<u32>) -> Distribution {
    let min = u64::from(values.iter().copied().min().unwrap_or(0));
    let max = u64::from(values.iter().copied().max().unwrap_or(0));
    let count = values.len();
    let mean = values.iter().copied().map(u64::from).sum::<u64>() as f64 / count.max(1) as f64;
    // Different values in order, with how often each is there.
    let mut runs: Vec<(u64, u64)> = Vec::new();
    if max - min < COUNTED_RANGE {
        let mut counts = vec![0_u64; (max - min + 1) as usize];
        for value in &values {
            counts[(u64::from(*value) - min) as usize] += 1;
        }
        runs.extend((min..).zip(counts).filter(|(_, count)| *count > 0));
        runs.truncate(count);
    } else {
        let mut values = values;
        values.sort_unstable();
        runs.extend(values.chunk_by(|a, b| a == b).map(|run| (u64::from(run[0]), run.len() as u64)));
    }
    let rank = |percent: usize| {
        let mut left = (count * percent).div_ceil(100).max(1) as u64;
        let run = runs.iter().find(|(_, count)| {
            left = left.saturating_sub(*count);
            left == 0
        });
        run.map_or(0, |(value, _)| *value)
    };
    let step = ((max - min + 1).div_ceil(BARS as u64)).max(1);
    let mut histogram: Vec<Bar> = (0..BARS as u64)
        .map(|n| Bar { from: min + n * step, to: min + (n + 1) * step - 1, rows: 0 })
        .take_while(|bar| bar.from <= max)
        .collect();
    for (value, count) in &runs {
        if let Some(bar) = histogram.get_mut(((value - min) / step) as usize) {
            bar.rows += count;
        }
    }
    Distribution {
        min,
        p25: rank(25),
        p50: rank(50),
        p90: rank(90),
        p95: rank(95),
        p99: rank(99),
        max,
        mean,
        histogram,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let spread = spread((1..=200).rev().collect());
        assert_eq!((spread.min, spread.p25, spread.p50, spread.p90), (1, 50, 100, 180));
        assert_eq!((spread.p95, spread.p99, spread.max), (190, 198, 200));
        assert_eq!(spread.histogram.iter().map(|bar| bar.rows).sum::<u64>(), 200);
        assert_eq!(spread.histogram[0], Bar { from: 1, to: 13, rows: 13 });
        assert_eq!(super::spread(vec![7; 3]).histogram, [Bar { from: 7, to: 7, rows: 3 }]);
        // The same by sorting, where the range is too large to count.
        let wide = super::spread((1..=200).map(|n| n * 1_000).collect());
        assert_eq!(
            (wide.min, wide.p25, wide.p50, wide.p99, wide.max),
            (1_000, 50_000, 100_000, 198_000, 200_000)
        );
        assert_eq!(super::spread(Vec::new()).max, 0);
    }
}
