//! Lines in, lines out, at the same time: what comes in appears above the line being written.
//!
//! Without a terminal on both sides, lines are read from and written to the pipes as they are.

use std::io::{self, IsTerminal};
use std::sync::mpsc as blocking;
use std::thread;

use anstream::{AutoStream, ColorChoice};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::render::screen;

/// A conversation's two directions.
pub struct Terminal {
    input: Input,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
}

enum Input {
    /// A line editor on a thread of its own, because it blocks. It reads the next line only when it
    /// is asked for, so that the terminal is back to normal whenever nobody asks.
    Editor {
        ask: blocking::Sender<()>,
        answers: mpsc::Receiver<String>,
        asked: bool,
    },
    Pipe(Lines<BufReader<Stdin>>),
}

impl Terminal {
    /// Takes over standard input and output. What is typed stays in memory.
    ///
    /// # Errors
    /// When the terminal does not do what terminals do.
    pub fn open(prompt: String) -> Result<Self, Failure> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            let lines = BufReader::new(tokio::io::stdin()).lines();
            return Ok(Self {
                input: Input::Pipe(lines),
                printer: None,
            });
        }
        let config = Config::builder().auto_add_history(true).build();
        let mut editor: Editor<(), MemHistory> =
            Editor::with_history(config, MemHistory::new()).map_err(|error| broken(&error))?;
        let printer = editor
            .create_external_printer()
            .map_err(|error| broken(&error))?;
        let (ask, asked) = blocking::channel();
        let (answer, answers) = mpsc::channel(1);
        thread::spawn(move || {
            while asked.recv().is_ok() {
                let Ok(line) = editor.readline(&prompt) else {
                    break;
                };
                if answer.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        let input = Input::Editor {
            ask,
            answers,
            asked: false,
        };
        Ok(Self {
            input,
            printer: Some(Box::new(printer)),
        })
    }

    /// Whether a person sits at it.
    #[must_use]
    pub fn has_person(&self) -> bool {
        self.printer.is_some()
    }

    /// The next line, or nothing at the end. May be dropped and called again without losing a line.
    ///
    /// # Errors
    /// When the pipe breaks or does not hold text.
    pub async fn next_line(&mut self) -> Result<Option<String>, Failure> {
        match &mut self.input {
            Input::Editor {
                ask,
                answers,
                asked,
            } => {
                if !*asked && ask.send(()).is_err() {
                    return Ok(None);
                }
                *asked = true;
                let line = answers.recv().await;
                *asked = false;
                Ok(line)
            }
            Input::Pipe(lines) => lines
                .next_line()
                .await
                .map_err(|error| Failure::io("cannot read standard input", &error)),
        }
    }

    /// Prints a line above the one being written.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        let Some(printer) = &mut self.printer else {
            return screen::print(text);
        };
        let line = match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
            ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => text.to_owned(),
        };
        printer.print(line + "\n").map_err(|error| broken(&error))
    }
}

fn broken(error: &ReadlineError) -> Failure {
    let error = io::Error::other(error.to_string());
    Failure::io("cannot use the terminal", &error)
}
