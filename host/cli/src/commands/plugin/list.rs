//! `tunesmith plugin list`: which plugins there are, which generation of each serves in
//! which process, and what was rejected and why.

use crate::record::file_name;
use crate::view::moment::ago;
use crate::view::style::{FAINT, HEADING, WARNING};
use crate::view::table::{Cell, Table};
use crate::{Output, Workbench, registry, runtime};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tunesmith_core::failure::Failure;
use tunesmith_core::text::visible;
use tunesmith_core::time::now_ms;
use tunesmith_plugin_host::{Plugin, Rejection, Snapshot, Source};
use tunesmith_store::{LONGEST_PAGE, PluginEvent};

/// Digits of a digest that people are shown; `--json` has all.
const DIGITS: usize = 12;

/// List the plugins: generation, digest, tier, source, and what was last rejected.
#[derive(Debug, clap::Args)]
#[command(after_help = "A generation is what a process that follows the directory (plan --watch, run, \
plugin dev) made of one content of a file; it is shown for as long as that process lives.")]
pub struct Args {
    #[command(flatten)]
    registry: registry::PluginArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct List {
    directory: Option<PathBuf>,
    plugins: Vec<Row>,
    /// Files whose present content is not used.
    rejected: Vec<Rejected>,
    /// What living processes that follow the directory serve.
    following: Vec<Serving>,
}

/// A plugin, as the directory is now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    version: String,
    tier: String,
    /// The file, or `built in`.
    source: String,
    digest: String,
    overrides_built_in: bool,
    /// Where it serves, in processes that follow the directory.
    serving: Vec<Serving>,
    /// The last content of its file that was rejected, and why.
    last_rejection: Option<Rejected>,
}

/// A generation in a process that follows the directory.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Serving {
    pid: u32,
    plugin: String,
    version: Option<String>,
    file: Option<String>,
    generation: u64,
    digest: String,
    tier: Option<String>,
    since_ms: i64,
    /// Why it is not called any more.
    quarantined: Option<String>,
}

/// A content that was rejected.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    file: String,
    digest: Option<String>,
    /// Absent where it is the file's present content.
    at_ms: Option<i64>,
    reason: String,
    /// Whether the file still has that content.
    present: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let registry = args.registry.load_quietly(workbench, output)?;
    let snapshot = registry.snapshot();
    let history = match registry.directory() {
        Some(directory) => history(workbench, directory)?,
        None => Vec::new(),
    };
    let list = List {
        directory: registry.directory().map(Path::to_owned),
        plugins: snapshot.methods().map(|plugin| row(plugin, &snapshot, &history)).collect(),
        rejected: snapshot.rejections().iter().map(now_rejected).collect(),
        following: following(&history),
    };
    if args.json {
        output.json(&list);
    } else {
        output.text(&text(&list, output.width()));
    }
    Ok(())
}

/// What happened in a directory, newest first.
fn history(workbench: &Workbench, directory: &Path) -> Result<Vec<PluginEvent>, Failure> {
    let same = std::path::absolute(directory).ok();
    let page = runtime()?.block_on(async {
        let Some(store) = workbench.existing_store().await? else { return Ok(Vec::new()) };
        let page = store.plugin_history(None, None, LONGEST_PAGE).await?;
        store.close().await;
        Ok::<_, Failure>(page.items)
    })?;
    let of_directory = |event: &PluginEvent| {
        let theirs = event.directory.as_deref().map(Path::new);
        theirs.is_some_and(|theirs| same.as_deref() == Some(theirs) || theirs == directory)
    };
    Ok(page.into_iter().filter(of_directory).collect())
}

fn row(plugin: &Plugin, snapshot: &Snapshot, history: &[PluginEvent]) -> Row {
    let file = plugin.source().path().map(file_name);
    Row {
        id: plugin.id().to_owned(),
        version: plugin.descriptor().version.clone(),
        tier: plugin.tier().to_string(),
        source: match plugin.source() {
            Source::BuiltIn => "built in".to_owned(),
            Source::File(path) => path.display().to_string(),
        },
        digest: format!("sha256:{}", plugin.digest()),
        overrides_built_in: snapshot.overrides_built_in(plugin.id()),
        serving: following(history).into_iter().filter(|serving| serving.plugin == plugin.id()).collect(),
        last_rejection: plugin
            .source()
            .path()
            .and_then(|path| snapshot.rejections().iter().find(|rejection| rejection.path == path))
            .map(now_rejected)
            .or_else(|| file.as_deref().and_then(|file| once_rejected(file, history))),
    }
}

