//! Fits a system prompt and examples into a context window, for providers that do not
//! train.

mod system;
mod tokens;

use crate::{Dataset, Example, Job, OllamaConfig, Overview, Refusal, Role, Row, Selection, Task};
use system::System;
use tokens::as_shots;
pub use tokens::{estimated_message_tokens, estimated_tokens};

/// The default context window, in tokens: what Ollama uses
/// on machines with less than 23 GiB of GPU memory (its scheduler's lowest tier).
pub const ASSUMED_CONTEXT_WINDOW: i32 = 4096;

/// Tasks that are considered: more system prompts than this are not tasks but texts that
/// differ between rows.
const MOST_TASKS: u32 = 16;

/// The most examples, even in a larger window. Ollama renders all of them for each
/// request, and again for each message that it drops on overflow.
pub const MOST_EXAMPLES: u32 = 256;

/// Rows for the average length: enough for an average, few enough to cost nothing.
const PROBED_ROWS: u32 = 64;

/// Which examples a [`Prompt`] has, and under which system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// Examples of all tasks in turn, the largest task last, under a system prompt that lists those of the
    /// tasks. Where one task has at least half of the rows: as [`LargestTask`](Self::LargestTask).
    Balanced,
    /// Examples of the largest task only, under its system prompt.
    LargestTask,
    /// Examples task by task, the largest task last, under a system prompt that lists
    /// those of the tasks.
    ByTask,
}

/// Plans the prompt of a derived model: a system prompt and as many examples as fit,
/// with room left for a question and its answer.
///
/// ```
/// use tunesmith_plugin::prompt::{Arrangement, Prompt};
/// use tunesmith_plugin::testing::{JobBuilder, TestDataset};
///
/// let dataset = TestDataset::new().conversation("Be brief.", "Where is my order?", "On its way.");
/// let job = JobBuilder::new().given("context_window", 2048).build();
/// let config = Prompt::new(&job, &dataset).arrangement(Arrangement::Balanced).examples(16).configure()?;
/// assert_eq!(config.system.as_deref(), Some("Be brief."));
/// assert_eq!(config.shots.len(), 1);
/// # Ok::<(), tunesmith_plugin::Refusal>(())
/// ```
#[derive(Clone)]
pub struct Prompt<'a> {
    job: &'a Job,
    dataset: &'a dyn Dataset,
    arrangement: Arrangement,
    assumed_window: i32,
    examples: u32,
    only_short: bool,
    explanation: Option<&'a str>,
}

impl<'a> Prompt<'a> {
    /// Starts with [`Arrangement::Balanced`], up to [`MOST_EXAMPLES`] examples and
    /// [`ASSUMED_CONTEXT_WINDOW`].
    #[must_use]
    pub fn new(job: &'a Job, dataset: &'a dyn Dataset) -> Self {
        Self {
            job,
            dataset,
            arrangement: Arrangement::Balanced,
            assumed_window: ASSUMED_CONTEXT_WINDOW,
            examples: MOST_EXAMPLES,
            only_short: false,
            explanation: None,
        }
    }

    /// Sets the first note: what the method does on Ollama.
    #[must_use]
    pub fn explain(mut self, text: &'a str) -> Self {
        self.explanation = Some(text);
        self
    }

    /// Sets which examples to take.
    #[must_use]
    pub fn arrangement(mut self, arrangement: Arrangement) -> Self {
        self.arrangement = arrangement;
        self
    }

    /// Sets the context window, in tokens, for jobs without `context_window`.
    #[must_use]
    pub fn assumed_window(mut self, tokens: i32) -> Self {
        self.assumed_window = tokens;
        self
    }

    /// Sets how many examples to take at most.
    #[must_use]
    pub fn examples(mut self, most: u32) -> Self {
        self.examples = most.min(MOST_EXAMPLES);
        self
    }

    /// Takes only rows that are no longer than the average of their task.
    #[must_use]
    pub fn only_short(mut self) -> Self {
        self.only_short = true;
        self
    }

    /// The configuration: system prompt, examples, `num_ctx`, and `temperature` and
    /// `seed` if the user set them; with notes on each choice.
    ///
    /// # Errors
    /// [`Refusal::UnsuitableDataset`] if the dataset has no typed rows,
    /// [`Refusal::InvalidSetting`] if the window does not hold the system prompt, a
    /// question and its answer.
    pub fn configure(&self) -> Result<OllamaConfig, Refusal> {
        let overview = self.dataset.typed_overview()?;
        let tasks = self.dataset.tasks(MOST_TASKS);
        let window = self.job.given_or("context_window", self.assumed_window)?;
        let tokens = window.unsigned_abs();
        let system = system::choose(self.arrangement, &tasks, &overview, tokens);
        let system_tokens = system.text.as_deref().map_or(0, estimated_message_tokens);
        let reserve = self.reserve(tokens, system_tokens, &overview)?;
        let room = tokens - reserve - system_tokens;
        let rows = self.rows(&system, &tasks, room);
        let mut config = OllamaConfig::new().rows(&rows).parameter("num_ctx", window);
        config.system = system.text;
        config = config.given_parameters(self.job, &["temperature", "seed"]);
        config.notes.extend(self.explanation.map(str::to_owned));
        config.notes.extend(system.notes);
        Ok(config.note(examples_note(&rows, &overview, room)).note(self.window_note(tokens, reserve)))
    }

