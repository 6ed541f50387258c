//! What each provider can be asked: typed requests, limits, prices.

pub mod local;
pub mod ollama;
pub mod openai;
