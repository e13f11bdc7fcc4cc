//! The verdict: what became of every record, and why.
//!
//! Thin still: a count.

use serde::Serialize;
use std::fmt;

/// What became of every record.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verdict {
    /// Records that the application was told are written.
    pub acked: u64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} acknowledged", self.acked)
    }
}