    /// Tokens to reserve for a question and its answer: as many as the dataset's longest
    /// conversation has, but at least a quarter of the window and at most half.
    fn reserve(&self, window: u32, system: u32, overview: &Overview) -> Result<u32, Refusal> {
        let least = window.div_ceil(4);
        if system.saturating_add(least) > window {
            return Err(Refusal::setting(
                "context_window",
                format!(
                    "{window} tokens are too few for the system prompt of about {system} tokens and a question \
                     with its answer; use at least {}",
                    system.saturating_mul(2)
                ),
            ));
        }
        let wanted = overview.longest_row_tokens.clamp(least, (window / 2).max(least));
        Ok(wanted.min(window - system))
    }

    /// Examples for a system prompt, within a room.
    fn rows(&self, system: &System, tasks: &[Task], room: u32) -> Vec<Row> {
        if system.tasks.is_empty() {
            return self.fitting(self.selection(None), room, 0);
        }
        // Each task has an equal share of what those before it left. The smallest goes
        // first, since what it has no rows for is then left to larger ones; the largest
        // comes last, nearest to the question: what comes first is what Ollama drops
        // first when a conversation grows.
        let (mut room, mut examples) = (room, self.examples);
        let mut groups = Vec::new();
        for (task, groups_left) in system.tasks.iter().rev().zip((1..=system.tasks.len() as u32).rev()) {
            let repeated = tasks.get(*task as usize).map_or(0, |task| estimated_message_tokens(&task.system));
            let share = Selection { count: examples.div_ceil(groups_left), ..self.selection(Some(*task)) };
            let rows = self.fitting(share, room / groups_left, repeated);
            room -= as_shots(&rows).min(room);
            examples -= (rows.len() as u32).min(examples);
            groups.push(rows);
        }
        match self.arrangement {
            Arrangement::Balanced => in_turn(groups),
            Arrangement::LargestTask | Arrangement::ByTask => groups.concat(),
        }
    }

    fn selection(&self, task: Option<u32>) -> Selection {
        let which = Selection { task, ..Selection::of(self.examples) };
        if !self.only_short {
            return which;
        }
        let probe = self.dataset.sample(&Selection { count: PROBED_ROWS, ..which });
        let tokens: u64 = probe.iter().map(|row| u64::from(row.tokens)).sum();
        match tokens.checked_div(probe.len() as u64).map(u32::try_from) {
            Some(Ok(average)) => which.longest_row_tokens(average),
            _ => which,
        }
    }

    /// Rows that fit a room. The host counts the system prompt of each row, of
    /// `repeated` tokens, which examples do not repeat: so a first sample tells how
    /// much more fits, and a second takes it.
    fn fitting(&self, which: Selection, room: u32, repeated: u32) -> Vec<Row> {
        let first = self.sample(which.token_budget(room.saturating_add(repeated)), room);
        let used = as_shots(&first);
        let counted = first.iter().map(|row| row.tokens).fold(0, u32::saturating_add);
        if first.is_empty() || first.len() >= which.count as usize || used >= counted {
            return first;
        }
        let wider = u64::from(room) * u64::from(counted) / u64::from(used.max(1));
        let wider = u32::try_from(wider).unwrap_or(u32::MAX);
        let second = self.sample(which.token_budget(wider), room);
        if second.len() > first.len() { second } else { first }
    }

    /// Usable rows of a sample, as many as fit a room.
    fn sample(&self, which: Selection, room: u32) -> Vec<Row> {
        let mut rows = self.dataset.sample(&which);
        rows.retain(|row| is_exchange(&row.example));
        while as_shots(&rows) > room {
            rows.pop();
        }
        rows
    }

    fn window_note(&self, window: u32, reserve: u32) -> String {
        let source = if self.job.is_given("context_window") {
            "set by the job"
        } else if self.assumed_window == ASSUMED_CONTEXT_WINDOW {
            "default, since the job does not set context_window"
        } else {
            "chosen by the method, since the job does not set context_window"
        };
        format!(
            "The context window has {window} tokens ({source}); {reserve} of them are reserved for a question \
             and its answer."
        )
    }
}

/// One of each group in turn, such that the last rows have one of every group.
fn in_turn(mut groups: Vec<Vec<Row>>) -> Vec<Row> {
    let mut rows = Vec::new();
    loop {
        let before = rows.len();
        rows.extend(groups.iter_mut().rev().filter_map(Vec::pop));
        if rows.len() == before {
            rows.reverse();
            return rows;
        }
    }
}

/// Whether a conversation can stand as an example: it begins with a question, ends
/// with an answer, says something in each turn, and has no system text but the first.
fn is_exchange(example: &Example) -> bool {
    let mut turns = example.messages.iter().peekable();
    turns.next_if(|message| message.role == Role::System);
    let turns: Vec<_> = turns.collect();
    turns.first().is_some_and(|message| message.role == Role::User)
        && turns.last().is_some_and(|message| message.role == Role::Assistant)
        && turns.iter().all(|message| message.role != Role::System && !is_blank(&message.content))
}

/// Whether a text says nothing, which the host does not take for an answer.
fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn examples_note(rows: &[Row], overview: &Overview, room: u32) -> String {
    if rows.is_empty() {
        return format!(
            "No conversation fits into the remaining {room} tokens as an example; set a larger \
             context_window."
        );
    }
    let firsts =
        rows.iter().enumerate().filter(|(n, row)| rows[..*n].iter().all(|other| other.task != row.task));
    let tasks = match firsts.count() {
        1 => String::new(),
        many => format!(" from {many} tasks"),
    };
    let are = if rows.len() == 1 { "is the example" } else { "are examples" };
    format!(
        "{} of {} conversations {are}{tasks}, in about {} tokens.",
        rows.len(),
        overview.typed_rows,
        as_shots(rows)
    )
}

#[cfg(test)]
mod tests;
