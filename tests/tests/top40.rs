//! "Is it a toy?": rows of the list of what any Kafka user can check against a real cluster, by their numbers.
//!
//! Three brokers, replication factor 3, min.insync.replicas 2, Kafka's defaults unless a row says otherwise.

use klab_kafka::client::producer::partitioner::{murmur2, partition_for_key};
use klab_kafka::event::*;
use klab_kafka::ids::{NodeId, Offset, RecordId};
use klab_kafka::log::batch::{BATCH_OVERHEAD, RecordBatch};
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::{Duration, Time};
use klab_world::process::ProcessId;
use klab_world::scenario::selector::TopicPartition;
use klab_world::scenario::{ConsumerPlan, OnRestart};
use klab_world::trace::{Handled, What};
use std::collections::{BTreeMap, BTreeSet};
use tests::{Cluster, Setting, TOPIC, produce_request, produce_response};

fn first_told(c: &Cluster, mut is_it: impl FnMut(ProcessId, &Event) -> bool) -> Option<Time> {
    c.told().find(|(_, p, e)| is_it(*p, e)).map(|(at, ..)| at)
}

fn copies(c: &Cluster, p: ProcessId) -> BTreeMap<RecordId, u32> {
    let mut copies = BTreeMap::new();
    for (_, id) in c.read(p) {
        *copies.entry(id).or_insert(0) += 1;
    }
    copies
}

#[test]
fn row_1_two_followers_dead_means_not_enough_replicas_until_the_delivery_timeout() {
    let mut setting = Setting::default().sends(5, 10);
    let mut late = setting.shop().clone();
    (late.records, late.after) = (1, Duration::secs(60));
    setting.scenario.producers.insert("late".into(), late);
    let mut c = setting.begin();
    c.run_until_acked(5);
    let leader = c.leader().expect("ready");
    for follower in c.followers() {
        c.crash(follower);
    }
    c.run_until("the leader is alone", |c| c.isr().len() == 1);
    let leo = c.log(leader).leo();
    assert!(c.time() < Duration::secs(60), "the late record comes then");
    c.run_until("it has failed", |c| !c.failures().is_empty());
    let (failed, id, error) = c.failures()[0];
    assert_eq!(error, SendFailure::DeliveryTimeout, "TimeoutException");
    let waited = failed.since(queued_at(&c, id)).as_millis();
    assert_eq!(waited, 120_000, "delivery.timeout.ms");
    let tries = retries(&c, id);
    assert!(tries.len() > 100, "about one a second: {}", tries.len());
    assert!(
        tries.iter().all(|(_, error)| error.code() == 19),
        "NOT_ENOUGH_REPLICAS each time: {tries:?}"
    );
    assert_eq!(
        c.log(leader).leo(),
        leo,
        "nothing is appended by those tries"
    );
}

fn queued_at(c: &Cluster, record: RecordId) -> Time {
    first_told(
        c,
        |_, e| matches!(e, Event::Client(_, ClientEvent::Queued { id, .. }) if *id == record),
    )
    .unwrap_or(Time(0))
}

fn retries(c: &Cluster, record: RecordId) -> Vec<(Time, ErrorCode)> {
    let retried = c.told().filter_map(|(at, _, e)| match e {
        Event::Client(_, ClientEvent::Retried { ids, error, .. }) if ids.contains(&record) => {
            Some((at, *error))
        }
        _ => None,
    });
    retried.collect()
}

