//! What a job on OpenAI costs: tokens × epochs × price.

use super::hyperparameters::Auto;
use super::models::{CountedBy, lookup, not_known, tokenizer};
use crate::money::{Money, PerMillion};
use crate::prices::{PriceTable, PriceTableId};
use crate::warning::{Warning, WarningCode};
use serde::{Deserialize, Serialize};
use tunesmith_core::text::{grouped, visible};

// Bounds of the number of epochs that OpenAI chooses by itself, as its cookbook's
// notebook on preparing chat data estimates it. OpenAI does not document its choice.
const TARGET_EPOCHS: u64 = 3;
const LEAST_TARGET_EXAMPLES: u64 = 100;
const MOST_TARGET_EXAMPLES: u64 = 25_000;
const LEAST_EPOCHS: u64 = 1;
const MOST_EPOCHS: u64 = 25;

/// OpenAI's guide: fewer examples than this are refused.
pub const LEAST_EXAMPLES: u64 = 10;

/// OpenAI's guide: improvements are seen from this many examples on.
pub const RECOMMENDED_EXAMPLES: u64 = 50;

/// Counts the training tokens of a dataset, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// How many examples.
    pub examples: u64,
    /// Tokens of one epoch that count: each example up to the limit.
    pub tokens: u64,
    /// Examples beyond the limit, which lose their end.
    pub truncated: u64,
    /// The model's limit for an example, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Tally {
    /// An empty tally for a model.
    pub fn for_model(model: &str) -> Self {
        Self { limit: lookup(model).map(|known| known.most_example_tokens), ..Self::default() }
    }

    /// Adds an example of so many tokens.
    pub fn add(&mut self, tokens: u64) {
        let limit = self.limit.map_or(u64::MAX, u64::from);
        self.examples += 1;
        self.tokens = self.tokens.saturating_add(tokens.min(limit));
        self.truncated += u64::from(tokens > limit);
    }

    /// What the user should know of the dataset before it is sent to this model.
    pub fn warnings(&self, model: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.examples < LEAST_EXAMPLES {
            warnings.push(Warning::new(
                WarningCode::FewRows,
                format!(
                    "OpenAI refuses fewer than {LEAST_EXAMPLES} examples; the dataset has {}",
                    self.examples
                ),
            ));
        } else if self.examples < RECOMMENDED_EXAMPLES {
            warnings.push(Warning::new(
                WarningCode::FewRows,
                format!(
                    "OpenAI sees improvements from {RECOMMENDED_EXAMPLES} examples on; the dataset has {}",
                    self.examples
                ),
            ));
        }
        if let (truncated @ 1.., Some(limit)) = (self.truncated, self.limit) {
            warnings.push(Warning::new(
                WarningCode::RowsTruncated,
                format!(
                    "{truncated} {} longer than the {} tokens that {} takes, and would lose the end, which is the \
                     answer",
                    if truncated == 1 { "example is" } else { "examples are" },
                    grouped(u128::from(limit)),
                    visible(model)
                ),
            ));
        }
        if lookup(model).is_none() {
            warnings.push(Warning::new(WarningCode::ModelNotKnown, not_known(model)));
        }
        warnings
    }
}

/// The number of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "epochs", rename_all = "lowercase")]
pub enum Epochs {
    /// As the job or the method says.
    Exact {
        /// The number.
        n: u64,
    },
    /// OpenAI chooses.
    Auto {
        /// The smallest number that it chooses.
        least: u64,
        /// What it probably chooses: a guess.
        likely: u64,
        /// The largest number that it chooses.
        most: u64,
    },
}

/// What training costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cost {
    /// By the table, for a known number of epochs.
    Exact {
        /// The amount in US dollars.
        usd: Money,
    },
    /// OpenAI chooses the number of epochs.
    Range {
        /// For the smallest number.
        least: Money,
        /// For the likely number.
        likely: Money,
        /// For the largest number.
        most: Money,
    },
    /// The table has no price for the model.
    NoPrice,
}

