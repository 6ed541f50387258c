//! Where output goes: results to stdout, progress and errors to stderr. Nothing else
//! in the program prints.

use crate::view::advice;
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING};
use anstream::AutoStream;
use clap::ColorChoice;
use std::io::{self, IsTerminal, Write};
use tunesmith_core::failure::{Code, Failure};

/// The columns of a line where nothing says how many there are.
const USUAL_WIDTH: usize = 100;

/// The process's output streams, with colour where it is wanted.
pub struct Output {
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
    choice: anstream::ColorChoice,
    failed: Option<io::Error>,
}

/// Says what is going on, on stderr.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    choice: anstream::ColorChoice,
}

impl Progress {
    /// Says one line.
    pub fn say(self, text: &str) {
        let mut stderr = stream(io::stderr(), self.choice);
        // Progress that cannot be shown must not stop the work.
        let _ = writeln!(stderr, "{FAINT}{text}{FAINT:#}");
    }

    /// Says one line that has its own styles.
    pub fn raw(self, text: &str) {
        let _ = writeln!(stream(io::stderr(), self.choice), "{text}");
    }

    /// Asks; the answer comes on the same line.
    pub fn question(self, text: &str) {
        let mut stderr = stream(io::stderr(), self.choice);
        let _ = write!(stderr, "{HEADING}{text}{HEADING:#}").and_then(|()| stderr.flush());
    }
}

/// Writes JSON objects to stdout, one a line, from any thread.
#[derive(Debug, Clone, Copy)]
pub struct JsonLines;

impl JsonLines {
    /// Writes one.
    pub fn write(self, value: &impl serde::Serialize) {
        let Ok(mut line) = serde_json::to_string(value) else { return };
        line.push('\n');
        let mut stdout = io::stdout().lock();
        // A reader that went away must not stop the work.
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    }
}

fn stream<S: anstream::stream::RawStream>(raw: S, choice: anstream::ColorChoice) -> AutoStream<S> {
    match choice {
        anstream::ColorChoice::Auto => AutoStream::auto(raw),
        choice => AutoStream::new(raw, choice),
    }
}

impl Output {
    /// Streams that colour as `--color` says; `auto` respects NO_COLOR and pipes.
    pub fn new(color: ColorChoice) -> Self {
        let choice = match color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        Self {
            stdout: stream(io::stdout(), choice),
            stderr: stream(io::stderr(), choice),
            choice,
            failed: None,
        }
    }

    /// Whether stderr shows colors.
    pub fn colors_errors(&self) -> bool {
        self.stderr.current_choice() != anstream::ColorChoice::Never
    }

    /// Writes part of the result.
    pub fn text(&mut self, text: &str) {
        if self.failed.is_none()
            && let Err(error) = self.stdout.write_all(text.as_bytes())
        {
            self.failed = Some(error);
        }
    }

    /// Writes one JSON value on a line of its own, indented when a person looks.
    pub fn json(&mut self, value: &impl serde::Serialize) {
        let pretty = io::stdout().is_terminal();
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        match text {
            Ok(text) => self.text(&format!("{text}\n")),
            Err(error) => self.failed = Some(error.into()),
        }
    }

    /// Whether a person reads standard output.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// How many columns a line of standard output has: the terminal's, or what COLUMNS
    /// says, or 100.
    pub fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let terminal =
            || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        columns.or_else(terminal).filter(|columns| *columns > 0).unwrap_or(USUAL_WIDTH)
    }

    /// Whether more than ASCII can be shown: the locale is UTF-8, or says nothing while
    /// nobody looks.
    pub fn unicode(&self) -> bool {
        let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        match set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")) {
            Some(locale) => locale.to_ascii_lowercase().replace('-', "").contains("utf8"),
            None => !self.is_terminal(),
        }
    }

    /// Writes out what there is so far, where a person waits for it.
    pub fn flush(&mut self) {
        if let Err(error) = self.stdout.flush() {
            self.failed.get_or_insert(error);
        }
    }

    /// Whether the reader went away, so that further output is of no use.
    pub fn is_closed(&self) -> bool {
        self.failed.is_some()
    }

    /// Writes one JSON value on one line, whoever looks: the next of several.
    pub fn json_line(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.text(&format!("{text}\n")),
            Err(error) => self.failed = Some(error.into()),
        }
        self.flush();
    }

    /// For saying what is going on, on stderr, from any thread.
    pub fn progress_handle(&self) -> Progress {
        Progress { choice: self.choice }
    }

    /// Warns on stderr.
    pub fn warning(&mut self, text: &str) {
        // As with progress.
        let _ = writeln!(self.stderr, "{WARNING}warning{WARNING:#}: {text}");
    }

    /// Flushes, and reports the first write that failed. A reader that went away
    /// (`tunesmith … | head`) is no failure.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let flushed = self.stdout.flush();
        match self.failed.take().or(flushed.err()) {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Code::Failed, format!("cannot write the output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Shows an error: for people on stderr; for programs also on stdout as an object.
    pub fn error(&mut self, error: &Failure, json: bool) {
        if error.is_silent() {
            return;
        }
        if json {
            self.json(&serde_json::json!({ "error": advice::json(error) }));
            let _ = self.stdout.flush();
        }
        let _ = writeln!(self.stderr, "{ERROR}error{ERROR:#}: {}", error.message);
        for hint in advice::hints(error) {
            let _ = writeln!(self.stderr, "  {HINT}hint{HINT:#}: {hint}");
        }
    }
}
