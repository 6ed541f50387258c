//! The author kit: what `tunesmith plugin` does for those who write methods, apart
//! from the command line.
//!
//! [`scaffold`] makes a project, `project` says how one is built, [`call()`] asks a
//! plugin one thing, [`cases`] holds it against its golden cases, [`check()`] against
//! hostile inputs and the limits, and [`imports`] and [`exports`] put what it may reach
//! and what it offers into words.

mod call;
pub mod cases;
pub mod check;
mod function;
mod project;
pub mod scaffold;
mod stamp;
mod subject;
mod words;

pub use call::{Called, Outcome, call, refusal};
pub use check::check;
pub use function::Function;
pub use project::{Project, ProjectError, Run, Setup};
pub use stamp::Stamp;
pub use subject::{NoRows, RowsFile, Subject, SubjectError};
pub use words::{Export, Import, exports, imports};
