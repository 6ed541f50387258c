//! Jobs: the job file, its settings, and the plan that comes of them.

pub mod artifacts;
pub(crate) mod bounded;
pub mod execute;
pub mod lock;
mod place;
pub mod plan;
pub mod schema;
pub mod services;
pub mod settings;
pub mod spec;
pub mod verify;

pub(crate) use crate::provider::accepts::nearest;
