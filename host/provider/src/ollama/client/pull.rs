//! Having the server fetch a model from Ollama's registry.

use super::Client;
use super::create::{Phase, Step};
use super::error::{ApiError, ErrorKind, Operation};
use super::lines::Lines;
use crate::ollama::names::ModelName;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// How far a pull is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullProgress {
    /// The server's words, fit to be shown.
    pub status: String,
    /// Bytes that are there, over all files that the server has named so far.
    pub completed: u64,
    /// Bytes in all, likewise: it grows while the server names more.
    pub total: u64,
}

impl Client {
    /// Has the server fetch a model; `on` hears how far it is. What was fetched is kept
    /// when it breaks off, so asking again is safe and goes on there. A name has no
    /// host here, so that only Ollama's own registry is ever asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotInRegistry`]; the server cannot be reached, or fails.
    pub async fn pull(
        &self,
        name: &ModelName,
        mut on: impl FnMut(&PullProgress) + Send,
    ) -> Result<(), ApiError> {
        let operation = Operation::Pull;
        let body = json!({ "model": name, "stream": true });
        let request = self.request(Method::POST, &["api", "pull"], Some(&body));
        let about = |error: ApiError| error.about(name.as_str());
        let response = self.begin(operation, request).await.map_err(about)?;
        let mut lines = Lines::new(self, operation, response);
        let mut files: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut last = None;
        while let Some(line) = lines.next().await.map_err(about)? {
            let Some(step) = Step::read(&line) else { continue };
            if let (Some(digest), Some(total)) = (&step.digest, step.total) {
                let completed = step.completed.unwrap_or(0).min(total);
                files.insert(digest.clone(), (completed, total));
            }
            let sum = |part: fn(&(u64, u64)) -> u64| files.values().map(part).fold(0, u64::saturating_add);
            let status = step.status.clone();
            on(&PullProgress { status, completed: sum(|file| file.0), total: sum(|file| file.1) });
            last = Some(step);
        }
        match last {
            Some(step) if step.phase == Phase::Success => Ok(()),
            Some(step) => {
                let cause = format!("its last word was \"{}\"", step.status);
                Err(about(lines.broken(ErrorKind::Truncated, cause)))
            }
            None => Err(about(lines.broken(ErrorKind::Truncated, "it said nothing"))),
        }
    }
}
