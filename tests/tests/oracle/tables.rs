//! Tables: klab's errors, versions and defaults beside Kafka's.

use super::kept;
use super::lacks::DEFAULTS;
use klab_kafka::config::{Configs, ConsumerConfig, ProducerConfig, ServerConfig};
use klab_kafka::protocol::{Api, ErrorCode};

#[test]
fn errors_have_kafkas_numbers_and_clients_do_about_them_what_kafkas_do() {
    let errors = &kept("tables")["errors"];
    for error in ErrorCode::ALL {
        let kafkas = &errors[error.name()];
        assert_eq!(kafkas["code"], error.code(), "{}", error.name());
        let kind = match (error.is_retriable(), error.wants_metadata()) {
            (true, true) => "refresh",
            (true, false) => "retry",
            (false, _) => "final",
        };
        assert_eq!(kafkas["kind"], kind, "{}", error.name());
    }
}

#[test]
fn each_api_is_spoken_at_kafkas_newest_stable_version() {
    let apis = &kept("tables")["apis"];
    for api in Api::ALL {
        let kafkas = &apis[(api as i16).to_string()];
        assert_eq!(kafkas["name"], format!("{api:?}"));
        assert_eq!(kafkas["version"], api.version(), "{api:?}");
    }
}

#[test]
fn settings_have_kafkas_defaults() {
    let mut findings = Vec::new();
    compare::<ProducerConfig>("producer", &mut findings);
    compare::<ConsumerConfig>("consumer", &mut findings);
    compare::<ServerConfig>("server", &mut findings);
    let known = |(name, _): &(&str, &str)| (*name).to_owned();
    let named: Vec<String> = DEFAULTS.iter().map(known).collect();
    let found: Vec<String> = findings.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(found, named, "{findings:#?}");
}

fn compare<C: Configs>(table: &str, findings: &mut Vec<(String, String)>) {
    let defaults = &kept("tables")["defaults"][table];
    let ours = C::default();
    for key in C::KEYS {
        let name = format!("{table} {}", key.name);
        let mine = (key.get)(&ours);
        match defaults.get(key.name).map(|value| value.as_str()) {
            Some(Some(kafkas)) if kafkas == mine => {}
            kafkas => findings.push((name, format!("{mine}, not {kafkas:?}"))),
        }
    }
}
