//! `tunesmith jobs remove`.

use crate::{Output, Workbench, runtime};
use serde_json::json;
use std::path::Path;
use tunesmith_core::failure::Failure;
use tunesmith_store::ModelFilter;

/// Options of `jobs remove`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The jobs' ids, or beginnings of them
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. All ids are looked up before the first job goes.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let mut found = Vec::new();
        let mut opened = None;
        for given in &args.jobs {
            let (store, job) = match opened.take() {
                None => super::find(workbench, given).await?,
                Some(store) => {
                    let store: tunesmith_store::Store = store;
                    let job = store.job(given).await?;
                    (store, job)
                }
            };
            if !found.iter().any(|other: &tunesmith_store::Job| other.id == job.id) {
                found.push(job);
            }
            opened = Some(store);
        }
        let Some(store) = opened else { return Ok(()) };
        let mut removed = Vec::new();
        for job in found {
            let filter = ModelFilter { job: Some(job.id.clone()), ..ModelFilter::default() };
            let models = store.models(&filter, None, 100).await?.items;
            let claim = store.claim(&job.id).await?;
            store.remove(claim).await?;
            let folder = workbench.artifacts_directory().join(job.id.as_str());
            let kept = discard(&folder).err();
            if args.json {
                let models: Vec<_> = models.iter().map(|model| &model.name).collect();
                removed.push(json!({ "id": job.id, "name": job.name, "modelsKept": models }));
            } else {
                let name = tunesmith_core::text::visible(&job.name).into_owned();
                let mut text = format!("removed {} ({name})", job.id);
                for model in &models {
                    text += &format!(
                        "; its model {} stays at {}",
                        tunesmith_core::text::visible(&model.name),
                        model.provider
                    );
                }
                output.text(&format!("{text}\n"));
            }
            if let Some(error) = kept {
                output.warning(&format!("{} could not be removed: {error}", folder.display()));
            }
        }
        if args.json {
            output.json(&json!({ "removed": removed }));
        }
        store.close().await;
        Ok(())
    })
}

/// Removes a job's own directory of artifacts, if it has one.
fn discard(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
