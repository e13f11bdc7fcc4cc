//! Rows 6, 12, 14, 15, 39 and 40 of the list of what any Kafka user can check against a real cluster: brokers that are cut off,
//! slow, stopped and back again, and what their logs give up.

use klab_kafka::config::{ConsumerConfig, OffsetReset};
use klab_kafka::event::*;
use klab_kafka::ids::{LeaderEpoch, NodeId, Offset, RecordId};
use klab_kafka::log::record::Record;
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::{Duration, Time};
use klab_kafka::timer::{BrokerTimer, Timer};
use klab_world::process::ProcessId;
use klab_world::scenario::selector::{Selector, TopicPartition};
use klab_world::scenario::{ConsumerPlan, EndPlan, LinkPlan, Scenario};
use klab_world::trace::{Handled, Phase, ProcessFact, What};
use klab_world::world::{Watch, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tests::{Cluster, Setting, TOPIC};

/// Records that a broker acknowledged since, asked to wait for so many copies.
fn acknowledged(c: &Cluster, since: Time, by: ProcessId, asked: i16) -> Vec<RecordId> {
    let told = c.told().filter(|(at, p, _)| *at > since && *p == by);
    let ids = told.filter_map(|(_, _, e)| match e {
        Event::Replica(_, ReplicaEvent::Acknowledged { ids, acks, .. }) if *acks == asked => {
            Some(ids.to_vec())
        }
        _ => None,
    });
    ids.flatten().collect()
}

fn ids(c: &Cluster, p: ProcessId) -> BTreeSet<RecordId> {
    c.read(p).into_iter().map(|(_, id)| id).collect()
}

/// The records of a broker's log as they are read.
fn records(c: &Cluster, p: ProcessId) -> Vec<Record> {
    let batches = c.log(p).batches();
    batches
        .flat_map(|b| b.records().map(|r| r.expect("sound")).collect::<Vec<_>>())
        .collect()
}

fn reads_from_the_start() -> ConsumerPlan {
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let partition = TopicPartition {
        topic: TOPIC.into(),
        partition: 0,
    };
    ConsumerPlan {
        assign: vec![partition],
        config,
        rules: None,
    }
}

//
#[test]
fn row_6_a_leader_cut_off_with_its_clients_acknowledges_acks_1_in_vain_and_acks_all_never() {
    let mut setting = Setting::default().producer("acks", "1").sends(4_000, 20);
    let mut careful = setting.clone().producer("acks", "all").shop().clone();
    (careful.records, careful.rate.count) = (200, 2);
    let mut late = setting.shop().clone();
    late.after = Duration::secs(25);
    let producers = &mut setting.scenario.producers;
    producers.insert("careful".into(), careful);
    producers.extend(["late-a", "late-b", "late-c"].map(|name| (name.into(), late.clone())));
    let mut c = setting.begin();
    c.run_until_acked(50);
    let old = c.leader().expect("ready");
    let others = [c.followers(), c.controllers()].concat();
    c.cut(&[old], &others);
    let cut = c.world.now();
    c.run_until("another broker leads", |c| {
        c.leader().is_some_and(|l| l != old)
    });
    let (elected, new) = (c.world.now(), c.leader().expect("just seen"));
    let start = c.log(new).leo();
    c.run_until("both sides acknowledge", |c| {
        [old, new]
            .iter()
            .all(|b| acknowledged(c, elected, *b, 1).len() >= 20)
    });
    c.run_until("a producer that waits for all has waited in vain", |c| {
        c.told().any(|(at, p, e)| {
            let is_late = matches!(e, Event::Client(_, ClientEvent::Retried { error, .. }) if error.code() == 7);
            at > elected && p == c.process("careful") && is_late
        })
    });
    let in_flight = cut + Duration::secs(1);
    assert_eq!(
        acknowledged(&c, in_flight, old, -1),
        [],
        "REQUEST_TIMED_OUT is all it says"
    );
    let suffix: Vec<RecordId> = {
        let told = c.told().filter(|(_, p, _)| *p == old);
        let written = told.filter_map(|(_, _, e)| match e {
            Event::Log(
                _,
                LogEvent::Appended {
                    batch,
                    as_leader: true,
                },
            ) if batch.base_offset >= start => Some(batch.data.ids().to_vec()),
            _ => None,
        });
        written.flatten().collect()
    };
    let in_vain = acknowledged(&c, cut, old, 1);
    let in_vain: Vec<&RecordId> = suffix.iter().filter(|id| in_vain.contains(id)).collect();
    assert!(in_vain.len() >= 20, "acknowledged: {}", in_vain.len());
    c.heal();
    c.run_until("all is in sync", |c| c.isr().len() == 3);
    for broker in c.brokers() {
        let kept = ids(&c, broker);
        assert!(
            in_vain.iter().all(|id| !kept.contains(id)),
            "gone everywhere"
        );
    }
}

#[test]
fn row_12_a_follower_that_lags_too_long_leaves_the_isr_at_the_next_check_and_comes_back_at_the_high_watermark()
 {
    let mut setting = Setting::default()
        .producer("acks", "1")
        .sends(9_000, 100)
        .size(1_000);
    // A tenth of a megabyte comes in each second, a twentieth gets through to one follower.
    let side = |name: &str| Selector::Process(name.into());
    setting.scenario.network.links = vec![LinkPlan {
        between: (side("broker-1"), side("broker-2")),
        latency: None,
        bandwidth: Some(50_000),
    }];
    let mut c = setting.begin();
    let (slow, quick) = (c.process("broker-2"), c.process("broker-3"));
    let (leader, node) = (c.leader().expect("ready"), NodeId(2));
    let began = c.world.now();
    let shrink = c.run_until_told("the leader wants it out", |p, e| {
        let wants = |isr: &[NodeId]| isr.len() == 2 && !isr.contains(&node);
        p == leader && matches!(e, Event::Replica(_, ReplicaEvent::IsrChangePending { isr, .. }) if wants(isr))
    });
    let caught_up = last_caught_up(&c, leader, node);
    let checks = isr_checks(&c, leader);
    for pair in checks.windows(2) {
        let apart = pair[1].since(pair[0]).as_millis();
        assert_eq!(apart, 15_000, "replica.lag.time.max.ms / 2");
    }
    let is_late = |at: &&Time| at.since(caught_up) > Duration::secs(30);
    assert_eq!(
        checks.iter().find(is_late),
        Some(&shrink.at),
        "the first check after 30 s of lag, which began at {caught_up:?}"
    );
    let fetches = c.told().filter(|(at, p, e)| {
        let is_its = |follower: &NodeId| *follower == node;
        *at > began && *p == leader
            && matches!(e, Event::Replica(_, ReplicaEvent::FollowerFetched { follower, .. }) if is_its(follower))
    });
    assert!(fetches.count() >= 3, "it was fetching all the while");
    let held_back = c.log(leader).hw();
    assert!(
        held_back.plus(1_000) < c.log(quick).leo(),
        "the high watermark waits for the slowest"
    );
    c.run_until("it is out", |c| c.isr().len() == 2);
    c.run_until("the high watermark follows the quick one", |c| {
        c.log(leader).hw() > held_back.plus(1_000)
    });
    assert!(
        c.log(slow).leo() < c.log(leader).hw(),
        "without the slow one"
    );
    let expand = c.run_until_told("the leader wants it in", |p, e| {
        p == leader && matches!(e, Event::Replica(_, ReplicaEvent::IsrChangePending { isr, .. }) if isr.contains(&node))
    });
    let before = c.told().take_while(|(at, ..)| *at <= expand.at);
    let leo = before.filter_map(|(_, p, e)| match e {
        Event::Replica(_, ReplicaEvent::FollowerFetched { follower, leo })
            if p == leader && *follower == node =>
        {
            Some(*leo)
        }
        _ => None,
    });
    let leo = leo.last().expect("it fetched");
    let hw = c.log(leader).hw();
    assert!(leo >= hw, "{leo:?} has reached {hw:?}");
    c.run_until("it is in", |c| c.isr().len() == 3);
}

/// When a broker looked whose followers lag.
fn isr_checks(c: &Cluster, broker: ProcessId) -> Vec<Time> {
    let records = c.world.trace().records().iter();
    let is_check = |r: &&klab_world::trace::Record| {
        let timer = Timer::Broker(BrokerTimer::IsrCheck);
        r.process == Some(broker)
            && matches!(r.what, What::Handled(Handled::Timer(t)) if t == timer)
    };
    records.filter(is_check).map(|r| r.at).collect()
}

/// When a follower last had all that the leader had when it fetched the time before.
fn last_caught_up(c: &Cluster, leader: ProcessId, follower: NodeId) -> Time {
    let (mut end, mut before, mut caught_up) = (Offset(0), (Time(0), Offset(0)), Time(0));
    for (at, p, e) in c.told() {
        match e {
            _ if p != leader => {}
            Event::Log(tp, LogEvent::Appended { batch, .. }) if *tp == c.partition() => {
                end = batch.end_offset();
            }
            Event::Replica(_, ReplicaEvent::FollowerFetched { follower: f, leo })
                if *f == follower =>
            {
                if *leo >= before.1 {
                    caught_up = before.0;
                }
                before = (at, end);
            }
            _ => {}
        }
    }
    caught_up
}

#[test]
fn row_14_a_leader_that_is_stopped_cleanly_hands_over_first_and_nobody_waits_a_session() {
    let mut c = Setting::default().sends(400, 100).begin();
    c.run_until_acked(100);
    let (old, shop) = (c.leader().expect("ready"), c.process("shop"));
    let asked = c.world.now();
    c.stop(old);
    let took_over = c.run_until_told("another broker leads", |p, e| {
        p != old && matches!(e, Event::Replica(_, ReplicaEvent::BecameLeader { .. }))
    });
    let gap = took_over.at.since(asked).as_millis();
    assert!(gap < 1_000, "no session of 9 s is waited for: {gap} ms");
    let has_ended = |c: &Cluster| {
        let ended = |what: &What| matches!(what, What::Process(ProcessFact::Ended { .. }));
        let records = c.world.trace().records();
        records
            .iter()
            .any(|r| r.process == Some(old) && ended(&r.what))
    };
    assert!(!has_ended(&c), "the old leader is up until then");
    c.run_until_acked(400);
    c.run_until("the old leader has ended", has_ended);
    let tries: BTreeSet<ErrorCode> = c
        .told()
        .filter_map(|(_, p, e)| retried(p == shop, e))
        .collect();
    assert_eq!(
        tries.iter().map(|e| e.code()).collect::<Vec<_>>(),
        [6],
        "NOT_LEADER_OR_FOLLOWER, and nothing else"
    );
    let (api, from) = learned_by(&c, shop, asked);
    assert_eq!(
        (api, from),
        (Api::Produce, old),
        "the hint in the answer, before any metadata"
    );
    assert_eq!(c.failures(), [], "the application sees no error");
}

fn retried(is_its: bool, event: &Event) -> Option<ErrorCode> {
    match event {
        Event::Client(_, ClientEvent::Retried { error, .. }) if is_its => Some(*error),
        _ => None,
    }
}

/// From the answer to which request, and from whom, a client first learned of another leader.
fn learned_by(c: &Cluster, client: ProcessId, since: Time) -> (Api, ProcessId) {
    let records = c.world.trace().records();
    let is_it = |r: &&klab_world::trace::Record| {
        r.process == Some(client)
            && r.at >= since
            && matches!(&r.what, What::Told(Event::Client(_, ClientEvent::LeaderLearned { epoch, .. })) if *epoch == LeaderEpoch(1))
    };
    c.answer_behind(records.iter().find(is_it).expect("it learned of it"))
}

#[test]
fn row_15_a_leader_that_comes_back_leads_again_only_at_the_next_sweep_of_300_s() {
    let mut c = Setting::default().sends(100, 10).begin();
    c.run_until_acked(50);
    let activated = c
        .told()
        .filter(|(_, _, e)| matches!(e, Event::Controller(ControllerEvent::Activated { .. })));
    let activated = activated.last().expect("one is active").0;
    let preferred = c.leader().expect("ready");
    c.crash(preferred);
    c.run_until("another broker leads", |c| {
        c.leader().is_some_and(|l| l != preferred)
    });
    c.restart(preferred);
    c.run_until("all is in sync", |c| c.isr().len() == 3);
    let back = c.world.now();
    assert_ne!(c.leader(), Some(preferred), "not immediately");
    c.run_until("it leads again", |c| c.leader() == Some(preferred));
    let restored = c.world.now();
    assert!(
        restored.since(back) > Duration::secs(200),
        "long after it was fit to"
    );
    let after = restored.since(activated).as_millis();
    assert!(
        (300_000..=300_100).contains(&after),
        "leader.imbalance.check.interval.seconds since the controller took office: {after} ms"
    );
}

#[test]
fn row_39_old_data_goes_though_its_segment_is_active_and_a_reader_below_the_start_is_reset() {
    let mut setting = Setting::default()
        .topic_config("retention.ms", "3600000")
        .sends(100, 20);
    setting.scenario.consumers = [("auditor".into(), reads_from_the_start())].into();
    setting.scenario.end = EndPlan {
        at: Duration::secs(3 * 3_600),
        ..setting.scenario.end
    };
    let mut c = setting.begin();
    let (leader, auditor) = (c.leader().expect("ready"), c.process("auditor"));
    c.run_until_acked(20);
    c.pause(auditor);
    c.run_until_acked(100);
    let written = c.world.now();
    let is_new_segment = |e: &Event| matches!(e, Event::Log(_, LogEvent::Rolled { .. }));
    c.pass(Duration::secs(3_590));
    assert_eq!(
        c.log(leader).log_start(),
        Offset(0),
        "not before an hour is over"
    );
    let partition = c.partition();
    assert!(
        !c.told().any(
            |(_, _, e)| matches!(e, Event::Log(tp, _) if *tp == partition) && is_new_segment(e)
        ),
        "the segment is active all that time"
    );
    c.run_until("the leader has given it up", |c| {
        c.log(leader).log_start() == Offset(100)
    });
    let late = c.world.now().since(written).as_millis();
    assert!(
        (3_600_000 - 100..=3_900_000).contains(&late),
        "an hour, and at most 5 min until the next sweep: {late} ms"
    );
    let of_log = c
        .told()
        .filter(|(_, p, e)| *p == leader && matches!(e, Event::Log(tp, _) if *tp == partition));
    let order: Vec<&Event> = of_log
        .map(|(_, _, e)| e)
        .filter(|e| {
            is_new_segment(e)
                || matches!(
                    e,
                    Event::Log(
                        _,
                        LogEvent::SegmentsDeleted { .. } | LogEvent::LogStartMoved { .. }
                    )
                )
        })
        .collect();
    assert!(
        matches!(
            order[0],
            Event::Log(
                _,
                LogEvent::Rolled {
                    base_offset: Offset(100)
                }
            )
        ),
        "first a new segment: {order:?}"
    );
    let moved = |e: &&&Event| {
        matches!(
            e,
            Event::Log(
                _,
                LogEvent::LogStartMoved {
                    log_start: Offset(100),
                    why: LogStart::RetentionTime
                }
            )
        )
    };
    assert!(
        order.iter().any(|e| moved(&e)),
        "then the old one goes: {order:?}"
    );
    c.heal();
    let position = c.run_until_told("the auditor finds its position gone", |p, e| {
        p == auditor && matches!(e, Event::Client(_, ClientEvent::OffsetOutOfRange { .. }))
    });
    let What::Told(Event::Client(_, ClientEvent::OffsetOutOfRange { position, .. })) =
        position.what
    else {
        unreachable!("just matched")
    };
    assert!(position < Offset(100));
    c.run_until_told("it goes where its policy says", |p, e| {
        p == auditor
            && matches!(
                e,
                Event::Client(
                    _,
                    ClientEvent::PositionReset {
                        to: Offset(100),
                        ..
                    }
                )
            )
    });
}

/// A topic that is compacted soon: segments of two seconds, cleaned as soon as one may.
fn compacted(delete_retention_ms: &str) -> Setting {
    let mut setting = Setting::default()
        .server("log.cleaner.backoff.ms", "1000")
        .topic_config("cleanup.policy", "compact")
        .topic_config("segment.ms", "2000")
        .topic_config("min.cleanable.dirty.ratio", "0.01")
        .topic_config("delete.retention.ms", delete_retention_ms)
        .sends(100, 20)
        .keys(7);
    setting.shop().tombstones = Some(6);
    // What rolls the segments, and is cleaned with them: a key of its own.
    let mut ticker = setting.shop().clone();
    (ticker.records, ticker.rate.count) = (400, 1);
    (ticker.keys, ticker.tombstones) = (Some(1), None);
    setting.scenario.producers.insert("ticker".into(), ticker);
    setting
}

/// The same on one broker, with `delete.retention.ms` as it is and a ticker that closes a segment each ten minutes. A day
/// is long: nothing is recorded, and an idle cluster this small makes 14 events a second.
fn one_broker_for_days() -> Cluster {
    let mut setting = compacted("0")
        .replicas(&[&[1]])
        .topic_config("min.insync.replicas", "1");
    setting.topic().config.remove("delete.retention.ms");
    setting.topic().replication_factor = 1;
    let Scenario {
        cluster,
        producers,
        end,
        ..
    } = &mut setting.scenario;
    (cluster.brokers, cluster.controllers) = (1, 1);
    let ticker = producers.get_mut("ticker").expect("just seen");
    ticker.rate.per_ns = Duration::secs(600).0;
    end.at = Duration::secs(3 * 24 * 3_600);
    let watch = Watch {
        records: false,
        checkers: false,
    };
    let world = World::new(Arc::new(setting.scenario), setting.seed, watch);
    let mut c = Cluster { world };
    c.run_until("the run is ready", |c| c.world.phase() != Phase::Booting);
    c
}

#[test]
fn row_40_compaction_keeps_the_last_of_each_key_at_its_offset_and_never_touches_the_active_segment()
{
    let mut c = compacted("120000").begin();
    let leader = c.leader().expect("ready");
    let partition = c.partition();
    c.run_until_acked(110);
    let over = c.run_until_told("a round is over that has all of the shop's records", |p, e| {
        p == leader && matches!(e, Event::Log(_, LogEvent::Compacted { upto, is_over: true, .. }) if *upto > Offset(100))
    });
    let What::Told(Event::Log(_, LogEvent::Compacted { upto, .. })) = over.what else {
        unreachable!("just matched")
    };
    let rolled = c.told().filter_map(|(_, p, e)| match e {
        Event::Log(tp, LogEvent::Rolled { base_offset }) if p == leader && *tp == partition => {
            Some(*base_offset)
        }
        _ => None,
    });
    let active = rolled.last().expect("it rolled");
    assert!(
        upto <= active,
        "the active segment begins at {active:?}, cleaned up to {upto:?}"
    );
    let before: BTreeMap<_, _> = {
        let told = c.told().filter(|(_, p, _)| *p == leader);
        let all = told.filter_map(|(_, _, e)| match e {
            Event::Log(tp, LogEvent::Appended { batch, .. }) if *tp == partition => Some(
                batch
                    .records()
                    .map(|r| r.expect("sound"))
                    .collect::<Vec<_>>(),
            ),
            _ => None,
        });
        let below = all.flatten().filter(|r| r.offset < upto);
        below.map(|r| (r.key.clone(), r)).collect()
    };
    let latest: BTreeMap<Offset, &Record> = before.values().map(|r| (r.offset, r)).collect();
    let kept = records(&c, leader);
    let below: BTreeMap<Offset, &Record> = kept
        .iter()
        .filter(|r| r.offset < upto)
        .map(|r| (r.offset, r))
        .collect();
    assert_eq!(below, latest, "the last of each key, at its offset");
    assert!(
        below.len() as i64 * 4 < upto.0,
        "so there are gaps: {} of {upto:?} are left",
        below.len()
    );
    let tombstone = latest.values().find(|r| r.value.is_none());
    let tombstone = tombstone.expect("a key was deleted last").offset;
    // Here two minutes stand for delete.retention.ms; the next test waits for Kafka's own day.
    let cleaned = over.at;
    c.run_until("the tombstone is gone", |c| {
        records(c, leader).iter().all(|r| r.offset != tombstone)
    });
    let stood = c.world.now().since(cleaned).as_millis();
    assert!(
        stood >= 118_000,
        "readable for delete.retention.ms after its first cleaning: {stood} ms"
    );
}

#[test]
fn row_40_a_tombstone_is_readable_for_24_hours_after_its_first_cleaning_if_nobody_says_otherwise() {
    let mut c = one_broker_for_days();
    let leader = c.leader().expect("ready");
    let shop = c.process("shop").0;
    let its = |c: &Cluster| {
        let all = records(c, leader).into_iter();
        all.filter(|r| r.id.source == shop).collect::<Vec<_>>()
    };
    c.pass(Duration::secs(60));
    assert!(its(&c).len() > 7, "its last segment is active");
    let minutes_until = |c: &mut Cluster, is_so: &dyn Fn(&[Record]) -> bool| {
        let minutes = (0..2 * 24 * 60).find(|_| {
            c.pass(Duration::secs(60));
            is_so(&its(c))
        });
        minutes.expect("within two days") + 1
    };
    minutes_until(&mut c, &|its| its.len() == 7);
    let tombstones = |its: &[Record]| its.iter().filter(|r| r.value.is_none()).count();
    assert!(tombstones(&its(&c)) > 0, "a key was deleted last");
    let stood = minutes_until(&mut c, &|its| tombstones(its) == 0);
    // Looked at each minute; the next round is due when the ticker has closed a segment, each ten minutes.
    assert!((24 * 60 - 1..=24 * 60 + 12).contains(&stood), "{stood} min");
}

#[test]
fn row_40_a_record_without_a_key_is_refused() {
    let mut setting = compacted("120000").sends(5, 20);
    setting.shop().keys = None;
    setting.shop().tombstones = None;
    let mut c = setting.begin();
    let shop = c.process("shop");
    let errors = |c: &Cluster| -> Vec<SendFailure> {
        let failed = c.failures().into_iter();
        let own = failed.filter(|(_, id, _)| id.source == shop.0);
        own.map(|(_, _, error)| error).collect()
    };
    c.run_until("all five are refused", |c| errors(c).len() == 5);
    for error in errors(&c) {
        assert!(
            matches!(error, SendFailure::Error(code) if code.code() == 87),
            "{error:?}"
        );
    }
}
