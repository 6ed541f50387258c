//! The plugin file that a command is about: given itself, or by its project's folder.

use crate::{Output, Workbench, registry};
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::text::{grouped, visible};
use tunesmith_kit::Project;
use tunesmith_plugin_host::{Loader, Receipt};

/// Which plugin.
#[derive(Debug, clap::Args)]
pub struct FileArgs {
    /// The plugin file (.wasm), or the folder of its project once it is built
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    file: PathBuf,
}

/// A plugin file and the project that it belongs to.
pub struct Located {
    /// The file.
    pub path: PathBuf,
    /// Its project, where there is one.
    pub project: Option<Project>,
}

impl FileArgs {
    /// Finds the file.
    pub fn locate(&self) -> Result<Located, Failure> {
        if !self.file.is_dir() {
            return Ok(Located { path: self.file.clone(), project: Project::of_file(&self.file) });
        }
        let project = Project::open(&self.file)?;
        if !project.output.exists() {
            let message = format!("the project is not built: {} is not there", project.output.display());
            return Err(Failure::new(Code::Invalid, message).advise(format!(
                "`tunesmith plugin dev --once {}` builds, checks and tests it",
                self.file.display()
            )));
        }
        Ok(Located { path: project.output.clone(), project: Some(project) })
    }
}

/// What loads plugin files.
pub fn loader(workbench: &Workbench, output: &Output) -> Result<Loader, Failure> {
    Ok(Loader::new(registry::PluginArgs::default().options(workbench, output)?)?)
}

/// A path, safe to print.
pub fn shown(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

/// What a call cost, on one line.
pub fn cost(receipt: &Receipt) -> String {
    let measured = &receipt.measured;
    let memory = measured.peak_memory as f64 / f64::from(1 << 20);
    let wall = measured.wall.as_secs_f64() * 1000.0;
    match receipt.fuel {
        Some(fuel) => format!("fuel {} · {memory:.1} MiB · {wall:.1} ms", grouped(fuel.into())),
        None => format!("{memory:.1} MiB · {wall:.1} ms"),
    }
}
