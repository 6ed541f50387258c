//! Positions and sizes of rows, in bounded memory for any file size.

use crate::verdict::row::{REPEATED, RowFacts, SHOWABLE, TYPED};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// Rows that are indexed. Of a larger file every second row is, every fourth and so on:
/// figures then come from an even sample, and other rows are found by reading on from
/// the nearest indexed one. 24 bytes each make 12 MiB.
pub const INDEXED_ROWS: usize = 1 << 19;

/// Distinct rows that are stored to find duplicates. Beyond them the number of
/// duplicates is a lower bound, and is marked as one. 12 bytes for each place of a table
/// that is at most half full make 12 MiB.
pub const COMPARED_ROWS: usize = 400_000;

/// Distinct system prompts. Rows with further ones belong to no task, and the number of
/// tasks is marked as a lower bound.
pub const TASKS: usize = 100_000;

/// The longest rows that are listed.
pub const LONGEST_ROWS: usize = 10;

/// The task of a row that belongs to none.
pub(crate) const NO_TASK: u32 = u32::MAX;

/// One row's position and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub offset: u64,
    pub length: u32,
    pub ascii: u32,
    pub other: u32,
    pub task: u32,
    pub messages: u16,
    pub flags: u8,
}

impl Entry {
    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether a sample may show it.
    pub fn is_shown(&self) -> bool {
        self.is(TYPED) && self.is(SHOWABLE) && !self.is(REPEATED) && self.task != NO_TASK
    }

    pub fn text_bytes(&self) -> u64 {
        u64::from(self.ascii) + u64::from(self.other)
    }
}

/// A row with its position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocatedRow {
    pub row: u64,
    pub line: u64,
    pub entry: Entry,
}

/// A task: rows that share a system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskInfo {
    /// How many typed rows have it.
    pub rows: u64,
    /// The first of them, whose system prompt it is.
    pub first: Entry,
    /// Whether its rows have no system prompt.
    pub none: bool,
}

/// The index of a file's rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Every row whose number is a multiple of this is in `entries`, in order.
    pub stride: u64,
    pub entries: Vec<Entry>,
    pub rows: u64,
    pub typed: u64,
    pub showable: u64,
    pub repeated: u64,
    /// Whether all duplicates were found.
    pub repeated_is_exact: bool,
    /// Tasks, those with most rows first.
    pub tasks: Vec<TaskInfo>,
    /// Whether all tasks were found.
    pub tasks_are_exact: bool,
    /// The longest rows by text, longest first.
    pub longest: Vec<LocatedRow>,
}

/// An index while it is made.
pub(crate) struct IndexBuilder {
    index: Index,
    seen: RowTable,
    tasks: HashMap<u64, u32, IdentityHasher>,
    /// The task of the previous row, by the hash of its system prompt: rows with the same
    /// one often follow each other.
    last_task: Option<(u64, u32)>,
}

/// Lines by the hash of their rows: an open hash table with prefetching. A lookup waits
/// for memory, and several can wait at once.
struct RowTable {
    /// 0 if empty. The length is a power of two.
    hashes: Vec<u64>,
    lines: Vec<u32>,
    count: usize,
    /// Odd and random, so that nobody can craft a file whose rows all collide.
    scatter: u64,
}

impl RowTable {
    fn new() -> Self {
        let scatter = RandomState::new().hash_one(0) | 1;
        Self { hashes: vec![0; 1 << 10], lines: vec![0; 1 << 10], count: 0, scatter }
    }

    /// The first slot of a hash.
    fn place(&self, hash: u64) -> usize {
        let bits = self.hashes.len().trailing_zeros();
        (hash.wrapping_mul(self.scatter) >> (u64::BITS - bits)) as usize
    }