/// What living processes serve, by plugin and process.
fn following(history: &[PluginEvent]) -> Vec<Serving> {
    let mut found: Vec<Serving> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut quarantined = BTreeMap::new();
    for event in history.iter().filter(|event| event.alive) {
        let Some(generation) = event.generation else { continue };
        match event.action.as_str() {
            "quarantined" => {
                quarantined.insert((event.pid, generation), event.message.clone());
            }
            // The newest of each process decides.
            "followed" | "loaded" | "reloaded" | "moved" | "removed" | "built-in-again"
                if seen.insert((event.pid, &event.plugin)) =>
            {
                if matches!(event.action.as_str(), "removed" | "built-in-again") {
                    continue;
                }
                found.push(Serving {
                    pid: event.pid,
                    plugin: event.plugin.clone(),
                    version: event.version.clone(),
                    file: event.file.clone(),
                    generation,
                    digest: format!("sha256:{}", event.sha256.as_deref().unwrap_or_default()),
                    tier: event.tier.clone(),
                    since_ms: event.at_ms,
                    quarantined: quarantined.get(&(event.pid, generation)).cloned(),
                });
            }
            _ => {}
        }
    }
    found.sort_by(|a, b| (&a.plugin, a.pid).cmp(&(&b.plugin, b.pid)));
    found
}

/// A content that is in the file now.
fn now_rejected(rejection: &Rejection) -> Rejected {
    Rejected {
        file: file_name(&rejection.path),
        digest: rejection.digest.map(|digest| format!("sha256:{digest}")),
        at_ms: None,
        reason: rejection.reason.to_string(),
        present: true,
    }
}

/// The last content of a file that a process that followed it rejected.
fn once_rejected(file: &str, history: &[PluginEvent]) -> Option<Rejected> {
    let event =
        history.iter().find(|event| event.action == "rejected" && event.file.as_deref() == Some(file))?;
    Some(Rejected {
        file: file.to_owned(),
        digest: event.sha256.as_ref().map(|digest| format!("sha256:{digest}")),
        at_ms: Some(event.at_ms),
        reason: event.message.clone(),
        present: false,
    })
}

fn text(list: &List, width: usize) -> String {
    let now = now_ms();
    let mut table = Table::new(&["ID", "VERSION", "TIER", "DIGEST", "SOURCE", "GENERATION"]).cut("SOURCE");
    for row in &list.plugins {
        let source = match row.source.as_str() {
            "built in" => row.source.clone(),
            path => file_name(Path::new(path)),
        };
        let source =
            if row.overrides_built_in { format!("{source} (in place of the built-in)") } else { source };
        table.row([
            Cell::styled(visible(&row.id), HEADING),
            visible(&row.version).into(),
            row.tier.clone().into(),
            short(&row.digest).to_owned().into(),
            visible(&source).into(),
            generations(&row.digest, &row.serving).into(),
        ]);
    }
    // What a process goes on with though the file holds something else or is gone.
    for serving in &list.following {
        if list.plugins.iter().any(|row| row.id == serving.plugin) {
            continue;
        }
        table.row([
            Cell::styled(visible(&serving.plugin), HEADING),
            visible(serving.version.as_deref().unwrap_or_default()).into(),
            serving.tier.clone().unwrap_or_default().into(),
            short(&serving.digest).to_owned().into(),
            visible(&format!("{} (as it was)", serving.file.as_deref().unwrap_or_default())).into(),
            generations(&serving.digest, std::slice::from_ref(serving)).into(),
        ]);
    }
    let mut out = table.render(width);
    for quarantine in list.following.iter().filter_map(|serving| serving.quarantined.as_ref()) {
        let _ = writeln!(out, "{WARNING}!{WARNING:#} {}", visible(quarantine));
    }
    for rejection in list.plugins.iter().filter_map(|row| row.last_rejection.as_ref()) {
        if let Some(at_ms) = rejection.at_ms {
            let _ = writeln!(out, "{FAINT}{}: {}{FAINT:#}", ago(now, at_ms), visible(&rejection.reason));
        }
    }
    for rejection in &list.rejected {
        let digest =
            rejection.digest.as_deref().map_or(String::new(), |digest| format!(" {}", short(digest)));
        let _ = writeln!(
            out,
            "{WARNING}rejected{WARNING:#}  {}{digest}: it {}",
            visible(&rejection.file),
            visible(&rejection.reason),
        );
    }
    match &list.directory {
        Some(directory) => {
            let _ =
                writeln!(out, "{FAINT}files are of {}{FAINT:#}", visible(&directory.display().to_string()));
        }
        None => {
            let _ = writeln!(out, "{FAINT}no plugin directory: --plugins DIR names one{FAINT:#}");
        }
    }
    out
}

/// The generations that serve, and whether one is of other content than the file.
fn generations(digest: &str, serving: &[Serving]) -> String {
    let one = |serving: &Serving| {
        let other = if serving.digest == digest { "" } else { ", other content" };
        let quarantined = if serving.quarantined.is_some() { ", quarantined" } else { "" };
        format!("{} in process {}{other}{quarantined}", serving.generation, serving.pid)
    };
    serving.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..DIGITS).unwrap_or(digits)
}
