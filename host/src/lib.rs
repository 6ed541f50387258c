//! tunesmith: a host for fine-tuning method plugins.
//!
//! Data flows one way: [`cli`] calls [`job`], which uses [`plugin`], [`dataset`]
//! and [`provider`]; those know each other only through the plain types of
//! [`contract`].

pub mod cli;
pub mod config;
pub mod contract;
pub mod dataset;
pub mod emulator;
pub mod error;
pub mod evaluate;
pub mod failpoint;
pub mod job;
pub mod kit;
pub mod plugin;
pub mod policy;
pub mod provider;
pub mod secret;
pub mod store;
pub mod text;
pub mod tokens;

#[cfg(test)]
#[path = "../tests/common/kept.rs"]
mod kept;
