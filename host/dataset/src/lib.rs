//! Chat datasets: reading, checking, figures, and the view that methods get.
//!
//! [`Dataset::open`] reads a file once, in bounded memory, and records where its rows
//! are. Errors and warnings about rows are the [`Verdict`]; only a file that cannot be
//! read at all is a [`DatasetError`].
//!
//! Data flows one way: `containers` cuts a file into records, `shapes` reads a record
//! as a row, `verdict` collects what is wrong with it, `scan` does this for the whole
//! file, and [`Dataset`], its figures and its [`View`] answer from the result.
//! `convert` writes new files.

mod cache;
mod containers;
mod convert;
mod counting;
mod dataset;
mod error;
mod figures;
mod file_checks;
mod options;
mod pipeline;
mod scan;
mod shapes;
mod verdict;
mod view;

pub use containers::compress::{Compression, MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO};
pub use containers::framing::{Container, MAX_ROW_BYTES};
pub use containers::json::MAX_DEPTH;
pub use containers::source::open_exactly;
pub use convert::output::{Destination, WriteError, Written};
pub use convert::split::{SplitOptions, SplitResult, split};
pub use convert::spool::spool;
pub use convert::transform::{
    BATCH_BYTES, BATCH_ROWS, Batch, KEPT_NOTES, TransformError, TransformOptions, Transformed, UntypedRows,
    transform,
};
pub use convert::{ConvertError, ConvertOptions, Converted, NAMED_ROWS, convert};
pub use counting::{COUNTED_BYTES, Counting};
pub use dataset::{BilledTokens, Dataset};
pub use error::DatasetError;
pub use figures::{Bar, Distribution, Figures, LongRow, Roles, Special};
pub use options::{OnProgress, Progress, ReadOptions};
pub use scan::index::{COMPARED_ROWS, INDEXED_ROWS, LONGEST_ROWS, TASKS};
pub use scan::shared::{SharedRows, shared_rows};
pub use shapes::format::{Format, Recognized};
pub use verdict::row::{Script, Sums};
pub use verdict::rules::{FEW_ROWS, OPENAI_MAX_IMAGES, OPENAI_MIN_ROWS, Rules, Target};
pub use verdict::{Finding, FindingCount, FindingKind, KEPT_PER_KIND, Severity, Verdict};
pub use view::{SAMPLED_ROWS, View};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
