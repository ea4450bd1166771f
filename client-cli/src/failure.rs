//! How a command fails: one exit code, one stable code for scripts, one sentence for people.

use std::io;
use std::process::ExitCode;

use entente_sdk::{Error, ErrorClass};
use serde::Serialize;

/// Whose turn it is after a failure; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A bug or a broken disk.
    Internal = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No such profile, or its vault cannot be opened.
    Profile = 3,
    /// Not reachable, or it took too long.
    Unreachable = 4,
    /// A server said no.
    Refused = 5,
    /// No such room, person or invitation, or not a member.
    NotFound = 6,
    /// Something does not add up.
    Integrity = 7,
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Something to tell.
    Told(Told),
    /// Whoever read the output stopped reading: nobody is left to be told.
    NobodyReads,
}

/// A failure with all that is told about it.
#[derive(Debug)]
pub struct Told {
    exit: Exit,
    code: String,
    message: String,
    retry: bool,
    retry_after_ms: Option<u32>,
}

/// A failure as JSON.
#[derive(Serialize)]
struct Report<'a> {
    error: ReportBody<'a>,
}

#[derive(Serialize)]
struct ReportBody<'a> {
    code: &'a str,
    message: &'a str,
    retry: bool,
    retry_after_ms: Option<u32>,
}

impl Exit {
    /// The stable code for scripts, where no server gave a more precise one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Profile => "profile",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NotFound => "not-found",
            Self::Integrity => "integrity",
        }
    }
}

impl Failure {
    /// A failure that no server had a part in.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Told(Told {
            exit,
            code: exit.name().to_owned(),
            message: message.into(),
            retry: exit == Exit::Unreachable,
            retry_after_ms: None,
        })
    }

    /// A failure of the machine's own.
    #[must_use]
    pub fn io(what: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::NobodyReads;
        }
        Self::new(Exit::Internal, format!("{what}: {error}"))
    }

    /// The same failure with one more sentence for people.
    #[must_use]
    pub fn adding(self, sentence: &str) -> Self {
        match self {
            Self::Told(told) => Self::Told(Told {
                message: format!("{}. {sentence}", told.message.trim_end_matches('.')),
                ..told
            }),
            Self::NobodyReads => Self::NobodyReads,
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Told(told) => ExitCode::from(told.exit as u8),
            Self::NobodyReads => ExitCode::SUCCESS,
        }
    }

    /// What is told, if there is anything to tell.
    #[must_use]
    pub fn told(&self) -> Option<&Told> {
        match self {
            Self::Told(told) => Some(told),
            Self::NobodyReads => None,
        }
    }
}

impl Told {
    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The report for scripts.
    #[must_use]
    pub fn report(&self) -> impl Serialize {
        Report {
            error: ReportBody {
                code: &self.code,
                message: &self.message,
                retry: self.retry,
                retry_after_ms: self.retry_after_ms,
            },
        }
    }
}

impl From<ErrorClass> for Exit {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Internal => Self::Internal,
            ErrorClass::Usage => Self::Usage,
            ErrorClass::Profile => Self::Profile,
            ErrorClass::Unreachable => Self::Unreachable,
            ErrorClass::Refused => Self::Refused,
            ErrorClass::NotMember => Self::NotFound,
            ErrorClass::Integrity => Self::Integrity,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = Exit::from(error.class());
        let fault = error.fault();
        Self::Told(Told {
            exit,
            code: fault
                .map_or(exit.name(), |fault| fault.code.as_str())
                .to_owned(),
            message: error.to_string(),
            retry: fault.map_or(exit == Exit::Unreachable, |fault| fault.code.retry_helps()),
            retry_after_ms: fault.and_then(|fault| fault.retry_after_ms),
        })
    }
}
