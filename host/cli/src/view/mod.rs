//! What people read on a terminal, and programs as JSON: from plain values to text.

pub mod advice;
pub mod brief;
pub mod chart;
pub mod dataset;
pub mod difference;
pub mod evaluate;
pub mod events;
pub mod line;
pub mod moment;
pub mod output;
pub mod plan;
pub mod settings;
pub mod style;
pub mod table;
