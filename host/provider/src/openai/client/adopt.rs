//! Finding the job that an unclear reply or a crash left behind.

use super::Client;
use super::error::ApiError;
use super::types::Job;
use crate::openai::request::RUN_ID_KEY;

/// The service's clock may be behind ours by this many seconds when a job is matched
/// by time.
const CLOCK_SKEW: i64 = 300;

/// What was found for a run.
#[derive(Debug, Default)]
pub struct Lookup {
    /// Jobs with the run's id in their metadata, oldest first. The first is the one to
    /// adopt; more than one means that doubles exist, which the user may want to cancel.
    pub matches: Vec<Job>,
    /// Jobs that could be it, oldest first: on the same training file, created since,
    /// and without any run id, as from a service that drops metadata. Adopting one is
    /// the user's choice.
    pub likely: Vec<Job>,
    /// How many jobs were looked at.
    pub looked_at: usize,
}

impl Lookup {
    /// The job to adopt, and its doubles.
    pub fn adopt(self) -> Option<(Job, Vec<Job>)> {
        let mut matches = self.matches.into_iter();
        matches.next().map(|oldest| (oldest, matches.collect()))
    }
}

impl Client {
    /// Looks for the job of a run: by its id in the metadata, which is checked here as
    /// well; failing that, by training file and time (`not_before` in Unix seconds, when
    /// the intent was stored). Every page is read. That nothing is found does not yet
    /// prove that there is nothing: a new job may take a while to be listed.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses, or its list has no end: then nothing
    /// is known.
    pub async fn find_by_run_id(
        &self,
        run_id: &str,
        training_file: &str,
        not_before: i64,
    ) -> Result<Lookup, ApiError> {
        let mut matches = self.jobs(Some((RUN_ID_KEY, run_id))).await?;
        if !matches.is_empty() {
            oldest_first(&mut matches);
            let looked_at = matches.len();
            return Ok(Lookup { matches, likely: Vec::new(), looked_at });
        }
        let jobs = self.jobs(None).await?;
        let looked_at = jobs.len();
        // A service whose filter finds nothing may still list the job.
        let (mut matches, others): (Vec<Job>, Vec<Job>) = jobs
            .into_iter()
            .partition(|job| job.metadata.get(RUN_ID_KEY).map(String::as_str) == Some(run_id));
        let since = not_before.saturating_sub(CLOCK_SKEW);
        let mut likely: Vec<Job> = others
            .into_iter()
            .filter(|job| {
                job.training_file.as_deref() == Some(training_file)
                    && job.created_at.is_none_or(|created| created >= since)
                    && !job.metadata.contains_key(RUN_ID_KEY)
            })
            .collect();
        oldest_first(&mut matches);
        oldest_first(&mut likely);
        Ok(Lookup { matches, likely, looked_at })
    }
}

fn oldest_first(jobs: &mut [Job]) {
    jobs.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
}
