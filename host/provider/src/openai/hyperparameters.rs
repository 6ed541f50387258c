//! The hyperparameters of an OpenAI fine-tuning job: a closed list with types and
//! ranges.

use crate::accepts::{Accepts, Listed};
use crate::settings::{MOST_BATCH_SIZE, MOST_EPOCHS, MOST_LEARNING_RATE_MULTIPLIER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tunesmith_core::contract::Value;

/// OpenAI's specification: above 0, at most 2.
const MOST_BETA: f64 = 2.0;

/// What a method may set; an absent one is `auto`.
pub static HYPERPARAMETERS: &[Listed] = &[
    Listed {
        name: "n_epochs",
        accepts: Accepts::Integer { least: 1, most: MOST_EPOCHS },
        doc: "How often training goes through the dataset.",
    },
    Listed {
        name: "batch_size",
        accepts: Accepts::Integer { least: 1, most: MOST_BATCH_SIZE },
        doc: "How many examples each training step sees.",
    },
    Listed {
        name: "learning_rate_multiplier",
        accepts: Accepts::Number { least: 0.0, most: MOST_LEARNING_RATE_MULTIPLIER, least_excluded: true },
        doc: "Scales the learning rate that OpenAI chooses.",
    },
    Listed {
        name: "beta",
        accepts: Accepts::Number { least: 0.0, most: MOST_BETA, least_excluded: true },
        doc: "How strongly preferences may move the model; only for the objective dpo.",
    },
];

/// A number, or OpenAI's choice. In JSON the number or `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auto<T> {
    /// OpenAI chooses.
    #[default]
    Auto,
    /// This value.
    Value(T),
}

impl<T> Auto<T> {
    /// The value, unless OpenAI chooses.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Auto<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Value(value) => value.fmt(f),
        }
    }
}

impl<T: Serialize> Serialize for Auto<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Auto<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        enum Word {
            #[serde(rename = "auto")]
            Auto,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Word(Word),
            Value(T),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Word(Word::Auto) => Self::Auto,
            Either::Value(value) => Self::Value(value),
        })
    }
}

/// Checked hyperparameters, as they stand in the request.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hyperparameters {
    /// How often training goes through the dataset.
    pub n_epochs: Auto<u32>,
    /// How many examples each training step sees.
    pub batch_size: Auto<u32>,
    /// Scales the learning rate that OpenAI chooses.
    pub learning_rate_multiplier: Auto<f64>,
    /// Only for preferences (dpo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<Auto<f64>>,
}

impl Hyperparameters {
    /// Sets a value that was checked against the list; anything else is passed over.
    pub(crate) fn set_checked(&mut self, name: &str, value: &Value) {
        let whole = || match value {
            Value::Integer(value) => u32::try_from(*value).ok(),
            _ => None,
        };
        match name {
            "n_epochs" => self.n_epochs = whole().map_or(Auto::Auto, Auto::Value),
            "batch_size" => self.batch_size = whole().map_or(Auto::Auto, Auto::Value),
            "learning_rate_multiplier" => {
                self.learning_rate_multiplier = value.as_f64().map_or(Auto::Auto, Auto::Value);
            }
            "beta" => self.beta = Some(value.as_f64().map_or(Auto::Auto, Auto::Value)),
            _ => {}
        }
    }
}
