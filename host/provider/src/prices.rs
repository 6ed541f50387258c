//! Prices of training: a dated table that comes with tunesmith and can be replaced by
//! a file of the same form.

use crate::money::PerMillion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::Code;
use tunesmith_core::text::quoted;
use tunesmith_core::time::{Date, deserialize_date};

/// The table that comes with tunesmith.
pub const BUILT_IN: &str = include_str!("prices.json");

/// A price table is a page, not a book.
pub const LONGEST_TABLE: usize = 1024 * 1024;

/// A sentence on where the prices are from.
const LONGEST_SOURCE: usize = 500;

/// Training prices by model. A model that is not in it has no price: none is guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTable {
    as_of: Date,
    source: String,
    digest: String,
    prices: BTreeMap<String, PerMillion>,
}

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// Too many bytes.
    #[error("the price table has {bytes} bytes; at most {LONGEST_TABLE} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not the form.
    #[error("the price table cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// Another currency.
    #[error("the price table is in {}; only USD is understood", quoted(.0))]
    Currency(String),
    /// No price, or a senseless one.
    #[error("the price of {} is {price}; it must be US dollars per million tokens, from 0 to {}", quoted(.model), PerMillion::MOST_DOLLARS)]
    Price {
        /// The model.
        model: String,
        /// The price.
        price: f64,
    },
    /// A model with two prices.
    #[error("the price table has model {} twice", quoted(.0))]
    Twice(String),
    /// A model name that is empty, or an entry without models.
    #[error("entry {0} of trainingPerMillionTokens names no model, or an empty one")]
    NoModel(usize),
    /// A source that is too long.
    #[error("the source of the price table has {bytes} bytes; at most {LONGEST_SOURCE} are allowed")]
    Source {
        /// Its length.
        bytes: usize,
    },
}

impl PriceTableError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        Code::PriceTableInvalid
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    #[serde(deserialize_with = "deserialize_date")]
    as_of: Date,
    source: String,
    currency: String,
    training_per_million_tokens: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    models: Vec<String>,
    price: f64,
}

/// A table's date, source and digest, for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceTableId {
    /// When the prices were read.
    pub as_of: Date,
    /// Where they are from.
    pub source: String,
    /// SHA-256 of the table's bytes, in hexadecimal.
    pub sha256: String,
}

impl PriceTable {
    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong with it, with the place where there is one.
    pub fn parse(text: &str) -> Result<Self, PriceTableError> {
        if text.len() > LONGEST_TABLE {
            return Err(PriceTableError::TooLong { bytes: text.len() });
        }
        let form: Form = serde_json::from_str(text)?;
        if form.currency != "USD" {
            return Err(PriceTableError::Currency(form.currency));
        }
        if form.source.len() > LONGEST_SOURCE {
            return Err(PriceTableError::Source { bytes: form.source.len() });
        }
        let mut prices = BTreeMap::new();
        for (index, entry) in form.training_per_million_tokens.into_iter().enumerate() {
            if entry.models.is_empty() || entry.models.iter().any(|model| model.trim().is_empty()) {
                return Err(PriceTableError::NoModel(index + 1));
            }
            for model in entry.models {
                let Some(price) = PerMillion::from_dollars(entry.price) else {
                    return Err(PriceTableError::Price { model, price: entry.price });
                };
                if prices.insert(model.clone(), price).is_some() {
                    return Err(PriceTableError::Twice(model));
                }
            }
        }
        let digest = Digest::of(text).to_string();
        Ok(Self { as_of: form.as_of, source: form.source, digest, prices })
    }

    /// The table that comes with tunesmith.
    #[expect(clippy::expect_used, reason = "the text is compiled in, and a test reads it")]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the built-in price table reads")
    }

    /// What a million training tokens of the model cost. A tuned model (`ft:…`) costs
    /// what its base does.
    pub fn price(&self, model: &str) -> Option<PerMillion> {
        self.prices.get(base_of(model)).copied()
    }

    /// When the prices were read.
    pub fn as_of(&self) -> Date {
        self.as_of
    }

    /// Date, source and digest.
    pub fn id(&self) -> PriceTableId {
        PriceTableId { as_of: self.as_of, source: self.source.clone(), sha256: self.digest.clone() }
    }
}

/// The base of a tuned model's name (`ft:BASE:…`), otherwise the name itself.
pub fn base_of(model: &str) -> &str {
    model.strip_prefix("ft:").map_or(model, |rest| rest.split(':').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_has_the_known_prices() {
        let table = PriceTable::built_in();
        let price = |model| table.price(model).map(|price| price.to_string());
        assert_eq!(price("gpt-4o-mini-2024-07-18").as_deref(), Some("$3.00"));
        assert_eq!(price("ft:gpt-4o-mini-2024-07-18:acme:lora:abc").as_deref(), Some("$3.00"));
        assert_eq!(price("babbage-002").as_deref(), Some("$0.40"));
        assert_eq!(price("gpt-6-luna"), None);
        assert_eq!(table.id().sha256.len(), 64);
        assert_eq!(table.as_of(), tunesmith_core::time::date(2026, 11, 23));
    }

    #[test]
    fn wrong_tables_say_what_is_wrong() {
        let with = |from: &str, to: &str| {
            assert!(BUILT_IN.contains(from));
            PriceTable::parse(&BUILT_IN.replacen(from, to, 1)).unwrap_err().to_string()
        };
        let messages = [
            PriceTable::parse("").unwrap_err().to_string(),
            PriceTable::parse(&" ".repeat(LONGEST_TABLE + 1)).unwrap_err().to_string(),
            with("\"asOf\"", "\"asof\""),
            with("2026-11-23", "23.11.2026"),
            with("USD", "EUR"),
            with("\"price\": 5.00", "\"price\": -5"),
            with("\"price\": 5.00", "\"price\": \"5\""),
            with("\"gpt-4.1-mini\"", "\"gpt-4.1\""),
            with("[\"davinci-002\"]", "[]"),
            with("\"davinci-002\"", "\" \""),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }
}
