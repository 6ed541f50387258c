//! Files on the server, by the digest of their content.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use crate::http::file::Sending;
use crate::http::{self, SourceFile};
use reqwest::{Method, StatusCode};
use tunesmith_core::text::quoted;

/// A file that the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Its digest, as create takes it: `sha256:…`.
    pub digest: String,
    /// Whether it was there before, so that nothing was sent.
    pub existed: bool,
}

impl Client {
    /// Whether the server has a file of this digest, `sha256:` and 64 digits.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn has_blob(&self, digest: &str) -> Result<bool, ApiError> {
        let operation = Operation::FindBlob;
        let digest = checked(digest).ok_or_else(|| {
            ApiError::new(operation, self.endpoint(), ErrorKind::Local)
                .because(format!("{} is no digest", quoted(digest)))
        })?;
        let request = self.request(Method::HEAD, &["api", "blobs", &digest], None);
        let response = self.answer(operation, request).await?;
        // A missing file is no refusal, and a reply to HEAD has no body to tell them apart.
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.accept(operation, response).await.map(|_| true)
    }

    /// Sends a file in pieces, unless the server has it; `on` hears how many bytes are
    /// out, and of how many. Files that no model uses are removed when the server
    /// starts, so what needs them follows soon. Sending twice does no harm.
    ///
    /// # Errors
    ///
    /// The file cannot be read or changed since it was opened
    /// ([`ErrorKind::Local`]); the server cannot be reached, or refuses.
    pub async fn push_blob(
        &self,
        file: &SourceFile,
        mut on: impl FnMut(u64, u64) + Send,
    ) -> Result<Pushed, ApiError> {
        let operation = Operation::PushBlob;
        let digest = format!("sha256:{}", file.sha256());
        if self.has_blob(&digest).await? {
            return Ok(Pushed { digest, existed: true });
        }
        let sending = Sending::default();
        let pieces = file.pieces(0, file.bytes(), &sending);
        let request = self
            .request(Method::POST, &["api", "blobs", &digest], None)
            .header("content-type", "application/octet-stream")
            .header("content-length", file.bytes())
            .body(reqwest::Body::wrap_stream(pieces));
        let total = file.bytes();
        let told = |sent: u64| on(sent.min(total), total);
        let response = sending
            .answer(self.0.timeouts.response, told, http::send(self.endpoint(), request))
            .await
            .map_err(|fault| {
                if sending.is_broken() {
                    ApiError::new(operation, self.endpoint(), ErrorKind::Local)
                        .because(file.unreadable(Some(fault.cause)))
                } else {
                    self.fault(operation, &fault)
                }
            })?;
        let existed = response.status() == StatusCode::OK;
        self.accept(operation, response).await?;
        Ok(Pushed { digest, existed })
    }
}

/// The digest in the only form that a server compares well: lower case, with a colon.
fn checked(digest: &str) -> Option<String> {
    let digits = digest.strip_prefix("sha256:")?;
    let whole = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| digest.to_ascii_lowercase())
}
