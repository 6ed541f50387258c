//! A plugin's project: `plugin.toml`, which describes how it is built, and its folder of
//! golden cases.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Advice, Code, Failure};

/// The project file's name.
pub const FILE: &str = "plugin.toml";

/// The folder of golden cases in a project.
pub const CASES: &str = "cases";

/// A project file has a few lines; a larger file is something else.
const MAX_BYTES: u64 = 64 << 10;

/// How many folders above a built file the project may be. Five:
/// `target/TRIPLE/PROFILE/deps/FILE` has four, and one more for a workspace.
const MOST_ABOVE: usize = 5;

/// A command with its arguments, run in the project's folder.
pub type CommandLine = Vec<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub folder: PathBuf,
    /// The commands that run once.
    pub setup: Option<Setup>,
    pub build: Vec<CommandLine>,
    /// The built plugin file.
    pub output: PathBuf,
    /// The files and folders it is built from, if listed.
    pub watch: Option<Vec<PathBuf>>,
}

/// Commands that run once, before the first build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// A file or folder that they create; if it exists, nothing runs.
    pub creates: PathBuf,
    pub run: Vec<CommandLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    setup: Option<Setup>,
    build: Build,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    run: Vec<CommandLine>,
    output: PathBuf,
    watch: Option<Vec<PathBuf>>,
}

/// Why a folder is not a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The project file is missing.
    #[error("{} is not a plugin project: missing {FILE}", .folder.display())]
    Missing { folder: PathBuf },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is too large.
    #[error("{} is larger than {} KiB", .path.display(), MAX_BYTES >> 10)]
    TooLarge { path: PathBuf },
    /// The file is not valid.
    #[error("{}: {reason}", .path.display())]
    Invalid {
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
}

impl Project {
    /// Reads the project of a folder.
    ///
    /// # Errors
    /// It has none, or an invalid one.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let path = folder.join(FILE);
        let read = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => ProjectError::Missing { folder: folder.to_owned() },
            _ => ProjectError::Read { path: path.clone(), source },
        };
        let size = std::fs::metadata(&path).map_err(read)?.len();
        if size > MAX_BYTES {
            return Err(ProjectError::TooLarge { path });
        }
        let text = std::fs::read_to_string(&path).map_err(read)?;
        let invalid = |reason: String| ProjectError::Invalid { path: path.clone(), reason };
        let file: File = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let commands = file.build.run.iter().chain(file.setup.iter().flat_map(|setup| &setup.run));
        if file.build.run.is_empty() || commands.into_iter().any(Vec::is_empty) {
            return Err(invalid(
                "\"run\" must be a list of commands, each a list of program and arguments".into(),
            ));
        }
        Ok(Self {
            output: folder.join(&file.build.output),
            watch: file.build.watch.map(|paths| paths.iter().map(|path| folder.join(path)).collect()),
            folder: folder.to_owned(),
            setup: file.setup,
            build: file.build.run,
        })
    }

    /// The project that a plugin file was built in, if one is close above it.
    pub fn of_file(file: &Path) -> Option<Self> {
        let file = std::path::absolute(file).ok()?;
        file.ancestors().skip(1).take(MOST_ABOVE).find_map(|folder| Self::open(folder).ok())
    }

    /// Its folder of golden cases.
    pub fn cases(&self) -> PathBuf {
        self.folder.join(CASES)
    }

    /// The setup, if it must still run.
    pub fn needs_setup(&self) -> Option<&Setup> {
        self.setup.as_ref().filter(|setup| !self.folder.join(&setup.creates).exists())
    }
}

impl ProjectError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::ProjectMissing,
            Self::Read { .. } | Self::TooLarge { .. } | Self::Invalid { .. } => Code::ProjectInvalid,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Missing { .. } => Some(Advice::GiveProject),
            Self::Read { .. } | Self::TooLarge { .. } => None,
            Self::Invalid { .. } => Some(
                "docs/plugins.md shows a whole plugin.toml; it has [build] with `run` and `output`".into(),
            ),
        }
    }
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn project(text: &str) -> Result<Project, ProjectError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        Project::open(folder.path())
    }

    #[test]
    fn a_project_says_how_it_is_built() {
        let made = project(
            "[setup]\ncreates = \"node_modules\"\nrun = [[\"npm\", \"ci\"]]\n\
             [build]\nrun = [[\"npm\", \"run\", \"build\"]]\noutput = \"dist/x.wasm\"\n",
        )
        .unwrap();
        assert!(made.output.ends_with("dist/x.wasm"));
        assert!(made.needs_setup().is_some());
    }

    #[test]
    fn what_is_wrong_with_a_project_is_said() {
        for (text, wrong) in [
            ("", "missing field `build`"),
            ("[build]\nrun = []\noutput = \"x\"", "a list of commands"),
            ("[build]\nrun = [[]]\noutput = \"x\"", "a list of commands"),
            ("[build]\nrun = [[\"a\"]]\noutput = \"x\"\nspeed = 1", "unknown field `speed`"),
        ] {
            let error = project(text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
        let nothing = Project::open(Path::new("no/such/folder")).unwrap_err();
        assert!(matches!(nothing, ProjectError::Missing { .. }));
    }

    #[test]
    fn a_built_file_knows_its_project() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "[build]\nrun = [[\"true\"]]\noutput = \"x.wasm\"").unwrap();
        let built = folder.path().join("target/wasm32-unknown-unknown/debug/x.wasm");
        assert_eq!(Project::of_file(&built).unwrap().folder, std::path::absolute(folder.path()).unwrap());
        assert!(Project::of_file(&folder.path().join("a/b/c/d/e/x.wasm")).is_none());
    }
}
