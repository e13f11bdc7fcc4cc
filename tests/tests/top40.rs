//! "Is it a toy?": rows of the list of what any Kafka user can check against a real cluster, by their numbers.
//!
//! Three brokers, replication factor 3, min.insync.replicas 2, Kafka's defaults unless a row says otherwise.

use klab_kafka::event::*;
use klab_kafka::ids::{Offset, RecordId};
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::{Duration, Time};
use klab_world::fault::Intercept;
use klab_world::process::ProcessId;
use klab_world::scenario::selector::TopicPartition;
use klab_world::scenario::{ConsumerPlan, OnRestart};
use std::collections::{BTreeMap, BTreeSet};
use tests::{Cluster, Setting, TOPIC};

fn shop_acked(c: &Cluster) -> BTreeSet<RecordId> {
    let acked = c.told().filter_map(|(_, _, e)| match e {
        Event::Client(_, ClientEvent::Acked { id, .. }) => Some(*id),
        _ => None,
    });
    acked.collect()
}

fn failures(c: &Cluster) -> Vec<(Time, RecordId, SendFailure)> {
    let failed = c.told().filter_map(|(at, _, e)| match e {
        Event::Client(_, ClientEvent::Failed { id, error, .. }) => Some((at, *id, *error)),
        _ => None,
    });
    failed.collect()
}

fn run_until_acked(c: &mut Cluster, n: usize) {
    c.run_until("the shop has some records acknowledged", |c| {
        shop_acked(c).len() >= n
    });
}

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
    let mut c = Setting::default().sends(5_000, 2).begin();
    run_until_acked(&mut c, 5);
    let leader = c.leader().expect("ready");
    for follower in c.followers() {
        c.crash(follower);
    }
    c.run_until("the leader knows that it is alone", |c| {
        c.isr().len() == 1
            && c.broker(leader)
                .image()
                .partition(c.partition())
                .is_some_and(|r| r.isr.len() == 1)
    });
    let (alone, leo) = (c.world.now(), c.log(leader).leo());
    c.run_until("a record of that time has failed", |c| {
        failures(c)
            .iter()
            .any(|(_, id, _)| queued_at(c, *id) > alone)
    });
    let (failed, id, error) = *failures(&c)
        .iter()
        .find(|(_, id, _)| queued_at(&c, *id) > alone)
        .expect("one was waited for");
    assert_eq!(error, SendFailure::DeliveryTimeout, "TimeoutException");
    // The timeout counts from the first record of the batch (P-10), which fails at the same instant.
    let batch = failures(&c).into_iter().filter(|(at, ..)| *at == failed);
    let first = batch
        .map(|(_, id, _)| queued_at(&c, id))
        .min()
        .expect("at least itself");
    let waited = failed.since(first).as_millis();
    assert!(
        (120_000..=121_100).contains(&waited),
        "delivery.timeout.ms, then the sender's next turn: {waited}"
    );
    let tries: BTreeSet<ErrorCode> = retries(&c, id)
        .into_iter()
        .map(|(_, error)| error)
        .collect();
    assert_eq!(tries, [ErrorCode::NotEnoughReplicas].into(), "each try");
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
    run_until_acked(&mut c, 5);
    let leader = c.leader().expect("ready");
    for follower in c.followers() {
        c.pause(follower);
    }
    let paused = c.world.now();
    let waiting = c.run_until_told("the leader appends what it cannot replicate", |p, e| {
        p == leader && matches!(e, Event::Log(_, LogEvent::Appended { .. }))
    });
    let id = appended_ids(&waiting)[0];
    for follower in c.followers() {
        c.crash(follower);
    }
    c.run_until("it was tried again for want of replicas", |c| {
        retries(c, id).len() >= 2
    });
    let tries = retries(&c, id);
    assert_eq!(
        tries[0].1,
        ErrorCode::RequestTimedOut,
        "not NOT_ENOUGH_REPLICAS_AFTER_APPEND"
    );
    let waited = tries[0].0.since(paused).as_millis();
    assert!((30_000..30_500).contains(&waited), "{waited}");
    assert_eq!(tries[1].1, ErrorCode::NotEnoughReplicas);
    c.heal();
    c.run_until("every record is acknowledged", |c| {
        shop_acked(c).len() == 40
    });
    let leader = c.leader().expect("healed");
    assert_eq!(copies(&c, leader)[&id], 1, "exactly one copy");
}

fn appended_ids(record: &klab_world::trace::Record) -> Vec<RecordId> {
    match &record.what {
        klab_world::trace::What::Told(Event::Log(_, LogEvent::Appended { batch, .. })) => {
            batch.data.ids().to_vec()
        }
        other => panic!("an append was waited for: {other:?}"),
    }
}

