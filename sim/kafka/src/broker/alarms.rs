//! Which alarms of a broker are set, so that one that needs no change is not set again. An alarm that goes off too early does
//! no harm: its duty looks at what is due.

use crate::sorted::Sorted;
use crate::time::Time;
use crate::timer::Timer;
use serde::Serialize;

/// The alarms that are set.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Alarms {
    set: Sorted<Timer, Time>,
}

impl Alarms {
    /// Whether an alarm must be set for `at`: none is, or only a later one. It counts as set then.
    pub fn should_set(&mut self, timer: Timer, at: Time) -> bool {
        if self.set.get(&timer).is_some_and(|set| *set <= at) {
            return false;
        }
        self.set.insert(timer, at);
        true
    }

    /// An alarm went off.
    pub fn went_off(&mut self, timer: Timer) {
        self.set.remove(&timer);
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
}
