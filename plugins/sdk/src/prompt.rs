//! Fitting a system prompt and examples into a context window: what a method can do
//! for a provider that does not train.

use crate::{Dataset, Example, Job, Message, OllamaConfig, Overview, Refusal, Role, Row, Selection, Task};

/// The context window, in tokens, where the job gives none: what Ollama itself uses
/// on machines with less than 23 GiB of GPU memory (its scheduler's lowest tier).
pub const ASSUMED_CONTEXT_WINDOW: i32 = 4096;

/// Tokens that every message costs besides its text: three, and one for its role
/// (OpenAI's chat format, which the host counts by).
const PER_MESSAGE: usize = 4;

/// Tokens that every conversation costs besides its messages (same source).
const PER_CONVERSATION: usize = 3;

/// At most this many tasks are looked at: more system prompts than this are not
/// tasks but texts that differ from row to row.
const MOST_TASKS: u32 = 16;

/// At most this many examples, whatever the window holds. Ollama renders all of them
/// anew for each request, and again for each message that it drops on overflow.
pub const MOST_EXAMPLES: u32 = 256;

/// Tokens of a text as a message, by a cautious estimate: one for three ASCII bytes,
/// one for two other bytes, and what a message costs besides. Common tokenizers need
/// fewer for ordinary text; the host estimates in the same way.
#[must_use]
pub fn estimated_message_tokens(text: &str) -> u32 {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let other = text.len() - ascii;
    u32::try_from(ascii.div_ceil(3) + other.div_ceil(2) + PER_MESSAGE).unwrap_or(u32::MAX)
}

/// Tokens of a whole conversation, by the same estimate.
#[must_use]
pub fn estimated_tokens(example: &Example) -> u32 {
    tokens_of(&example.messages, |_| true)
}

/// Tokens that a row costs as an example: without its system prompt, which the
/// derived model has only once.
fn tokens_as_shot(row: &Row) -> u32 {
    row.tokens.min(tokens_of(&row.example.messages, |message| message.role != Role::System))
}

fn tokens_of(messages: &[Message], counts: impl Fn(&Message) -> bool) -> u32 {
    messages
        .iter()
        .filter(|message| counts(message))
        .map(|message| estimated_message_tokens(&message.content))
        .fold(PER_CONVERSATION as u32, u32::saturating_add)
}

/// Which examples a [`Prompt`] has, and under which system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// Examples of all tasks in turn. The system prompt is the one that at least half
    /// of the rows share, if there is one.
    Balanced,
    /// Examples of the largest task only, under its system prompt.
    LargestTask,
    /// Examples task by task, under a system prompt that lists those of all tasks.
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

/// A system prompt with what is to be said of it.
struct System {
    text: Option<String>,
    notes: Vec<String>,
}

impl<'a> Prompt<'a> {
    /// Begins with [`Arrangement::Balanced`], up to [`MOST_EXAMPLES`] examples and
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

    /// Says what the method means on Ollama: the first note, before those on each choice.
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

    /// Sets the context window, in tokens, for jobs that give no `context_window`.
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

    /// Takes only rows that are no longer than the average.
    #[must_use]
    pub fn only_short(mut self) -> Self {
        self.only_short = true;
        self
    }

    /// The configuration: system prompt, examples, `num_ctx`, and `temperature` and
    /// `seed` where the user gave them; with notes on each choice.
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
        let system = match self.arrangement {
            Arrangement::Balanced => shared_system(&tasks, &overview),
            Arrangement::LargestTask => largest_system(&tasks, &overview),
            Arrangement::ByTask => listed_system(&tasks, &overview, tokens),
        };
        let system_tokens = system.text.as_deref().map_or(0, estimated_message_tokens);
        let reserve = self.reserve(tokens, system_tokens, &overview)?;
        let room = tokens - reserve - system_tokens;
        let rows = match self.arrangement {
            Arrangement::Balanced => self.fitting(self.selection(&overview), room),
            Arrangement::LargestTask => self.fitting(self.selection(&overview).task(0), room),
            Arrangement::ByTask => self.grouped(&tasks, &overview, room),
        };
        let mut config = OllamaConfig::new().rows(&rows).parameter("num_ctx", window);
        config.system = system.text;
        config = config.given_parameters(self.job, &["temperature", "seed"]);
        config.notes.extend(self.explanation.map(str::to_owned));
        config.notes.extend(system.notes);
        Ok(config.note(examples_note(&rows, &overview, room)).note(self.window_note(tokens, reserve)))
    }

    /// Tokens to keep for a question and its answer: as many as the dataset's longest
    /// conversation has, but at least a quarter of the window and at most half.
    fn reserve(&self, window: u32, system: u32, overview: &Overview) -> Result<u32, Refusal> {
        let least = window.div_ceil(4);
        if system.saturating_add(least) > window {
            return Err(Refusal::setting(
                "context_window",
                format!(
                    "{window} tokens do not hold the system prompt of about {system} tokens and a question \
                     with its answer; use at least {}",
                    system.saturating_mul(2)
                ),
            ));
        }
        let wanted = overview.longest_row_tokens.clamp(least, (window / 2).max(least));
        Ok(wanted.min(window - system))
    }

    fn selection(&self, overview: &Overview) -> Selection {
        let which = Selection::of(self.examples);
        if self.only_short {
            let average = overview.tokens.div_ceil(overview.typed_rows.max(1));
            which.longest_row_tokens(u32::try_from(average).unwrap_or(u32::MAX))
        } else {
            which
        }
    }

    /// Rows that fit a room. Their counts include system prompts, which examples do
    /// not repeat, so a first sample tells how much more fits and a second takes it.
    fn fitting(&self, which: Selection, room: u32) -> Vec<Row> {
        let first = self.sample(which.token_budget(room));
        let used = total(&first);
        let counted: u32 = first.iter().map(|row| row.tokens).fold(0, u32::saturating_add);
        if first.is_empty() || first.len() >= which.count as usize || used >= counted {
            return first;
        }
        let wider = u64::from(room) * u64::from(counted) / u64::from(used.max(1));
        let second = self.sample(which.token_budget(u32::try_from(wider).unwrap_or(u32::MAX)));
        if second.len() > first.len() && total(&second) <= room { second } else { first }
    }

    fn sample(&self, which: Selection) -> Vec<Row> {
        let mut rows = self.dataset.sample(&which);
        rows.retain(|row| is_exchange(&row.example));
        rows
    }

    /// Rows task by task, each with an equal share of the room.
    fn grouped(&self, tasks: &[Task], overview: &Overview, room: u32) -> Vec<Row> {
        let groups = u32::try_from(tasks.len()).unwrap_or(1).clamp(1, self.examples.max(1));
        let each = Selection { count: self.examples.div_ceil(groups), ..self.selection(overview) };
        (0..groups).flat_map(|task| self.fitting(each.task(task), room / groups)).collect()
    }

    fn window_note(&self, window: u32, reserve: u32) -> String {
        let source = if self.job.is_given("context_window") {
            "as the job asks"
        } else {
            "assumed, since the job gives no context_window"
        };
        format!(
            "The context window is {window} tokens ({source}); {reserve} of them are kept free for a \
             question and its answer."
        )
    }
}

