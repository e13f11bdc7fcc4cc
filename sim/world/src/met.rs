//! Whether a record is the fact that a trigger waits for.

use crate::process::ProcessId;
use crate::scenario::Condition;
use crate::scenario::trigger::{Fact, PartitionVerb, ProcessVerb, RecordVerb, Trigger};
use crate::select::registration;
use crate::steps::Waiting;
use crate::trace::{ProcessFact, Record, What};
use crate::view::View;
use crate::world::World;
use klab_kafka::event::*;
use klab_kafka::ids::TopicIdPartition;

/// Whether `record` is what a step waits for, at a moment when it counts.
pub fn counts(world: &World, waiting: &Waiting, record: &Record) -> bool {
    let only_while = waiting.only_while.as_ref();
    is_met(world, &waiting.trigger, record)
        && only_while.is_none_or(|condition| holds(world, condition))
}

fn holds(world: &World, condition: &Condition) -> bool {
    match condition {
        Condition::Isr(tp, size) => {
            let registration = registration(View::new(world), tp);
            registration.is_some_and(|r| r.isr.len() as u64 == u64::from(*size))
        }
        Condition::Past(time) => world
            .ready()
            .is_some_and(|ready| world.now() >= ready + *time),
    }
}

/// Whether `record` is what `trigger` waits for. Selectors are resolved at this moment.
pub fn is_met(world: &World, trigger: &Trigger, record: &Record) -> bool {
    if let Fact::OfStep(id, ended) = trigger.fact {
        let is = |step: u64, lifted: bool| (step, lifted) == (id, ended);
        return matches!(record.what, What::Fault { step, lifted, .. } if is(step, lifted));
    }
    let Some(who) = subject(world, &trigger.fact, record) else {
        return false;
    };
    world.is_meant(&trigger.who, who)
}

/// Whom the record says the fact of, if it says it.
fn subject(world: &World, fact: &Fact, record: &Record) -> Option<ProcessId> {
    match fact {
        Fact::OnPartition(verb, tp, n) => {
            let id = View::new(world).partition(&tp.topic, tp.partition)?;
            on_partition(world, *verb, id, *n, record)
        }
        Fact::OnRecord(verb, n) => on_record(*verb, *n, record).then_some(record.process?),
        Fact::Itself(verb) => itself(world, *verb, record),
        Fact::OfStep(..) => None,
    }
}

fn on_partition(
    world: &World,
    verb: PartitionVerb,
    id: TopicIdPartition,
    n: i64,
    record: &Record,
) -> Option<ProcessId> {
    let view = View::new(world);
    match (&record.what, verb) {
        (What::Told(Event::Log(tp, LogEvent::Appended { batch, .. })), PartitionVerb::Appended) => {
            (*tp == id && batch.base_offset.0 <= n && n < batch.end_offset().0)
                .then_some(record.process?)
        }
        (What::Told(Event::Log(tp, LogEvent::HighWatermark { hw })), PartitionVerb::AdvancedHw) => {
            (*tp == id && hw.0 >= n).then_some(record.process?)
        }
        (
            What::Told(Event::Log(tp, LogEvent::Truncated { to, .. })),
            PartitionVerb::TruncatedTo,
        ) => (*tp == id && to.0 <= n).then_some(record.process?),
        (
            What::Told(Event::Replica(tp, ReplicaEvent::FollowerFetched { follower, leo })),
            PartitionVerb::FetchedUpTo,
        ) => (*tp == id && leo.0 >= n).then(|| view.process_of(*follower))?,
        (
            What::Told(Event::Replica(tp, ReplicaEvent::IsrChanged { isr, .. })),
            PartitionVerb::ShrankIsr,
        ) => (*tp == id && isr.len() as i64 <= n).then_some(record.process?),
        (
            What::Told(Event::Replica(tp, ReplicaEvent::IsrChanged { isr, .. })),
            PartitionVerb::ExpandedIsr,
        ) => (*tp == id && isr.len() as i64 >= n).then_some(record.process?),
        (
            What::Told(Event::Replica(tp, ReplicaEvent::IsrChangePending { isr, .. })),
            PartitionVerb::ProposedIsr,
        ) => (*tp == id && isr.len() as i64 == n).then_some(record.process?),
        (
            What::Told(Event::Replica(tp, ReplicaEvent::BecameLeader { epoch, .. })),
            PartitionVerb::Elected,
        ) => (*tp == id && i64::from(epoch.0) >= n).then_some(record.process?),
        _ => None,
    }
}

fn on_record(verb: RecordVerb, n: u32, record: &Record) -> bool {
    match (&record.what, verb) {
        (What::Told(Event::App(AppEvent::Invoked { id })), RecordVerb::Sent) => id.number == n,
        (What::Told(Event::App(AppEvent::Accepted { id })), RecordVerb::Accepted) => id.number == n,
        (What::Told(Event::Client(_, ClientEvent::Acked { id, .. })), RecordVerb::Acknowledged) => {
            id.number == n
        }
        (What::Told(Event::Client(_, ClientEvent::Failed { id, .. })), RecordVerb::Failed) => {
            id.number == n
        }
        _ => false,
    }
}

fn itself(world: &World, verb: ProcessVerb, record: &Record) -> Option<ProcessId> {
    let view = View::new(world);
    match (&record.what, verb) {
        (What::Process(ProcessFact::Started { .. }), ProcessVerb::Started)
        | (What::Process(ProcessFact::Resumed), ProcessVerb::Resumed) => record.process,
        (What::Process(ProcessFact::Ended { how, .. }), ProcessVerb::Stopped) => {
            (*how == crate::process::Down::Exited).then_some(record.process?)
        }
        (What::Process(ProcessFact::Ended { how, .. }), ProcessVerb::Crashed) => {
            (*how != crate::process::Down::Exited).then_some(record.process?)
        }
        (
            What::Told(Event::Controller(ControllerEvent::BrokerFenced { broker, .. })),
            ProcessVerb::Fenced,
        )
        | (
            What::Told(Event::Controller(ControllerEvent::BrokerUnfenced { broker })),
            ProcessVerb::Unfenced,
        ) => view.process_of(*broker),
        (
            What::Told(Event::Controller(ControllerEvent::Activated { .. })),
            ProcessVerb::Elected,
        )
        | (
            What::Told(Event::Raft(RaftEvent::Became {
                state: RaftState::Leader,
                ..
            })),
            ProcessVerb::Won,
        ) => record.process,
        _ => None,
    }
}
