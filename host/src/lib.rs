//! tunesmith: a host for fine-tuning method plugins.
//!
//! Data flows one way: [`cli`] calls [`job`], which uses [`plugin`], [`dataset`]
//! and [`provider`]; those know each other only through the plain types of
//! [`contract`].

pub mod contract;
