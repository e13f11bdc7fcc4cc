//! Applications: processes that own clients. What they send, how they answer their own callers, what they read.

pub mod consuming;
pub mod producing;
pub mod reading;
pub mod workload;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod tests;

use crate::scenario::{ConsumerPlan, ProducerPlan};
use consuming::Consuming;
use klab_kafka::client::consumer::positions::TopicPartition;
use klab_kafka::context::Context;
use klab_kafka::ids::{Address, Offset};
use klab_kafka::input::Input;
use klab_kafka::rules::Rules;
use klab_kafka::time::Time;
use producing::Producing;
use reading::Reading;
use serde::Serialize;
use std::sync::Arc;

/// An application.
#[derive(Clone, Debug, Serialize)]
pub enum App {
    /// It produces.
    Producing(Box<Producing>),
    /// It reads assigned partitions throughout.
    Consuming(Box<Consuming>),
    /// It reads everything, once, at the end.
    Reading(Box<Reading>),
}

/// What outlives an application's crash, outside of it: its source's memory of what was confirmed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Source {
    /// When the workload began.
    pub began: Option<Time>,
    /// The next record that has not been taken from the source.
    pub next: u32,
    /// Records taken whose writing was not confirmed, in order. They come at the end and mostly go near the beginning: no tree
    /// is needed.
    pub unconfirmed: std::collections::VecDeque<u32>,
}

impl App {
    /// A producing application; `source_id` names its records.
    pub fn producing(
        source_id: u32,
        plan: ProducerPlan,
        source: Source,
        bootstrap: &[Address],
    ) -> App {
        App::Producing(Box::new(Producing::new(source_id, plan, source, bootstrap)))
    }

    /// An application that reads assigned partitions.
    pub fn consuming(plan: ConsumerPlan, rules: Rules, bootstrap: &[Address]) -> App {
        App::Consuming(Box::new(Consuming::new(plan, rules, bootstrap)))
    }

    /// The reader of everything.
    pub fn reading(partitions: Vec<TopicPartition>, bootstrap: &[Address]) -> App {
        App::Reading(Box::new(Reading::new(partitions, bootstrap)))
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match self {
            App::Producing(a) => a.handle(input, cx),
            App::Consuming(a) => a.handle(input, cx),
            App::Reading(a) => a.handle(input, cx),
        }
    }

    /// What the source remembers, to be handed to the next start.
    pub fn source(&self) -> Source {
        match self {
            App::Producing(a) => a.source().clone(),
            App::Consuming(_) | App::Reading(_) => Source::default(),
        }
    }

    /// Whether its work is done and every send is resolved. A consumer polls as long as there is anything to read, so
    /// that it is never in the way of a run's end.
    pub fn is_finished(&self) -> bool {
        match self {
            App::Producing(a) => a.is_finished(),
            App::Consuming(_) => true,
            App::Reading(a) => a.is_finished(),
        }
    }

    /// The partitions of records whose sends are not resolved.
    pub fn unresolved(&self) -> Vec<Arc<str>> {
        match self {
            App::Producing(a) => a.unresolved(),
            App::Consuming(_) | App::Reading(_) => Vec::new(),
        }
    }

    /// Whether it has records that were never sent.
    pub fn has_more_to_send(&self) -> bool {
        match self {
            App::Producing(a) => a.has_more_to_send(),
            App::Consuming(_) | App::Reading(_) => false,
        }
    }

    /// Whether it has more to send and only waits for its answers, which come.
    pub fn goes_on_sending(&self, now: Time) -> bool {
        match self {
            App::Producing(a) => a.goes_on_sending(now),
            App::Consuming(_) | App::Reading(_) => false,
        }
    }

    /// What the reader has not read to the end, and where it stands.
    pub fn unread(&self) -> Vec<(&TopicPartition, Option<Offset>)> {
        match self {
            App::Reading(a) => a.missing(),
            App::Producing(_) | App::Consuming(_) => Vec::new(),
        }
    }
}
