//! Applications as a picture shows them: what a producer sent and was told, how far a reader is.

use super::servers::{Mood, mood};
use crate::check::Checkers;
use crate::line::{Lexicon, picture};
use crate::process::ProcessId;
use crate::scenario::READER;
use crate::verdict::Verdict;
use crate::view::View;
use klab_kafka::client::producer::config::Settings;
use klab_kafka::config::ConfigValue;
use serde::Serialize;

/// How a producer's records stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// To be sent in all.
    pub planned: u64,
    /// That its application was asked for.
    pub asked: u64,
    /// That it was told are written.
    pub acked: u64,
    /// That it was told failed.
    pub failed: u64,
    /// That it was told nothing about yet.
    pub waiting: u64,
}

/// An application that produces.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProducerCard {
    /// The process.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// How it is.
    pub mood: Mood,
    /// The same in words.
    pub mood_words: &'static str,
    /// The same as a sign.
    pub sign: &'static str,
    /// Its settings that matter most.
    pub settings: Vec<String>,
    /// Its records.
    pub tally: Tally,
    /// The same in words.
    pub words: String,
}

/// An application that reads.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConsumerCard {
    /// The process.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// How it is.
    pub mood: Mood,
    /// The same in words.
    pub mood_words: &'static str,
    /// The same as a sign.
    pub sign: &'static str,
    /// How far it is, by partition.
    pub positions: Vec<Position>,
    /// How many different offsets it read.
    pub read: u64,
    /// The same in words.
    pub words: String,
}

/// How far a reader is in a partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Position {
    /// The partition.
    pub partition: String,
    /// The offset after what it got last.
    pub at: Option<i64>,
}

/// All producers.
pub fn producers(view: View<'_>, verdict: &Verdict) -> Vec<ProducerCard> {
    let plans = view.scenario().producers.iter();
    plans
        .filter_map(|(name, plan)| {
            let p = view.names().find(name)?;
            let mut tally = Tally {
                planned: plan.records.into(),
                ..Tally::default()
            };
            let own = verdict.fates.iter().filter(|fate| fate.id.source == p.0);
            for fate in own {
                tally.asked += 1;
                match fate {
                    f if f.is_acked() => tally.acked += 1,
                    f if f.is_unknown() => tally.waiting += 1,
                    _ => tally.failed += 1,
                }
            }
            let mood = mood(view.machine(p));
            Some(ProducerCard {
                id: p.0,
                name: name.to_string(),
                mood,
                mood_words: picture::mood(mood),
                sign: picture::mood_sign(mood),
                settings: settings(&plan.config),
                words: picture::producer(&tally),
                tally,
            })
        })
        .collect()
}

fn settings(config: &klab_kafka::config::ProducerConfig) -> Vec<String> {
    let Ok(settings) = Settings::of(config) else {
        return Vec::new();
    };
    let idempotence = if settings.idempotent { "on" } else { "off" };
    vec![
        format!("acks={}", settings.acks.show()),
        format!("idempotence {idempotence}"),
    ]
}

/// All readers; the fresh one only once it has been started.
pub fn consumers(view: View<'_>, checkers: &Checkers, lexicon: &Lexicon) -> Vec<ConsumerCard> {
    let names = view.names();
    let planned = view.scenario().consumers.keys();
    let planned = planned.filter_map(|name| names.find(name));
    let fresh = names.find(READER);
    let fresh = fresh.filter(|p| mood(view.machine(*p)) != Mood::New);
    let card = |p: ProcessId| consumer(view, checkers, lexicon, p);
    planned.chain(fresh).map(card).collect()
}

fn consumer(view: View<'_>, checkers: &Checkers, lexicon: &Lexicon, p: ProcessId) -> ConsumerCard {
    let readers = checkers.history().map(|history| &history.readers);
    let own = || readers.into_iter().flat_map(|readers| readers.by(p));
    let got = own().flat_map(|(_, reading)| &reading.got);
    let read = got.map(|(from, to)| to.0.abs_diff(from.0)).sum();
    let position = |(id, reading): (_, &crate::check::readers::Reading)| Position {
        partition: lexicon.partition(id),
        at: reading.position.map(|at| at.0),
    };
    let mood = mood(view.machine(p));
    ConsumerCard {
        id: p.0,
        name: view.names().of(p).into(),
        mood,
        mood_words: picture::mood(mood),
        sign: picture::mood_sign(mood),
        positions: own().map(position).take(super::PARTITIONS_MAX).collect(),
        read,
        words: picture::reader(read),
    }
}
