//! What a row is: the formats, each row as one neutral conversation, and the checks on
//! its messages.

pub(crate) mod chat;
pub(crate) mod conversation;
pub(crate) mod format;
pub(crate) mod plain;
pub(crate) mod render;
pub(crate) mod rows;
pub(crate) mod turns;
