//! Creating a model, and the steps that the server reports meanwhile.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::lines::Lines;
use crate::http::Sent;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use tunesmith_core::text::excerpt;

/// A status is shown up to this many characters.
const LONGEST_STATUS: usize = 300;

/// What came of creating a model.
#[derive(Debug)]
pub enum Created {
    /// The server said so, at the very end.
    Done(CreateReport),
    /// The request was sent once, and whether the model is there is not known: look
    /// with [`Client::made`] before anything else.
    Unclear(ApiError),
}

/// What the server told of a model that it made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CreateReport {
    /// Its layers, in order. Those of the base come first, and exist.
    pub layers: Vec<Layer>,
}

/// A layer of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// Whether it was there before.
    pub existing: bool,
}

/// What kind of work a step is. Ollama tells no amounts for most of it, so a job goes
/// from phase to phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading files that came with the request.
    Files,
    /// Converting weights or adapters.
    Convert,
    /// Quantizing weights.
    Quantize,
    /// Looking at what was converted.
    Verify,
    /// Laying down a layer.
    Layer,
    /// Writing the manifest: from here on the model may be there.
    Manifest,
    /// Done.
    Success,
    /// Fetching a model from a registry.
    Pull,
    /// Something that this program does not know.
    Other,
}

impl Phase {
    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Convert => "convert",
            Self::Quantize => "quantize",
            Self::Verify => "verify",
            Self::Layer => "layer",
            Self::Manifest => "manifest",
            Self::Success => "success",
            Self::Pull => "pull",
            Self::Other => "other",
        }
    }

    /// The phase of a status. Its wording varies from version to version.
    fn of(status: &str) -> Self {
        let starts = |parts: &[&str]| parts.iter().any(|part| status.starts_with(part));
        match status {
            "success" => Self::Success,
            _ if starts(&["writing manifest"]) => Self::Manifest,
            _ if starts(&["pulling"]) => Self::Pull,
            _ if starts(&["quantizing"]) => Self::Quantize,
            _ if starts(&["verifying", "validating"]) => Self::Verify,
            _ if starts(&["converting", "importing"]) => Self::Convert,
            _ if starts(&["parsing", "unpacking", "processing", "reading"]) => Self::Files,
            _ if starts(&["using", "writing layer"]) => Self::Layer,
            _ if starts(&["creating"]) && status.contains("layer") => Self::Layer,
            _ => Self::Other,
        }
    }
}

/// A line of progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What kind of work it is.
    pub phase: Phase,
    /// The server's words, fit to be shown.
    pub status: String,
    /// The digest of what it is about.
    pub digest: Option<String>,
    /// Of how many bytes, where the server tells.
    pub total: Option<u64>,
    /// How many are done.
    pub completed: Option<u64>,
}

impl Step {
    /// Reads a line; none without a status.
    pub(super) fn read(line: &Value) -> Option<Self> {
        let status = line.get("status")?.as_str()?.trim();
        let number = |name: &str| line.get(name).and_then(Value::as_u64);
        let digest = line.get("digest").and_then(Value::as_str).or_else(|| digest_in(status));
        let total = number("total");
        Some(Self {
            phase: Phase::of(status),
            status: excerpt(status, LONGEST_STATUS),
            digest: digest.filter(|digest| is_digest(digest)).map(str::to_owned),
            // Zero is left out.
            completed: number("completed").or(total.map(|_| 0)),
            total,
        })
    }

    fn layer(&self) -> Option<Layer> {
        let digest = self.digest.clone().filter(|_| self.phase == Phase::Layer)?;
        Some(Layer { digest, existing: self.status.starts_with("using") })
    }
}

