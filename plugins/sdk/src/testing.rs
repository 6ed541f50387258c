//! For a method's native unit tests: a job, a dataset and what was told to the user,
//! all without a host.
//!
//! ```
//! use tunesmith_plugin::testing::{JobBuilder, TestDataset, diagnostics};
//! use tunesmith_plugin::*;
//!
//! # struct Echo;
//! # impl Method for Echo {
//! #     fn describe() -> Descriptor {
//! #         Descriptor::new("echo", "1.0.0", "Shows examples.").setting(Setting::integer("examples").default(2))
//! #     }
//! # }
//! # impl Ollama for Echo {
//! #     fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
//! #         let count = job.integer("examples")?;
//! #         diagnostics::warning("the examples are short");
//! #         Ok(OllamaConfig::new().rows(&dataset.sample(&Selection::of(count.unsigned_abs()))))
//! #     }
//! # }
//! let dataset = TestDataset::new()
//!     .conversation("Be brief.", "Where is my order?", "On its way.")
//!     .conversation("Be brief.", "Can I return it?", "Within 30 days.")
//!     .conversation("", "Hello?", "Hello.");
//! let job = JobBuilder::of::<Echo>().given("examples", 1).build();
//! let config = Echo::configure_ollama(&job, &dataset)?;
//! assert_eq!(config.shots.len(), 1);
//! assert_eq!(diagnostics(), [(Level::Warning, "the examples are short".to_owned())]);
//! # Ok::<(), Refusal>(())
//! ```

use crate::prompt::{estimated_message_tokens, estimated_tokens};
use crate::{
    Dataset, Example, Job, JobSetting, Level, Message, Method, Origin, Overview, Role, Row, Selection, Task,
    Value,
};
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static DIAGNOSTICS: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn record(level: Level, text: &str) {
    DIAGNOSTICS.with_borrow_mut(|notes| notes.push((level, text.to_owned())));
}

/// Takes what this thread's method calls have told the user since the last time.
#[must_use]
pub fn diagnostics() -> Vec<(Level, String)> {
    DIAGNOSTICS.take()
}

/// Builds a job as the host would: the method's defaults, then what the user gives.
#[derive(Debug, Clone)]
pub struct JobBuilder(Job);

impl Default for JobBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl JobBuilder {
    /// Begins a job without settings.
    #[must_use]
    pub fn new() -> Self {
        Self(Job {
            name: "test job".to_owned(),
            base_model: "llama3.2".to_owned(),
            settings: Vec::new(),
            seed: 0,
        })
    }

    /// Begins a job with the defaults that a method declares.
    #[must_use]
    pub fn of<T: Method>() -> Self {
        T::describe().settings.into_iter().fold(Self::new(), |builder, setting| match setting.default {
            Some(value) => builder.default(&setting.name, value),
            None => builder,
        })
    }

    /// Gives a setting, as a user does.
    #[must_use]
    pub fn given(self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into(), Origin::Given)
    }

    /// Sets a setting to a default.
    #[must_use]
    pub fn default(self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into(), Origin::Default)
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: u32) -> Self {
        self.0.seed = seed;
        self
    }

    /// Sets the base model.
    #[must_use]
    pub fn base_model(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0.base_model);
        self
    }

    /// The job.
    #[must_use]
    pub fn build(self) -> Job {
        self.0
    }

    fn set(mut self, name: &str, value: Value, origin: Origin) -> Self {
        self.0.settings.retain(|setting| setting.name != name);
        self.0.settings.push(JobSetting { name: name.to_owned(), value, origin });
        self
    }
}

/// A dataset in memory that answers by the contract's rules, with the cautious token
/// estimate that the host uses where it does not have the model's tokenizer.
#[derive(Debug, Clone, Default)]
pub struct TestDataset {
    rows: Vec<Example>,
    untyped: u64,
}

impl TestDataset {
    /// Begins a dataset without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    #[must_use]
    pub fn row(mut self, example: Example) -> Self {
        self.rows.push(example);
        self
    }

    /// Adds a row with a system prompt (unless empty), a question and an answer.
    #[must_use]
    pub fn conversation(self, system: &str, question: &str, answer: &str) -> Self {
        let message = |role, content: &str| Message { role, content: content.to_owned() };
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(message(Role::System, system));
        }
        messages.push(message(Role::User, question));
        messages.push(message(Role::Assistant, answer));
        self.row(Example { messages })
    }

    /// Adds rows that the typed view cannot express, such as tool calls.
    #[must_use]
    pub fn untyped(mut self, rows: u64) -> Self {
        self.untyped += rows;
        self
    }

    /// The tokens of a row, by the same estimate as in [`Row::tokens`].
    #[must_use]
    pub fn tokens_of(&self, id: u32) -> u32 {
        self.rows.get(id as usize).map_or(0, estimated_tokens)
    }

    /// The tokens of a row's system prompt, by the same estimate; 0 for rows without one.
    #[must_use]
    pub fn system_tokens_of(&self, id: u32) -> u32 {
        match self.rows.get(id as usize).map(system_of) {
            None | Some("") => 0,
            Some(system) => estimated_message_tokens(system),
        }
    }

    fn all_tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        for row in &self.rows {
            let system = system_of(row);
            match tasks.iter_mut().find(|task| task.system == system) {
                Some(task) => task.rows += 1,
                None => tasks.push(Task { system: system.to_owned(), rows: 1 }),
            }
        }
        tasks.sort_by_key(|task| core::cmp::Reverse(task.rows));
        tasks
    }
}

