//! What the person at the terminal gets to see while something plays.
//!
//! Without `--json` the story goes to standard output; with it, standard output is left to the one line
//! of results and the story goes to standard error. Progress always goes to standard error, and only
//! to a terminal.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Tells the story.
#[derive(Clone, Copy, Debug)]
pub enum Narrator {
    /// To people.
    Text,
    /// Beside a result for scripts.
    Json,
}

impl Narrator {
    /// For scripts or for people.
    #[must_use]
    pub fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// A new part of the story.
    pub fn act(self, title: &str) {
        self.tell(&format!("\n▸ {title}"));
    }

    /// What happens in it.
    pub fn line(self, text: &str) {
        for line in text.lines() {
            self.tell(&format!("  {line}"));
        }
    }

    /// The result, one line of JSON for scripts.
    pub fn result(self, result: &impl Serialize, text: &str) {
        match self {
            Self::Text => self.tell(&format!("\n{text}")),
            Self::Json => {
                let line = serde_json::to_string(result).expect("results are plain structs");
                write(&mut io::stdout(), &line);
            }
        }
    }

    /// Shows that something of unknown length is being done, until the returned bar is dropped.
    #[must_use]
    pub fn busy(self, text: &str) -> Busy {
        let bar = ProgressBar::new_spinner().with_message(text.to_owned());
        bar.enable_steady_tick(TICK);
        Busy(bar)
    }

    /// Shows how far something of known length has come.
    #[must_use]
    pub fn progress(self, text: &str, length: usize) -> Busy {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}")
            .expect("the template is well-formed");
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let bar = ProgressBar::new(length)
            .with_style(style)
            .with_message(text.to_owned());
        Busy(bar)
    }

    fn tell(self, text: &str) {
        match self {
            Self::Text => write(&mut io::stdout(), text),
            Self::Json => write(&mut io::stderr(), text),
        }
    }
}

/// Something that is being done; the sign of it goes away with this.
#[derive(Debug)]
pub struct Busy(ProgressBar);

impl Busy {
    /// One more step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// Says what is done now.
    pub fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A story that nobody listens to any more is not told: the play goes on to its end.
fn write(out: &mut impl Write, text: &str) {
    let _: io::Result<()> = writeln!(out, "{text}").and_then(|()| out.flush());
}