/// An estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostEstimate {
    /// The base model.
    pub model: String,
    /// The dataset's tokens.
    pub tally: Tally,
    /// How they were counted.
    pub counted_by: CountedBy,
    /// The number of epochs.
    pub epochs: Epochs,
    /// US dollars for a million tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_million: Option<PerMillion>,
    /// The cost.
    pub cost: Cost,
    /// Where the price is from.
    pub prices: PriceTableId,
    /// What the figures rest on, a sentence each.
    pub notes: Vec<String>,
}

/// The number of epochs that OpenAI probably chooses for so many examples.
pub fn likely_epochs(examples: u64) -> u64 {
    if examples == 0 {
        return TARGET_EPOCHS;
    }
    let target = examples.saturating_mul(TARGET_EPOCHS);
    if target < LEAST_TARGET_EXAMPLES {
        MOST_EPOCHS.min(LEAST_TARGET_EXAMPLES / examples)
    } else if target > MOST_TARGET_EXAMPLES {
        LEAST_EPOCHS.max(MOST_TARGET_EXAMPLES / examples)
    } else {
        TARGET_EPOCHS
    }
}

/// Estimates the cost of training on the tallied examples.
pub fn estimate(model: &str, tally: Tally, n_epochs: Auto<u32>, prices: &PriceTable) -> CostEstimate {
    let epochs = match n_epochs {
        Auto::Value(n) => Epochs::Exact { n: u64::from(n) },
        Auto::Auto => {
            Epochs::Auto { least: LEAST_EPOCHS, likely: likely_epochs(tally.examples), most: MOST_EPOCHS }
        }
    };
    let price = prices.price(model);
    let cost = match (price, epochs) {
        (None, _) => Cost::NoPrice,
        (Some(price), Epochs::Exact { n }) => {
            Cost::Exact { usd: price.times(tally.tokens.saturating_mul(n)) }
        }
        (Some(price), Epochs::Auto { least, likely, most }) => {
            let times = |n| price.times(tally.tokens.saturating_mul(n));
            Cost::Range { least: times(least), likely: times(likely), most: times(most) }
        }
    };
    let counted_by = tokenizer(model);
    let mut estimate = CostEstimate {
        model: model.to_owned(),
        tally,
        counted_by,
        epochs,
        price_per_million: price,
        cost,
        prices: prices.id(),
        notes: Vec::new(),
    };
    estimate.notes = estimate.explain();
    estimate
}

impl CostEstimate {
    /// The calculation and its result on one line.
    pub fn summary(&self) -> String {
        let tokens = grouped(u128::from(self.tally.tokens));
        match (self.cost, self.epochs, self.price_per_million) {
            (Cost::Exact { usd }, Epochs::Exact { n }, Some(price)) => {
                format!("{usd}: {tokens} tokens × {n} {} × {price} per million tokens", epochs_word(n))
            }
            (
                Cost::Range { least, likely, most },
                Epochs::Auto { least: few, likely: n, most: many },
                Some(price),
            ) => {
                format!(
                    "probably {likely}, between {least} and {most}: {tokens} tokens × {few} to {many} epochs (a \
                     guess: {n}) × {price} per million tokens"
                )
            }
            _ => format!("no price for {} is known: {tokens} tokens in each epoch", visible(&self.model)),
        }
    }

    fn explain(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Epochs::Auto { likely, .. } = self.epochs {
            notes.push(format!(
                "n_epochs is auto: OpenAI chooses, and does not say how; {likely} {} the guess of its cookbook for {} \
                 examples, {LEAST_EPOCHS} and {MOST_EPOCHS} are its bounds",
                if likely == 1 { "epoch is" } else { "epochs are" },
                grouped(u128::from(self.tally.examples))
            ));
        }
        if !self.counted_by.known {
            notes.push(format!(
                "the model's tokenizer is not known; tokens are counted with {}",
                self.counted_by.tokenizer.name()
            ));
        }
        if self.price_per_million.is_some() {
            notes.push(format!("price as of {}, from {}", self.prices.as_of, visible(&self.prices.source)));
        } else {
            notes.push(
                "give a price table of your own to have a figure; tunesmith does not guess prices".to_owned(),
            );
        }
        notes.push("the price is the same for every method; tokens for validation are free".to_owned());
        notes.push("training locally costs nothing per token".to_owned());
        notes
    }
}