fn total(rows: &[Row]) -> u32 {
    rows.iter().map(tokens_as_shot).fold(0, u32::saturating_add)
}

/// Whether a conversation can stand as an example: it begins with a question, ends
/// with an answer, says something in each turn, and has no system text but the first.
fn is_exchange(example: &Example) -> bool {
    let mut turns = example.messages.iter().peekable();
    turns.next_if(|message| message.role == Role::System);
    let turns: Vec<_> = turns.collect();
    turns.first().is_some_and(|message| message.role == Role::User)
        && turns.last().is_some_and(|message| message.role == Role::Assistant)
        && turns.iter().all(|message| message.role != Role::System && !message.content.is_empty())
}

fn shared_system(tasks: &[Task], overview: &Overview) -> System {
    match tasks.first() {
        Some(task) if task.rows >= overview.typed_rows.div_ceil(2) => largest_system(tasks, overview),
        _ => System {
            text: None,
            notes: vec![
                "No system prompt is shared by half of the conversations, so none is set and the base \
                 model's own stays."
                    .to_owned(),
            ],
        },
    }
}

fn largest_system(tasks: &[Task], overview: &Overview) -> System {
    let Some(task) = tasks.first() else { return System { text: None, notes: Vec::new() } };
    let whole = overview.typed_rows;
    let share = if task.rows >= whole { "all".to_owned() } else { format!("{} of", task.rows) };
    if task.system.is_empty() {
        let note = format!("No system prompt is set: {share} {whole} conversations have none.");
        return System { text: None, notes: vec![note] };
    }
    let note = format!("The system prompt is the one that {share} {whole} conversations have.");
    System { text: Some(task.system.clone()), notes: vec![note] }
}

/// A system prompt that lists those of all tasks, as far as they fit a quarter of the
/// window.
fn listed_system(tasks: &[Task], overview: &Overview, window: u32) -> System {
    let prompts: Vec<&str> =
        tasks.iter().map(|task| task.system.as_str()).filter(|system| !system.is_empty()).collect();
    if prompts.len() < 2 {
        return largest_system(tasks, overview);
    }
    let mut text = "You handle several kinds of conversation. Work out which of these instructions \
                    the conversation calls for, and follow that one."
        .to_owned();
    let mut listed = 0;
    for prompt in &prompts {
        let longer = format!("{text}\n\n{}. {prompt}", listed + 1);
        if estimated_message_tokens(&longer) > window / 4 {
            break;
        }
        text = longer;
        listed += 1;
    }
    if listed < 2 {
        return largest_system(tasks, overview);
    }
    let mut notes =
        vec![format!("The system prompt lists the system prompts of {listed} tasks, largest first.")];
    if listed < prompts.len() {
        notes.push(format!(
            "{} smaller tasks are left out of it, because the list may fill a quarter of the context \
             window; a larger context_window holds more.",
            prompts.len() - listed
        ));
    }
    System { text: Some(text), notes }
}

fn examples_note(rows: &[Row], overview: &Overview, room: u32) -> String {
    if rows.is_empty() {
        return format!(
            "No example fits: the longest room for one is {room} tokens; a larger context_window makes more."
        );
    }
    let firsts =
        rows.iter().enumerate().filter(|(n, row)| rows[..*n].iter().all(|other| other.task != row.task));
    let tasks = match firsts.count() {
        1 => "one task".to_owned(),
        many => format!("{many} tasks"),
    };
    format!(
        "{} of {} conversations are examples: {tasks}, about {} tokens.",
        rows.len(),
        overview.typed_rows,
        total(rows)
    )
}
