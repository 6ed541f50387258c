//! Files: uploaded once for each content, found again, listed, read, deleted.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::paging::all;
use super::policy::Policy;
use super::transport::Call;
use super::types::{Entry as _, File};
use super::upload::{PURPOSE, Range, TrainingFile, UploadSession, UploadWatch};
use crate::http::lenient::Fields;
use crate::http::wait;
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;
use tunesmith_core::time::Timestamp;

/// A file that goes by itself within this time is not used again: a job may wait for
/// its turn. A day.
const LONG_ENOUGH: Duration = Duration::from_secs(86_400);

/// How often a file is sent when it is unclear whether it arrived, with a look in
/// between. Two copies of a file do no harm, so it may be more than once.
const MOST_SENDINGS: u32 = 3;

/// What came of sending a file once.
#[derive(Debug)]
pub enum Uploaded {
    /// The service has it.
    File(Box<File>),
    /// Whether the service has it is not known: look for it.
    Unclear(ApiError),
}

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The same content was there already.
    Found,
    /// It was sent.
    Sent,
}

/// A file that the service has.
#[derive(Debug)]
pub struct Ensured {
    /// The file.
    pub file: File,
    /// How it came to be there.
    pub how: How,
}

impl Client {
    /// The account's files, or those for a purpose.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses, or its list has no end.
    pub async fn files(&self, purpose: Option<&str>) -> Result<Vec<File>, ApiError> {
        let filter: Vec<(&str, &str)> = purpose.iter().map(|purpose| ("purpose", *purpose)).collect();
        let mut files: Vec<File> = self.list(Operation::ListFiles, &["files"], &filter, all).await?;
        // A service may not know the filter; one that tells no purpose is believed.
        files
            .retain(|file| purpose.is_none() || file.purpose.is_none() || file.purpose.as_deref() == purpose);
        Ok(files)
    }

    /// A file.
    ///
    /// # Errors
    ///
    /// The service cannot be reached, refuses, or has no such file.
    pub async fn file(&self, id: &str) -> Result<File, ApiError> {
        let fields = self.object(&Call::get(Operation::GetFile, &["files", id])).await?;
        self.file_in(Operation::GetFile, fields)
    }

    /// Deletes a file. Returns whether there was one: deleting twice does no harm.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses.
    pub async fn delete_file(&self, id: &str) -> Result<bool, ApiError> {
        let path = ["files", id];
        let call = Call { method: Method::DELETE, ..Call::get(Operation::DeleteFile, &path) };
        match self.send(&call).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound && error.status.is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A file's content, of at most `largest` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] beyond that; the service cannot be reached, refuses, or
    /// has no such file.
    pub async fn file_content(&self, id: &str, largest: usize) -> Result<Bytes, ApiError> {
        let path = ["files", id, "content"];
        self.send(&Call { largest, ..Call::get(Operation::ReadFile, &path) }).await
    }

    /// An uploaded file with this content, by name and size; the newest of several.
    ///
    /// # Errors
    ///
    /// As for [`Client::files`].
    pub async fn find_uploaded(&self, file: &TrainingFile) -> Result<Option<File>, ApiError> {
        let name = file.name();
        let until = (Timestamp::now() + LONG_ENOUGH).as_second();
        let files = self.files(Some(PURPOSE)).await?;
        Ok(files
            .into_iter()
            .filter(|known| {
                known.filename.as_deref() == Some(&name)
                    && known.bytes == Some(file.bytes())
                    && known.is_usable()
                    && known.expires_at.is_none_or(|expires| expires > until)
            })
            .max_by_key(|known| known.created_at))
    }

    /// Sends a file whole, by `POST /files`, once; again only after a refused connection
    /// or a plain "too often".
    ///
    /// # Errors
    ///
    /// The service refused, nothing was sent, or the file cannot be read.
    pub async fn upload_whole(
        &self,
        file: &TrainingFile,
        watch: &impl UploadWatch,
    ) -> Result<Uploaded, ApiError> {
        self.check_size(file)?;
        let operation = Operation::UploadFile;
        let range = Range { file, from: 0, to: file.bytes() };
        let sent = self
            .repeat(operation, Policy::Once, || {
                self.send_form(operation, &["files"], &[("purpose", PURPOSE)], "file", &range, watch)
            })
            .await;
        self.uploaded(sent.and_then(|fields| self.file_in(operation, fields)))
    }

    /// Sends a file in parts, or carries on with those of a session for the same
    /// content.
    ///
    /// # Errors
    ///
    /// As for [`Client::upload_whole`].
    pub async fn upload_in_parts(
        &self,
        file: &TrainingFile,
        session: Option<UploadSession>,
        watch: &impl UploadWatch,
    ) -> Result<Uploaded, ApiError> {
        self.check_size(file)?;
        let kept = session.filter(|session| session.sha256 == file.sha256() && session.part_bytes > 0);
        if let Some(session) = kept {
            match self.finish(file, session, watch).await {
                // It expired, or the service does not know it any more.
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict
                    ) => {}
                other => return other,
            }
        }
        let session = self.start_upload(file).await?;
        watch.session(&session).await;
        self.finish(file, session, watch).await
    }

