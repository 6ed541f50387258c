//! `tunesmith plugin new`: a project for a new method.

use crate::Output;
use crate::view::style::{FAINT, HEADING};
use serde_json::json;
use std::path::PathBuf;
use tunesmith_core::failure::Failure;
use tunesmith_kit::scaffold::{self, Language};

/// What `plugin new` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The method's id, such as few-shots; the folder bears the same name
    name: String,

    /// The language: rust, js or python
    #[arg(long, default_value = "rust")]
    lang: Language,

    /// Make the project in this folder, which must not exist
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the command.
pub fn run(args: &Args, output: &mut Output) -> Result<(), Failure> {
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = scaffold::create(&folder, &args.name, args.lang)?;
    let next = next(args.lang);
    if args.json {
        let files: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        output
            .json(&json!({ "folder": folder, "language": args.lang.as_str(), "files": files, "next": next }));
        return Ok(());
    }
    let shown = folder.display();
    let mut text = format!("{HEADING}{shown}{HEADING:#} is a working method in {}", title(args.lang));
    text.push_str(&format!(" {FAINT}({} files){FAINT:#}\n\n", files.len()));
    text.push_str(&format!("  cd {shown}\n"));
    for command in next {
        text.push_str(&format!("  {command}\n"));
    }
    text.push_str(&format!(
        "\n{FAINT}`tunesmith plugin dev {shown}` builds, checks and tests it whenever you save{FAINT:#}\n"
    ));
    output.text(&text);
    Ok(())
}

/// What to run in the project's folder, to the first plan.
fn next(language: Language) -> [&'static str; 2] {
    match language {
        Language::Rust => {
            ["cargo build", "tunesmith plan job.json --plugins target/wasm32-unknown-unknown/debug"]
        }
        Language::JavaScript => ["npm ci && npm run build", "tunesmith plan job.json --plugins dist"],
        Language::Python => [
            "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && sh build.sh",
            "tunesmith plan job.json --plugins dist",
        ],
    }
}

fn title(language: Language) -> &'static str {
    match language {
        Language::Rust => "Rust",
        Language::JavaScript => "JavaScript",
        Language::Python => "Python",
    }
}