#[test]
fn row_3_followers_dead_after_the_append_means_a_timeout_first_and_one_copy_in_the_end() {
    let mut c = Setting::default().sends(40, 10).begin();
    c.run_until_acked(5);
    let leader = c.leader().expect("ready");
    for follower in c.followers() {
        c.pause(follower);
    }
    let waiting = c.run_until_told("the leader appends what it cannot replicate", |p, e| {
        p == leader && matches!(e, Event::Log(_, LogEvent::Appended { .. }))
    });
    let id = appended_ids(&waiting)[0];
    let end = c.log(leader).leo();
    for follower in c.followers() {
        c.crash(follower);
    }
    assert!(c.log(leader).hw() < end, "before the HW has reached it");
    c.run_until("it was tried again for want of replicas", |c| {
        retries(c, id).len() >= 2
    });
    let tries = retries(&c, id);
    assert_eq!(tries[0].1.code(), 7, "REQUEST_TIMED_OUT, and not code 20");
    let waited = tries[0].0.since(sent_at(&c, id)).as_millis();
    assert_eq!(waited, 30_000, "request.timeout.ms");
    assert_eq!(tries[1].1.code(), 19, "then NOT_ENOUGH_REPLICAS");
    c.heal();
    c.run_until("every record is acknowledged", |c| c.acked().len() == 40);
    let all = retries(&c, id);
    assert!(
        all.iter().all(|(_, error)| error.code() != 20),
        "nor later: {all:?}"
    );
    c.run_until("all is in sync", |c| c.isr().len() == 3);
    for broker in c.brokers() {
        assert_eq!(copies(&c, broker)[&id], 1, "exactly one copy");
    }
}

/// When a record left for the first time.
fn sent_at(c: &Cluster, record: RecordId) -> Time {
    let sent = first_told(
        c,
        |_, e| matches!(e, Event::Client(_, ClientEvent::BatchSent { ids, .. }) if ids.contains(&record)),
    );
    sent.expect("it was sent")
}

fn appended_ids(record: &klab_world::trace::Record) -> Vec<RecordId> {
    match &record.what {
        What::Told(Event::Log(_, LogEvent::Appended { batch, .. })) => batch.data.ids().to_vec(),
        other => panic!("an append was waited for: {other:?}"),
    }
}

#[test]
fn row_4_a_killed_leader_is_replaced_within_its_session_and_nothing_acked_is_lost() {
    for seed in 1..=10 {
        let mut setting = Setting::default().sends(600, 20);
        setting.seed = seed;
        let mut c = setting.begin();
        c.run_until_acked(20 + seed as usize * 7);
        let old = c.leader().expect("ready");
        let beat = last_heartbeat(&c, old);
        let killed = c.world.now();
        c.crash(old);
        c.run_until("another broker leads", |c| {
            c.leader().is_some_and(|l| l != old)
        });
        let elected = c.world.now();
        let after_beat = elected.since(beat).as_millis();
        assert!(
            (9_000..=10_200).contains(&after_beat),
            "{after_beat} ms after the last heartbeat"
        );
        let after_kill = elected.since(killed).as_millis();
        assert!(
            (7_000..=10_200).contains(&after_kill),
            "{after_kill} ms after the kill"
        );
        c.run_until("the shop is done", |c| c.acked().len() == 600);
        assert_eq!(c.failures(), [], "the application sees no error");
        let kept = copies(&c, c.leader().expect("there is one"));
        assert!(
            c.acked().iter().all(|id| kept.contains_key(id)),
            "no acknowledged record is lost"
        );
    }
}

/// When the active controller last handled a heartbeat of this broker.
fn last_heartbeat(c: &Cluster, broker: ProcessId) -> Time {
    let records = c.world.trace().records().iter().rev();
    let mut beats = records.filter(|r| {
        matches!(r.what, What::Handled(Handled::Request { api: Api::BrokerHeartbeat, from, .. }) if from == broker)
    });
    beats.next().expect("a broker that runs has a heart").at
}

