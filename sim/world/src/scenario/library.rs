//! The scenarios that come with klab, embedded: what `klab list` shows and what `base` may name.

/// One scenario of the library.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What the command line and `base` call it.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! library {
    ($($name:literal,)*) => {
        /// All of them, the first one first.
        pub const ALL: &[Entry] = &[$(Entry {
            name: $name,
            text: include_str!(concat!("../../../../scenarios/", $name, ".jsonc")),
        },)*];
    };
}

library! {
    "quickstart",
    "gallery/payments-any-broker-may-die",
    "gallery/payments-three-of-three",
    "gallery/bookings-two-copies",
    "gallery/sensors-fresh-not-whole",
    "log/l01-all-replicas-go-down",
    "producer/l13-one-batch-remembered",
    "producer/p01-lost-acknowledgement",
    "producer/p02-pipelined-retry-reorders",
    "producer/p03-acks-one-loses",
    "producer/p04-acks-zero-nobody-knows",
    "producer/p05-failed-send-is-in-the-log",
    "producer/p06-application-resends",
    "producer/p07-restart-has-another-id",
    "producer/p14-fire-and-forget",
    "clients/py1-local-queue-full",
    "workloads/w01-airports",
    "replication/r07-read-and-overruled",
    "replication/r22-all-of-one",
    "replication/r24-paused-leader",
    "storage/o03-stamped-long-ago",
    "storage/o20-slow-reader",
    "storage/o21-delete-records",
    "storage/o22-tombstones",
    "rules/r01-truncate-to-hw",
    "rules/r03-fast-failovers",
    "rules/r06-expand-below-epoch-start",
    "rules/r07-reader-never-notices",
    "rules/r10-newcomer-not-counted",
    "rules/r12-reborn-replica",
    "rules/k03-commit-by-counting",
    "rules/k06-rejoining-voter",
    "controller/k12-controllers-gone",
    "controller/k13-alone-among-brokers",
    "operations/o01-rolling-restart",
    "operations/o05-more-partitions",
    "operations/o08-deleted-and-back",
    "operations/o09-timed-out-and-done",
}

/// Files of rows that come with klab, by the names that `assets` gives them.
const ASSETS: &[Entry] = &[Entry {
    name: "airports.jsonl",
    text: include_str!("../../../../scenarios/assets/airports.jsonl"),
}];

/// The text of a scenario of the library or of an asset, by its name, without its folder, or by its number alone (`P01`).
pub fn find(name: &str) -> Option<String> {
    if let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) {
        return Some(asset.text.to_owned());
    }
    let name = name.strip_suffix(".jsonc").unwrap_or(name).to_lowercase();
    ALL.iter()
        .find(|entry| entry.is_called(&name))
        .map(|entry| entry.text.to_owned())
}

impl Entry {
    /// `producer/p01-lost-acknowledgement`, `p01-lost-acknowledgement`, `p01`.
    fn is_called(&self, name: &str) -> bool {
        let (_, file) = self.name.rsplit_once('/').unwrap_or(("", self.name));
        let number = file.split_once('-').map(|(number, _)| number);
        self.name == name || file == name || number == Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Expectation, Scenario};

    #[test]
    fn every_scenario_of_the_library_is_good_and_has_a_twin() {
        for entry in ALL {
            let scenario =
                Scenario::parse(entry.name, entry.text).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(!scenario.twins.is_empty(), "{} has no twin", entry.name);
            let again = Scenario::parse(entry.name, &scenario.export())
                .unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(again, scenario);
        }
    }

    #[test]
    fn every_scenario_and_twin_proves_that_it_shows_something() {
        let sometimes = |expectation: &Expectation| {
            matches!(
                expectation,
                Expectation::Sometimes(_) | Expectation::SometimesMet(_)
            )
        };
        for entry in ALL {
            let scenario = Scenario::parse(entry.name, entry.text).expect("good");
            assert!(scenario.expect.iter().any(sometimes), "{}", entry.name);
            for twin in &scenario.twins {
                assert!(
                    twin.scenario.expect.iter().any(sometimes),
                    "{}: {}",
                    entry.name,
                    twin.title
                );
            }
        }
    }

    #[test]
    fn a_scenario_is_found_by_its_number_alone() {
        for name in [
            "P01",
            "p01-lost-acknowledgement",
            "producer/p01-lost-acknowledgement.jsonc",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find("p0").is_none());
    }
}
