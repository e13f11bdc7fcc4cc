//! How big a scenario may be: one table, one error each.
//!
//! The limits keep a mistake of one zero from eating the machine. They are far above what a story or a test needs.
//! What can be known from the file is refused before the run; `EVENTS` and `VIRTUAL_DAYS` also end a run that reaches them.

use super::error::Mistake;

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is counted, in the plural.
    pub name: &'static str,
    /// The most that is allowed.
    pub max: u64,
    /// Why.
    pub sentence: &'static str,
}

/// Bytes of a scenario file.
pub const FILE_BYTES: Limit = Limit {
    name: "bytes in one file",
    max: 1 << 20,
    sentence: "A scenario is read by people.",
};
/// Depth of objects and lists in a file.
pub const NESTING: Limit = Limit {
    name: "objects and lists inside one another",
    max: 32,
    sentence: "The grammar needs eight levels.",
};
/// Brokers, controllers and applications together.
pub const PROCESSES: Limit = Limit {
    name: "processes",
    max: 200,
    sentence: "Every process is kept in every checkpoint.",
};
/// Controllers, which all vote.
pub const CONTROLLERS: Limit = Limit {
    name: "controllers",
    max: 9,
    sentence: "Every controller votes; Kafka's advice is three or five.",
};
/// Partitions of all topics together.
pub const PARTITIONS: Limit = Limit {
    name: "partitions",
    max: 5_000,
    sentence: "Every partition has a state on each of its replicas.",
};
/// Replicas of all partitions together.
pub const REPLICAS: Limit = Limit {
    name: "replicas",
    max: 20_000,
    sentence: "Every replica has a log and a fetcher's state.",
};
/// Records that all producers together send.
pub const RECORDS: Limit = Limit {
    name: "records",
    max: 10_000_000,
    sentence: "The checkers remember what became of each record.",
};
/// Bytes of all values that all producers together send.
pub const RECORD_BYTES: Limit = Limit {
    name: "bytes of records",
    max: 4 << 30,
    sentence: "The logs are kept in memory.",
};
/// Steps, twins, expectations: anything that is listed.
pub const ENTRIES: Limit = Limit {
    name: "entries in one list",
    max: 10_000,
    sentence: "Each entry is looked at while the run goes on.",
};
/// Twins and values of `try` together.
pub const VARIANTS: Limit = Limit {
    name: "twins and values to try",
    max: 100,
    sentence: "Each one is read as a scenario of its own.",
};
/// Events of one run.
pub const EVENTS: Limit = Limit {
    name: "events",
    max: 1_000_000_000,
    sentence: "A run that never gets quiet ends here.",
};
/// Virtual days of one run.
pub const VIRTUAL_DAYS: Limit = Limit {
    name: "virtual days",
    max: 100,
    sentence: "Time is counted in nanoseconds; every duration must fit.",
};

/// The whole table, for the reference page and for the tests.
pub const ALL: [&Limit; 12] = [
    &FILE_BYTES,
    &NESTING,
    &PROCESSES,
    &CONTROLLERS,
    &PARTITIONS,
    &REPLICAS,
    &RECORDS,
    &RECORD_BYTES,
    &ENTRIES,
    &VARIANTS,
    &EVENTS,
    &VIRTUAL_DAYS,
];

impl Limit {
    /// The error when `found` is too many.
    pub fn exceeded(&self, found: u64) -> Mistake {
        Mistake::new(
            format!("{found} {}", self.name),
            format!("at most {}", self.max),
        )
        .hint(self.sentence)
    }

    /// The most that is allowed, as the length of something.
    pub fn len_max(&self) -> usize {
        usize::try_from(self.max).unwrap_or(usize::MAX)
    }

    /// Refuses what is too many.
    pub fn hold(&self, found: u64) -> Result<(), Mistake> {
        if found > self.max {
            Err(self.exceeded(found))
        } else {
            Ok(())
        }
    }
}

/// Refuses an instant, in nanoseconds from the start, that lies beyond the last virtual day.
pub fn virtual_time(ns: u64) -> Result<(), Mistake> {
    const DAY: u64 = 86_400_000_000_000;
    match ns > VIRTUAL_DAYS.max * DAY {
        true => Err(VIRTUAL_DAYS.exceeded(ns.div_ceil(DAY))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_its_maximum_and_refuses_one_more() {
        for limit in ALL {
            assert_eq!(limit.hold(limit.max), Ok(()));
            let mistake = limit.hold(limit.max + 1).expect_err("one too many");
            assert_eq!(mistake.found, format!("{} {}", limit.max + 1, limit.name));
            assert_eq!(mistake.expected, format!("at most {}", limit.max));
        }
    }
}
