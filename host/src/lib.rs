//! tunesmith: a host for fine-tuning method plugins.
//!
//! Data flows one way: [`cli`] calls [`job`], which uses [`plugin`], [`dataset`]
//! and [`provider`]; those know each other only through the plain types of
//! [`contract`].

pub mod cli;
#[cfg(feature = "services")]
pub mod config;
pub mod contract;
pub mod dataset;
#[cfg(feature = "services")]
pub mod emulator;
pub mod error;
pub mod job;
pub mod plugin;
pub mod provider;
#[cfg(feature = "services")]
pub mod secret;
#[cfg(feature = "services")]
pub mod store;
pub mod tokens;
