//! The rules of the ledger, without SQL: plain types, and functions that decide what a
//! change means for what is recorded.

pub mod artifact;
pub mod batch;
pub mod change;
pub mod checkpoint;
pub mod claim;
pub mod event;
pub mod facts;
pub mod file;
pub mod id;
pub mod intent;
pub mod job;
pub mod metric;
pub mod model;
pub mod named;
pub mod new;
pub mod operation;
pub mod page;
pub mod plugin;
pub mod request;
pub mod situation;
pub mod state;
