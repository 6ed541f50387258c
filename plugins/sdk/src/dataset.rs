//! Access to the job's dataset.

use crate::{Overview, Refusal, Row, Selection, Task};

/// The job's dataset as the host shows it: figures and samples, never all rows.
///
/// In a plugin the host answers; in native unit tests
/// [`testing::TestDataset`](crate::testing::TestDataset) does, by the same rules.
pub trait Dataset {
    /// Figures about the dataset.
    fn overview(&self) -> Overview;

    /// The tasks with the most rows first, at most `most` of them; among equals the
    /// one that appears first. A task's index does not depend on `most`.
    fn tasks(&self, most: u32) -> Vec<Task>;

    /// Rows spread evenly over the tasks and over the whole dataset, without repeated
    /// conversations, within the selection.
    fn sample(&self, which: &Selection) -> Vec<Row>;

    /// Figures about the dataset, if it has rows that a method can see.
    ///
    /// # Errors
    /// [`Refusal::UnsuitableDataset`] if it is empty, or if none of its rows consists
    /// of plain system, user and assistant messages.
    fn typed_overview(&self) -> Result<Overview, Refusal> {
        let overview = self.overview();
        if overview.rows == 0 {
            return Err(Refusal::dataset("the dataset has no rows; use one with chat conversations"));
        }
        if overview.typed_rows == 0 {
            return Err(Refusal::dataset(format!(
                "none of the {} rows has only plain system, user and assistant messages, which examples \
                 require; add such conversations, or convert tool calls and images to text",
                overview.rows
            )));
        }
        Ok(overview)
    }
}

impl Selection {
    /// Starts a selection of at most this many rows.
    ///
    /// ```
    /// use tunesmith_plugin::Selection;
    ///
    /// let which = Selection::of(20).token_budget(2000).task(0);
    /// assert_eq!((which.count, which.token_budget, which.task), (20, Some(2000), Some(0)));
    /// ```
    #[must_use]
    pub fn of(count: u32) -> Self {
        Self { count, token_budget: None, longest_row_tokens: None, task: None }
    }

    /// Limits the tokens of all rows together.
    #[must_use]
    pub fn token_budget(mut self, tokens: u32) -> Self {
        self.token_budget = Some(tokens);
        self
    }

    /// Limits the tokens of each row.
    #[must_use]
    pub fn longest_row_tokens(mut self, tokens: u32) -> Self {
        self.longest_row_tokens = Some(tokens);
        self
    }

    /// Takes rows of one task only: its index in the list of [`Dataset::tasks`].
    #[must_use]
    pub fn task(mut self, index: u32) -> Self {
        self.task = Some(index);
        self
    }
}

/// The host's dataset, behind the contract's imports.
#[cfg(target_arch = "wasm32")]
pub(crate) struct HostDataset;

#[cfg(target_arch = "wasm32")]
impl Dataset for HostDataset {
    fn overview(&self) -> Overview {
        crate::bindings::plugin_base::tunesmith::method::dataset::describe()
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        crate::bindings::plugin_base::tunesmith::method::dataset::tasks(most)
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        crate::bindings::plugin_base::tunesmith::method::dataset::sample(*which)
    }
}