#[test]
fn row_5_an_acked_but_unreplicated_suffix_vanishes_with_the_leader_and_no_reader_saw_it() {
    let mut setting = Setting::default().producer("acks", "1").sends(400, 50);
    let assign = vec![TopicPartition {
        topic: TOPIC.into(),
        partition: 0,
    }];
    let mut config = klab_kafka::config::ConsumerConfig::default();
    config.auto_offset_reset = klab_kafka::config::OffsetReset::Earliest;
    let plan = ConsumerPlan {
        assign,
        config,
        rules: None,
    };
    setting.scenario.consumers = [("auditor".into(), plan)].into();
    let mut c = setting.begin();
    c.run_until_acked(50);
    let old = c.leader().expect("ready");
    let followers = c.followers();
    c.cut(&[old], &followers);
    let cut = c.acked().len();
    c.run_until_acked(cut + 30);
    c.crash(old);
    let lost_range = c.run_until_lost(old);
    let suffix: Vec<RecordId> = lost_range.1;
    assert!(
        suffix.len() >= 25,
        "what was acknowledged in the dark: {}",
        suffix.len()
    );
    c.heal();
    let truncated = c.run_until_told("the old leader truncates on its return", |p, e| {
        p == old && matches!(e, Event::Log(_, LogEvent::Truncated { .. }))
    });
    match truncated.what {
        What::Told(Event::Log(_, LogEvent::Truncated { to, .. })) => {
            assert_eq!(to, lost_range.0)
        }
        _ => unreachable!("just matched"),
    }
    c.run_until("all is in sync", |c| c.isr().len() == 3);
    let leader = c.leader().expect("healed");
    let kept = copies(&c, leader);
    let acked = c.acked();
    let vanished: Vec<&RecordId> = suffix.iter().filter(|id| acked.contains(id)).collect();
    assert!(
        vanished.len() >= 25,
        "acknowledged: {} of {}",
        vanished.len(),
        suffix.len()
    );
    for broker in c.brokers() {
        let kept = copies(&c, broker);
        assert!(
            vanished.iter().all(|id| !kept.contains_key(id)),
            "gone everywhere"
        );
    }
    c.run_until("the auditor has read what came after", |c| {
        let last = kept.keys().last().expect("something is kept");
        c.told().any(|(_, _, e)| delivered(e).contains(last))
    });
    let seen: BTreeSet<RecordId> = c.told().flat_map(|(_, _, e)| delivered(e)).collect();
    assert!(
        suffix.iter().all(|id| !seen.contains(id)),
        "it was above the high watermark"
    );
}

fn delivered(event: &Event) -> Vec<RecordId> {
    match event {
        Event::Client(_, ClientEvent::Delivered { records, .. }) => {
            records.iter().map(|(_, _, id)| *id).collect()
        }
        _ => Vec::new(),
    }
}

trait Lost {
    fn run_until_lost(&mut self, old: ProcessId) -> (Offset, Vec<RecordId>);
}

impl Lost for Cluster {
    /// Runs until another leads; returns where its log ended then, and the records that the old leader's log has beyond.
    fn run_until_lost(&mut self, old: ProcessId) -> (Offset, Vec<RecordId>) {
        let partition = self.partition();
        let record = self.run_until_told("another broker leads", |p, e| {
            p != old && matches!(e, Event::Replica(tp, ReplicaEvent::BecameLeader { .. }) if *tp == partition)
        });
        let start = match &record.what {
            What::Told(Event::Replica(_, ReplicaEvent::BecameLeader { start_offset, .. })) => {
                *start_offset
            }
            _ => unreachable!("just matched"),
        };
        let appended = self
            .told()
            .filter(|(_, p, _)| *p == old)
            .filter_map(|(_, _, e)| match e {
                Event::Log(tp, LogEvent::Appended { batch, .. })
                    if *tp == partition && batch.base_offset >= start =>
                {
                    Some(batch.data.ids().to_vec())
                }
                _ => None,
            });
        (start, appended.flatten().collect())
    }
}

