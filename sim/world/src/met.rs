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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::process::Down;
    use crate::scenario::selector::TopicPartition;
    use crate::scenario::trigger::{PARTITION_VERBS, PROCESS_VERBS, RECORD_VERBS};
    use crate::scenario::{Action, Lasts};
    use crate::select::tests::{known, process, ready};
    use klab_kafka::ids::*;
    use klab_kafka::log::batch::{BatchData, PlainRecord, RecordBatch};
    use klab_kafka::time::{Duration, Timestamp};
    use std::sync::Arc;

    /// Who tells it, and what.
    type Telling = (&'static str, What);

    /// orders-0 in that world.
    fn orders(world: &World) -> TopicIdPartition {
        let id = View::new(world).partition("orders", 0);
        id.expect("it exists")
    }

    fn told(world: &World, (who, what): Telling) -> Record {
        Record {
            seq: 1_000_000,
            at: world.now(),
            process: Some(process(world, who)),
            cause: None,
            what,
        }
    }

    fn is(world: &World, trigger: &str, telling: Telling) -> bool {
        let trigger = Trigger::parse(trigger, &known(world)).expect("a trigger");
        is_met(world, &trigger, &told(world, telling))
    }

    fn id(number: u32) -> RecordId {
        RecordId { source: 0, number }
    }

    /// Two records, the first at this offset.
    fn batch(offset: i64) -> RecordBatch {
        let record = |number| PlainRecord {
            id: id(number),
            timestamp: Timestamp(0),
            key: None,
            value: None,
            headers: Vec::new(),
        };
        RecordBatch {
            base_offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
            data: Arc::new(BatchData::of_records(&[record(0), record(1)], None)),
        }
    }

    fn nodes(n: i32) -> Box<[NodeId]> {
        (1..=n).map(NodeId).collect()
    }

    /// Of a verb with 2 for its number: what meets it, told by broker-1 or of it, and what comes next to it and does not.
    fn of_replica(verb: PartitionVerb, tp: TopicIdPartition) -> [What; 2] {
        let log = |event| What::Told(Event::Log(tp, event));
        let replica = |event| What::Told(Event::Replica(tp, event));
        let partition_epoch = PartitionEpoch(0);
        match verb {
            PartitionVerb::Appended => [1, 3].map(|offset| {
                log(LogEvent::Appended {
                    batch: batch(offset),
                    as_leader: true,
                })
            }),
            PartitionVerb::AdvancedHw => {
                [3, 1].map(|hw| log(LogEvent::HighWatermark { hw: Offset(hw) }))
            }
            PartitionVerb::TruncatedTo => [1, 3].map(|to| {
                log(LogEvent::Truncated {
                    from: Offset(9),
                    to: Offset(to),
                    why: Truncation::HighWatermark,
                })
            }),
            PartitionVerb::FetchedUpTo => [2, 1].map(|leo| {
                replica(ReplicaEvent::FollowerFetched {
                    follower: NodeId(1),
                    leo: Offset(leo),
                })
            }),
            PartitionVerb::ShrankIsr => [1, 3].map(|n| {
                replica(ReplicaEvent::IsrChanged {
                    isr: nodes(n),
                    partition_epoch,
                })
            }),
            PartitionVerb::ExpandedIsr => [3, 1].map(|n| {
                replica(ReplicaEvent::IsrChanged {
                    isr: nodes(n),
                    partition_epoch,
                })
            }),
            PartitionVerb::ProposedIsr => [2, 3].map(|n| {
                replica(ReplicaEvent::IsrChangePending {
                    isr: nodes(n),
                    partition_epoch,
                })
            }),
            PartitionVerb::Elected => [2, 1].map(|epoch| {
                replica(ReplicaEvent::BecameLeader {
                    epoch: LeaderEpoch(epoch),
                    start_offset: Offset(0),
                    hw: Offset(0),
                })
            }),
        }
    }

    #[test]
    fn every_verb_of_a_replica_is_met_by_its_own_fact_at_its_number_in_its_partition() {
        let world = ready();
        let tp = orders(&world);
        let elsewhere = TopicIdPartition { partition: 7, ..tp };
        for (verb, name, _) in PARTITION_VERBS {
            let trigger = format!("leader of orders-0 {name} 2");
            let [met, not] = of_replica(verb, tp);
            assert!(is(&world, &trigger, ("broker-1", met)), "{trigger}");
            assert!(!is(&world, &trigger, ("broker-1", not)), "{trigger}");
            let [other, _] = of_replica(verb, elsewhere);
            assert!(!is(&world, &trigger, ("broker-1", other)), "{trigger}");
            let of_another = format!("broker-3 {name} 2 of orders-0");
            let [met, _] = of_replica(verb, tp);
            assert!(!is(&world, &of_another, ("broker-1", met)), "{of_another}");
        }
    }

    #[test]
    fn a_leader_with_a_partition_is_elected_in_any_epoch() {
        let world = ready();
        let [_, first] = of_replica(PartitionVerb::Elected, orders(&world));
        assert!(is(
            &world,
            "leader of orders-0 elected",
            ("broker-1", first)
        ));
    }

    #[test]
    fn whoever_fetched_is_the_follower_though_its_leader_tells_it() {
        let world = ready();
        let [fetched, _] = of_replica(PartitionVerb::FetchedUpTo, orders(&world));
        let trigger = "broker-1 fetched up to 2 of orders-0";
        assert!(is(&world, trigger, ("broker-3", fetched)));
    }

    /// What an application tells of a record.
    fn of_record(verb: RecordVerb, id: RecordId, partition: TopicIdPartition) -> What {
        What::Told(match verb {
            RecordVerb::Sent => Event::App(AppEvent::Invoked { id }),
            RecordVerb::Accepted => Event::App(AppEvent::Accepted { id }),
            RecordVerb::Acknowledged => Event::Client(
                ClientId(0),
                ClientEvent::Acked {
                    id,
                    partition,
                    offset: None,
                },
            ),
            RecordVerb::Failed => Event::Client(
                ClientId(0),
                ClientEvent::Failed {
                    id,
                    partition: None,
                    error: SendFailure::DeliveryTimeout,
                },
            ),
        })
    }

    #[test]
    fn every_verb_of_a_record_is_met_by_its_own_fact_of_that_record_and_that_application() {
        let world = ready();
        let tp = orders(&world);
        for (verb, name, _) in RECORD_VERBS {
            for (other, ..) in RECORD_VERBS {
                let trigger = format!("shop {name} 2");
                let telling = ("shop", of_record(other, id(2), tp));
                assert_eq!(is(&world, &trigger, telling), verb == other, "{trigger}");
            }
            let trigger = format!("shop {name} 2");
            assert!(!is(&world, &trigger, ("shop", of_record(verb, id(3), tp))));
            assert!(!is(&world, &trigger, ("admin", of_record(verb, id(2), tp))));
        }
    }

    /// Of a verb of a process: who must have done it, what tells it, and what is next to it and does not.
    fn of_process(verb: ProcessVerb) -> (&'static str, Telling, Telling) {
        let ended = |how| {
            What::Process(ProcessFact::Ended {
                how,
                batches_lost: 0,
            })
        };
        let fenced = What::Told(Event::Controller(ControllerEvent::BrokerFenced {
            broker: NodeId(1),
            session_expired: true,
        }));
        let unfenced = What::Told(Event::Controller(ControllerEvent::BrokerUnfenced {
            broker: NodeId(1),
        }));
        let epoch = LeaderEpoch(9);
        let activated = What::Told(Event::Controller(ControllerEvent::Activated { epoch }));
        let became = |state| {
            What::Told(Event::Raft(RaftEvent::Became {
                state,
                epoch,
                leader: None,
            }))
        };
        let started = What::Process(ProcessFact::Started { start: 2 });
        let resumed = What::Process(ProcessFact::Resumed);
        let (who, meets, does_not) = match verb {
            ProcessVerb::Started => ("broker-1", started, resumed),
            ProcessVerb::Resumed => ("broker-1", resumed, What::Process(ProcessFact::Paused)),
            ProcessVerb::Crashed => ("broker-1", ended(Down::PowerLost), ended(Down::Exited)),
            ProcessVerb::Stopped => ("broker-1", ended(Down::Exited), ended(Down::Killed)),
            // A controller tells these of a broker.
            ProcessVerb::Fenced => {
                let (fenced, unfenced) = (("controller-2", fenced), ("controller-2", unfenced));
                return ("broker-1", fenced, unfenced);
            }
            ProcessVerb::Unfenced => {
                let (fenced, unfenced) = (("controller-2", fenced), ("controller-2", unfenced));
                return ("broker-1", unfenced, fenced);
            }
            ProcessVerb::Elected => ("controller-2", activated, became(RaftState::Leader)),
            ProcessVerb::Won => {
                let voted_for = became(RaftState::Leader);
                ("controller-2", voted_for, became(RaftState::Candidate))
            }
        };
        (who, (who, meets), (who, does_not))
    }

    #[test]
    fn every_verb_of_a_process_is_met_by_its_own_fact_of_that_process() {
        let world = ready();
        for (verb, name, _) in PROCESS_VERBS {
            let (who, met, not) = of_process(verb);
            let trigger = format!("{who} {name}");
            assert!(!is(&world, &format!("broker-3 {name}"), met.clone()));
            assert!(is(&world, &trigger, met), "{trigger}");
            assert!(!is(&world, &trigger, not), "{trigger}");
        }
    }

    #[test]
    fn a_step_is_met_when_it_begins_or_ends_and_not_by_another_step() {
        let world = ready();
        for (trigger, step, lifted, expected) in [
            ("step 7 began", 7, false, true),
            ("step 7 began", 7, true, false),
            ("step 7 began", 8, false, false),
            ("step 7 ended", 7, true, true),
            ("step 7 ended", 7, false, false),
        ] {
            let fault = Fault::Kill { who: [].into() };
            let what = What::Fault {
                step,
                fault,
                lifted,
            };
            assert_eq!(is(&world, trigger, ("shop", what)), expected, "{trigger}");
        }
    }

    #[test]
    fn a_fact_counts_only_while_the_condition_holds() {
        let world = ready();
        let orders_0 = || TopicPartition {
            topic: "orders".into(),
            partition: 0,
        };
        for (only_while, expected) in [
            (None, true),
            (Some(Condition::Isr(orders_0(), 3)), true),
            (Some(Condition::Isr(orders_0(), 2)), false),
            (Some(Condition::Past(Duration::ZERO)), true),
            (Some(Condition::Past(Duration::secs(1))), false),
        ] {
            let waiting = Waiting {
                step: 1,
                trigger: Trigger::parse("broker-1 resumed", &known(&world)).expect("a trigger"),
                left: 1,
                after: Duration::ZERO,
                only_while: only_while.clone(),
                action: Action::Fault(Fault::Kill {
                    who: crate::scenario::selector::Selector::Brokers,
                }),
                lasts: Lasts::Ever,
                optional: false,
            };
            let resumed = told(&world, ("broker-1", What::Process(ProcessFact::Resumed)));
            assert_eq!(
                counts(&world, &waiting, &resumed),
                expected,
                "{only_while:?}"
            );
            let paused = told(&world, ("broker-1", What::Process(ProcessFact::Paused)));
            assert!(!counts(&world, &waiting, &paused));
        }
    }
}
