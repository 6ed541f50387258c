//! The sandbox, the registry of methods, and the calls to them.
