//! Which server it is, and what its version can do.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tunesmith_core::text::excerpt;

/// A version's text is shown up to this many characters.
const LONGEST_VERSION: usize = 60;

/// The name in the request that asks what create understands. Nothing is created.
const NO_MODEL: &str = "tunesmith-capability-check";

/// From this version on create takes typed fields; before, only a Modelfile's text.
const TYPED_CREATE: Version = Version(0, 5, 5);

/// From this version on safetensors are no longer converted to GGUF, nor GGUF
/// quantized.
const NO_CONVERSION: Version = Version(0, 34, 1);

/// A server that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Its version, as it says.
    pub version: String,
    /// Whether it is tunesmith's emulator.
    pub emulated: bool,
    /// Whether it creates models from typed fields. [`Client::check_create`] asks.
    pub typed_create: Support,
    /// Whether it attaches a LoRA adapter in a GGUF file.
    pub gguf_adapters: Support,
    /// Whether it converts LoRA adapters in safetensors.
    pub safetensors_adapters: Support,
}

/// Whether something is possible, as far as the version tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// A development build, or a version that says nothing: try it.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    /// Reads `0.34.1`, also with a `v` before or a suffix such as `-rc2` behind it. A
    /// build from source calls itself 0.0.0, which tells nothing.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let numbers = text.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let version = Self(parts.next()?.ok()?, parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?);
        (version != Self(0, 0, 0)).then_some(version)
    }
}

impl Server {
    fn of(version: &str, emulated: bool) -> Self {
        let read = Version::read(version);
        let support = |is: fn(Version) -> bool| match read {
            Some(version) if is(version) => Support::Yes,
            Some(_) => Support::No,
            None => Support::Unknown,
        };
        Self {
            version: excerpt(version, LONGEST_VERSION),
            emulated,
            typed_create: support(|version| version >= TYPED_CREATE),
            gguf_adapters: support(|version| version >= TYPED_CREATE),
            safetensors_adapters: support(|version| version >= TYPED_CREATE && version < NO_CONVERSION),
        }
    }
}

impl Client {
    /// Asks who is there.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or is none of Ollama's ([`ErrorKind::NotOllama`]).
    pub async fn connect(&self) -> Result<Server, ApiError> {
        let operation = Operation::Version;
        let request = self.request(Method::GET, &["api", "version"], None);
        let not_ollama = |error: ApiError| match error.kind {
            // Whatever else answers, answers so.
            ErrorKind::Malformed
            | ErrorKind::TooLarge
            | ErrorKind::Invalid
            | ErrorKind::MissingModel
            | ErrorKind::TooOld
            | ErrorKind::Failed => error.taken_for(ErrorKind::NotOllama),
            _ => error,
        };
        let mut fields = self.fields(operation, request).await.map_err(not_ollama)?;
        let version = fields.any("version");
        let Some(version) = version.as_ref().and_then(Value::as_str) else {
            let error = ApiError::new(operation, self.endpoint(), ErrorKind::NotOllama);
            return Err(error.because("its answer names no version"));
        };
        Ok(Server::of(version, self.is_emulated()))
    }

    /// Makes sure that the server creates models from typed fields, by asking for one
    /// from nothing: it refuses, and nothing changes. For servers whose version does not
    /// tell.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooOld`] for a server that knows only Modelfiles; the server cannot be
    /// reached.
    pub async fn check_create(&self) -> Result<(), ApiError> {
        let operation = Operation::CheckCreate;
        let body = json!({ "model": NO_MODEL, "stream": false });
        let request = self.request(Method::POST, &["api", "create"], Some(&body));
        let answer = match self.begin(operation, request).await {
            Ok(response) => self.object(operation, response).await.map(|_: Value| ()),
            Err(error) => Err(error),
        };
        match answer {
            Err(error) if error.kind == ErrorKind::Invalid => {
                // "neither 'from' or 'files' was specified" in the typed API; "path or
                // Modelfile are required" before it.
                let text = error.message.as_deref().unwrap_or_default().to_lowercase();
                if text.contains("modelfile") { Err(error.taken_for(ErrorKind::TooOld)) } else { Ok(()) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_tell_what_a_server_can_do() {
        let can = |version: &str| {
            let server = Server::of(version, false);
            (server.typed_create, server.gguf_adapters, server.safetensors_adapters)
        };
        assert_eq!(can("0.5.4"), (Support::No, Support::No, Support::No));
        for version in ["0.5.5", "v0.33.0-rc2", "0.24", "0.34.0+build"] {
            assert_eq!(can(version), (Support::Yes, Support::Yes, Support::Yes), "{version}");
        }
        assert_eq!(can("0.34.1"), (Support::Yes, Support::Yes, Support::No));
        assert_eq!(can("1.0"), (Support::Yes, Support::Yes, Support::No));
        for version in ["0.0.0", "main", "", "0", "1.x.2"] {
            assert_eq!(can(version), (Support::Unknown, Support::Unknown, Support::Unknown), "{version}");
        }
    }
}
