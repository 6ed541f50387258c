//! Builders for a method's answers: configurations, recipes and refusals.

use crate::{
    Example, InvalidSetting, Job, NamedValue, OllamaConfig, OpenAiConfig, Recipe, Refusal, Row, Shot, Value,
};

/// Sets a named value, replacing an earlier one of the same name: the host accepts
/// each name at most once.
fn set(list: &mut Vec<NamedValue>, name: &str, value: Value) {
    match list.iter_mut().find(|setting| setting.name == name) {
        Some(setting) => setting.value = value,
        None => list.push(NamedValue { name: name.to_owned(), value }),
    }
}

/// Copies the named settings that the user set.
fn set_given(list: &mut Vec<NamedValue>, job: &Job, names: &[&str]) {
    for name in names.iter().filter(|name| job.is_given(name)) {
        if let Some(setting) = job.setting(name) {
            set(list, name, setting.value.clone());
        }
    }
}

impl OllamaConfig {
    /// Starts a derived model that adds nothing to its base.
    #[must_use]
    pub fn new() -> Self {
        Self { system: None, shots: Vec::new(), parameters: Vec::new(), notes: Vec::new() }
    }

    /// Sets the system prompt.
    #[must_use]
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// Adds rows of the dataset as examples, in this order.
    #[must_use]
    pub fn rows<'a>(mut self, rows: impl IntoIterator<Item = &'a Row>) -> Self {
        self.shots.extend(rows.into_iter().map(|row| Shot::Row(row.id)));
        self
    }

    /// Adds an example that the method wrote itself.
    #[must_use]
    pub fn written(mut self, example: Example) -> Self {
        self.shots.push(Shot::Written(example));
        self
    }

    /// Sets an Ollama parameter, such as `num_ctx`.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.parameters, name, value.into());
        self
    }

    /// Copies the named settings that the user set to parameters, such as
    /// `temperature` and `seed`.
    #[must_use]
    pub fn given_parameters(mut self, job: &Job, names: &[&str]) -> Self {
        set_given(&mut self.parameters, job, names);
        self
    }

    /// Adds a note on what was chosen and why: one sentence, for the Modelfile and the plan.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds further notes, such as the answer of [`Job::without_effect`].
    #[must_use]
    pub fn notes(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(texts);
        self
    }
}

impl Default for OllamaConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenAiConfig {
    /// Starts a supervised fine-tuning job; the service chooses all hyperparameters.
    #[must_use]
    pub fn supervised() -> Self {
        Self {
            objective: "supervised".to_owned(),
            suffix: None,
            hyperparameters: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Starts a job of direct preference optimization on a preference dataset.
    #[must_use]
    pub fn dpo() -> Self {
        Self { objective: "dpo".to_owned(), ..Self::supervised() }
    }

    /// Sets the suffix of the fine-tuned model's name: 1 to 18 lowercase ASCII letters,
    /// digits and hyphens.
    #[must_use]
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffix = Some(suffix.into());
        self
    }

    /// Sets a hyperparameter, such as `n_epochs`.
    #[must_use]
    pub fn hyperparameter(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.hyperparameters, name, value.into());
        self
    }

    /// Sets the named hyperparameters that the user set.
    #[must_use]
    pub fn given_hyperparameters(mut self, job: &Job, names: &[&str]) -> Self {
        set_given(&mut self.hyperparameters, job, names);
        self
    }

    /// Adds a note on what was chosen and why: one sentence, for the plan.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds further notes, such as the answer of [`Job::without_effect`].
    #[must_use]
    pub fn notes(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(texts);
        self
    }
}

impl Recipe {
    /// Starts a recipe for one of the host's techniques, such as `lora`.
    #[must_use]
    pub fn new(technique: &str) -> Self {
        Self { technique: technique.to_owned(), settings: Vec::new(), notes: Vec::new() }
    }

    /// Sets one of the technique's settings, such as `rank`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.settings, name, value.into());
        self
    }

    /// Sets the named settings that the user set.
    #[must_use]
    pub fn given_settings(mut self, job: &Job, names: &[&str]) -> Self {
        set_given(&mut self.settings, job, names);
        self
    }

    /// Adds a note on what was chosen and why: one sentence, for the plan.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds further notes, such as the answer of [`Job::without_effect`].
    #[must_use]
    pub fn notes(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(texts);
        self
    }
}

impl Refusal {
    /// Refuses the value of a setting. The reason should name valid values.
    pub fn setting(name: &str, reason: impl Into<String>) -> Self {
        Self::InvalidSetting(InvalidSetting { name: name.to_owned(), reason: reason.into() })
    }

    /// Refuses the dataset. The reason should say what is missing and what to do.
    pub fn dataset(reason: impl Into<String>) -> Self {
        Self::UnsuitableDataset(reason.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::JobBuilder;

    #[test]
    fn later_value_replaces_earlier_one() {
        let job = JobBuilder::new().given("n_epochs", 7).default("batch_size", 4).build();
        let config = OpenAiConfig::supervised()
            .hyperparameter("n_epochs", 2)
            .given_hyperparameters(&job, &["n_epochs", "batch_size", "learning_rate_multiplier"]);
        assert_eq!(
            config.hyperparameters,
            [NamedValue { name: "n_epochs".to_owned(), value: Value::Integer(7) }]
        );
    }
}
