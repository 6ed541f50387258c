//! OpenAI and compatible services: hyperparameters, models, prices, the job request.

pub mod check;
pub mod client;
pub mod cost;
pub mod drive;
pub mod hyperparameters;
pub mod models;
pub mod money;
pub mod plan;
pub mod prices;
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