fn digest_in(status: &str) -> Option<&str> {
    status.split_whitespace().find(|word| is_digest(word))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Client {
    /// Creates a model from a request, such as [`super::super::CreateRequest`]; `on` hears
    /// of each step. It is sent once. Should the server begin to fetch the base, it is
    /// stopped: look for the base first ([`Client::base`]), and pull it when asked to.
    ///
    /// # Errors
    ///
    /// The server refused or failed, or nothing was sent: no model came of it.
    /// Everything else is [`Created::Unclear`].
    pub async fn create(
        &self,
        request: &impl Serialize,
        mut on: impl FnMut(&Step) + Send,
    ) -> Result<Created, ApiError> {
        let operation = Operation::Create;
        let Ok(Value::Object(mut body)) = serde_json::to_value(request) else {
            let error = ApiError::new(operation, self.endpoint(), ErrorKind::Local);
            return Err(error.because("the request is not a JSON object"));
        };
        body.insert("stream".to_owned(), Value::Bool(true));
        let named = |field| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (model, base) = (named("model"), named("from"));
        let request = self.request(Method::POST, &["api", "create"], Some(&Value::Object(body)));
        let outcome = match self.begin(operation, request).await {
            Ok(response) => self.follow(Lines::new(self, operation, response), &mut on).await,
            Err(error) => Err(error),
        };
        // A pull that nobody asked for is about the base; every other failure about the model.
        match outcome.map_err(|error| match error.kind {
            ErrorKind::WouldPull => error.about(base),
            _ => error.about(model),
        }) {
            Ok(report) => Ok(Created::Done(report)),
            Err(error) if error.may_have_happened() => Ok(Created::Unclear(error)),
            Err(error) => Err(error),
        }
    }

    /// Reads the steps to their end.
    async fn follow(
        &self,
        mut lines: Lines<'_>,
        on: &mut (impl FnMut(&Step) + Send),
    ) -> Result<CreateReport, ApiError> {
        let mut report = CreateReport::default();
        let (mut last, mut was_writing) = (None, false);
        while let Some(line) = lines.next().await.map_err(|mut error| {
            error.was_writing = was_writing;
            error
        })? {
            // A line without a status tells nothing that is known.
            let Some(step) = Step::read(&line) else { continue };
            if step.phase == Phase::Pull {
                let mut error =
                    lines.broken(ErrorKind::WouldPull, "the server said: ".to_owned() + &step.status);
                error.sent = Sent::Maybe;
                return Err(error);
            }
            was_writing |= matches!(step.phase, Phase::Manifest | Phase::Success);
            report.layers.extend(step.layer());
            on(&step);
            last = Some(step);
        }
        match last {
            Some(step) if step.phase == Phase::Success => Ok(report),
            Some(step) => {
                Err(lines.broken(ErrorKind::Truncated, format!("its last word was \"{}\"", step.status)))
            }
            None => Err(lines.broken(ErrorKind::Truncated, "it said nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_of_all_versions_have_a_phase() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (status, phase) in [
            ("parsing GGUF", Phase::Files),
            ("converting adapter", Phase::Convert),
            ("quantizing F16 model to Q4_K_M", Phase::Quantize),
            ("validating GGUF model", Phase::Verify),
            ("using autodetected template llama3-instruct", Phase::Layer),
            ("using already created layer x", Phase::Layer),
            ("creating system layer", Phase::Layer),
            ("writing layer x", Phase::Layer),
            ("reading model metadata", Phase::Files),
            ("writing manifest", Phase::Manifest),
            ("success", Phase::Success),
            ("success!", Phase::Other),
            ("pulling manifest", Phase::Pull),
            ("warming up", Phase::Other),
            ("", Phase::Other),
        ] {
            assert_eq!(Phase::of(status), phase, "{status}");
        }
        let step = Step::read(&json!({ "status": format!("using existing layer {digest}") })).unwrap();
        assert_eq!(step.layer(), Some(Layer { digest, existing: true }));
        let step = Step::read(&json!({ "status": "quantizing", "digest": "0000", "total": 7 })).unwrap();
        assert_eq!((step.digest, step.total, step.completed), (None, Some(7), Some(0)));
        assert_eq!(Step::read(&json!({ "progress": 1 })), None);
        assert_eq!(Step::read(&json!({ "status": "a\u{1b}[2J" })).unwrap().status, "a\\u{1b}[2J");
    }
}
