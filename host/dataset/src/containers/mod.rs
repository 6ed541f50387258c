//! How rows are stored in a file: compression, framing into records, JSON and CSV.

pub(crate) mod compress;
pub(crate) mod csv;
pub(crate) mod framing;
pub(crate) mod json;
pub(crate) mod source;