    /// Prefetches the slots of these rows.
    fn expect<'a>(&self, rows: impl Iterator<Item = &'a RowFacts>) {
        let fetched = rows.fold(0, |all, facts| all ^ self.hashes[self.place(facts.hash)]);
        std::hint::black_box(fetched);
    }

    /// The line of the first row with this hash; without one, adds this row unless the
    /// table is full.
    fn first(&mut self, hash: u64, line: u64, full: bool) -> Option<u32> {
        let hash = hash.max(1);
        let mask = self.hashes.len() - 1;
        let mut at = self.place(hash);
        while self.hashes[at] != 0 {
            if self.hashes[at] == hash {
                return Some(self.lines[at]);
            }
            at = (at + 1) & mask;
        }
        if !full {
            self.hashes[at] = hash;
            self.lines[at] = u32::try_from(line).unwrap_or(u32::MAX);
            self.count += 1;
            if self.count > mask / 2 {
                self.grow();
            }
        }
        None
    }

    fn grow(&mut self) {
        let size = 2 * self.hashes.len();
        let mask = size - 1;
        let hashes = std::mem::replace(&mut self.hashes, vec![0; size]);
        let lines = std::mem::replace(&mut self.lines, vec![0; size]);
        for (hash, line) in hashes.into_iter().zip(lines).filter(|(hash, _)| *hash != 0) {
            let mut at = self.place(hash);
            while self.hashes[at] != 0 {
                at = (at + 1) & mask;
            }
            self.hashes[at] = hash;
            self.lines[at] = line;
        }
    }
}

/// For keys that are already hashes.
type IdentityHasher = BuildHasherDefault<IdentityHash>;

/// See [`IdentityHasher`].
#[derive(Default)]
struct IdentityHash(u64);

impl Hasher for IdentityHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = crate::verdict::row::hash(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl IndexBuilder {
    pub fn new() -> Self {
        let index = Index { stride: 1, repeated_is_exact: true, tasks_are_exact: true, ..Index::default() };
        Self { index, seen: RowTable::new(), tasks: HashMap::default(), last_task: None }
    }

    pub fn rows(&self) -> u64 {
        self.index.rows
    }

    /// Announces the rows that are added next, which is faster for many rows.
    pub fn expect<'a>(&self, rows: impl Iterator<Item = &'a RowFacts>) {
        self.seen.expect(rows);
    }

    /// Adds the next row. Returns the line of an earlier duplicate.
    pub fn add(&mut self, offset: u64, length: u32, line: u64, facts: &RowFacts) -> Option<u32> {
        let index = &mut self.index;
        let row = index.rows;
        index.rows += 1;
        let mut flags = facts.flags;
        let mut first_line = None;
        if facts.messages > 0 {
            let full = self.seen.count >= COMPARED_ROWS;
            if let Some(line) = self.seen.first(facts.hash, line, full) {
                first_line = Some(line);
                flags |= REPEATED;
                index.repeated += 1;
            } else if full {
                index.repeated_is_exact = false;
            }
        }
        let mut entry = Entry {
            offset,
            length,
            ascii: facts.ascii,
            other: facts.other,
            task: NO_TASK,
            messages: u16::try_from(facts.messages).unwrap_or(u16::MAX),
            flags,
        };
        if facts.is(TYPED) {
            index.typed += 1;
            index.showable += u64::from(facts.is(SHOWABLE));
            entry.task = match self.last_task {
                Some((hash, task)) if hash == facts.task => {
                    index.tasks[task as usize].rows += 1;
                    task
                }
                _ => Self::task(index, &mut self.tasks, facts.task, &entry),
            };
            self.last_task = (entry.task != NO_TASK).then_some((facts.task, entry.task));
        }
        if row.is_multiple_of(index.stride) {
            if index.entries.len() == INDEXED_ROWS {
                let mut n = 0;
                index.entries.retain(|_| {
                    n += 1;
                    n % 2 == 1
                });
                index.stride *= 2;
            }
            if row.is_multiple_of(index.stride) {
                index.entries.push(entry);
            }
        }
        let least = index.longest.last().map_or(0, |spot| spot.entry.text_bytes());
        if index.longest.len() < LONGEST_ROWS || entry.text_bytes() > least {
            let at = index.longest.partition_point(|spot| spot.entry.text_bytes() >= entry.text_bytes());
            index.longest.insert(at, LocatedRow { row, line, entry });
            index.longest.truncate(LONGEST_ROWS);
        }
        first_line
    }

    fn task(
        index: &mut Index,
        known: &mut HashMap<u64, u32, IdentityHasher>,
        hash: u64,
        entry: &Entry,
    ) -> u32 {
        if let Some(&task) = known.get(&hash) {
            index.tasks[task as usize].rows += 1;
            return task;
        }
        if index.tasks.len() >= TASKS {
            index.tasks_are_exact = false;
            return NO_TASK;
        }
        let task = index.tasks.len() as u32;
        known.insert(hash, task);
        index.tasks.push(TaskInfo { rows: 1, first: *entry, none: hash == 0 });
        task
    }

    /// The index, with tasks in their final order: most rows first.
    pub fn finish(self) -> Index {
        let mut index = self.index;
        let mut order: Vec<u32> = (0..index.tasks.len() as u32).collect();
        order.sort_by_key(|&task| std::cmp::Reverse(index.tasks[task as usize].rows));
        let mut place = vec![0; order.len()];
        for (at, &task) in order.iter().enumerate() {
            place[task as usize] = at as u32;
        }
        index.tasks = order.iter().map(|&task| index.tasks[task as usize]).collect();
        let longest = index.longest.iter_mut().map(|spot| &mut spot.entry);
        for entry in index.entries.iter_mut().chain(longest) {
            if let Some(&task) = place.get(entry.task as usize) {
                entry.task = task;
            }
        }
        index.entries.shrink_to_fit();
        index
    }
}

