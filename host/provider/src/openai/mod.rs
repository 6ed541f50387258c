//! OpenAI's fine-tuning protocol: its requests and rules, a client, plans and the driver.
//! OpenAI's platform is one service that speaks it, and closes; [`models`] and [`prices`]
//! know that platform's models, dates and prices, everything else holds for any service.

pub mod check;
pub mod client;
pub mod cost;
pub mod drive;
pub mod hyperparameters;
pub mod models;
pub mod money;
pub mod plan;
pub mod prices;
pub mod provider;
pub mod request;

pub use check::{Objective, Tuning, check};
pub use cost::{Cost, CostEstimate, Tally, estimate};
pub use hyperparameters::{Auto, Hyperparameters};
pub use money::Money;
pub use prices::PriceTable;
pub use request::{AtRun, JobRequest};

/// A suffix has at most this many characters. OpenAI's specification allows 64 today
/// and allowed 40 and 18 before; 18 characters of `a-z`, `0-9` and `-` are accepted
/// by all of them and by compatible services, and a colon would break the tuned
/// model's name apart.
pub const LONGEST_SUFFIX: usize = 18;
