//! The contract in Rust, generated from `wit/method` and committed (see
//! `tests/bindings.rs`, which writes these files and checks them).
#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "generated code; authors see the documented re-exports"
)]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "generated code")]

#[rustfmt::skip]
pub mod plugin_base;
#[rustfmt::skip]
pub mod with_ollama;
#[rustfmt::skip]
pub mod with_openai;
#[rustfmt::skip]
pub mod with_training;
#[rustfmt::skip]
pub mod with_transform;
