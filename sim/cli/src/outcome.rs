//! How a command ends: the exit codes of klab, in one place.

use std::fmt;
use std::process::ExitCode;

use klab_world::scenario::ScenarioErrors;

/// How a command ended when it could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// 0: everything that was expected holds.
    Good,
    /// 1: an expectation failed, a promise broke, a trigger never fired.
    Failed,
    /// 3: a bug in klab; its words and the command that repeats it are printed already.
    Bug,
}

/// 2: the file or the command line is wrong.
#[derive(Debug)]
pub enum Wrong {
    /// A scenario with mistakes.
    Scenario(ScenarioErrors),
    /// Anything else: what is wrong, and what to do.
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        help: String,
    },
}

impl Wrong {
    /// What is wrong, and what to do.
    pub fn usage(what: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong::Usage {
            what: what.into(),
            help: help.into(),
        }
    }
}

impl From<ScenarioErrors> for Wrong {
    fn from(errors: ScenarioErrors) -> Wrong {
        Wrong::Scenario(errors)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Scenario(errors) => errors.fmt(f),
            Wrong::Usage { what, help } => write!(f, "{what}; {help}"),
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(match outcome {
            Outcome::Good => 0,
            Outcome::Failed => 1,
            Outcome::Bug => 3,
        })
    }
}

/// The exit code when the file or the command line is wrong.
pub const WRONG: u8 = 2;