fn epochs_word(n: u64) -> &'static str {
    if n == 1 { "epoch" } else { "epochs" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(model: &str, examples: u64, tokens: u64) -> Tally {
        let mut tally = Tally::for_model(model);
        for _ in 0..examples {
            tally.add(tokens);
        }
        tally
    }

    #[test]
    fn the_cookbooks_guess_of_epochs() {
        for (examples, epochs) in [
            (0, 3),
            (1, 25),
            (4, 25),
            (5, 20),
            (10, 10),
            (33, 3),
            (34, 3),
            (8_333, 3),
            (8_334, 2),
            (25_001, 1),
            (u64::MAX, 1),
        ] {
            assert_eq!(likely_epochs(examples), epochs, "{examples}");
        }
    }

    #[test]
    fn rows_beyond_the_limit_are_cut() {
        let mut counted = Tally::for_model("gpt-3.5-turbo");
        counted.add(10);
        counted.add(20_000);
        assert_eq!(counted, Tally { examples: 2, tokens: 10 + 16_385, truncated: 1, limit: Some(16_385) });
        let mut unknown = Tally::for_model("gpt-6-luna");
        unknown.add(1_000_000);
        assert_eq!((unknown.tokens, unknown.truncated), (1_000_000, 0));
    }

    #[test]
    fn estimates_as_people_read_them() {
        let table = PriceTable::built_in();
        let mut long = tally("gpt-3.5-turbo", 99, 300);
        long.add(20_000);
        let shown: Vec<String> = [
            estimate("gpt-4o-mini-2024-07-18", tally("gpt-4o-mini", 64, 210), Auto::Value(3), &table),
            estimate("gpt-4o-mini-2024-07-18", tally("gpt-4o-mini", 64, 210), Auto::Auto, &table),
            estimate("gpt-4.1", tally("gpt-4.1", 100_000, 800), Auto::Auto, &table),
            estimate("gpt-3.5-turbo", long, Auto::Value(1), &table),
            estimate("gpt-6-luna", tally("gpt-6-luna", 64, 210), Auto::Value(3), &table),
            estimate("gpt-4o-mini", tally("gpt-4o-mini", 10, 20), Auto::Value(1), &table),
        ]
        .iter()
        .map(|estimate| format!("{}\n  {}", estimate.summary(), estimate.notes.join("\n  ")))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn what_the_user_should_know_of_the_dataset() {
        let said = |model: &str, examples, tokens| -> Vec<String> {
            tally(model, examples, tokens).warnings(model).iter().map(ToString::to_string).collect()
        };
        assert!(said("gpt-4o-mini", 64, 200).is_empty());
        insta::assert_debug_snapshot!([
            said("gpt-4o-mini", 9, 200),
            said("gpt-4o-mini", 49, 200),
            said("gpt-3.5-turbo", 50, 20_000),
            said("other", 50, 20_000),
        ]);
    }

    #[test]
    fn the_json_is_stable() {
        let table = PriceTable::built_in();
        let json = |epochs| {
            let mut json =
                serde_json::to_value(estimate("gpt-4o-mini", tally("gpt-4o-mini", 64, 210), epochs, &table))
                    .unwrap();
            json["prices"]["sha256"] = "(digest)".into();
            json
        };
        insta::assert_json_snapshot!("auto_epochs", json(Auto::Auto));
        insta::assert_json_snapshot!("given_epochs", json(Auto::Value(3)));
    }
}