fn system_of(example: &Example) -> &str {
    example
        .messages
        .first()
        .filter(|message| message.role == Role::System)
        .map_or("", |message| &message.content)
}

fn content_of(example: &Example) -> Vec<(u8, &str)> {
    example.messages.iter().map(|message| (message.role as u8, message.content.as_str())).collect()
}

impl Dataset for TestDataset {
    fn overview(&self) -> Overview {
        let tokens = self.rows.iter().map(estimated_tokens);
        let contents = self.rows.iter().flat_map(|row| &row.messages);
        Overview {
            rows: self.rows.len() as u64 + self.untyped,
            typed_rows: self.rows.len() as u64,
            messages: contents.clone().count() as u64,
            bytes: contents.map(|message| message.content.len() as u64).sum(),
            tokens: tokens.clone().map(u64::from).sum(),
            longest_row_tokens: tokens.max().unwrap_or(0),
            more: Vec::new(),
        }
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        let mut tasks = self.all_tasks();
        tasks.truncate(most as usize);
        tasks
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        let tasks = self.all_tasks();
        let mut seen = BTreeSet::new();
        // The rows of each task that may be taken at all, in the dataset's order.
        let mut queues: Vec<Vec<Row>> = vec![Vec::new(); tasks.len()];
        for (id, example) in (0u32..).zip(&self.rows) {
            let Some(task) = tasks.iter().position(|task| task.system == system_of(example)) else {
                continue;
            };
            let row =
                Row { id, tokens: estimated_tokens(example), task: task as u32, example: example.clone() };
            if which.task.is_none_or(|wanted| wanted == row.task)
                && which.longest_row_tokens.is_none_or(|most| row.tokens <= most)
                && seen.insert(content_of(example))
            {
                queues[task].push(row);
            }
        }
        let mut queues: Vec<Vec<Row>> = queues.into_iter().map(spread).collect();
        let mut left = which.token_budget.unwrap_or(u32::MAX);
        let mut taken = Vec::new();
        // One row of each task in turn, passing over those that no longer fit.
        while taken.len() < which.count as usize && queues.iter().any(|queue| !queue.is_empty()) {
            for queue in &mut queues {
                let Some(place) = queue.iter().position(|row| row.tokens <= left) else {
                    queue.clear();
                    continue;
                };
                if taken.len() < which.count as usize {
                    let row = queue.remove(place);
                    left -= row.tokens;
                    taken.push(row);
                }
            }
        }
        taken
    }
}

/// Puts rows in an order of which every beginning is spread over the whole: by the
/// bits of their place, lowest first.
fn spread(rows: Vec<Row>) -> Vec<Row> {
    let bits = usize::BITS - rows.len().leading_zeros();
    let mut keyed: Vec<(usize, Row)> = rows
        .into_iter()
        .enumerate()
        .map(|(place, row)| (if bits == 0 { 0 } else { place.reverse_bits() >> (usize::BITS - bits) }, row))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset() -> TestDataset {
        (0..40).fold(TestDataset::new(), |dataset, n| {
            let system = if n % 4 == 0 { "Rare." } else { "Common." };
            dataset.conversation(system, &format!("question {n}"), &"word ".repeat(1 + n % 7))
        })
    }

    #[test]
    fn tasks_come_by_size() {
        let tasks = dataset().tasks(10);
        assert_eq!(
            tasks,
            [Task { system: "Common.".to_owned(), rows: 30 }, Task { system: "Rare.".to_owned(), rows: 10 }]
        );
    }

    #[test]
    fn sample_is_balanced_spread_and_limited() {
        let rows = dataset().sample(&Selection::of(8).token_budget(500));
        assert_eq!(rows.len(), 8);
        assert_eq!(rows.iter().filter(|row| row.task == 0).count(), 4);
        assert!(rows.iter().map(|row| row.tokens).sum::<u32>() <= 500);
        assert!(rows.iter().any(|row| row.id < 10) && rows.iter().any(|row| row.id >= 30));
        assert!(
            dataset().sample(&Selection::of(40).token_budget(60)).iter().map(|row| row.tokens).sum::<u32>()
                <= 60
        );
        assert!(dataset().sample(&Selection::of(40).task(1)).iter().all(|row| row.task == 1));
    }

    #[test]
    fn repeated_conversations_are_sampled_once() {
        let dataset = TestDataset::new().conversation("", "a", "b").conversation("", "a", "b");
        assert_eq!(dataset.sample(&Selection::of(5)).len(), 1);
    }
}