#[test]
fn row_13_a_broker_back_in_a_second_is_refused_until_its_old_session_lapses() {
    let places: [&[i32]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
    let mut c = Setting::default()
        .sends(2_000, 10)
        .replicas(&places)
        .begin();
    c.run_until_acked(20);
    let (victim, node) = (c.process("broker-2"), NodeId(2));
    let beats = last_heartbeat(&c, victim);
    c.run_until("its heart has just beaten", |c| {
        last_heartbeat(c, victim) > beats
    });
    let killed = c.world.now();
    c.crash(victim);
    c.pass(Duration::secs(1));
    c.restart(victim);
    let isrs_with = |c: &Cluster| {
        (0..3)
            .filter(|p| c.registration(*p).isr.contains(&node))
            .count()
    };
    let refused = c.run_until_told("it is refused", |p, e| {
        p == victim && matches!(e, Event::Broker(BrokerEvent::RegistrationRefused { .. }))
    });
    assert!(refused.at.since(killed) < Duration::millis(1_100));
    assert_eq!(isrs_with(&c), 3, "the controller has noticed nothing yet");
    let registered = c.run_until_told("it is registered", |p, e| {
        p == victim && matches!(e, Event::Broker(BrokerEvent::Registered { .. }))
    });
    let lapsed = registered.at.since(killed).as_millis();
    assert!(
        (9_000..=12_200).contains(&lapsed),
        "the session of 9 s, then the next try, every 2 s: {lapsed}"
    );
    let refusals = registration_refusals(&c, victim);
    assert!(refusals.len() >= 4, "all that time: {refusals:?}");
    assert!(refusals.iter().all(|error| error.code() == 101));
    c.run_until("it has left every ISR", |c| isrs_with(c) == 0);
    c.run_until("it is back in every ISR", |c| isrs_with(c) == 3);
    let back = c.world.now();
    assert!(
        back.since(killed) > Duration::secs(9),
        "a restart of one second takes a copy of everything away for longer than its session"
    );
    // The ISRs themselves are one short for less: the dead broker stays in them while its session lasts.
    let left = left_isrs(&c, node, killed);
    assert_eq!(left.len(), 3);
    for at in left {
        let lasted = at.since(killed).as_millis();
        assert!(
            (9_000..=9_000 + 1_125).contains(&lasted),
            "9 s, looked at each eighth of them: {lasted} ms"
        );
        let short = back.since(at);
        assert!(
            registered.at.since(at) <= Duration::millis(2_010) && short < Duration::secs(3),
            "the next try within 2 s, then a fetch that has caught up: {short:?}"
        );
    }
}

/// When partitions lost a broker from their ISRs.
fn left_isrs(c: &Cluster, node: NodeId, since: Time) -> Vec<Time> {
    let without = c.told().filter_map(|(at, _, e)| match e {
        Event::Controller(
            ControllerEvent::IsrCommitted { isr, .. } | ControllerEvent::LeaderElected { isr, .. },
        ) if at > since && !isr.contains(&node) => Some(at),
        _ => None,
    });
    without.collect()
}

fn registration_refusals(c: &Cluster, broker: ProcessId) -> Vec<ErrorCode> {
    let refused = c.told().filter_map(|(_, p, e)| match e {
        Event::Broker(BrokerEvent::RegistrationRefused { error }) if p == broker => Some(*error),
        _ => None,
    });
    refused.collect()
}

#[test]
fn row_16_followers_learn_the_last_high_watermark_with_their_next_fetch() {
    let mut c = Setting::default().sends(20, 10).begin();
    let leader = c.leader().expect("ready");
    c.run_until("the leader has committed the last record", |c| {
        c.log(leader).hw() == Offset(20)
    });
    let committed = c.world.now();
    let behind: Vec<ProcessId> = c
        .followers()
        .into_iter()
        .filter(|f| c.log(*f).hw() < Offset(20))
        .collect();
    assert!(!behind.is_empty(), "a follower cannot know it yet (R-4)");
    c.run_until("they know", |c| {
        behind.iter().all(|f| c.log(*f).hw() == Offset(20))
    });
    let late = c.world.now().since(committed).as_millis();
    // The fetch that committed it has nothing to bring: it waits out its 500 ms, and its answer is 1 to 3 ms on its way.
    assert!(
        (500..=503).contains(&late),
        "replica.fetch.wait.max.ms, and the way of the answer: {late}"
    );
    for follower in behind {
        assert_eq!(
            learned_from(&c, follower),
            (Api::Fetch, leader),
            "with its fetch's reply, and not otherwise"
        );
    }
}

/// What a follower handled when it last raised its high watermark: the answer to which request, and from whom.
fn learned_from(c: &Cluster, follower: ProcessId) -> (Api, ProcessId) {
    let records = c.world.trace().records();
    let raised = records.iter().rev().find(|r| {
        let partition = c.partition();
        let raised = |e: &Event| matches!(e, Event::Log(tp, LogEvent::HighWatermark { hw: Offset(20) }) if *tp == partition);
        r.process == Some(follower) && matches!(&r.what, What::Told(e) if raised(e))
    });
    c.answer_behind(raised.expect("it was told of it"))
}

#[test]
fn row_19_a_lost_response_is_answered_again_with_the_first_offset() {
    let mut c = Setting::default().sends(30, 10).begin();
    c.run_until_acked(5);
    let leader = c.leader().expect("ready");
    let shop = c.process("shop");
    c.lose(produce_response(leader, shop));
    let again = c.run_until_told("the broker knows the batch", |_, e| {
        matches!(e, Event::Log(_, LogEvent::Deduplicated { .. }))
    });
    let What::Told(Event::Log(_, LogEvent::Deduplicated { base_offset, ids })) = again.what else {
        unreachable!("just matched")
    };
    c.run_until("every record is acknowledged", |c| c.acked().len() == 30);
    let place = |id| {
        c.read(leader)
            .iter()
            .filter(|(_, x)| *x == id)
            .map(|(o, _)| *o)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        place(ids[0]),
        [base_offset],
        "one copy, at the offset that was answered"
    );
    let told = c.told().find_map(|(_, _, e)| match e {
        Event::Client(_, ClientEvent::Acked { id, offset, .. }) if *id == ids[0] => *offset,
        _ => None,
    });
    assert_eq!(told, Some(base_offset));
}

// P-20: to the broker it is another producer.
#[test]
fn row_20_a_restarted_producer_that_resends_has_another_id_and_duplicates() {
    let mut setting = Setting::default().sends(30, 10);
    setting.shop().on_restart = OnRestart::ResendUnconfirmed;
    let mut c = setting.begin();
    c.run_until_acked(5);
    let leader = c.leader().expect("ready");
    let shop = c.process("shop");
    c.hold(produce_response(leader, shop));
    let appended = c.run_until_told(
        "a record is written that the shop will not hear of",
        |p, e| {
            p == leader
                && matches!(
                    e,
                    Event::Log(
                        _,
                        LogEvent::Appended {
                            as_leader: true,
                            ..
                        }
                    )
                )
        },
    );
    let id = appended_ids(&appended)[0];
    c.run_until("it is replicated", |c| {
        c.log(leader).hw() == c.log(leader).leo()
    });
    c.crash(shop);
    c.restart(shop);
    c.run_until("the rest is acknowledged", |c| c.acked().len() == 30);
    assert_eq!(
        copies(&c, leader)[&id],
        2,
        "a new producer id is recognised by nobody"
    );
    let ids: BTreeSet<i64> = c
        .told()
        .filter_map(|(_, _, e)| match e {
            Event::Client(_, ClientEvent::ProducerIdObtained { producer, .. }) => Some(producer.0),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 2, "of the process before and of the one after");
    let read: Vec<RecordId> = c.read(leader).into_iter().map(|(_, id)| id).collect();
    let by_key: BTreeSet<RecordId> = read.iter().copied().collect();
    assert!(read.len() > 30, "read as they lie there");
    assert_eq!(
        by_key.len(),
        30,
        "told apart by the application's own key, each is there once"
    );
}

#[test]
fn row_19_a_retry_older_than_five_batches_is_out_of_order_and_not_written_again() {
    let mut c = Setting::default().sends(60, 2).begin();
    c.run_until_acked(5);
    let (leader, shop) = (c.leader().expect("ready"), c.process("shop"));
    c.hold(produce_request(shop, leader));
    let held = c.run_until_told("a request is held", |_, e| {
        matches!(e, Event::Client(_, ClientEvent::BatchSent { .. }))
    });
    let What::Told(Event::Client(_, ClientEvent::BatchSent { ids, .. })) = held.what else {
        unreachable!("just matched")
    };
    // The client gives the connection up after 30 s and sends again on another one; the held request still waits.
    c.run_until("it was acknowledged on another connection", |c| {
        c.acked().contains(&ids[0])
    });
    let before = c.acked().len();
    c.run_until_acked(before + 6);
    c.heal();
    let refused = c.run_until_told("the held request arrives", |p, e| {
        p == leader
            && matches!(e, Event::Log(_, LogEvent::Refused { ids: of, .. }) if of[..] == ids[..])
    });
    let What::Told(Event::Log(_, LogEvent::Refused { error, .. })) = refused.what else {
        unreachable!("just matched")
    };
    assert_eq!(error.code(), 45, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    c.run_until_acked(60);
    let written = copies(&c, leader);
    assert!(written.len() == 60 && written.values().all(|n| *n == 1));
}

/// Which of 3 and of 6 partitions the client of Kafka 4.2.0 gives these keys, and their hashes: made as the golden
/// table of the partitioner is.
const JAVA: [(&str, i32, i32, i32); 7] = [
    ("foo", 597841616, 2, 2),
    ("key-0", 29210041, 1, 1),
    ("key-1", 193331640, 0, 0),
    ("key-2", 852269702, 2, 2),
    ("key-3", -1839136101, 2, 5),
    ("key-4", 647367033, 0, 3),
    ("key-5", -1698326880, 2, 2),
];

#[test]
fn row_21_a_key_goes_where_the_java_client_puts_it_and_elsewhere_among_more_partitions() {
    for (key, hash, of_3, of_6) in JAVA {
        assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        let positive = hash & i32::MAX;
        assert_eq!((positive % 3, positive % 6), (of_3, of_6), "{key}");
        let placed = [3, 6].map(|n| partition_for_key(key.as_bytes(), n));
        assert_eq!(placed, [of_3, of_6], "{key}");
    }
    let written = |key: &str, of: i32| (key.as_bytes().to_vec(), BTreeSet::from([of]));
    let sent = &JAVA[1..];
    let of_3 = sent.iter().map(|(key, _, of_3, _)| written(key, *of_3));
    assert_eq!(partitions_by_key(3), of_3.collect());
    let of_6 = sent.iter().map(|(key, .., of_6)| written(key, *of_6));
    assert_eq!(partitions_by_key(6), of_6.collect());
}

/// To which partitions the records of each key are written, by the bytes in the leaders' logs.
fn partitions_by_key(partitions: usize) -> BTreeMap<Vec<u8>, BTreeSet<i32>> {
    let places: Vec<&[i32]> = [&[1, 2, 3][..], &[2, 3, 1], &[3, 1, 2]].repeat(2);
    let setting = Setting::default().sends(60, 50).keys(6);
    let mut c = setting.replicas(&places[..partitions]).begin();
    c.run_until_acked(60);
    let mut found: BTreeMap<Vec<u8>, BTreeSet<i32>> = BTreeMap::new();
    for (partition, batch) in appended_by_leaders(&c) {
        for record in batch.records() {
            let key = record
                .expect("well formed")
                .key
                .expect("every record has a key");
            found.entry(key.to_vec()).or_default().insert(partition);
        }
    }
    found
}

fn appended_by_leaders(c: &Cluster) -> Vec<(i32, RecordBatch)> {
    let topic = c.partition().topic;
    let appended = c.told().filter_map(|(_, _, e)| match e {
        Event::Log(
            tp,
            LogEvent::Appended {
                batch,
                as_leader: true,
            },
        ) if tp.topic == topic => Some((tp.partition, batch.clone())),
        _ => None,
    });
    appended.collect()
}

#[test]
fn row_22_a_burst_without_keys_sticks_to_a_partition_for_a_batch_and_then_draws_again() {
    const BATCH: u32 = 16_384;
    let places: [&[i32]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
    let setting = Setting::default().sends(1_000, 1_000_000).size(1_000);
    let mut c = setting.replicas(&places).begin();
    c.run_until_acked(1_000);
    let bytes = bytes_of_records(&c);
    let runs = sticky_runs(&c);
    let (mut drawn_again, mut others) = (0, 0);
    for run in &runs[..runs.len() - 1] {
        let run: u32 = run.1.iter().map(|id| bytes[id]).sum();
        assert!(run >= BATCH, "no switch before a batch's worth: {run}");
        // A batch that is not full holds the switch up until two batches' worth have gone there (P-4). What is more
        // than that is the same partition, drawn again.
        match run <= 2 * BATCH + 1_100 {
            true => others += 1,
            false => drawn_again += 1,
        }
    }
    assert!(drawn_again > 0, "a draw may repeat the partition");
    assert!(others > 0, "and need not");
    let visited: BTreeSet<i32> = runs.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(visited, [0, 1, 2].into());
    let steps: BTreeSet<i32> = runs
        .windows(2)
        .map(|w| (w[1].0 - w[0].0).rem_euclid(3))
        .collect();
    assert_eq!(steps, [1, 2].into(), "not in turns");
}

/// Partitions in the order in which the producer stuck to them, each with the records queued there meanwhile.
fn sticky_runs(c: &Cluster) -> Vec<(i32, Vec<RecordId>)> {
    let mut runs: Vec<(i32, Vec<RecordId>)> = Vec::new();
    for (_, _, event) in c.told() {
        let Event::Client(_, ClientEvent::Queued { id, partition }) = event else {
            continue;
        };
        match runs.last_mut() {
            Some((last, ids)) if *last == partition.partition => ids.push(*id),
            _ => runs.push((partition.partition, vec![*id])),
        }
    }
    runs
}

/// How many bytes each record brought to its batch; the first one brought the header, too.
fn bytes_of_records(c: &Cluster) -> BTreeMap<RecordId, u32> {
    let mut bytes = BTreeMap::new();
    for (_, batch) in appended_by_leaders(c) {
        let each = (batch.data.size - BATCH_OVERHEAD) / batch.data.count as u32;
        bytes.extend(batch.data.ids().iter().map(|id| (*id, each)));
        *bytes.entry(batch.data.ids()[0]).or_default() += BATCH_OVERHEAD;
    }
    bytes
}

/// For each record how many microseconds it lay in the accumulator.
fn lingered(c: &Cluster) -> Vec<u64> {
    let mut queued: Vec<RecordId> = Vec::new();
    queued.extend(c.told().filter_map(|(_, _, e)| match e {
        Event::Client(_, ClientEvent::Queued { id, .. }) => Some(*id),
        _ => None,
    }));
    let waited = |id: &RecordId| sent_at(c, *id).since(queued_at(c, *id)).0 / 1_000;
    queued.iter().map(waited).collect()
}

#[test]
fn row_23_a_single_record_waits_5_ms() {
    let mut c = Setting::default().sends(10, 1).begin();
    c.run_until_acked(10);
    // The first one also waits for the first connection.
    assert_eq!(lingered(&c)[1..], [5_000; 9]);
}

/// Four records, one a millisecond: to partitions 1 and 0, and two to partition 2. One broker leads 1 and 2.
fn two_brokers_and_a_filling_batch(size: u32) -> Vec<u64> {
    let places: [&[i32]; 3] = [&[2, 1, 3], &[1, 2, 3], &[1, 2, 3]];
    let mut c = Setting::default()
        .producer("enable.idempotence", "false")
        .sends(4, 1_000)
        .keys(4)
        .size(size)
        .replicas(&places)
        .latency(Duration::micros(10), Duration::micros(10))
        .begin();
    c.run_until_acked(4);
    lingered(&c)
}

#[test]
fn row_23_another_full_batch_that_makes_its_broker_ready_ends_the_wait() {
    // Once it is ready, a broker has still to be connected to: some 20 µs.
    let lingers = 5_000..=5_100;
    let small = two_brokers_and_a_filling_batch(100);
    assert!(
        small[..2].iter().all(|us| lingers.contains(us)),
        "nothing is full: {small:?}"
    );
    let large = two_brokers_and_a_filling_batch(9_000);
    assert!(
        (2_000..=3_100).contains(&large[0]),
        "the fourth record filled a batch for the same broker 3 ms later: {large:?}"
    );
    assert!(
        lingers.contains(&large[1]),
        "the other broker is not ready by that: {large:?}"
    );
}
