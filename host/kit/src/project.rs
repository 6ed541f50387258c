//! A plugin's project: `plugin.toml`, which says how it is built and where the result
//! is, and the place of its golden cases.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Advice, Code, Failure};

/// The project file's name.
pub const FILE: &str = "plugin.toml";

/// The folder of golden cases in a project.
pub const CASES: &str = "cases";

/// A project file is a few lines; a larger one is another file.
const MAX_BYTES: u64 = 64 << 10;

/// How many folders above a built file the project may be. Five:
/// `target/TRIPLE/PROFILE/deps/FILE` has four, and one more for a workspace.
const MOST_ABOVE: usize = 5;

/// A command with its arguments, run in the project's folder.
pub type Run = Vec<String>;

/// A plugin's project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its folder.
    pub folder: PathBuf,
    /// What is run once.
    pub setup: Option<Setup>,
    /// What builds it.
    pub build: Vec<Run>,
    /// The plugin file that is built.
    pub output: PathBuf,
    /// The files and folders that it is built from, where it says so.
    pub watch: Option<Vec<PathBuf>>,
}

/// What is run once, before the first build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// What it makes: where this is there, nothing is run.
    pub creates: PathBuf,
    /// The commands.
    pub run: Vec<Run>,
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
    run: Vec<Run>,
    output: PathBuf,
    watch: Option<Vec<PathBuf>>,
}

/// Why a folder is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It has no project file.
    #[error("{} is not a plugin's project: it has no {FILE}", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("{} is larger than {} KiB, which no project file needs", .path.display(), MAX_BYTES >> 10)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not valid.
    #[error("{}: {reason}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
}

impl Project {
    /// Reads the project of a folder.
    ///
    /// # Errors
    /// When it has none, or one that cannot be used.
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
            return Err(invalid("`run` is a list of commands, each with its program and arguments".into()));
        }
        Ok(Self {
            output: folder.join(&file.build.output),
            watch: file.build.watch.map(|paths| paths.iter().map(|path| folder.join(path)).collect()),
            folder: folder.to_owned(),
            setup: file.setup,
            build: file.build.run,
        })
    }

    /// The project that a plugin file was built in, where one is close above it.
    pub fn of_file(file: &Path) -> Option<Self> {
        let file = std::path::absolute(file).ok()?;
        file.ancestors().skip(1).take(MOST_ABOVE).find_map(|folder| Self::open(folder).ok())
    }

    /// Its folder of golden cases.
    pub fn cases(&self) -> PathBuf {
        self.folder.join(CASES)
    }

    /// Whether the setup still has to be run.
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
