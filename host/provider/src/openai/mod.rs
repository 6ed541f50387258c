//! OpenAI's fine-tuning protocol: its requests and rules, a client, plans and the driver.
//! OpenAI's platform is one service that speaks it, and closes; [`models`] and [`prices`](crate::prices)
//! know that platform's models, dates and prices, everything else holds for any service.

pub mod check;
pub mod client;
pub mod cost;
pub mod drive;
pub mod hyperparameters;
pub mod models;
pub mod plan;
pub mod provider;
pub mod request;

pub use check::{Objective, Tuning, check};
pub use cost::{Cost, CostEstimate, Tally, estimate};
pub use hyperparameters::{Auto, Hyperparameters};
pub use request::{AtRun, JobRequest};
