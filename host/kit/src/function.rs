//! The functions of a plugin by name.

use std::fmt;
use std::str::FromStr;
use tunesmith_core::ProviderId;
use tunesmith_plugin_host::{Ability, Plugin};
use tunesmith_provider::facts;

/// A function that the host calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// `method.describe`.
    Describe,
    /// `ollama.configure`.
    Ollama,
    /// `openai.configure`.
    OpenAi,
    /// `training.plan`.
    Training,
    /// `transform.apply`.
    Transform,
}

impl Function {
    /// All functions, in the contract's order.
    pub const ALL: [Self; 5] = [Self::Describe, Self::Ollama, Self::OpenAi, Self::Training, Self::Transform];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "method.describe",
            Self::Ollama => "ollama.configure",
            Self::OpenAi => "openai.configure",
            Self::Training => "training.plan",
            Self::Transform => "transform.apply",
        }
    }

    /// The ability that it belongs to; `None` for functions of every plugin.
    pub fn ability(self) -> Option<Ability> {
        match self {
            Self::Describe => None,
            Self::Ollama => Some(Ability::Ollama),
            Self::OpenAi => Some(Ability::OpenAi),
            Self::Training => Some(Ability::Training),
            Self::Transform => Some(Ability::Transform),
        }
    }

    /// The functions of a plugin.
    pub fn of(plugin: &Plugin) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|function| function.ability().is_none_or(|ability| plugin.can(ability)))
    }

    /// The provider whose jobs it answers. A transform serves them all; the rules of
    /// its rows are those of the one that is least strict.
    pub fn provider(self) -> ProviderId {
        let asked = |id: &ProviderId| Some(facts::of(*id).ability) == self.ability();
        ProviderId::ALL.into_iter().find(asked).unwrap_or(ProviderId::Ollama)
    }

    /// The base model of a job that names none.
    pub fn usual_base_model(self) -> &'static str {
        facts::of(self.provider()).usual_base_model
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Function {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|function| function.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str);
            let shown = tunesmith_core::text::quoted(name);
            match tunesmith_core::nearest::nearest(names, name) {
                Some(near) => format!("{shown} is not a function of the contract; did you mean {near}?"),
                None => {
                    format!("{shown} is not a function of the contract; expected one of {}", names.join(", "))
                }
            }
        })
    }
}
