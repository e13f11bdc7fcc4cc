//! Which alarms of a broker are set, so that one that needs no change is not set again. An alarm that goes off too early does
//! no harm: its duty looks at what is due.

use crate::sorted::Sorted;
use crate::time::Time;
use crate::timer::{BrokerTimer, Timer};
use serde::{Serialize, Serializer};

/// The duties of which there is one each, in the order of their alarms. The first comes before the fetchers', the others after.
const DUTIES: [BrokerTimer; 13] = [
    BrokerTimer::Heartbeat,
    BrokerTimer::Purgatory,
    BrokerTimer::IsrCheck,
    BrokerTimer::AlterPartition,
    BrokerTimer::HwCheckpoint,
    BrokerTimer::RecoveryPoint,
    BrokerTimer::ProducerIdExpiry,
    BrokerTimer::ProducerIds,
    BrokerTimer::DeleteLogs,
    BrokerTimer::Shutdown,
    BrokerTimer::Retention,
    BrokerTimer::FileDelete,
    BrokerTimer::Cleaner,
];

/// The alarms that are set. Every step asks for several: each has its place.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    network: Option<Time>,
    duties: [Option<Time>; DUTIES.len()],
    fetchers: Sorted<i32, Option<Time>>,
}

impl Alarms {
    /// Whether an alarm must be set for `at`: none is, or only a later one. It counts as set then.
    pub fn should_set(&mut self, timer: Timer, at: Time) -> bool {
        let set = self.place(timer);
        if set.is_some_and(|set| set <= at) {
            return false;
        }
        *set = Some(at);
        true
    }

    /// An alarm went off.
    pub fn went_off(&mut self, timer: Timer) {
        *self.place(timer) = None;
    }

    #[inline]
    fn place(&mut self, timer: Timer) -> &mut Option<Time> {
        let duty = match timer {
            Timer::Network => return &mut self.network,
            Timer::Broker(BrokerTimer::Fetcher(source)) => {
                return self.fetchers.get_or_default(source);
            }
            Timer::Broker(duty) => duty,
            other => unreachable!("because {other:?} is no alarm of a broker's own"),
        };
        let place = match duty {
            BrokerTimer::Heartbeat | BrokerTimer::Fetcher(_) => 0,
            BrokerTimer::Purgatory => 1,
            BrokerTimer::IsrCheck => 2,
            BrokerTimer::AlterPartition => 3,
            BrokerTimer::HwCheckpoint => 4,
            BrokerTimer::RecoveryPoint => 5,
            BrokerTimer::ProducerIdExpiry => 6,
            BrokerTimer::ProducerIds => 7,
            BrokerTimer::DeleteLogs => 8,
            BrokerTimer::Shutdown => 9,
            BrokerTimer::Retention => 10,
            BrokerTimer::FileDelete => 11,
            BrokerTimer::Cleaner => 12,
        };
        &mut self.duties[place]
    }

    /// Those that are set, in the order of their alarms.
    fn iter(&self) -> impl Iterator<Item = (Timer, Time)> + '_ {
        let mut duties = DUTIES.into_iter().map(Timer::Broker).zip(self.duties);
        let fetchers = self.fetchers.iter();
        let fetchers =
            fetchers.map(|(source, at)| (Timer::Broker(BrokerTimer::Fetcher(*source)), *at));
        let all = std::iter::once((Timer::Network, self.network))
            .chain(duties.next())
            .chain(fetchers)
            .chain(duties);
        all.filter_map(|(timer, at)| Some((timer, at?)))
    }
}

/// As a map in a struct of its own.
impl Serialize for Alarms {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename = "Alarms")]
        struct AsMap {
            set: std::collections::BTreeMap<Timer, Time>,
        }
        let set = self.iter().collect();
        AsMap { set }.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_time_is_set_anew_until_the_alarm_has_gone_off() {
        let mut alarms = Alarms::default();
        assert!(alarms.should_set(Timer::Network, Time(50)));
        assert!(!alarms.should_set(Timer::Network, Time(50)));
        assert!(!alarms.should_set(Timer::Network, Time(60)));
        assert!(alarms.should_set(Timer::Network, Time(40)));
        alarms.went_off(Timer::Network);
        assert!(alarms.should_set(Timer::Network, Time(60)));
    }

    #[test]
    fn every_alarm_has_a_place_of_its_own_and_they_are_told_in_order() {
        let fetchers = [BrokerTimer::Fetcher(1), BrokerTimer::Fetcher(2)];
        let of_broker = DUTIES.into_iter().chain(fetchers).map(Timer::Broker);
        let mut all: Vec<Timer> = of_broker.chain([Timer::Network]).collect();
        let mut alarms = Alarms::default();
        for (at, timer) in (1..).map(Time).zip(&all) {
            assert!(alarms.should_set(*timer, at), "{timer:?} was not set");
        }
        all.sort();
        let told: Vec<Timer> = alarms.iter().map(|(timer, _)| timer).collect();
        assert_eq!(told, all);
    }
}
