//! The dataset as methods see it. Answers are prepared in advance, so that they take no
//! longer for many rows than for few.

use crate::counting::{Tokens, tokens_of};
use crate::error::DatasetError;
use crate::scan::index::{Entry, NO_TASK, mix, spread};
use crate::scan::rows::Rows;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tunesmith_core::contract::{DatasetView, Overview, Row, Selection, Task};

/// Rows that are read in advance: enough for the prompts of most methods.
const READY_ROWS: usize = 256;

/// Bytes of text that are read in advance.
const READY_BYTES: u64 = 512 << 10;

/// System prompts that are read in advance.
const READY_TASKS: usize = 64;

/// The most rows in one sample.
pub const SAMPLED_ROWS: u32 = 10_000;

/// See [`Dataset::view`](crate::Dataset::view).
pub struct View {
    rows: Arc<Rows>,
    tokens: Arc<Tokens>,
    bytes: u64,
    messages: u64,
    seed: u32,
    /// Places in the index of rows that can be shown, task by task.
    shown: Vec<u32>,
    /// Where each task's rows begin in `shown`, and where the last one's end.
    starts: Vec<u32>,
    /// The fewest tokens of a row, by task.
    fewest: Vec<u32>,
    /// The order in which tasks take turns.
    turns: Vec<u32>,
    ready: HashMap<u32, Row>,
    systems: Vec<String>,
    failure: Mutex<Option<DatasetError>>,
}

impl View {
    pub(crate) fn new(
        rows: Arc<Rows>,
        tokens: Arc<Tokens>,
        bytes: u64,
        messages: u64,
        seed: u32,
    ) -> Result<Self, DatasetError> {
        let tasks = rows.index.tasks.len();
        let mut starts = vec![0_u32; tasks + 1];
        for entry in rows.index.entries.iter().filter(|entry| entry.is_shown()) {
            starts[entry.task as usize + 1] += 1;
        }
        for task in 0..tasks {
            starts[task + 1] += starts[task];
        }
        let mut next = starts.clone();
        let mut shown = vec![0; starts[tasks] as usize];
        let mut fewest = vec![u32::MAX; tasks];
        for (n, entry) in rows.index.entries.iter().enumerate().filter(|(_, entry)| entry.is_shown()) {
            let task = entry.task as usize;
            shown[next[task] as usize] = n as u32;
            next[task] += 1;
            fewest[task] = fewest[task].min(tokens.of_entries[n]);
        }
        let turns = turns(&starts, seed);
        let systems = (0..tasks.min(READY_TASKS))
            .map(|task| rows.system_prompt(task))
            .collect::<Result<Vec<_>, _>>()?;
        let mut view = Self {
            rows,
            tokens,
            bytes,
            messages,
            seed,
            shown,
            starts,
            fewest,
            turns,
            ready: HashMap::new(),
            systems,
            failure: Mutex::new(None),
        };
        let first: Vec<u32> = view.in_turn(None).take(READY_ROWS).collect();
        let mut bytes = 0;
        for n in first {
            bytes += view.rows.index.entries[n as usize].text_bytes();
            if bytes > READY_BYTES {
                break;
            }
            if let Some(row) = view.read(n)? {
                view.ready.insert(n, row);
            }
        }
        Ok(view)
    }

