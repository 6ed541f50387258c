//! What jobs left at services: models and uploaded files.

use super::Store;
use crate::Error;
use crate::backend::Durability;
use crate::ledger::{FileContent, Model, ModelFilter, Page, UploadedFile};

impl Store {
    /// Models, newest first.
    pub async fn models(
        &self,
        filter: &ModelFilter,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page<Model>, Error> {
        let models = self.backend().read().await?.models(filter, after, Page::<Model>::rows(limit)).await?;
        Ok(Page::of(models, limit, |model| model.number))
    }

    /// Records that a model is no longer at the service; false if that was known.
    pub async fn model_removed(&self, number: i64) -> Result<bool, Error> {
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let is_news = tx.remove_model(number, self.now_ms()).await?;
        tx.commit().await?;
        Ok(is_news)
    }

    /// A file with this content that is still at the service, as far as is known; the
    /// newest of several. Ask the service before relying on it.
    pub async fn reusable_file(&self, wanted: FileContent<'_>) -> Result<Option<UploadedFile>, Error> {
        self.backend().read().await?.file_with(wanted, self.now_ms()).await
    }

    /// Uploaded files that were not removed, newest first; of one service, or of all.
    pub async fn files(
        &self,
        service: Option<&str>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page<UploadedFile>, Error> {
        let rows = Page::<UploadedFile>::rows(limit);
        let files = self.backend().read().await?.files(service, after, rows).await?;
        Ok(Page::of(files, limit, |file| file.number))
    }

    /// Records that a file is no longer at the service; false if that was known.
    pub async fn file_removed(&self, number: i64) -> Result<bool, Error> {
        let mut tx = self.backend().begin(Durability::Synced).await?;
        let is_news = tx.remove_file(number, self.now_ms()).await?;
        tx.commit().await?;
        Ok(is_news)
    }
}
