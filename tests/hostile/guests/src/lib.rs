//! Guests that misbehave, one `[[example]]` each. They are empty when built for the
//! host, where `cargo test --workspace` and clippy meet them too.