    async fn finish(
        &self,
        file: &TrainingFile,
        session: UploadSession,
        watch: &impl UploadWatch,
    ) -> Result<Uploaded, ApiError> {
        let operation = Operation::CompleteUpload;
        let session = self.send_parts(file, session, watch).await?;
        let path = ["uploads", session.id.as_str(), "complete"];
        let call = Call::post(operation, &path, Policy::Once).json(&json!({ "part_ids": session.parts }));
        let completed = self.object(&call).await.and_then(|mut upload| {
            let file = upload.object("file").ok_or_else(|| self.malformed(operation, "it has no file"))?;
            self.file_in(operation, file)
        });
        self.uploaded(completed)
    }

    /// Gives an upload in parts up. Its parts go by themselves after an hour; this frees
    /// them at once.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses.
    pub async fn cancel_upload(&self, session: &UploadSession) -> Result<(), ApiError> {
        let path = ["uploads", session.id.as_str(), "cancel"];
        self.send(&Call::post(Operation::CancelUpload, &path, Policy::Once)).await.map(|_| ())
    }

    /// Sees to it that the service has the file: found by content, or sent in the way
    /// that its size needs. After an unclear reply it is looked for before it is sent
    /// again.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses, or the file cannot be read.
    pub async fn ensure_file(
        &self,
        file: &TrainingFile,
        session: Option<UploadSession>,
        watch: &impl UploadWatch,
    ) -> Result<Ensured, ApiError> {
        if let Some(file) = self.find_uploaded(file).await? {
            return Ok(Ensured { file, how: How::Found });
        }
        let mut session = session;
        let mut sending = 0;
        loop {
            let outcome = if file.bytes() > self.0.upload.whole {
                self.upload_in_parts(file, session.take(), watch).await?
            } else {
                self.upload_whole(file, watch).await?
            };
            let error = match outcome {
                Uploaded::File(file) => return Ok(Ensured { file: *file, how: How::Sent }),
                Uploaded::Unclear(error) => error,
            };
            sleep(wait::own(sending, fastrand::f64())).await;
            if let Some(file) = self.find_uploaded(file).await? {
                return Ok(Ensured { file, how: How::Sent });
            }
            sending += 1;
            if sending >= MOST_SENDINGS {
                return Err(error);
            }
        }
    }

    fn check_size(&self, file: &TrainingFile) -> Result<(), ApiError> {
        let most = self.0.upload.most;
        let cause = match file.bytes() {
            0 => "it is empty".to_owned(),
            bytes if bytes > most => format!("it has {bytes} bytes, and the service takes at most {most}"),
            _ => return Ok(()),
        };
        let cause = format!("{}: {cause}", file.path().display());
        Err(ApiError::new(Operation::UploadFile, &self.0.endpoint, ErrorKind::Local).because(cause))
    }

    fn uploaded(&self, outcome: Result<File, ApiError>) -> Result<Uploaded, ApiError> {
        match outcome {
            Ok(file) => Ok(Uploaded::File(Box::new(file))),
            Err(error) if error.kind != ErrorKind::FileRefused && error.may_have_happened() => {
                Ok(Uploaded::Unclear(error))
            }
            Err(error) => Err(error),
        }
    }

    fn file_in(&self, operation: Operation, fields: Fields) -> Result<File, ApiError> {
        let file = File::read(fields).ok_or_else(|| self.malformed(operation, "it has no id"))?;
        if self.check_id(operation, &file.id).is_err() {
            return Err(self.malformed(operation, "its id cannot be one"));
        }
        if matches!(operation, Operation::UploadFile | Operation::CompleteUpload) && !file.is_usable() {
            let mut error = ApiError::new(operation, &self.0.endpoint, ErrorKind::FileRefused);
            error.message = file.status_details.clone().or_else(|| file.status.clone());
            return Err(error);
        }
        Ok(file)
    }
}
