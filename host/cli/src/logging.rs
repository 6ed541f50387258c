//! Logs for whoever looks into the program itself: on stderr, and only where `RUST_LOG`
//! asks for them, for example `RUST_LOG=tunesmith=debug`.

use crate::Output;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts to log as `RUST_LOG` says.
pub fn start(output: &mut Output) {
    let Some(filter) = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty()) else { return };
    match EnvFilter::builder().parse(&filter) {
        Ok(filter) => tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(output.colors_errors())
            .with_writer(std::io::stderr)
            .init(),
        Err(error) => output.warning(&format!("RUST_LOG is ignored: {error}")),
    }
}
