//! A finished job's result file: figures by step, as CSV, which some services encode.

use super::Client;
use super::error::{ApiError, Operation};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;

/// A result file is at most this large. 64 MiB: a hundred bytes for each of 600,000
/// steps.
const LARGEST: usize = 64 << 20;

/// A result file as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    /// The CSV.
    pub text: String,
    /// Whether the service had encoded it as base64.
    pub was_base64: bool,
}

/// A step's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResultRow {
    /// The step.
    pub step: u64,
    /// Figures by the name of their column; empty cells are left out.
    pub values: BTreeMap<String, f64>,
}

impl ResultFile {
    /// Takes a file's bytes, decoding base64 where they are that.
    fn read(bytes: &[u8]) -> Option<Self> {
        if let Some(text) = decoded(bytes) {
            return Some(Self { text, was_base64: true });
        }
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        Some(Self { text: text.trim_start_matches('\u{feff}').to_owned(), was_base64: false })
    }

    /// The rows, by step. A line without a step, and a cell that is no number, is
    /// passed over: the file is a service's log, and what can be read of it is of use.
    pub fn rows(&self) -> Vec<ResultRow> {
        let mut lines = self.text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split(',').map(cell).collect();
        let mut rows: Vec<ResultRow> = lines
            .filter_map(|line| {
                let mut step = None;
                let mut values = BTreeMap::new();
                for (name, text) in names.iter().zip(line.split(',').map(cell)) {
                    if *name == "step" {
                        step = text.strip_suffix(".0").unwrap_or(text).parse().ok();
                    } else if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite())
                    {
                        values.insert((*name).to_owned(), number);
                    }
                }
                step.map(|step| ResultRow { step, values })
            })
            .collect();
        rows.sort_by_key(|row| row.step);
        rows
    }
}

fn cell(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// The text, if the bytes are base64 of one that looks like CSV. A CSV itself has
/// commas, which base64 has not.
fn decoded(bytes: &[u8]) -> Option<String> {
    let encoded: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let encoded = encoded.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(&encoded);
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let header = text.lines().next()?;
    (header.contains(',') || header.trim() == "step").then_some(text)
}

impl Client {
    /// A result file's text.
    ///
    /// # Errors
    ///
    /// It is larger than 64 MiB or no text; the service cannot be reached, refuses, or
    /// has no such file.
    pub async fn result_file(&self, id: &str) -> Result<ResultFile, ApiError> {
        let bytes = self.file_content(id, LARGEST).await?;
        let mut file = ResultFile::read(&bytes)
            .ok_or_else(|| self.malformed(Operation::ReadFile, "it is neither text nor base64 of a text"))?;
        file.text = self.0.redactor.redact(&file.text).into_owned();
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str =
        "step,train_loss,train_accuracy,valid_loss\n2,0.5,0.75,\n1,1.25,0.5,2.5\nx,1,1,1\n3,NaN,oops,\n";

    #[test]
    fn plain_and_encoded_files_read_alike() {
        let plain = ResultFile::read(CSV.as_bytes()).unwrap();
        assert!(!plain.was_base64);
        let base64 = STANDARD.encode(CSV);
        let wrapped = format!("{}\n{}\n", &base64[..40], &base64[40..]);
        for encoded in [base64.clone(), wrapped, format!("\"{base64}\"")] {
            let read = ResultFile::read(encoded.as_bytes()).unwrap();
            assert!(read.was_base64, "{encoded}");
            assert_eq!(read.text, CSV);
        }
        let row = |step, values: &[(&str, f64)]| ResultRow {
            step,
            values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        };
        assert_eq!(
            plain.rows(),
            [
                row(1, &[("train_loss", 1.25), ("train_accuracy", 0.5), ("valid_loss", 2.5)]),
                row(2, &[("train_loss", 0.5), ("train_accuracy", 0.75)]),
                row(3, &[]),
            ]
        );
    }

    #[test]
    fn what_only_looks_like_base64_is_text() {
        assert_eq!(ResultFile::read(b"step").unwrap().text, "step");
        assert_eq!(ResultFile::read(b"").unwrap().rows(), []);
        assert_eq!(ResultFile::read(b"\xff\xfe"), None);
    }
}
