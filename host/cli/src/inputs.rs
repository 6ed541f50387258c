//! What commands that plan have in common: the dataset of a job, prices, the day, and the
//! values of `--set` and `--dataset`.

use crate::{Operator, Output};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::nearest::nearest;
use tunesmith_dataset::Progress;
use tunesmith_engine::spec::{DatasetRef, MAX_NAME_CHARS, Spec};
use tunesmith_provider::prices::PriceTable;

/// Below this size nobody waits long enough to want to see progress.
const PROGRESS_BYTES: u64 = 32 << 20;

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Where a job's dataset is.
pub fn dataset_path(
    spec: &Spec,
    job: &Path,
    datasets: &[(String, PathBuf)],
    operator: &Operator,
) -> Result<PathBuf, Failure> {
    match &spec.dataset {
        DatasetRef::Path(path) => Ok(job.parent().unwrap_or(Path::new("")).join(path)),
        DatasetRef::Id(id) => {
            let given = datasets.iter().find(|(known, _)| known == id);
            given.map(|(_, path)| path.clone()).or_else(|| operator.dataset(id)).ok_or_else(|| {
                let file = operator.datasets().join(format!("{id}.jsonl"));
                let error = Failure::new(Code::Invalid, format!("dataset {id:?} is not known"));
                match nearest(datasets.iter().map(|(known, _)| known.as_str()), id) {
                    Some(near) => error.advise(format!("did you mean {near:?}?")),
                    None => error.advise(format!(
                        "say where it is: --dataset {id}=PATH; or put it at {}",
                        file.display()
                    )),
                }
            })
        }
    }
}

/// The price table of a file, or the built-in one.
pub fn price_table(path: Option<&Path>) -> Result<PriceTable, Failure> {
    let Some(path) = path else { return Ok(PriceTable::built_in()) };
    let invalid = |reason: &dyn std::fmt::Display| {
        Failure::new(Code::PriceTableInvalid, format!("the price table {}: {reason}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| invalid(&error))?;
    PriceTable::parse(&text).map_err(|error| invalid(&error))
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
pub fn dataset(text: &str) -> Result<(String, PathBuf), String> {
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