/// The numbers from 0 to `count`, in an order whose every prefix is spread evenly over the
/// range: bits reversed (van der Corput sequence), flipped by those of `seed`.
pub(crate) fn spread(count: u32, seed: u32) -> impl Iterator<Item = u32> {
    let bits = u32::BITS - count.saturating_sub(1).leading_zeros();
    let total = 1_u64 << bits;
    (0..total).filter_map(move |n| {
        let reversed = if bits == 0 { 0 } else { (n as u32).reverse_bits() >> (u32::BITS - bits) };
        let flipped = reversed ^ (mix(seed) & (total - 1) as u32);
        (flipped < count).then_some(flipped)
    })
}

/// Scatters a seed's bits (the finalizer of MurmurHash3).
pub(crate) fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spread_visits_each_once_and_evenly(count in 0_u32..3000, seed in any::<u32>()) {
            let order: Vec<u32> = spread(count, seed).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            // Of the first eight, each half of the file has some.
            if count >= 64 {
                let low = order[..8].iter().filter(|&&n| n < count / 2).count();
                prop_assert!((2..=6).contains(&low), "{:?}", &order[..8]);
            }
        }
    }

    fn facts(hash: u64, task: u64) -> RowFacts {
        RowFacts { ascii: 10, messages: 2, flags: TYPED | SHOWABLE, hash, task, ..RowFacts::default() }
    }

    #[test]
    fn a_large_file_keeps_an_even_sample() {
        let mut builder = IndexBuilder::new();
        let rows = 3 * INDEXED_ROWS as u64;
        for row in 0..rows {
            builder.add(row * 100, 99, row + 1, &facts(row, 0));
        }
        let index = builder.finish();
        assert_eq!((index.rows, index.stride), (rows, 4));
        assert!(index.entries.len() <= INDEXED_ROWS);
        assert!(index.entries.iter().enumerate().all(|(n, entry)| entry.offset == n as u64 * 400));
        assert!(!index.repeated_is_exact);
    }

    #[test]
    fn duplicates_are_counted_up_to_the_limit() {
        let mut builder = IndexBuilder::new();
        let rows = COMPARED_ROWS as u64 + 1_000;
        // Hashes that differ in their upper bits alone, as bad as can be, and 0.
        let hash = |row: u64| if row < 1_000 { row << 40 } else { row.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        for row in 0..rows {
            assert_eq!(builder.add(row, 1, row + 1, &facts(hash(row), 0)), None);
        }
        for row in (0..COMPARED_ROWS as u64).step_by(7) {
            let line = builder.add(row, 1, 1, &facts(hash(row), 0));
            assert_eq!(line, Some(row as u32 + 1));
        }
        assert_eq!(builder.add(0, 1, 1, &facts(hash(rows - 1), 0)), None);
        let index = builder.finish();
        assert_eq!(index.repeated, COMPARED_ROWS.div_ceil(7) as u64);
        assert!(!index.repeated_is_exact);
    }

    #[test]
    fn tasks_are_ordered_by_rows_then_by_appearance() {
        let mut builder = IndexBuilder::new();
        for (row, task) in [7, 5, 9, 5, 9, 3].into_iter().enumerate() {
            builder.add(row as u64, 1, row as u64 + 1, &facts(row as u64, task));
        }
        let index = builder.finish();
        let firsts: Vec<_> = index.tasks.iter().map(|task| (task.first.offset, task.rows)).collect();
        assert_eq!(firsts, [(1, 2), (2, 2), (0, 1), (5, 1)]);
        let of_rows: Vec<_> = index.entries.iter().map(|entry| entry.task).collect();
        assert_eq!(of_rows, [2, 0, 1, 0, 1, 3]);
    }
}