    /// An error while answering. A plan must not be made from such answers.
    pub fn failure(&self) -> Option<DatasetError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn rows_of(&self, task: u32) -> &[u32] {
        let at = task as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&start), Some(&end)) => &self.shown[start as usize..end as usize],
            _ => &[],
        }
    }

    /// Rows of a task, in an order whose every prefix is spread over the file.
    fn spread_of(&self, task: u32) -> impl Iterator<Item = u32> + '_ {
        let rows = self.rows_of(task);
        spread(rows.len() as u32, self.seed ^ mix(task)).map(|n| rows[n as usize])
    }

    /// Rows with the tasks taking turns.
    fn in_turn(&self, task: Option<u32>) -> impl Iterator<Item = u32> + '_ {
        let turns: Vec<u32> = match task {
            Some(task) => vec![task],
            None => self.turns.clone(),
        };
        let mut rows: Vec<_> = turns.into_iter().map(|task| self.spread_of(task)).collect();
        std::iter::from_fn(move || {
            let mut round = Vec::new();
            rows.retain_mut(|rows| rows.next().map(|row| round.push(row)).is_some());
            (!round.is_empty()).then_some(round)
        })
        .flatten()
    }

    fn read(&self, n: u32) -> Result<Option<Row>, DatasetError> {
        let index = &self.rows.index;
        let entry: &Entry = &index.entries[n as usize];
        let Some(example) = self.rows.typed(entry)? else {
            return Ok(None);
        };
        let tokens = if self.tokens.summary.exact {
            self.tokens.of_entries[n as usize]
        } else {
            tokens_of(&self.rows, entry, self.tokens.summary.tokenizer)?
        };
        let id = u32::try_from(u64::from(n) * index.stride).unwrap_or(u32::MAX);
        Ok(Some(Row { id, tokens, task: entry.task, example }))
    }

    fn row(&self, n: u32) -> Result<Option<Row>, DatasetError> {
        match self.ready.get(&n) {
            Some(row) => Ok(Some(row.clone())),
            None => self.read(n),
        }
    }

    fn choose(&self, which: &Selection) -> Result<Vec<Row>, DatasetError> {
        let mut chosen = Chosen {
            rows: Vec::new(),
            count: which.count.min(SAMPLED_ROWS) as usize,
            left: which.token_budget.unwrap_or(u32::MAX),
            longest: which.longest_row_tokens.unwrap_or(u32::MAX),
        };
        let turns: &[u32] = match &which.task {
            Some(task) => std::slice::from_ref(task),
            None => &self.turns,
        };
        // The first round, which often is the last: with many tasks, most are not
        // reached.
        let mut waiting = Vec::new();
        for &task in turns {
            if chosen.is_full() {
                break;
            }
            let mut rows = self.spread_of(task);
            if self.choose_next(task, &mut rows, &mut chosen)? {
                waiting.push((task, rows));
            }
        }
        while !waiting.is_empty() && !chosen.is_full() {
            let mut again = Vec::with_capacity(waiting.len());
            for (task, mut rows) in waiting {
                if chosen.is_full() {
                    break;
                }
                if self.choose_next(task, &mut rows, &mut chosen)? {
                    again.push((task, rows));
                }
            }
            waiting = again;
        }
        Ok(chosen.rows)
    }

    /// Chooses a task's next row that fits; returns whether it found one.
    fn choose_next(
        &self,
        task: u32,
        rows: &mut impl Iterator<Item = u32>,
        chosen: &mut Chosen,
    ) -> Result<bool, DatasetError> {
        // Nothing of this task fits, now or later.
        if self.fewest.get(task as usize).is_none_or(|&fewest| fewest > chosen.at_most()) {
            return Ok(false);
        }
        for n in rows {
            if self.tokens.of_entries[n as usize] > chosen.at_most() {
                continue;
            }
            if let Some(row) = self.row(n)?
                && row.tokens <= chosen.at_most()
            {
                chosen.left -= row.tokens;
                chosen.rows.push(row);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Rows that were chosen, and the remaining limits.
struct Chosen {
    rows: Vec<Row>,
    count: usize,
    left: u32,
    longest: u32,
}

impl Chosen {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.count
    }

    fn at_most(&self) -> u32 {
        self.left.min(self.longest)
    }
}

/// The order in which tasks take turns: most rows first, and among equals spread over the
/// file, so that a dataset with one task per row is sampled as a whole, too.
fn turns(starts: &[u32], seed: u32) -> Vec<u32> {
    let rows = |task: usize| starts[task + 1] - starts[task];
    let mut tasks: Vec<u32> = (0..starts.len() as u32 - 1).filter(|&task| rows(task as usize) > 0).collect();
    tasks.sort_by_key(|&task| std::cmp::Reverse(rows(task as usize)));
    let mut turns = Vec::with_capacity(tasks.len());
    for equal in tasks.chunk_by(|&a, &b| rows(a as usize) == rows(b as usize)) {
        turns.extend(spread(equal.len() as u32, seed).map(|n| equal[n as usize]));
    }
    turns
}

impl DatasetView for View {
    fn overview(&self) -> Overview {
        let index = &self.rows.index;
        Overview {
            rows: index.rows,
            typed_rows: index.typed,
            messages: self.messages,
            bytes: self.bytes,
            tokens: self.tokens.summary.total,
            longest_row_tokens: self.tokens.summary.longest,
            more: Vec::new(),
        }
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        let tasks = &self.rows.index.tasks;
        let mut listed = Vec::new();
        for (n, task) in tasks.iter().take(most as usize).enumerate() {
            let system = match self.systems.get(n) {
                Some(system) => Ok(system.clone()),
                None => self.rows.system_prompt(n),
            };
            match system {
                Ok(system) => listed.push(Task { system, rows: task.rows }),
                Err(error) => {
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    break;
                }
            }
        }
        listed
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        if which.task == Some(NO_TASK) {
            return Vec::new();
        }
        self.choose(which).unwrap_or_else(|error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Vec::new()
        })
    }
}
