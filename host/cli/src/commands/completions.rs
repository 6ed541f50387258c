//! `tunesmith completions`: what a shell needs to complete commands and options.

use crate::Output;
use clap_complete::Shell;

/// Options of the command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bash  tunesmith completions bash > ~/.local/share/bash-completion/completions/tunesmith
  zsh   tunesmith completions zsh > ~/.zfunc/_tunesmith    (with ~/.zfunc in fpath)
  fish  tunesmith completions fish > ~/.config/fish/completions/tunesmith.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args, command: &mut clap::Command, output: &mut Output) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "tunesmith", &mut script);
    output.text(&String::from_utf8_lossy(&script));
}
