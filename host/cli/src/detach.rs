//! Handing a job over to a background runner, for Ollama: a create ends with its client,
//! so somebody must stay.

use crate::Workbench;
use crate::options::OperatorArgs;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_engine::execute::{EMULATOR_SERVICE, Executor};
use tunesmith_store::{Job, JobId};

/// How long the runner may take to own the job: starting is quick, and a busy machine
/// slows it down.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Where the runner of a job writes what it says.
fn log_path(workbench: &Workbench, job: &JobId) -> PathBuf {
    workbench.config().directories.state.join(format!("runner-{job}.log"))
}

/// Starts a runner for the job, and returns once the runner has it.
pub(crate) async fn hand_over(
    workbench: &Workbench,
    given: &OperatorArgs,
    executor: &Executor,
    job: &Job,
) -> Result<Job, Failure> {
    let path = log_path(workbench, &job.id);
    let failed = |error: io::Error| {
        Failure::new(
            Code::Failed,
            format!("the background runner of job {} cannot be started: {error}", job.id),
        )
        .advise(format!("`tunesmith jobs resume {}` runs it in this terminal", job.id))
    };
    let folder = path.parent().unwrap_or(&path);
    tunesmith_core::fs::create_private(folder).map_err(failed)?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("runner").args(given.arguments());
    if job.service == EMULATOR_SERVICE {
        command.arg("--emulate");
    }
    let mut runner = command
        .arg(job.id.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()
        .map_err(failed)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let now = executor.store().job(job.id.as_str()).await?;
        let is_taken = now.owner.as_ref().is_some_and(|owner| owner.pid == runner.id());
        if is_taken || now.state.is_final() {
            return Ok(now);
        }
        if let Some(status) = runner.try_wait().map_err(failed)? {
            // Another command may have been quicker: then the job is in good hands.
            let now = executor.store().job(job.id.as_str()).await?;
            if now.owner.is_some() || now.state.is_final() {
                return Ok(now);
            }
            let error = Failure::new(
                Code::Failed,
                format!("the background runner of job {} ended with {status} before it had the job", job.id),
            );
            return Err(error.advise(format!("{} says why", path.display())));
        }
        if Instant::now() >= until {
            return Ok(now);
        }
        sleep(LOOK).await;
    }
}
