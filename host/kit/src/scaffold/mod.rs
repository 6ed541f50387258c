//! Creates a project for a new plugin: completely or not at all.

mod templates;
pub mod vendored;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tunesmith_core::failure::{Advice, Code, Failure};

/// Characters of a method's id, as the host accepts them.
const LONGEST_ID: usize = 40;

/// A language to write a plugin in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Small and fast, with the SDK.
    Rust,
    /// JavaScript on QuickJS.
    JavaScript,
    /// A whole CPython.
    Python,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::Rust, Self::JavaScript, Self::Python];

    /// The stable name, as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "js",
            Self::Python => "python",
        }
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "rust" | "rs" => Ok(Self::Rust),
            "js" | "javascript" => Ok(Self::JavaScript),
            "python" | "py" => Ok(Self::Python),
            _ => {
                Err("unknown language; expected rust, js or python (other languages work with wit/ alone)"
                    .into())
            }
        }
    }
}

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFile {
    /// Its path in the project.
    pub path: String,
    pub content: String,
}

/// Why no project was created.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name cannot be a method's id.
    #[error(
        "invalid method id {name:?}: expected at most {LONGEST_ID} lowercase letters, digits and hyphens, starting with a letter"
    )]
    Name { name: String, near: Option<String> },
    /// The name is already in use.
    #[error("the name {name:?} is taken: {by}")]
    Taken { name: String, by: String },
    /// The folder already exists.
    #[error("{} already exists", .folder.display())]
    Exists { folder: PathBuf },
    /// A file could not be written.
    #[error("cannot create project {}: {source}", .folder.display())]
    Write { folder: PathBuf, source: io::Error },
}

/// The files of a project.
///
/// # Errors
/// The name is not a valid method id.
pub fn files(name: &str, language: Language) -> Result<Vec<ProjectFile>, ScaffoldError> {
    check_name(name, language)?;
    let fill = |text: &str| {
        text.replace("MyMethod", &camel(name))
            .replace("My Method", &title(name))
            .replace("my_method", &name.replace('-', "_"))
            .replace("my-method", name)
    };
    let mut files: Vec<ProjectFile> = templates::of(language)
        .map(|(path, content)| ProjectFile { path: path.to_owned(), content: fill(content) })
        .collect();
    let contract = if language == Language::Rust { "wit" } else { "wit/deps/tunesmith-method" };
    let vendored = |folder: &str, list: &[(&str, &str)]| -> Vec<ProjectFile> {
        list.iter()
            .map(|(path, content)| ProjectFile {
                path: format!("{folder}/{path}"),
                content: (*content).to_owned(),
            })
            .collect()
    };
    files.extend(vendored(contract, vendored::CONTRACT));
    if language == Language::Rust {
        files.extend(vendored("sdk", vendored::SDK));
        files.extend(vendored("sdk", vendored::LICENSES));
        files.push(ProjectFile { path: "sdk/Cargo.toml".into(), content: vendored::sdk_manifest() });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Makes a project in a folder that does not exist yet. It is written beside that and
/// takes its name when it is whole.
///
/// # Errors
/// When the name cannot be a method's id, the folder exists, or writing fails; then
/// nothing is left behind.
pub fn create(folder: &Path, name: &str, language: Language) -> Result<Vec<ProjectFile>, ScaffoldError> {
    let files = files(name, language)?;
    let failed = |source: io::Error| ScaffoldError::Write { folder: folder.to_owned(), source };
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Claims the name: if two processes create the same one, one fails here.
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ScaffoldError::Exists { folder: folder.to_owned() },
        _ => failed(error),
    })?;
    let made = tempfile::Builder::new().prefix(".tunesmith-").tempdir_in(parent).and_then(|draft| {
        write_all(draft.path(), &files)?;
        // A rename may replace an empty folder, but no other.
        fs::rename(draft.path(), folder)
    });
    match made {
        Ok(()) => Ok(files),
        Err(error) => {
            // Still empty, unless somebody else added a file, which then stays.
            let _ = fs::remove_dir(folder);
            Err(failed(error))
        }
    }
}

fn write_all(folder: &Path, files: &[ProjectFile]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, &file.content)?;
    }
    // A temporary folder is private; a project follows the umask, like the folders
    // inside it.
    let usual = fs::metadata(folder.join("wit"))?.permissions().mode() & 0o777;
    fs::set_permissions(folder, fs::Permissions::from_mode(usual))
}

fn check_name(name: &str, language: Language) -> Result<(), ScaffoldError> {
    if !is_id(name) {
        let near: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let near: Vec<&str> = near.split('-').filter(|part| !part.is_empty()).collect();
        let near = near.join("-");
        let near = near.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        return Err(ScaffoldError::Name {
            name: name.to_owned(),
            near: is_id(near).then(|| near.to_owned()),
        });
    }
    let taken = |by: &str| Err(ScaffoldError::Taken { name: name.to_owned(), by: by.to_owned() });
    if tunesmith_builtin::METHODS.iter().any(|method| method.id == name) {
        return taken("it is a built-in method, and the plugin would be rejected");
    }
    if language == Language::Rust && CRATES.contains(&name) {
        return taken("it cannot be the name of a Rust crate");
    }
    Ok(())
}

/// Names that a library crate cannot have: keywords and standard crates.
const CRATES: [&str; 46] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "static",
    "std",
    "struct",
    "test",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
    "while",
];

fn is_id(name: &str) -> bool {
    name.len() <= LONGEST_ID
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn words(name: &str) -> impl Iterator<Item = String> {
    name.split('-').filter(|word| !word.is_empty()).map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_ascii_uppercase())
    })
}

fn camel(name: &str) -> String {
    words(name).collect()
}

fn title(name: &str) -> String {
    words(name).collect::<Vec<_>>().join(" ")
}

impl ScaffoldError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Name { .. } | Self::Taken { .. } => Code::NameInvalid,
            Self::Exists { .. } => Code::OutputExists,
            Self::Write { .. } => Code::OutputFailed,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Name { near: Some(near), .. } => Some(format!("{near:?} would do").into()),
            Self::Name { near: None, .. } | Self::Taken { .. } => Some("choose another name".into()),
            Self::Exists { .. } => Some(Advice::OtherFolder),
            Self::Write { .. } => None,
        }
    }
}

impl From<ScaffoldError> for Failure {
    fn from(error: ScaffoldError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
