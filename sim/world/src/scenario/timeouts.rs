//! How long a mended cluster may take: twice the longest timeout in force, for after that nobody waits for anything any more.
//!
//! What is left out: settings that an operator changes during the run.

use super::Scenario;
use klab_kafka::config::Configs;
use klab_kafka::time::Duration;

impl Scenario {
    /// How long the cluster may take until it is quiet and all is read, once it is mended.
    pub fn quiet_within(&self) -> Duration {
        let asked = self.longest_timeout();
        self.end.within.unwrap_or(asked + asked)
    }

    /// The longest time for which anybody waits before giving up: of all Kafka's settings that name a timeout, and of what a
    /// `send` may block.
    pub fn longest_timeout(&self) -> Duration {
        let cluster = &self.cluster;
        let servers = cluster.config_of.values().chain([&cluster.config]);
        let producers = self.producers.values().map(|p| longest(&p.config));
        let consumers = self.consumers.values().map(|c| longest(&c.config));
        let all = servers.map(longest).chain(producers).chain(consumers);
        let ms = all.chain([longest(&self.admin)]).max().unwrap_or_default();
        Duration::millis(ms)
    }
}

/// In ms.
fn longest<C: Configs>(config: &C) -> u64 {
    let is_timeout = |name: &str| name.contains(".timeout.") || name == "max.block.ms";
    let rows = C::KEYS.iter().filter(|key| is_timeout(key.name));
    let ms = rows.filter_map(|key| (key.get)(config).parse().ok());
    ms.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Duration {
        let scenario = Scenario::parse("a test", text).unwrap_or_else(|e| panic!("{e}"));
        scenario.quiet_within()
    }

    #[test]
    fn a_cluster_has_twice_the_longest_timeout_to_get_quiet() {
        let topic = r#""title": "t", "topics": { "orders": {} }"#;
        assert_eq!(of(&format!("{{ {topic} }}")), Duration::secs(120));
        let shop = r#""producers": { "shop": { "topic": "orders", "records": 9 } }"#;
        assert_eq!(of(&format!("{{ {topic}, {shop} }}")), Duration::secs(240));
        let config = r#"9, "config": { "delivery.timeout.ms": "300000" }"#;
        let shop = shop.replace('9', config);
        assert_eq!(of(&format!("{{ {topic}, {shop} }}")), Duration::secs(600));
        let end = r#""end": { "at": "2min", "within": "7s" }"#;
        assert_eq!(
            of(&format!("{{ {topic}, {shop}, {end} }}")),
            Duration::secs(7)
        );
    }
}
