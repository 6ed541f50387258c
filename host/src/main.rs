//! The `tunesmith` program.
fn main() {}
