//! A training file on its way: named by its content, and sent whole or in parts.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::policy::Policy;
use super::transport::{Call, LARGEST_JSON};
use crate::http::file::Sending;
use crate::http::lenient::Fields;
use crate::http::{self, Fault, SourceFile};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::future::Future;
use std::io;
use std::path::Path;

/// What a file for training is uploaded as.
pub(super) const PURPOSE: &str = "fine-tune";

/// The media type of an uploaded file: what OpenAI's own clients send.
const MEDIA_TYPE: &str = "application/octet-stream";

/// How files travel. The defaults are OpenAI's limits, with decimal megabytes, which
/// fit either reading of "MB".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// A file of up to this many bytes is sent whole; a larger one in parts.
    pub whole: u64,
    /// Bytes in a part.
    pub part: u64,
    /// Bytes in a file.
    pub most: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { whole: 512_000_000, part: 64_000_000, most: 8_000_000_000 }
    }
}

/// A training file on disk, with the digest of its content.
#[derive(Debug, Clone)]
pub struct TrainingFile(SourceFile);

impl TrainingFile {
    /// Opens a file and computes its digest.
    ///
    /// # Errors
    ///
    /// It cannot be read, or changes meanwhile.
    pub async fn open(path: &Path) -> io::Result<Self> {
        SourceFile::open(path).await.map(Self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Its digest, in hexadecimal.
    pub fn sha256(&self) -> &str {
        self.0.sha256()
    }

    /// The name under which it is uploaded: the same content has the same name, so that
    /// it is found again.
    pub fn name(&self) -> String {
        format!("train-{}.jsonl", self.sha256().get(..16).unwrap_or(self.sha256()))
    }
}

/// An upload in parts that was begun; stored by the caller, it can be carried on after
/// a crash, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSession {
    /// The upload's id.
    pub id: String,
    /// The digest of the file that it is for.
    pub sha256: String,
    /// Bytes in each part but the last.
    pub part_bytes: u64,
    /// Ids of the parts that the service has, in order.
    pub parts: Vec<String>,
    /// When it expires, in Unix seconds.
    pub expires_at: Option<i64>,
}

/// Who wants to know how an upload goes.
pub trait UploadWatch: Send + Sync {
    /// Bytes handed to the network, of how many. It can go back when a part is sent
    /// again.
    fn progress(&self, sent: u64, total: u64) {
        let _ = (sent, total);
    }

    /// An upload in parts has begun, or has one part more: store it.
    fn session(&self, session: &UploadSession) -> impl Future<Output = ()> + Send {
        let _ = session;
        std::future::ready(())
    }
}

/// Nobody.
impl UploadWatch for () {}

/// Part of a file, to be sent.
pub(super) struct Range<'f> {
    pub(super) file: &'f TrainingFile,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Client {
    /// Sends bytes of a file as a multipart form, once; `fields` come first.
    pub(super) async fn send_form(
        &self,
        operation: Operation,
        path: &[&str],
        fields: &[(&'static str, &'static str)],
        field: &'static str,
        range: &Range<'_>,
        watch: &impl UploadWatch,
    ) -> Result<Fields, ApiError> {
        let Range { file, from, to } = *range;
        let sending = Sending::default();
        let pieces = file.0.pieces(from, to, &sending);
        let part = Part::stream_with_length(reqwest::Body::wrap_stream(pieces), to - from)
            .file_name(file.name())
            .mime_str(MEDIA_TYPE)
            .map_err(|error| self.fault(operation, &Fault::of(&error)))?;
        let form =
            fields.iter().fold(Form::new(), |form, (name, text)| form.text(*name, *text)).part(field, part);
        let request = self.request(Method::POST, self.0.endpoint.url(path, &[])).multipart(form);
        let total = file.bytes();
        let told = |sent: u64| watch.progress((from + sent).min(total), total);
        let response = sending
            .answer(self.0.timeouts.response, told, http::send(self.endpoint(), request))
            .await
            .map_err(|fault| {
                // A piece that could not be read breaks the request: that is the cause to
                // tell, and nothing whole was sent, so nothing came of it.
                if sending.is_broken() {
                    ApiError::new(operation, &self.0.endpoint, ErrorKind::Local)
                        .because(file.0.unreadable(Some(fault.cause)))
                } else {
                    self.fault(operation, &fault)
                }
            })?;
        let body = self.read(operation, response, LARGEST_JSON).await?;
        self.parse(operation, &body)
    }

    /// Begins an upload in parts. One that is begun twice does no harm: it expires
    /// after an hour.
    pub(super) async fn start_upload(&self, file: &TrainingFile) -> Result<UploadSession, ApiError> {
        let operation = Operation::StartUpload;
        let body = json!({
            "filename": file.name(), "purpose": PURPOSE, "bytes": file.bytes(), "mime_type": MEDIA_TYPE
        });
        let mut fields =
            self.object(&Call::post(operation, &["uploads"], Policy::Repeatable).json(&body)).await?;
        let id = fields.text("id").ok_or_else(|| self.malformed(operation, "it has no id"))?;
        let expires_at = fields.integer("expires_at");
        let part_bytes = self.0.upload.part;
        Ok(UploadSession { id, sha256: file.sha256().to_owned(), part_bytes, parts: Vec::new(), expires_at })
    }

    /// Sends the parts that are missing, in order, and returns the session with all of
    /// them. A part whose reply is lost is sent again: what is not listed at the end
    /// does not count.
    pub(super) async fn send_parts(
        &self,
        file: &TrainingFile,
        mut session: UploadSession,
        watch: &impl UploadWatch,
    ) -> Result<UploadSession, ApiError> {
        let operation = Operation::UploadPart;
        let mut from = session.part_bytes.saturating_mul(session.parts.len() as u64);
        while from < file.bytes() {
            let to = from.saturating_add(session.part_bytes).min(file.bytes());
            self.check_id(operation, &session.id)?;
            let path = ["uploads", session.id.as_str(), "parts"];
            let range = Range { file, from, to };
            let mut fields = self
                .repeat(operation, Policy::Repeatable, || {
                    self.send_form(operation, &path, &[], "data", &range, watch)
                })
                .await?;
            let id = fields.text("id").ok_or_else(|| self.malformed(operation, "it has no id"))?;
            session.parts.push(id);
            watch.session(&session).await;
            from = to;
        }
        Ok(session)
    }
}
