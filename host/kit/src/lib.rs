//! The kit for authors of methods.
//!
//! [`scaffold`] creates a project, [`Project`] describes how it is built, [`call()`] calls
//! one function of a plugin, [`cases`] compares it with golden cases, [`check()`] tests it
//! with hostile inputs and against the limits, and [`imports`] and [`exports`] explain
//! its interfaces.

mod call;
pub mod cases;
pub mod check;
mod function;
mod interfaces;
mod project;
pub mod scaffold;
mod source_state;
mod subject;

pub use call::{CallReport, CallResult, call, refusal};
pub use check::check;
pub use function::Function;
pub use interfaces::{Export, Import, exports, imports};
pub use project::{CommandLine, Project, ProjectError, Setup};
pub use source_state::SourceState;
pub use subject::{NoRows, RowsFile, Subject, SubjectError};
