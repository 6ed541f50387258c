//! `tunesmith methods`: which methods there are, and what each can be told.

use crate::view::settings::{range, settings_table};
use crate::view::style::{FAINT, HEADING, WARNING};
use crate::{Output, Workbench, registry};
use serde_json::json;
use std::fmt::Write;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::Failure;
use tunesmith_core::text::visible;
use tunesmith_engine::workbench::find;
use tunesmith_plugin_host::{Plugin, Source};
use tunesmith_provider::facts;
use tunesmith_provider::settings::{COMMON, Use};

/// What to show.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the methods
    List(ListArgs),
    /// Show a method: its settings, documentation, tier, digest and size
    Show(ShowArgs),
}

/// Options of `methods list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    registry: registry::PluginArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `methods show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The method's id
    method: String,
    #[command(flatten)]
    registry: registry::PluginArgs,
    /// Print one JSON object, with the JSON Schema of the settings
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
        }
    }
}

/// Runs the command.
pub fn run(command: &Command, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(args, workbench, output),
        Command::Show(args) => show(args, workbench, output),
    }
}

fn list(args: &ListArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let registry = args.registry.load(workbench, output)?;
    let snapshot = registry.snapshot();
    if args.json {
        let methods: Vec<_> = snapshot.methods().map(|plugin| facts(plugin)).collect();
        let rejected: Vec<_> = snapshot
            .rejections()
            .iter()
            .map(|rejection| json!({ "file": rejection.path, "reason": rejection.reason.to_string() }))
            .collect();
        output.json(&json!({ "methods": methods, "rejected": rejected }));
        return Ok(());
    }
    let width = snapshot.methods().map(|plugin| plugin.descriptor().id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for plugin in snapshot.methods() {
        let _ = writeln!(
            text,
            "{HEADING}{:width$}{HEADING:#}  {}  {FAINT}{} · {}{FAINT:#}",
            plugin.descriptor().id,
            visible(&plugin.descriptor().summary),
            source(plugin),
            providers(plugin).join(", "),
        );
    }
    for rejection in snapshot.rejections() {
        let _ = writeln!(
            text,
            "{WARNING}rejected{WARNING:#}  {}: {}",
            visible(&rejection.path.display().to_string()),
            visible(&rejection.reason.to_string()),
        );
    }
    output.text(&text);
    Ok(())
}

fn show(args: &ShowArgs, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let registry = args.registry.load(workbench, output)?;
    let snapshot = registry.snapshot();
    let plugin = find(&snapshot, &args.method)?;
    if args.json {
        let mut facts = facts(plugin);
        if let Some(object) = facts.as_object_mut() {
            object.insert("docs".into(), plugin.descriptor().docs.clone().into());
            object.insert("schema".into(), tunesmith_engine::schema::method(plugin.descriptor()));
        }
        output.json(&facts);
        return Ok(());
    }
    let mut text = String::new();
    let descriptor = plugin.descriptor();
    let _ = writeln!(text, "{HEADING}{}{HEADING:#}: {}", descriptor.id, visible(&descriptor.title));
    let _ = writeln!(text, "{}\n", visible(&descriptor.summary));
    for (name, value) in [
        ("version", descriptor.version.clone()),
        ("source", source(plugin)),
        ("providers", providers(plugin).join(", ")),
        ("tier", plugin.tier().to_string()),
        ("contract", plugin.contract().to_owned()),
        ("digest", format!("sha256:{}", plugin.digest())),
        ("size", format!("{} bytes", crate::view::style::grouped(plugin.size()))),
    ] {
        let _ = writeln!(text, "  {FAINT}{name:9}{FAINT:#}  {}", visible(&value));
    }
    let _ = writeln!(text, "\n{HEADING}Settings{HEADING:#}");
    if descriptor.settings.is_empty() {
        let _ = writeln!(text, "  none of its own");
    }
    settings_table(&mut text, &descriptor.settings);
    let _ = writeln!(text, "\n{HEADING}Common settings{HEADING:#} {FAINT}(every method){FAINT:#}");
    for common in &COMMON {
        let _ = writeln!(text, "  {:24}  {}", common.name, range(&common.accepts.kind()));
        let _ = writeln!(text, "  {:24}  {FAINT}{}{FAINT:#}", "", common.doc);
        for provider in ProviderId::ALL {
            if let Use::Mapped(to) = common.on(provider) {
                let _ = writeln!(text, "  {:24}  {FAINT}{provider}: {to}{FAINT:#}", "");
            }
        }
    }
    if !descriptor.docs.trim().is_empty() {
        let _ = writeln!(text, "\n{}", tunesmith_core::text::visible_lines(descriptor.docs.trim()));
    }
    output.text(&text);
    Ok(())
}

/// Where a method comes from, in words.
fn source(plugin: &Plugin) -> String {
    match plugin.source() {
        Source::BuiltIn => "built in".to_owned(),
        Source::File(path) => path.display().to_string(),
    }
}

/// The providers that a method supports.
fn providers(plugin: &Plugin) -> Vec<String> {
    ProviderId::ALL
        .into_iter()
        .filter(|provider| plugin.can(facts::of(*provider).ability))
        .map(|provider| provider.to_string())
        .collect()
}

fn facts(plugin: &Plugin) -> serde_json::Value {
    let descriptor = plugin.descriptor();
    json!({
        "id": descriptor.id,
        "version": descriptor.version,
        "title": descriptor.title,
        "summary": descriptor.summary,
        "providers": providers(plugin),
        "source": source(plugin),
        "tier": plugin.tier().to_string(),
        "contract": plugin.contract(),
        "digest": format!("sha256:{}", plugin.digest()),
        "size": plugin.size(),
    })
}
