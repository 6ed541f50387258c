//! The commands, one file or folder each. They know [`crate::view`] and what commands share,
//! never one another.

pub mod completions;
pub mod config;
pub mod dataset;
pub mod doctor;
pub mod emulate;
pub mod evaluate;
pub mod files;
pub mod jobs;
pub mod methods;
pub mod models;
pub mod plan;
pub mod plugin;
pub mod run;
pub mod schema;
