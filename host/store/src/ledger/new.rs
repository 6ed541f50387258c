//! A job to be made, with its dataset and its plan.

use super::error::Error;
use crate::redact::Redactor;
use serde_json::Value;
use tunesmith_core::ProviderId;

/// The longest document (plan, job file, measurements) that the store takes. Plans carry
/// prompts and sample rows, far below this; anything beyond is a mistake or an attack.
const LONGEST_DOCUMENT: usize = 64 * 1024 * 1024;

/// A dataset that a job uses.
#[derive(Debug, Clone)]
pub struct NewDataset {
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Where it lay, for people.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
}

/// A plan.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Digest of the document.
    pub digest: String,
    /// The plan's deterministic part, stored byte for byte.
    pub document: String,
    /// The sidecar: wall time, peak memory, what depends on today.
    pub measured: Value,
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub name: String,
    /// Who carries it out.
    pub provider: ProviderId,
    /// The service's base URL. One with credentials is refused.
    pub service: String,
    /// The method's id.
    pub method: String,
    pub base_model: String,
    /// It runs on the emulator.
    pub emulated: bool,
    /// A service carries it out: it is `running` only once a create has succeeded there.
    /// False for a job that trains in this process.
    pub remote: bool,
    /// The job file.
    pub spec: Value,
    pub dataset: NewDataset,
    pub plan: NewPlan,
}

/// What is stored of a job in the place of what was given: without secrets, as text.
pub(crate) struct Documents {
    pub name: String,
    pub spec: String,
    pub measured: String,
}

impl NewJob {
    /// What to store of it, if it may be stored at all.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(crate) fn check(&self, redactor: &Redactor) -> Result<Documents, Error> {
        check_service(&self.service)?;
        let documents = Documents {
            name: redactor.text(&self.name),
            spec: redactor.document(&self.spec),
            measured: self.plan.measured.to_string(),
        };
        for (what, text) in [
            ("job file", &documents.spec),
            ("measurements", &documents.measured),
            ("plan", &self.plan.document),
        ] {
            if text.len() > LONGEST_DOCUMENT {
                let why = format!("{} bytes are more than the store's {LONGEST_DOCUMENT}", text.len());
                return Err(Error::Invalid { what, why });
            }
        }
        Ok(documents)
    }
}

/// A user or password in the URL would end up in the file.
fn check_service(service: &str) -> Result<(), Error> {
    let host = service.split_once("://").map_or(service, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err(Error::Invalid {
            what: "service",
            why: "the URL carries credentials; give them as a key instead".into(),
        });
    }
    if service.contains(['?', '#']) {
        return Err(Error::Invalid { what: "service", why: "the URL has a query or a fragment".into() });
    }
    Ok(())
}
