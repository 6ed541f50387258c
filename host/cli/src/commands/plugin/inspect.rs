//! `tunesmith plugin inspect`: what a plugin is, offers and may reach.

use super::file::{self, FileArgs};
use crate::view::advice;
use crate::view::settings::settings_table;
use crate::view::style::{FAINT, HEADING, WARNING, grouped};
use crate::{Output, Workbench};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tunesmith_core::failure::{Failure, Kind};
use tunesmith_core::text::{visible, visible_lines};
use tunesmith_plugin_host::{Inspection, Plugin, Rejection};

/// What `plugin inspect` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 it works here · 5 the host would reject it")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the command.
pub fn run(args: &Args, workbench: &Workbench, output: &mut Output) -> Result<(), Failure> {
    let located = args.file.locate()?;
    let loader = file::loader(workbench, output)?;
    let inspection = tunesmith_plugin_host::inspect(&located.path, loader.limits())?;
    let loaded = loader.load(&located.path);
    if args.json {
        output.json(&as_json(&inspection, loaded.as_ref().map_err(|rejection| &**rejection)));
    } else {
        output.text(&text(
            &file::shown(&located.path),
            &inspection,
            loaded.as_ref().map_err(|rejection| &**rejection),
        ));
    }
    match loaded {
        Ok(_) => Ok(()),
        Err(_) if args.json => Err(Failure::silent(Kind::Plugin)),
        Err(rejection) => Err(rejection.into()),
    }
}

fn as_json(inspection: &Inspection, loaded: Result<&Plugin, &Rejection>) -> Value {
    let mut value = serde_json::to_value(inspection).unwrap_or_default();
    let Some(object) = value.as_object_mut() else { return value };
    object.insert("imports".into(), json!(tunesmith_kit::imports(&inspection.imports)));
    object.insert("exports".into(), json!(tunesmith_kit::exports(&inspection.exports)));
    match loaded {
        Ok(plugin) => {
            object.insert("method".into(), json!(plugin.descriptor()));
            object.insert("schema".into(), tunesmith_engine::schema::method(plugin.descriptor()));
            object.insert("abilities".into(), json!(plugin.abilities()));
            object.insert("tier".into(), json!(plugin.tier().to_string()));
            object.insert("contract".into(), json!(plugin.contract()));
        }
        Err(rejection) => {
            let reason = &rejection.reason;
            let rejected = json!({ "rule": reason.rule(), "reason": reason.to_string(), "fix": reason.advice().as_ref().map(advice::words) });
            object.insert("rejected".into(), rejected);
        }
    }
    value
}

fn text(path: &str, inspection: &Inspection, loaded: Result<&Plugin, &Rejection>) -> String {
    let mut text = String::new();
    match loaded {
        Ok(plugin) => {
            let method = plugin.descriptor();
            let _ = writeln!(text, "{HEADING}{}{HEADING:#}: {}", method.id, visible(&method.title));
            let _ = writeln!(text, "{}\n", visible(&method.summary));
        }
        Err(rejection) => {
            let _ = writeln!(text, "{HEADING}{path}{HEADING:#} {WARNING}would be rejected{WARNING:#}");
            let _ = writeln!(text, "{}\n", visible_lines(&rejection.reason.to_string()));
        }
    }
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(text, "  {FAINT}{name:9}{FAINT:#}  {}", visible(value));
    };
    if let Ok(plugin) = loaded {
        fact("version", &plugin.descriptor().version);
        fact("tier", &plugin.tier().to_string());
        fact("contract", plugin.contract());
    }
    fact("file", path);
    fact("digest", &format!("sha256:{}", inspection.sha256));
    fact("size", &format!("{} bytes, a {}", grouped(inspection.size), inspection.form));
    let producers = inspection.producers.iter().map(|producer| {
        let version = producer.version.split(" (").next().unwrap_or_default();
        format!("{} {version}", producer.name).trim().to_owned()
    });
    let producers: Vec<String> = producers.collect();
    let made_with = producers.join(", ");
    fact("made with", if made_with.is_empty() { "it does not say" } else { &made_with });
    let _ = writeln!(text, "\n{HEADING}Exports{HEADING:#}");
    for export in tunesmith_kit::exports(&inspection.exports) {
        let doc = export.doc.as_deref().unwrap_or("not part of the contract; tolerated");
        let _ = writeln!(text, "  {}\n  {FAINT}  {}{FAINT:#}", visible(&export.name), visible(doc));
        for function in export.functions {
            let _ = writeln!(text, "    {}  {FAINT}{}{FAINT:#}", function.name, visible(&function.doc));
        }
    }
    let _ = writeln!(text, "\n{HEADING}Imports{HEADING:#}");
    if inspection.imports.is_empty() {
        let _ = writeln!(text, "  none");
    }
    for import in tunesmith_kit::imports(&inspection.imports) {
        let _ = writeln!(text, "  {}\n  {FAINT}  {}{FAINT:#}", visible(&import.name), import.meaning);
    }
    if let Ok(plugin) = loaded {
        let method = plugin.descriptor();
        let _ = writeln!(text, "\n{HEADING}Settings{HEADING:#}");
        if method.settings.is_empty() {
            let _ = writeln!(text, "  none of its own");
        }
        settings_table(&mut text, &method.settings);
        if !method.docs.trim().is_empty() {
            let _ = writeln!(text, "\n{}", visible_lines(method.docs.trim()));
        }
    }
    text
}
