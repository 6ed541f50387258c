//! Choosing the system prompt of a derived model, and with it the tasks that the
//! model serves.

use super::Arrangement;
use super::tokens::estimated_message_tokens;
use crate::{Overview, Task};

/// How a system prompt that lists several begins. Bare questions suit many tasks, so
/// it says which one wins.
const LIST_INTRODUCTION: &str = "You handle several kinds of conversation. Follow the instructions below \
                                 that the conversation calls for; where several would suit, follow the first.";

/// A system prompt, the tasks whose examples belong under it, and what is to be said.
#[derive(Debug)]
pub(super) struct System {
    /// The system prompt.
    pub text: Option<String>,
    /// The tasks to take examples of, as indices; empty for rows of any task.
    pub tasks: Vec<u32>,
    /// What was chosen and why.
    pub notes: Vec<String>,
}

/// Chooses for a window of this many tokens. `tasks` are the largest ones.
pub(super) fn choose(arrangement: Arrangement, tasks: &[Task], overview: &Overview, window: u32) -> System {
    let half = overview.typed_rows.div_ceil(2);
    let covered: u64 = tasks.iter().map(|task| task.rows).sum();
    let Some(first) = tasks.first() else { return none(String::new()) };
    if covered < half {
        return none(
            "System prompts differ between conversations, so none is set and that of the base model stays."
                .to_owned(),
        );
    }
    let one = match arrangement {
        Arrangement::LargestTask => true,
        Arrangement::Balanced => first.rows >= half,
        Arrangement::ByTask => false,
    };
    if one || tasks.len() == 1 {
        return largest(first, tasks, overview);
    }
    list(tasks, window).unwrap_or_else(|| largest(first, tasks, overview))
}

fn none(note: String) -> System {
    System { text: None, tasks: Vec::new(), notes: if note.is_empty() { Vec::new() } else { vec![note] } }
}

/// The system prompt of the largest task alone.
fn largest(task: &Task, tasks: &[Task], overview: &Overview) -> System {
    let whole = overview.typed_rows;
    let share = if tasks.len() == 1 { format!("all {whole}") } else { format!("{} of {whole}", task.rows) };
    let (text, mut note) = if task.system.is_empty() {
        (None, format!("No system prompt is set, because {share} conversations have none."))
    } else {
        (Some(task.system.clone()), format!("The system prompt is that of {share} conversations."))
    };
    if tasks.len() > 1 {
        note += " The others have other system prompts and are not used as examples.";
    }
    System { text, tasks: vec![0], notes: vec![note] }
}

/// A system prompt that lists those of several tasks, as far as they fit a quarter of
/// the window. `None` if fewer than two do.
fn list(tasks: &[Task], window: u32) -> Option<System> {
    let mut text = LIST_INTRODUCTION.to_owned();
    let mut listed = Vec::new();
    let mut left_out = 0_usize;
    for (index, task) in (0u32..).zip(tasks) {
        if task.system.is_empty() {
            left_out += 1;
            continue;
        }
        let longer = format!("{text}\n\n{}. {}", listed.len() + 1, task.system);
        if estimated_message_tokens(&longer) > window / 4 {
            left_out += tasks.len() - index as usize;
            break;
        }
        text = longer;
        listed.push(index);
    }
    if listed.len() < 2 {
        return None;
    }
    let mut notes = vec![format!(
        "The system prompt lists those of {} tasks, largest first; examples come from each task.",
        listed.len()
    )];
    if left_out > 0 {
        let (tasks, have, give) =
            if left_out == 1 { ("task", "has", "gives") } else { ("tasks", "have", "give") };
        notes.push(format!(
            "{left_out} more {tasks} {have} no system prompt, or one that exceeds a quarter of the context window, \
             and {give} no examples."
        ));
    }
    Some(System { text: Some(text), tasks: listed, notes })
}
