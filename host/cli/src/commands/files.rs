//! `tunesmith files`: what was uploaded to OpenAI, and deleting it there.

use crate::services::connect;
use crate::view::dataset;
use crate::view::moment::{age, span};
use crate::view::style::{FAINT, HEADING};
use crate::view::table::{Cell, Table};
use crate::{Output, Workbench, runtime};
use serde_json::json;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::text::{quoted, visible};
use tunesmith_core::time::now_ms;
use tunesmith_engine::execute::{EMULATOR_SERVICE, Executor};
use tunesmith_provider::facts;
use tunesmith_store::{Job, JobFilter, LONGEST_PAGE, Page, State, Store, UploadedFile};

/// List or delete the files that jobs uploaded.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the files that jobs uploaded and that are still there, newest first
    List(ListArgs),
    /// Delete files at the service, and record that they are gone
    Remove(RemoveArgs),
}

/// Options of `files list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Show at most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on after the file of this number, as `next` says
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `files remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// The files' ids, or beginnings of them, as `files list` shows them
    #[arg(required_unless_present = "unused", value_name = "FILE")]
    files: Vec<String>,
    /// Delete every file that no unfinished job needs
    #[arg(long, conflicts_with = "files")]
    unused: bool,
    /// Delete a file even if an unfinished job needs it
    #[arg(long)]
    force: bool,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Remove(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(command: &Command, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(args, workbench, output),
        Command::Remove(args) => remove(args, workbench, output),
    }
}

fn list(args: &ListArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let page = runtime()?.block_on(async {
        let Some(store) = workbench.existing_store().await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let page = store.files(None, args.after, args.limit).await?;
        store.close().await;
        Ok::<_, Failure>(page)
    })?;
    if args.json {
        output.json(&json!({ "files": page.items, "next": page.next }));
        return Ok(());
    }
    if page.items.is_empty() {
        output.text("no uploaded files\n");
        return Ok(());
    }
    let now = now_ms();
    let mut table = Table::new(&["ID", "NAME", ">SIZE", "JOB", "SERVICE", "AGE", "GOES IN"]).cut("NAME");
    for file in &page.items {
        table.row([
            Cell::styled(visible(&file.remote_id), HEADING),
            visible(&file.file_name).into_owned().into(),
            dataset::size(file.bytes).into(),
            file.job.as_str().into(),
            visible(&file.service).into_owned().into(),
            Cell::styled(age(now, file.added_ms), FAINT),
            file.expires_ms.map(|at| span(at.saturating_sub(now))).unwrap_or_default().into(),
        ]);
    }
    let mut text = table.render(if output.is_terminal() { output.width() } else { usize::MAX });
    if let Some(next) = page.next {
        text += &format!("{FAINT}older ones: --after {next}{FAINT:#}\n");
    }
    output.text(&text);
    Ok(())
}

fn remove(args: &RemoveArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let runtime = runtime()?;
    let (store, chosen) = runtime.block_on(async {
        let Some(store) = workbench.existing_store().await? else {
            return Err(Failure::new(Code::Usage, "no file was uploaded: there are no jobs yet"));
        };
        let chosen = choose(args, &store).await?;
        Ok((store, chosen))
    })?;
    if chosen.is_empty() && !args.json {
        output.text("nothing to delete\n");
    }
    for emulated in [false, true] {
        let mut these =
            chosen.iter().filter(|file| (file.service == EMULATOR_SERVICE) == emulated).peekable();
        if these.peek().is_none() {
            continue;
        }
        let services = connect(workbench, emulated)?;
        let entered = runtime.enter();
        let executor = workbench.executor(store.clone(), services, std::sync::Arc::new(|_, _| ()));
        drop(entered);
        for file in these {
            delete(args, &runtime, &executor, file, output)?;
        }
    }
    runtime.block_on(store.close());
    Ok(())
}

/// Deletes a file at its service, and says so.
fn delete(
    args: &RemoveArgs,
    runtime: &tokio::runtime::Runtime,
    executor: &Executor,
    file: &UploadedFile,
    output: &mut Output,
) -> Result<(), Failure> {
    let was_there = runtime.block_on(executor.remove_file(file))?;
    if args.json {
        output.json_line(&json!({ "file": file.remote_id, "service": file.service, "wasThere": was_there }));
    } else {
        let note = if was_there { "" } else { " (it was gone already)" };
        output.text(&format!("deleted {} at {}{note}\n", visible(&file.remote_id), visible(&file.service)));
    }
    Ok(())
}

/// The files that are to go. All are looked up before the first is deleted.
async fn choose(args: &RemoveArgs, store: &Store) -> Result<Vec<UploadedFile>, Failure> {
    let all = every_file(store).await?;
    let unfinished = unfinished(store).await?;
    let mut chosen: Vec<UploadedFile> = Vec::new();
    if args.unused {
        for file in &all {
            if needed_by(store, file, &unfinished).await?.is_none() {
                chosen.push(file.clone());
            }
        }
    }
    for given in &args.files {
        let file = find(&all, given)?;
        if !args.force
            && let Some(job) = needed_by(store, file, &unfinished).await?
        {
            let message =
                format!("file {} is needed by job {}, which is {}", file.remote_id, job.id, job.state);
            return Err(Failure::new(Code::Usage, message).advise("wait for it, cancel it, or give --force"));
        }
        if !chosen.iter().any(|known| known.number == file.number) {
            chosen.push(file.clone());
        }
    }
    Ok(chosen)
}

async fn every_file(store: &Store) -> Result<Vec<UploadedFile>, Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.files(None, after, LONGEST_PAGE).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn unfinished(store: &Store) -> Result<Vec<Job>, Failure> {
    let uploader = ProviderId::ALL.into_iter().find(|provider| facts::of(*provider).uploads);
    let filter = JobFilter {
        states: State::ALL.iter().copied().filter(|state| !state.is_final()).collect(),
        provider: uploader,
        ..JobFilter::default()
    };
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.jobs(&filter, after, LONGEST_PAGE).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// The unfinished job that uses this file, if one does: its plan names the content.
async fn needed_by<'j>(
    store: &Store,
    file: &UploadedFile,
    unfinished: &'j [Job],
) -> Result<Option<&'j Job>, Failure> {
    for job in unfinished.iter().filter(|job| job.service == file.service) {
        if job.id == file.job || store.plan(&job.id).await?.document.contains(&file.sha256) {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

fn find<'f>(files: &'f [UploadedFile], given: &str) -> Result<&'f UploadedFile, Failure> {
    if let Some(file) = files.iter().find(|file| file.remote_id == given) {
        return Ok(file);
    }
    let like: Vec<&UploadedFile> =
        files.iter().filter(|file| !given.is_empty() && file.remote_id.starts_with(given)).collect();
    match like.as_slice() {
        [file] => Ok(file),
        [] => Err(Failure::new(Code::Usage, format!("no uploaded file has the id {}", quoted(given)))
            .advise("tunesmith files list shows all files")),
        several => {
            let ids: Vec<_> = several.iter().take(8).map(|file| visible(&file.remote_id)).collect();
            let message =
                format!("{} is the beginning of several file ids: {}", quoted(given), ids.join(", "));
            Err(Failure::new(Code::Usage, message).advise("type more of the id"))
        }
    }
}