#[test]
fn row_4_a_killed_leader_is_replaced_within_its_session_and_nothing_acked_is_lost() {
    for seed in 1..=10 {
        let mut setting = Setting::default().sends(600, 20);
        setting.seed = seed;
        let mut c = setting.begin();
        run_until_acked(&mut c, 20 + seed as usize * 7);
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
        c.run_until("the shop is done", |c| shop_acked(c).len() == 600);
        assert_eq!(failures(&c), [], "the application sees no error");
        let kept = copies(&c, c.leader().expect("there is one"));
        assert!(
            shop_acked(&c).iter().all(|id| kept.contains_key(id)),
            "no acknowledged record is lost"
        );
    }
}

/// When the active controller last handled a heartbeat of this broker.
fn last_heartbeat(c: &Cluster, broker: ProcessId) -> Time {
    use klab_world::trace::{Handled, What};
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
    setting.scenario.consumers = [("auditor".into(), ConsumerPlan { assign, config })].into();
    let mut c = setting.begin();
    run_until_acked(&mut c, 50);
    let old = c.leader().expect("ready");
    let followers = c.followers();
    c.cut(&[old], &followers);
    let cut = shop_acked(&c).len();
    run_until_acked(&mut c, cut + 30);
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
        klab_world::trace::What::Told(Event::Log(_, LogEvent::Truncated { to, .. })) => {
            assert_eq!(to, lost_range.0)
        }
        _ => unreachable!("just matched"),
    }
    c.run_until("all is in sync", |c| c.isr().len() == 3);
    let leader = c.leader().expect("healed");
    let kept = copies(&c, leader);
    let acked = shop_acked(&c);
    assert!(
        suffix
            .iter()
            .filter(|id| acked.contains(id))
            .all(|id| !kept.contains_key(id)),
        "gone everywhere"
    );
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
            klab_world::trace::What::Told(Event::Replica(
                _,
                ReplicaEvent::BecameLeader { start_offset, .. },
            )) => *start_offset,
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
    let mut c = Setting::default().sends(2_000, 10).begin();
    run_until_acked(&mut c, 20);
    let follower = c.followers()[0];
    let beat = last_heartbeat(&c, follower);
    let killed = c.world.now();
    c.crash(follower);
    c.pass(Duration::secs(1));
    c.restart(follower);
    c.run_until_told("it is refused", |p, e| {
        let refused = BrokerEvent::RegistrationRefused {
            error: ErrorCode::DuplicateBrokerRegistration,
        };
        p == follower && *e == Event::Broker(refused)
    });
    assert_eq!(c.isr().len(), 3, "the controller has noticed nothing yet");
    let registered = c.run_until_told("it is registered", |p, e| {
        p == follower && matches!(e, Event::Broker(BrokerEvent::Registered { .. }))
    });
    let lapsed = registered.at.since(beat).as_millis();
    assert!(
        (9_000..=12_200).contains(&lapsed),
        "the session, then the next retry of 2 s: {lapsed}"
    );
    c.run_until("it has left the ISR", |c| c.isr().len() == 2);
    c.run_until("it is back in the ISR", |c| c.isr().len() == 3);
    let window = c.world.now().since(killed).as_millis();
    assert!(
        window > 7_000,
        "under-replicated for {window} ms after a restart of one second"
    );
    assert!(c.world.now().since(beat).as_millis() > 9_000);
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
    assert!(
        (300..=520).contains(&late),
        "the long poll of 500 ms had begun just before: {late}"
    );
}

#[test]
fn row_19_a_lost_response_is_answered_again_with_the_first_offset() {
    let mut c = Setting::default().sends(30, 10).begin();
    run_until_acked(&mut c, 5);
    let leader = c.leader().expect("ready");
    let shop = c.process("shop");
    c.catch(
        true,
        Intercept {
            api: Api::Produce,
            response: true,
            from: [leader].into(),
            to: [shop].into(),
            nth: 1,
        },
    );
    let again = c.run_until_told("the broker knows the batch", |_, e| {
        matches!(e, Event::Log(_, LogEvent::Deduplicated { .. }))
    });
    let klab_world::trace::What::Told(Event::Log(_, LogEvent::Deduplicated { base_offset, ids })) =
        again.what
    else {
        unreachable!("just matched")
    };
    c.run_until("every record is acknowledged", |c| {
        shop_acked(c).len() == 30
    });
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

#[test]
fn row_20_a_restarted_producer_that_resends_has_another_id_and_duplicates() {
    let mut setting = Setting::default().sends(30, 10);
    setting.shop().on_restart = OnRestart::ResendUnconfirmed;
    let mut c = setting.begin();
    run_until_acked(&mut c, 5);
    let leader = c.leader().expect("ready");
    let shop = c.process("shop");
    c.catch(
        false,
        Intercept {
            api: Api::Produce,
            response: true,
            from: [leader].into(),
            to: [shop].into(),
            nth: 1,
        },
    );
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
    c.run_until("the rest is acknowledged", |c| shop_acked(c).len() == 30);
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
    assert_eq!(ids.len(), 2);
}
