//! Checks on what a plugin returns: sizes, names, finite numbers. What the values
//! mean is checked by the provider that they are for.

use super::error::Stopped;
use super::limits::ResultLimits;
use crate::abi::{example_out, value_out};
use crate::display::printable;
use tunesmith_abi::exports::tunesmith::method as exports;
use tunesmith_abi::tunesmith::method::types;
use tunesmith_core::contract::{
    Conversations, Example, OllamaConfig, OpenAiConfig, Recipe, Refusal, Setting, Shot, Value,
};

/// A result that passed.
pub(crate) struct Checked<T> {
    pub(crate) result: Result<T, Refusal>,
    /// Bytes of text in it.
    pub(crate) bytes_out: u64,
}

/// The check of one result.
pub(crate) struct ResultCheck<'a> {
    limits: &'a ResultLimits,
    bytes: u64,
}

impl<'a> ResultCheck<'a> {
    pub(crate) fn new(limits: &'a ResultLimits) -> Self {
        Self { limits, bytes: 0 }
    }

    pub(crate) fn ollama(
        mut self,
        raw: Result<exports::ollama::OllamaConfig, types::Refusal>,
    ) -> Result<Checked<OllamaConfig>, Stopped> {
        let config = match raw {
            Err(refusal) => return self.refusal(refusal),
            Ok(config) => config,
        };
        count("shots", config.shots.len(), self.limits.shots)?;
        let system = config.system.map(|text| self.text("bytes of system prompt", text)).transpose()?;
        let shots = config
            .shots
            .into_iter()
            .map(|shot| {
                Ok(match shot {
                    exports::ollama::Shot::Row(id) => Shot::Row(id),
                    exports::ollama::Shot::Written(example) => Shot::Written(self.example(example)?),
                })
            })
            .collect::<Result<_, Stopped>>()?;
        let parameters = self.settings("parameters", config.parameters)?;
        let notes = self.notes(config.notes)?;
        Ok(self.done(OllamaConfig { system, shots, parameters, notes }))
    }

    pub(crate) fn openai(
        mut self,
        raw: Result<exports::openai::OpenaiConfig, types::Refusal>,
    ) -> Result<Checked<OpenAiConfig>, Stopped> {
        let config = match raw {
            Err(refusal) => return self.refusal(refusal),
            Ok(config) => config,
        };
        let objective = self.name("an objective", config.objective)?;
        let suffix = config.suffix.map(|suffix| self.name("a suffix", suffix)).transpose()?;
        let hyperparameters = self.settings("hyperparameters", config.hyperparameters)?;
        let notes = self.notes(config.notes)?;
        Ok(self.done(OpenAiConfig { objective, suffix, hyperparameters, notes }))
    }

    pub(crate) fn training(
        mut self,
        raw: Result<exports::training::Recipe, types::Refusal>,
    ) -> Result<Checked<Recipe>, Stopped> {
        let recipe = match raw {
            Err(refusal) => return self.refusal(refusal),
            Ok(recipe) => recipe,
        };
        let technique = self.name("a technique", recipe.technique)?;
        let settings = self.settings("settings", recipe.settings)?;
        let notes = self.notes(recipe.notes)?;
        Ok(self.done(Recipe { technique, settings, notes }))
    }

    /// A transformed batch: a row or nothing for each row.
    pub(crate) fn transform(
        mut self,
        raw: Result<Conversations, types::Refusal>,
        rows: usize,
    ) -> Result<Checked<Conversations>, Stopped> {
        let batch = match raw {
            Err(refusal) => return self.refusal(refusal),
            Ok(batch) => batch,
        };
        if batch.len() != rows {
            return Err(Stopped::BadResult(format!(
                "{} rows for a batch of {rows}; expected one row or none for each",
                batch.len()
            )));
        }
        for (_, bytes) in batch.lengths() {
            self.message(bytes)?;
        }
        Ok(self.done(batch))
    }

