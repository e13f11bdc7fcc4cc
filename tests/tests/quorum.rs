//! Stories of the metadata quorum: failover of the active controller, isolation, pre-vote, and what brokers notice of it.

use klab_kafka::event::{ControllerEvent, Event, RaftEvent, RaftState, ReplicaEvent};
use klab_kafka::ids::{LeaderEpoch, NodeId, Offset};
use klab_kafka::protocol::{Api, Response};
use klab_kafka::raft::log::MetadataLog;
use klab_kafka::time::{Duration, Time};
use klab_world::fault::Fault;
use klab_world::network::Body;
use klab_world::process::{Process, ProcessId};
use klab_world::scenario::{Scenario, library};
use klab_world::trace::What;
use klab_world::view::View;
use klab_world::world::{Watch, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tests::{Cluster, Setting, TOPIC};

fn quorum_epoch(c: &Cluster) -> LeaderEpoch {
    let (_, active) = c.view().active_controller().expect("a controller leads");
    active.raft().epoch()
}

fn committed(c: &Cluster, p: ProcessId) -> Offset {
    let found = c.view().controllers().find(|(id, _)| *id == p);
    found.map_or(Offset(0), |(_, x)| x.raft().seen().committed)
}

fn becomes_active(e: &Event) -> bool {
    matches!(e, Event::Controller(ControllerEvent::Activated { .. }))
}

fn fenced(c: &Cluster, since: Time) -> usize {
    let fenced = |e: &Event| matches!(e, Event::Controller(ControllerEvent::BrokerFenced { .. }));
    c.told()
        .filter(|(at, _, e)| *at > since && fenced(e))
        .count()
}

#[test]
fn another_controller_takes_over_from_one_that_died_and_no_broker_is_fenced() {
    let mut c = Setting::default().begin();
    let (active, epoch, since) = (
        c.active_controller().expect("ready"),
        quorum_epoch(&c),
        c.world.now(),
    );
    c.crash(active);
    let record = c.run_until_told("another is active", |p, e| p != active && becomes_active(e));
    // No fetch for 2 s, then a pre-vote and a vote; a split vote costs an election timeout of at most 2 s.
    assert!(record.at.since(since) < Duration::secs(7));
    assert!(quorum_epoch(&c) > epoch);
    c.pass(Duration::secs(20));
    assert_eq!(fenced(&c, since), 0);
}

#[test]
fn a_controller_that_comes_back_follows_and_has_the_same_image() {
    let mut c = Setting::default().begin();
    let active = c.active_controller().expect("ready");
    c.crash(active);
    c.run_until_told("another is active", |p, e| p != active && becomes_active(e));
    c.restart(active);
    c.run_until("all three have committed as much", |c| {
        let committed: Vec<Offset> = c.controllers().iter().map(|p| committed(c, *p)).collect();
        c.view().controllers().count() == 3 && committed.iter().all(|o| *o == committed[0])
    });
    let images: Vec<String> = c
        .view()
        .controllers()
        .map(|(_, x)| format!("{:?}", x.image()))
        .collect();
    assert_eq!(images[0], images[1]);
    assert_eq!(images[1], images[2]);
}

/// Cuts a controller from the others, and says who they are; what was under way has arrived.
fn cut_off(c: &mut Cluster, controller: ProcessId) -> Vec<ProcessId> {
    let mut others = c.controllers();
    others.retain(|p| *p != controller);
    c.cut(&[controller], &others);
    c.pass(Duration::millis(50));
    others
}

#[test]
fn a_cut_off_quorum_leader_commits_nothing_and_resigns() {
    let mut c = Setting::default().begin();
    let active = c.active_controller().expect("ready");
    cut_off(&mut c, active);
    let before = committed(&c, active);
    let since = c.world.now();
    let failed = |e: &Event| matches!(e, Event::Raft(RaftEvent::CheckQuorumFailed { .. }));
    let record = c.run_until_told("it resigns", |p, e| p == active && failed(e));
    assert_eq!(committed(&c, active), before);
    // The span is 3 s. A fetch that was parked when the link broke counts once more when the next NoOp completes it, at most
    // half a second later.
    let waited = record.at.since(since);
    assert!(waited > Duration::millis(2_400), "{waited:?}");
    assert!(waited < Duration::millis(3_600), "{waited:?}");
    c.run_until("the others have a leader", |c| {
        c.view()
            .controllers()
            .any(|(p, x)| p != active && x.active_epoch().is_some())
    });
    c.heal();
    c.pass(Duration::secs(5));
    assert!(committed(&c, active) > before);
}

#[test]
fn what_a_cut_off_quorum_leader_appends_is_never_committed_and_is_gone_after_the_heal() {
    let mut c = Setting::default().begin();
    let (active, epoch) = (c.active_controller().expect("ready"), quorum_epoch(&c));
    let others = cut_off(&mut c, active);
    let hw = metadata_log(&c, active).hw();
    c.run_until_told("it resigns", |p, e| {
        p == active && matches!(e, Event::Raft(RaftEvent::CheckQuorumFailed { .. }))
    });
    assert_eq!(metadata_log(&c, active).hw(), hw, "its HW stays");
    let appended: Vec<(Offset, LeaderEpoch)> = ends_from(&c, active, hw);
    assert!(appended.len() >= 4, "a NoOp every 500 ms: {appended:?}");
    assert!(appended.iter().all(|(_, of)| *of == epoch));
    let end = metadata_log(&c, active).leo();
    c.run_until("the others have committed more than that", |c| {
        others.iter().all(|p| metadata_log(c, *p).hw() > end)
    });
    c.heal();
    let everybody: Vec<ProcessId> = c.controllers().into_iter().chain(c.brokers()).collect();
    c.run_until("it has committed more than that, as everybody", |c| {
        everybody.iter().all(|p| metadata_log(c, *p).hw() > end)
    });
    for p in everybody {
        let kept = ends_from(&c, p, hw);
        assert!(
            kept.iter().all(|(_, of)| *of > epoch),
            "{}: {kept:?}",
            c.name(p)
        );
    }
}

/// A process's copy of the metadata log.
fn metadata_log(c: &Cluster, p: ProcessId) -> &MetadataLog {
    let raft = match &c.view().machine(p).process {
        Some(Process::Controller(x)) => x.raft(),
        Some(Process::Broker(x)) => x.raft(),
        _ => panic!("{} has no metadata log", c.name(p)),
    };
    raft.log()
}

/// Ends and epochs of the batches above an offset.
fn ends_from(c: &Cluster, p: ProcessId, from: Offset) -> Vec<(Offset, LeaderEpoch)> {
    let batches = metadata_log(c, p).batches_from(from);
    batches.map(|b| (b.end_offset(), b.leader_epoch)).collect()
}

#[test]
fn without_a_quorum_produce_goes_on_and_an_isr_change_waits_until_there_is_one_again() {
    let mut c = Setting::default().begin();
    let (leader, follower) = (c.leader().expect("ready"), c.followers()[0]);
    let cut = Fault::Cut {
        from: [follower].into(),
        to: [leader].into(),
        one_way: false,
    };
    c.harm_for(cut, Duration::secs(60));
    c.run_until("the follower is out of the ISR", |c| c.isr().len() == 2);
    let dead = [c.controllers()[0], c.controllers()[1]];
    for controller in dead {
        c.crash(controller);
    }
    let pending = c.run_until_told("the leader asks for it back", |p, e| {
        p == leader && matches!(e, Event::Replica(_, ReplicaEvent::IsrChangePending { isr, .. }) if isr.len() == 3)
    });
    let before = c.acked().len();
    c.pass(Duration::secs(20));
    assert!(
        c.acked().len() >= before + 399,
        "20 a second, with acks=all"
    );
    let done = |at: Time, e: &Event| {
        at >= pending.at
            && matches!(
                e,
                Event::Controller(ControllerEvent::IsrCommitted { .. })
                    | Event::Replica(
                        _,
                        ReplicaEvent::IsrChanged { .. } | ReplicaEvent::IsrChangeRefused { .. }
                    )
            )
    };
    assert!(!c.told().any(|(at, _, e)| done(at, e)), "it is pending");
    assert_eq!(c.isr().len(), 2);
    c.heal();
    let changed = c.run_until_told("the change is made", |p, e| {
        p == leader && matches!(e, Event::Replica(_, ReplicaEvent::IsrChanged { isr, .. }) if isr.len() == 3)
    });
    assert!(changed.at.since(pending.at) >= Duration::secs(20));
    assert_eq!(c.isr().len(), 3);
}

/// Which leader of the story's partition, in which epoch, the answers to Metadata name that are under way: by broker.
fn answers(c: &Cluster) -> Vec<(ProcessId, Option<NodeId>, LeaderEpoch)> {
    let connections = c.view().network().connections();
    let under_way =
        connections.flat_map(|(_, x)| x.to_client.messages.iter().map(|m| (x.server, &m.body)));
    let named = under_way.filter_map(|(broker, body)| {
        let Body::Response {
            response: Response::Metadata(answer),
            ..
        } = body
        else {
            return None;
        };
        let topic = answer.topics.iter().find(|t| *t.name == *TOPIC)?;
        let partition = topic.partitions.first()?;
        Some((broker, partition.leader_id, partition.leader_epoch))
    });
    named.collect()
}

/// N-6.
#[test]
fn a_broker_cut_off_from_the_controllers_names_another_leader_than_one_that_is_not() {
    let places: [&[i32]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
    let mut c = Setting::default()
        .replicas(&places)
        .keys(6)
        .producer("metadata.max.age.ms", "100")
        .producer("acks", "1")
        .begin();
    c.run_until("the shop talks with all brokers", |c| c.acked().len() >= 20);
    let [old, new, cut_off] = ["broker-1", "broker-2", "broker-3"].map(|name| c.process(name));
    assert_eq!(c.leader(), Some(old));
    let cut = Fault::Cut {
        from: [cut_off].into(),
        to: c.controllers().into(),
        one_way: false,
    };
    let until = c.world.now() + Duration::secs(5);
    c.harm_for(cut, Duration::secs(5));
    c.stop(old);
    c.run_until("another leads", |c| c.leader() == Some(new));
    let epoch = c.leader_epoch();
    let (mut of_new, mut of_cut_off) = (None, None);
    c.run_until("both have answered", |c| {
        for (broker, leader, epoch) in answers(c) {
            if broker == new && leader == Some(NodeId(2)) {
                of_new = Some(epoch);
            } else if broker == cut_off && of_new.is_some() {
                of_cut_off = Some((leader, epoch));
            }
        }
        of_cut_off.is_some()
    });
    assert!(c.world.now() < until, "while it is cut off");
    assert_eq!(of_new, Some(epoch));
    let before = LeaderEpoch(epoch.0 - 1);
    assert_eq!(of_cut_off, Some((Some(NodeId(1)), before)));
    c.run_until("it has learned of it", |c| {
        answers(c).contains(&(cut_off, Some(NodeId(2)), epoch))
    });
    assert!(c.world.now() >= until, "not before it is heard again");
}

/// K06: one voter's bytes do not reach the leader.
fn leaders_while_one_voter_is_not_heard(prevote: bool) -> usize {
    let mut setting = Setting::default();
    setting.scenario.cluster.rules.prevote = prevote;
    let mut c = setting.begin();
    let active = c.active_controller().expect("ready");
    let deaf = c
        .controllers()
        .into_iter()
        .find(|p| *p != active)
        .expect("there are three");
    let since = c.world.now();
    c.harm(Fault::Cut {
        from: [deaf].into(),
        to: [active].into(),
        one_way: true,
    });
    c.pass(Duration::secs(30));
    let elected = |e: &Event| {
        matches!(
            e,
            Event::Raft(RaftEvent::Became {
                state: RaftState::Leader,
                ..
            })
        )
    };
    c.told()
        .filter(|(at, _, e)| *at > since && elected(e))
        .count()
}

#[test]
fn with_prevote_a_voter_that_the_leader_does_not_hear_changes_nothing() {
    assert_eq!(leaders_while_one_voter_is_not_heard(true), 0);
}

#[test]
fn without_prevote_a_voter_that_the_leader_does_not_hear_deposes_it() {
    assert!(leaders_while_one_voter_is_not_heard(false) > 0);
}

#[test]
fn a_dead_broker_is_fenced_and_its_partition_led_elsewhere_7_to_10_2_s_after_its_death() {
    let mut c = Setting::default().begin();
    c.pass(Duration::secs(4));
    let (leader, since) = (c.leader().expect("ready"), c.world.now());
    c.crash(leader);
    let elected = |e: &Event| {
        matches!(
            e,
            Event::Controller(ControllerEvent::LeaderElected { unclean: false, .. })
        )
    };
    let record = c.run_until_told("another leads", |_, e| elected(e));
    let waited = record.at.since(since);
    assert!(
        waited > Duration::millis(7_000) && waited < Duration::millis(10_200),
        "{waited:?}"
    );
    assert!(!c.isr().is_empty());
}

#[test]
fn a_controller_that_stops_cleanly_hands_over_within_a_second() {
    let mut c = Setting::default().begin();
    let (active, since) = (c.active_controller().expect("ready"), c.world.now());
    c.stop(active);
    let record = c.run_until_told("another is active", |p, e| p != active && becomes_active(e));
    assert!(record.at.since(since) < Duration::secs(1));
    c.run_until("it has stopped", |c| {
        c.view().machine(active).process.is_none()
    });
}

/// K03 under seed 1: a leader resigns, voters lag behind, and nobody leads for a while.
fn without_a_leader() -> World {
    let entry = library::ALL
        .iter()
        .find(|e| e.name.ends_with("k03-commit-by-counting"));
    let entry = entry.expect("it comes with klab");
    let scenario = Scenario::parse(entry.name, entry.text).expect("it is good");
    let watch = Watch {
        records: true,
        checkers: false,
    };
    let mut world = World::new(Arc::new(scenario), 1, watch);
    world.run_to_end();
    world
}

#[test]
fn a_controller_that_resigned_is_not_active_again_in_the_same_epoch() {
    // At 16.8 s and 17.3 s controller-1 was, each time it had failed to append.
    let world = without_a_leader();
    let mut active = BTreeSet::new();
    for record in world.trace().records().iter() {
        if let What::Told(Event::Controller(ControllerEvent::Activated { epoch })) = record.what {
            let who = record.process.expect("a controller told it");
            assert!(
                active.insert((who, epoch)),
                "{who:?} in epoch {epoch:?} again"
            );
        }
    }
    assert!(active.len() > 2, "several were active");
}

#[test]
fn a_broker_without_a_leader_asks_each_voter_once_per_retry_backoff() {
    // At 38.2 s broker-1 asked a voter that was behind as fast as the network went.
    let world = without_a_leader();
    let mut asked: BTreeMap<(ProcessId, ProcessId), Vec<Time>> = BTreeMap::new();
    let voters: Vec<ProcessId> = View::new(&world)
        .names()
        .iter()
        .filter(|(_, name)| name.starts_with("controller-"))
        .map(|(p, _)| p)
        .collect();
    for record in world.trace().records().iter() {
        let (
            Some(from),
            What::Sent {
                to,
                api: Api::Fetch,
                response: false,
                ..
            },
        ) = (record.process, &record.what)
        else {
            continue;
        };
        if voters.contains(to) {
            asked.entry((from, *to)).or_default().push(record.at);
        }
    }
    // A leader answers with records or a mark as often as there is one; nobody else is asked so often.
    let span = Duration::millis(100);
    for ((from, to), times) in asked {
        let busiest = times.iter().map(|t| {
            let within = |other: &&Time| **other >= *t && other.since(*t) < span;
            times.iter().filter(within).count()
        });
        let busiest = busiest.max().unwrap_or(0);
        assert!(
            busiest < 20,
            "{from:?} asked {to:?} {busiest} times in {span:?}"
        );
    }
}
