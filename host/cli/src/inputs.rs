//! What commands that plan have in common: the values of `--set` and `--dataset`, the
//! price table, the day, and progress.

use crate::Output;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tunesmith_core::ProviderId;
use tunesmith_core::failure::Failure;
use tunesmith_core::time::{Date, parse_date, today};
use tunesmith_dataset::Progress;
use tunesmith_engine::spec::{MAX_NAME_CHARS, Overrides};
use tunesmith_engine::workbench::{LockUse, PlanOptions, price_table};

/// Below this size nobody waits long enough to want to see progress.
const PROGRESS_BYTES: u64 = 32 << 20;

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Options of the commands that plan jobs.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Change a setting for this run; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, serde_json::Value)>,

    /// Use this file for a job that names its dataset by id
    #[arg(long = "dataset", value_name = "ID=PATH", value_parser = dataset)]
    datasets: Vec<(String, PathBuf)>,

    /// Use this price table in place of the built-in one
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,

    /// The day of planning, which decides the notes on closing dates
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date, hide = true)]
    today: Option<Date>,
}

impl PlanArgs {
    /// How jobs are planned. Reads the price table.
    pub fn options(
        &self,
        provider: Option<ProviderId>,
        lock: LockUse,
        output: &Output,
    ) -> Result<PlanOptions, Failure> {
        Ok(PlanOptions {
            overrides: Overrides { provider, place: "--set".into(), settings: self.set.clone() },
            datasets: self.datasets.clone(),
            prices: price_table(self.prices.as_deref())?,
            today: self.today.unwrap_or_else(today),
            lock,
            progress: progress(output),
        })
    }
}

/// Parses `NAME=VALUE`: the value is JSON where it reads as JSON, otherwise a text.
pub fn setting(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE, such as n_epochs=3")?;
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err("the name before = is missing or too long".into());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// Parses `ID=PATH`.
fn dataset(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((id, path)) if !id.is_empty() && !path.is_empty() => Ok((id.to_owned(), path.into())),
        _ => Err("write it as ID=PATH".into()),
    }
}

/// Shows how far reading is, where a person watches.
pub fn progress(output: &Output) -> Option<tunesmith_dataset::OnProgress> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let handle = output.progress_handle();
    let last = Mutex::new((Instant::now(), 0));
    Some(Arc::new(move |Progress { bytes, of }| {
        let Ok(mut last) = last.try_lock() else { return };
        let percent = bytes.saturating_mul(100).checked_div(of).unwrap_or(100);
        if of >= PROGRESS_BYTES && last.0.elapsed() >= PROGRESS_EVERY && percent >= last.1 + 5 {
            *last = (Instant::now(), percent);
            handle.say(&format!("reading: {percent}% of {}", crate::view::dataset::size(of)));
        }
    }))
}