    fn done<T>(self, result: T) -> Checked<T> {
        Checked { result: Ok(result), bytes_out: self.bytes }
    }

    fn refusal<T>(mut self, refusal: types::Refusal) -> Result<Checked<T>, Stopped> {
        let refusal = match refusal {
            types::Refusal::InvalidSetting(setting) => Refusal::InvalidSetting {
                name: self.name("a refused setting", setting.name)?,
                reason: self.reason(&setting.reason),
            },
            types::Refusal::UnsuitableDataset(reason) => Refusal::UnsuitableDataset(self.reason(&reason)),
            types::Refusal::Unsupported(reason) => Refusal::Unsupported(self.reason(&reason)),
            types::Refusal::Other(reason) => Refusal::Other(self.reason(&reason)),
        };
        Ok(Checked { result: Err(refusal), bytes_out: self.bytes })
    }

    fn reason(&mut self, reason: &str) -> String {
        self.bytes += reason.len() as u64;
        printable(reason, self.limits.reason_bytes)
    }

    fn text(&mut self, what: &'static str, text: String) -> Result<String, Stopped> {
        count(what, text.len(), self.limits.text_bytes)?;
        self.bytes += text.len() as u64;
        Ok(text)
    }

    fn name(&mut self, what: &str, name: String) -> Result<String, Stopped> {
        let most = self.limits.name_bytes;
        if name.len() > most {
            return Err(Stopped::BadResult(format!(
                "{what} of {} bytes, starting with {:?}; the limit is {most}",
                name.len(),
                printable(&name, 24)
            )));
        }
        if name.chars().any(char::is_control) {
            return Err(Stopped::BadResult(format!("{what} with control characters: {name:?}")));
        }
        self.bytes += name.len() as u64;
        Ok(name)
    }

    fn notes(&mut self, notes: Vec<String>) -> Result<Vec<String>, Stopped> {
        count("notes", notes.len(), self.limits.notes)?;
        notes
            .into_iter()
            .map(|note| {
                count("bytes in a note", note.len(), self.limits.note_bytes)?;
                self.bytes += note.len() as u64;
                Ok(printable(&note, self.limits.note_bytes))
            })
            .collect()
    }

    fn settings(
        &mut self,
        what: &'static str,
        settings: Vec<types::Setting>,
    ) -> Result<Vec<Setting>, Stopped> {
        count(what, settings.len(), self.limits.settings)?;
        settings
            .into_iter()
            .map(|setting| {
                let name = self.name("a name", setting.name)?;
                let value = value_out(setting.value);
                match &value {
                    Value::Number(number) if !number.is_finite() => {
                        return Err(Stopped::BadResult(format!(
                            "{name:?} = {number}; expected a finite number"
                        )));
                    }
                    Value::Text(text) => {
                        count("bytes in a string", text.len(), self.limits.text_bytes)?;
                        self.bytes += text.len() as u64;
                    }
                    Value::Texts(texts) => {
                        count("strings in a list", texts.len(), self.limits.list)?;
                        for text in texts {
                            count("bytes in a string", text.len(), self.limits.text_bytes)?;
                            self.bytes += text.len() as u64;
                        }
                    }
                    Value::Flag(_) | Value::Integer(_) | Value::Number(_) => {}
                }
                Ok(Setting { name, value })
            })
            .collect()
    }

    fn example(&mut self, example: types::Example) -> Result<Example, Stopped> {
        let example = example_out(example);
        for message in &example.messages {
            self.message(message.content.len())?;
        }
        Ok(example)
    }

    fn message(&mut self, bytes: usize) -> Result<(), Stopped> {
        count("bytes in a message", bytes, self.limits.text_bytes)?;
        self.bytes += bytes as u64;
        Ok(())
    }
}

fn count(what: &'static str, found: usize, limit: usize) -> Result<(), Stopped> {
    if found > limit {
        return Err(Stopped::ResultSize { what, limit: limit as u64, found: found as u64 });
    }
    Ok(())
}
