//! The `tunesmith` program.

use std::process::ExitCode;
use tunesmith_plugin_host::worker;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == worker::ARGUMENT).is_some() {
        return worker::main(arguments.map(|argument| argument.to_string_lossy().into_owned()));
    }
    tunesmith::main()
}
