//! Access to the settings of a job and their origin.

use crate::{FromValue, Job, JobSetting, Origin, Refusal};

impl Job {
    /// The setting of this name, if the job has it.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&JobSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Whether the user set this setting; otherwise it is the method's default.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|setting| setting.origin == Origin::Given)
    }

    /// The value of a setting, if the user set it.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if it was set but is not of type `T`.
    pub fn given<T: FromValue>(&self, name: &str) -> Result<Option<T>, Refusal> {
        if self.is_given(name) { self.get(name) } else { Ok(None) }
    }

    /// The value of a setting if the user set it, otherwise the method's choice.
    ///
    /// ```
    /// use tunesmith_plugin::testing::JobBuilder;
    ///
    /// let job = JobBuilder::new().given("n_epochs", 4).build();
    /// assert_eq!(job.given_or("n_epochs", 2)?, 4);
    /// assert_eq!(job.given_or("learning_rate_multiplier", 0.5)?, 0.5);
    /// # Ok::<(), tunesmith_plugin::Refusal>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if it was set but is not of type `T`.
    pub fn given_or<T: FromValue>(&self, name: &str, own: T) -> Result<T, Refusal> {
        Ok(self.given(name)?.unwrap_or(own))
    }

    /// The value of a setting, given or default, if the job has it.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if it is not of type `T`.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.setting(name)
            .map(|setting| {
                T::from_value(&setting.value)
                    .ok_or_else(|| Refusal::setting(name, format!("expected {}", T::EXPECTED)))
            })
            .transpose()
    }

    fn require<T: FromValue>(&self, name: &str) -> Result<T, Refusal> {
        self.get(name)?.ok_or_else(|| {
            Refusal::setting(name, format!("missing; set it to {} in the job's hyperparameters", T::EXPECTED))
        })
    }

    /// The named settings that the user set, in this order.
    #[must_use]
    pub fn given_names<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        names.iter().copied().filter(|name| self.is_given(name)).collect()
    }

    /// A sentence with those of these settings that the user set although they have no
    /// effect, for example "on Ollama". `None` if the user set none of them.
    ///
    /// ```
    /// use tunesmith_plugin::testing::JobBuilder;
    ///
    /// let job = JobBuilder::new().given("lora_rank", 16).given("lora_alpha", 32).build();
    /// assert_eq!(
    ///     job.without_effect(&["lora_rank", "lora_alpha", "lora_dropout"], "on Ollama").as_deref(),
    ///     Some("lora_rank and lora_alpha have no effect on Ollama.")
    /// );
    /// ```
    #[must_use]
    pub fn without_effect(&self, names: &[&str], place: &str) -> Option<String> {
        let given = self.given_names(names);
        let (last, others) = given.split_last()?;
        let Some((first, middle)) = others.split_first() else {
            return Some(format!("{last} has no effect {place}."));
        };
        let mut text = (*first).to_owned();
        for name in middle {
            text = text + ", " + name;
        }
        Some(text + " and " + last + " have no effect " + place + ".")
    }

    /// The value of an integer setting.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if the job does not have it, or it has another type.
    pub fn integer(&self, name: &str) -> Result<i32, Refusal> {
        self.require(name)
    }

    /// The value of a number setting.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if the job does not have it, or it has another type.
    pub fn number(&self, name: &str) -> Result<f64, Refusal> {
        self.require(name)
    }

    /// The value of a boolean setting.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if the job does not have it, or it has another type.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        self.require(name)
    }

    /// The value of a string setting.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if the job does not have it, or it has another type.
    pub fn text(&self, name: &str) -> Result<String, Refusal> {
        self.require(name)
    }

    /// The value of a setting that is a list of strings.
    ///
    /// # Errors
    /// [`Refusal::InvalidSetting`] if the job does not have it, or it has another type.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        self.require(name)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Refusal, testing::JobBuilder};

    #[test]
    fn only_given_settings_count_as_given() -> Result<(), Refusal> {
        let job = JobBuilder::new().default("lora_rank", 8).given("n_epochs", 3).build();
        assert!(!job.is_given("lora_rank"));
        assert_eq!(job.given::<i32>("lora_rank")?, None);
        assert_eq!(job.given_or("lora_rank", 16)?, 16);
        assert_eq!(job.integer("lora_rank")?, 8);
        assert_eq!(job.given::<i32>("n_epochs")?, Some(3));
        assert_eq!(job.get::<i32>("absent")?, None);
        Ok(())
    }

    #[test]
    fn integer_is_a_number_but_not_vice_versa() -> Result<(), Refusal> {
        let job = JobBuilder::new().given("lora_alpha", 16).given("lora_dropout", 0.5).build();
        assert_eq!(job.number("lora_alpha")?, 16.0);
        assert_eq!(job.integer("lora_dropout"), Err(Refusal::setting("lora_dropout", "expected an integer")));
        Ok(())
    }

    #[test]
    fn given_value_of_another_type_is_refused() {
        let job = JobBuilder::new().given("n_epochs", "many").build();
        assert_eq!(job.given_or("n_epochs", 2), Err(Refusal::setting("n_epochs", "expected an integer")));
    }
}
