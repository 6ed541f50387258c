//! The `tunesmith` command line: one command a file.
