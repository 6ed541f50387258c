//! What every part of tunesmith shares and nothing else: failures, the contract's types,
//! digests, files, time, text for people, token counts, secrets.

pub mod contract;
pub mod digest;
pub mod failure;
pub mod fs;
pub mod nearest;
pub mod provider_id;
pub mod secret;
pub mod text;
pub mod time;
pub mod tokens;

pub use provider_id::{ProviderId, UnknownProvider};

/// The header of every reply of tunesmith's own emulator, so that nothing which it made
/// is taken for real.
pub const EMULATED_HEADER: &str = "x-tunesmith-emulator";
