//! Stories of applications that read: through failover, through lost data, and to the end of a run.

use klab_kafka::client::consumer::records::ConsumerError;
use klab_kafka::config::{Configs, ConsumerConfig};
use klab_kafka::event::{AppEvent, ClientEvent, Event, ReplicaEvent};
use klab_kafka::ids::{Offset, RecordId};
use klab_kafka::time::Duration;
use klab_world::process::ProcessId;
use klab_world::scenario::selector::TopicPartition;
use klab_world::scenario::{ConsumerPlan, Scenario, library};
use klab_world::trace::Phase;
use klab_world::world::{Watch, World};
use std::sync::Arc;
use tests::{Cluster, Setting, TOPIC};

const AUDITOR: &str = "auditor";

/// A story in which `auditor` reads from the start, and goes by this policy if it is lost.
fn audited(policy: &str) -> Setting {
    let mut setting = Setting::default();
    let mut config = ConsumerConfig::default();
    config.set("auto.offset.reset", policy).expect("a policy");
    let plan = ConsumerPlan {
        assign: vec![TopicPartition {
            topic: TOPIC.into(),
            partition: 0,
        }],
        config,
        rules: None,
    };
    setting.scenario.consumers = [(AUDITOR.into(), plan)].into();
    setting
}

/// What a process was handed, in order.
fn delivered(c: &Cluster, who: ProcessId) -> Vec<(Offset, RecordId)> {
    let polls = c.told().filter_map(|(_, p, e)| match e {
        Event::Client(_, ClientEvent::Delivered { records, .. }) if p == who => Some(records),
        _ => None,
    });
    polls
        .flat_map(|r| r.iter().map(|(offset, _, id)| (*offset, *id)))
        .collect()
}

/// Runs until a process was handed everything below this offset.
fn read_to(c: &mut Cluster, who: ProcessId, end: i64) {
    c.run_until_told("it has read so far", |p, e| {
        p == who && matches!(e, Event::Client(_, ClientEvent::Delivered { to, .. }) if to.0 >= end)
    });
}

/// Where a process reads on.
fn position(c: &Cluster, who: ProcessId) -> i64 {
    delivered(c, who)
        .last()
        .map_or(0, |(offset, _)| offset.0 + 1)
}

fn is_elected(e: &Event) -> bool {
    matches!(e, Event::Replica(_, ReplicaEvent::BecameLeader { .. }))
}

/// The leader alone is left in the ISR, the auditor has read what nobody else has, and the leader dies too. A follower
/// comes back and is elected uncleanly.
fn unclean_election() -> (Cluster, ProcessId) {
    let setting = audited("earliest")
        .topic_config("min.insync.replicas", "1")
        .topic_config("unclean.leader.election.enable", "true");
    let mut c = setting.begin();
    let auditor = c.process(AUDITOR);
    read_to(&mut c, auditor, 20);
    let (leader, followers) = (c.leader().expect("ready"), c.followers());
    for follower in &followers {
        c.crash(*follower);
    }
    c.run_until("the leader is alone", |c| c.isr().len() == 1);
    let alone = position(&c, auditor);
    read_to(&mut c, auditor, alone + 40);
    c.crash(leader);
    c.restart(followers[0]);
    (c, auditor)
}

