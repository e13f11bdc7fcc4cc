//! What the logs of a drawn run give up: by age and size, by key, or by both. Topics say it for themselves, or the brokers
//! for all topics that do not (C.2, L-21 … L-29).
//!
//! In half of the draws nothing is given up. Where something is, segments are small, so that there is something to give up.
//! In the safe half nothing is given up by age: age can empty a log, and a leader that starts again with an empty log knows no
//! producer any more. Size never takes the last segment.

use super::dice::Dice;
use super::{Half, set_all};
use crate::scenario::TopicPlan;
use klab_kafka::config::ServerConfig;
use klab_kafka::config::layers::behind;

/// Settings of a topic.
pub type Settings = Vec<(&'static str, &'static str)>;

/// What one topic says.
pub fn draw(dice: &mut Dice<'_>, half: Half) -> Settings {
    let policies = [
        (50, ""),
        (25, "delete"),
        (15, "compact"),
        (10, "compact,delete"),
    ];
    let policy = dice.weighted(&policies);
    let mut settings = Settings::new();
    if policy.is_empty() {
        return settings;
    }
    let mut set = |key, value| settings.push((key, value));
    set("segment.ms", dice.pick(&["500", "2000", "10000"]));
    set("file.delete.delay.ms", dice.pick(&["1000", "60000"]));
    if policy.contains("delete") {
        let age = dice.pick(&["2000", "10000", "604800000"]);
        set(
            "retention.ms",
            if half == Half::Safe { "604800000" } else { age },
        );
        set("retention.bytes", dice.pick(&["-1", "500", "5000"]));
    }
    if policy.contains("compact") {
        set("cleanup.policy", policy);
        set(
            "min.cleanable.dirty.ratio",
            dice.pick(&["0.0", "0.1", "0.9"]),
        );
        set("min.compaction.lag.ms", dice.pick(&["0", "0", "2000"]));
        // No shorter than the other, or the topic is refused.
        set("max.compaction.lag.ms", dice.pick(&["2000", "20000"]));
        set("delete.retention.ms", dice.pick(&["0", "1000", "60000"]));
    }
    settings
}

/// What the brokers of every sixth run say for topics that do not.
pub fn draw_for_all(dice: &mut Dice<'_>, half: Half, config: &mut ServerConfig) {
    if !dice.chance(16) {
        return;
    }
    let brokers = |(key, value)| (behind(key).expect("a broker's key stands behind it"), value);
    set_all(config, draw(dice, half).into_iter().map(brokers));
}

/// Whether records of a topic must have keys.
pub fn is_compacted(topic: &TopicPlan, brokers: &ServerConfig) -> bool {
    match topic.config.get("cleanup.policy") {
        Some(policy) => policy.contains("compact"),
        None => brokers.log_cleanup_policy.compact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm;
    use klab_kafka::rules::Rules;

    #[test]
    fn topics_that_say_nothing_have_keys_where_the_brokers_compact() {
        let mut behind_brokers = 0;
        for seed in 0..400 {
            let scenario = swarm::scenario(seed, Half::Free, &Rules::default());
            let says_nothing =
                |t: &&TopicPlan| !t.later && !t.config.contains_key("cleanup.policy");
            for topic in scenario.topics.values().filter(says_nothing) {
                let compacts = is_compacted(topic, &scenario.cluster.config);
                assert_eq!(compacts, scenario.cluster.config.log_cleanup_policy.compact);
                behind_brokers += u32::from(compacts);
            }
        }
        assert!(behind_brokers >= 5, "{behind_brokers}");
    }
}
