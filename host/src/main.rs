//! The `tunesmith` program.

use std::process::ExitCode;
use tunesmith::plugin::worker;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == worker::ARGUMENT).is_some() {
        return worker::main(arguments);
    }
    ExitCode::SUCCESS
}
