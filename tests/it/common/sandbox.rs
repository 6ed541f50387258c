//! A folder of its own for a test, and the program in it.

use super::kept::{self, Folder, KEY};
use super::{said, tunesmith};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tunesmith_emulator::{Emulator, Key, Options};

/// A temporary folder with a store of its own. What the program prints and leaves behind
/// is searched for the key.
pub struct Sandbox {
    folder: Folder,
    variables: BTreeMap<&'static str, String>,
}

impl Sandbox {
    /// With the store in `data`.
    pub fn new() -> Self {
        let mut sandbox = Self { folder: Folder::new(), variables: BTreeMap::new() };
        for (variable, name) in
            [("TUNESMITH_DIRECTORIES_DATA", "data"), ("TUNESMITH_DIRECTORIES_STATE", "state")]
        {
            let path = sandbox.path(name).to_str().unwrap().to_owned();
            sandbox.set(variable, path);
        }
        sandbox
    }

    /// As the home of a user who has configured nothing.
    pub fn home() -> Self {
        let mut sandbox = Self { folder: Folder::new(), variables: BTreeMap::new() };
        let home = sandbox.root().to_str().unwrap().to_owned();
        sandbox.set("HOME", home);
        sandbox
    }

    /// Starts an emulator that asks for the key, and points the program to it.
    pub fn emulator(&mut self, change: impl FnOnce(&mut Options)) -> Emulator {
        let mut options = Options::new(self.path("emulator"));
        options.openai_key = Some(Key::new(KEY));
        change(&mut options);
        let emulator = Emulator::start(options).unwrap();
        self.set("OLLAMA_HOST", &emulator.ollama_url).set("OPENAI_BASE_URL", &emulator.openai_url);
        self.set("OPENAI_API_KEY", KEY);
        emulator
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The data directory of [`Sandbox::new`].
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Sets an environment variable of the program.
    pub fn set(&mut self, variable: &'static str, value: impl Into<String>) -> &mut Self {
        self.variables.insert(variable, value.into());
        self
    }

    pub fn unset(&mut self, variable: &'static str) -> &mut Self {
        self.variables.remove(variable);
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = tunesmith();
        command.envs(&self.variables).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        kept::output(&mut self.command(args))
    }

    /// Runs the program, which must succeed, and returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?} failed:\n{}", said(output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, which must be one JSON value.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Runs the program, and returns its exit code with all that it printed.
    pub fn failure(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?} succeeded");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap() + &said(output.stderr))
    }
}
