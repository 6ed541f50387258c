//! `tunesmith runner` (hidden): carries jobs on in the background, away from any
//! terminal.

use crate::Output;
use crate::services::connect;
use crate::{Workbench, runtime};
use std::sync::Arc;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_engine::execute::{EMULATOR_SERVICE, Until};
use tunesmith_store::{JobId, NewEvent};

/// Carry on recorded jobs; for tunesmith's own use.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The jobs; without any, all that nobody carries on
    jobs: Vec<String>,

    /// The jobs are on the built-in emulator
    #[arg(long)]
    emulate: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    // Away from the terminal's Ctrl-C and from its closing. It fails where this process
    // leads a group already, which a shell's job control arranges: then it is away.
    let _ = rustix::process::setsid();
    let services = connect(workbench, args.emulate)?;
    let say = output.progress_handle();
    runtime()?.block_on(async {
        let store = workbench.open_store().await?;
        let said = Arc::new(move |id: &JobId, new: &NewEvent| {
            if let Some(line) = crate::view::events::text(&new.event) {
                say.say(&format!("{id}  {line}"));
            }
        });
        let executor = workbench.executor(store, services, said);
        let mut worst = None;
        if args.jobs.is_empty() {
            for recovered in executor.recover(executor.orphans().await?, Until::End).await {
                if let Err(error) = recovered.result {
                    output.warning(&error.to_string());
                    worst = Some(error.code().kind());
                }
            }
        }
        for given in &args.jobs {
            let job = executor.store().job(given).await?;
            if args.emulate != (job.service == EMULATOR_SERVICE) {
                let message =
                    format!("job {given} is {} the emulator", if args.emulate { "not on" } else { "on" });
                return Err(Failure::new(Code::Usage, message));
            }
            if let Err(error) = executor.resume(&job.id, Until::End).await {
                worst = Some(error.code().kind());
                output.warning(&error.to_string());
            }
        }
        worst.map_or(Ok(()), |kind| Err(Failure::silent(kind)))
    })
}
