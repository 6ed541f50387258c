//! Models: which there are, and until when.

use super::Client;
use super::error::{ApiError, Operation};
use super::paging::all;
use super::transport::Call;
use super::types::{Entry as _, Model};

impl Client {
    /// All models of the account.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses.
    pub async fn models(&self) -> Result<Vec<Model>, ApiError> {
        self.list(Operation::ListModels, &["models"], &[], all).await
    }

    /// A model, with the day on which it is shut down where the service says so.
    ///
    /// # Errors
    ///
    /// [`super::ErrorKind::UnknownModel`] when there is none of that name for this
    /// account; the service cannot be reached or refuses.
    pub async fn model(&self, id: &str) -> Result<Model, ApiError> {
        let operation = Operation::GetModel;
        let fields = self.object(&Call::get(operation, &["models", id])).await?;
        Model::read(fields).ok_or_else(|| self.malformed(operation, "it has no id"))
    }
}