#[test]
fn a_consumer_reads_every_record_once_and_in_order_while_the_leader_dies() {
    let mut c = audited("earliest").sends(200, 20).begin();
    let auditor = c.process(AUDITOR);
    read_to(&mut c, auditor, 20);
    c.crash(c.leader().expect("ready"));
    c.run_until_told("another leads", |_, e| is_elected(e));
    read_to(&mut c, auditor, 200);
    let read = delivered(&c, auditor);
    assert!(
        (0..)
            .zip(&read)
            .all(|(i, (offset, _))| *offset == Offset(i))
    );
    let numbers: Vec<u32> = read.iter().map(|(_, id)| id.number).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn after_an_unclean_election_a_consumer_goes_back_to_where_the_logs_part() {
    let (mut c, auditor) = unclean_election();
    let record = c.run_until_told("the truncation is noticed", |p, e| {
        p == auditor && matches!(e, Event::Client(_, ClientEvent::TruncationDetected { .. }))
    });
    let before = delivered(&c, auditor);
    let klab_world::trace::What::Told(Event::Client(
        _,
        ClientEvent::TruncationDetected {
            position,
            divergence: Some(divergence),
            ..
        },
    )) = record.what
    else {
        panic!("the leader knows where the logs part")
    };
    assert!(divergence < position);
    read_to(&mut c, auditor, divergence.0 + 1);
    let (offset, id) = delivered(&c, auditor)[before.len()];
    assert_eq!(offset, divergence);
    let same_place = before.iter().find(|(o, _)| *o == offset);
    assert!(
        same_place.is_some_and(|(_, old)| *old != id),
        "another record lies there now"
    );
}

/// R07, or a twin of it: what its reader got, and what was in the log at the end.
fn overruled(twin: Option<usize>) -> (Vec<RecordId>, Vec<RecordId>) {
    let name = "replication/r07-read-and-overruled";
    let text = library::find(name).expect("it is in the library");
    let base = Scenario::parse(name, &text).unwrap_or_else(|errors| panic!("{errors}"));
    let scenario = match twin {
        Some(n) => (*base.twins[n].scenario).clone(),
        None => base,
    };
    let watch = Watch {
        records: true,
        checkers: true,
    };
    let mut world = World::new(Arc::new(scenario), 1, watch);
    world.run_to_end();
    let c = Cluster { world };
    let [invoices, log] = ["invoices", "reader"].map(|who| {
        let got = delivered(&c, c.process(who));
        got.into_iter().map(|(_, id)| id).collect()
    });
    (invoices, log)
}

#[test]
fn a_reader_that_validates_its_position_gets_all_that_took_the_place_of_what_it_had_read() {
    let (invoices, log) = overruled(None);
    assert!(log.iter().all(|id| invoices.contains(id)));
    let gone = invoices.iter().filter(|id| !log.contains(id));
    assert_eq!(gone.count(), 50);
}

#[test]
fn a_reader_that_does_not_validate_misses_as_many_records_as_it_has_read_in_vain() {
    let (invoices, log) = overruled(Some(0));
    let gone = invoices.iter().filter(|id| !log.contains(id));
    let missed = log.iter().filter(|id| !invoices.contains(id));
    assert_eq!((gone.count(), missed.count()), (50, 50));
}

#[test]
fn without_a_reset_policy_a_consumer_has_nowhere_to_begin_and_its_application_reads_nothing() {
    let mut c = audited("none").begin();
    let auditor = c.process(AUDITOR);
    c.pass(Duration::secs(5));
    let nowhere = |e: &ConsumerError| matches!(e, ConsumerError::NoOffsetForPartition(_));
    let thrown = c.told().filter(|(_, p, e)| {
        *p == auditor
            && matches!(e, Event::Client(_, ClientEvent::PollFailed { error }) if nowhere(error))
    });
    assert_eq!(thrown.count(), 1);
    assert_eq!(delivered(&c, auditor), []);
}

#[test]
fn a_consumer_of_a_dead_cluster_polls_in_vain_and_reads_on_when_it_is_back() {
    let mut c = audited("earliest").begin();
    let auditor = c.process(AUDITOR);
    read_to(&mut c, auditor, 20);
    for broker in c.brokers() {
        c.crash(broker);
    }
    c.pass(Duration::secs(30));
    let before = position(&c, auditor);
    c.heal();
    read_to(&mut c, auditor, before + 1);
    let offsets: Vec<i64> = delivered(&c, auditor).iter().map(|(o, _)| o.0).collect();
    assert_eq!(offsets, (0..).take(offsets.len()).collect::<Vec<_>>());
}

#[test]
fn at_the_end_a_fresh_reader_reads_all_that_was_acknowledged() {
    let mut setting = Setting::default().sends(60, 20);
    setting.scenario.end.at = Duration::secs(20);
    let mut c = setting.begin();
    c.run_until_told(
        "half is acknowledged",
        |_, e| matches!(e, Event::Client(_, ClientEvent::Acked { id, .. }) if id.number == 30),
    );
    c.crash(c.leader().expect("ready"));
    c.world.run_to_end();
    assert_eq!((c.world.phase(), c.world.stuck()), (Phase::Done, None));
    let reader = c.process("reader");
    let numbers: Vec<u32> = delivered(&c, reader)
        .iter()
        .map(|(_, id)| id.number)
        .collect();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
    let ends = c.told().filter_map(|(_, p, e)| match e {
        Event::App(AppEvent::ReachedEnd { end, .. }) if p == reader => Some(*end),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Offset(60)]);
}

#[test]
fn a_shop_that_is_stopped_cleanly_hears_of_every_send_before_it_exits() {
    let mut c = Setting::default().producer("linger.ms", "5000").begin();
    let shop = c.process("shop");
    c.pass(Duration::secs(2));
    c.stop(shop);
    c.run_until("it has exited", |c| {
        c.view().machine(shop).process.is_none()
    });
    let count = |which: fn(&AppEvent) -> bool| {
        c.told()
            .filter(|(_, p, e)| *p == shop && matches!(e, Event::App(e) if which(e)))
            .count()
    };
    let invoked = count(|e| matches!(e, AppEvent::Invoked { .. }));
    assert!(invoked >= 20);
    assert_eq!(count(|e| matches!(e, AppEvent::Accepted { .. })), invoked);
}
