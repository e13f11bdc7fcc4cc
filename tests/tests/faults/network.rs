//! What spoils links and machines' sockets: clogs, lost packets, refused and late connections, partitions of all shapes, and
//! what a scenario says of single links and machines.

use super::*;
use klab_world::network::harm::Tail;
use klab_world::scenario::LinkPlan;
use klab_world::scenario::quantity::Range;

fn clog() -> Fault<Selector> {
    Fault::Clog {
        from: name("shop"),
        to: name("broker-1"),
        one_way: false,
    }
}

#[test]
fn a_clog_holds_what_is_sent_and_lets_it_go_in_one_burst() {
    let run = harmed(clog());
    let (inside, after) = heard(&run, "broker-1", "shop");
    assert_eq!(inside, 0);
    assert!(after > 0);
    let (broker, shop) = (run.p("broker-1"), run.p("shop"));
    let burst = run.between(LASTS, LASTS + Duration::millis(60));
    let burst = burst.filter(|r| is_handled_from(r, broker, shop)).count();
    assert!(burst >= 3, "{burst}: the shop sends ten a second");
}

#[test]
fn what_is_under_way_when_a_clog_begins_still_arrives() {
    let mut base = story();
    base.network.latency = Range {
        min: 400_000_000,
        max: 400_000_000,
    };
    let held = Run::of(&with_in(&base, clog(), Lasts::For(LASTS)));
    let cut = Fault::Cut {
        from: name("shop"),
        to: name("broker-1"),
        one_way: false,
    };
    let cut = Run::of(&with_in(&base, cut, Lasts::For(LASTS)));
    let heard = |run: &Run| {
        let (at, peer) = (run.p("broker-1"), run.p("shop"));
        let inside = run.between(Duration::millis(1), LASTS);
        inside.filter(|r| is_handled_from(r, at, peer)).count()
    };
    assert!(heard(&held) > 0);
    assert_eq!(heard(&cut), 0, "a cut stops it on its way");
}

fn drop_packets(ppm: u32) -> Fault<Selector> {
    Fault::DropPackets {
        from: name("shop"),
        to: name("broker-1"),
        ppm,
    }
}

#[test]
fn a_lost_packet_is_a_late_one() {
    let run = harmed(drop_packets(300_000));
    let slow = slowest(&run, "broker-1", "shop", Duration::millis(100), LASTS);
    assert!(slow >= Duration::millis(200), "{slow:?}");
    let until = LASTS + Duration::secs(20);
    let ordinary = slowest(&run, "broker-1", "shop", until, until + SETTLED);
    assert!(ordinary > Duration::ZERO);
    assert!(ordinary < Duration::millis(200), "{ordinary:?}");
}

#[test]
fn a_message_that_never_gets_through_breaks_its_connection_after_fifteen_seconds() {
    let run = Run::of(&with(
        drop_packets(1_000_000),
        Lasts::For(Duration::secs(25)),
    ));
    let shop = run.p("shop");
    let is_reset = |r: &&Record| {
        let Some(p) = r.process else { return false };
        let why = Closed::Reset;
        p == shop && matches!(r.what, What::Handled(Handled::Closed { why: w, .. }) if w == why)
    };
    let early = run.between(Duration::ZERO, Duration::millis(14_900));
    assert_eq!(early.filter(is_reset).count(), 0);
    let due = run.between(Duration::millis(14_900), Duration::secs(17));
    assert!(due.filter(is_reset).count() > 0);
    assert!(heard(&run, "broker-1", "shop").0 == 0);
    let later = run.between(Duration::secs(26), Duration::secs(30));
    let is_heard = |r: &&Record| is_handled_from(r, run.p("broker-1"), shop);
    assert!(later.filter(is_heard).count() > 0, "it is over");
}

fn reset_of_the_shop() -> Fault<Selector> {
    Fault::Reset {
        from: name("shop"),
        to: name("broker-1"),
    }
}

fn answers_to_the_shop(run: &Run, from: Duration, to: Duration) -> (usize, usize) {
    let (shop, broker) = (run.p("shop"), run.p("broker-1"));
    let own = |r: &&Record| r.process == Some(shop);
    let is_opened = |r: &&Record| matches!(r.what, What::Handled(Handled::Opened { peer, .. }) if peer == broker);
    let is_refused = |r: &&Record| {
        let What::Handled(Handled::Closed { why, .. }) = r.what else {
            return false;
        };
        why == Closed::Refused
    };
    let opened = run.between(from, to).filter(own).filter(is_opened).count();
    let refused = run.between(from, to).filter(own).filter(is_refused);
    (opened, refused.count())
}

#[test]
fn a_machine_that_refuses_lets_nobody_in_until_it_is_lifted() {
    let base = story_with(Duration::millis(500), reset_of_the_shop(), Lasts::UntilHeal);
    let who = name("broker-1");
    let run = harmed_in(&base, Fault::Refuse { who });
    let (opened, refused) = answers_to_the_shop(&run, Duration::ZERO, LASTS);
    assert_eq!(opened, 0);
    assert!(refused > 0);
    let (opened, refused) = answers_to_the_shop(&run, LASTS, LASTS + SETTLED);
    assert_eq!((opened, refused), (1, 0));
}

#[test]
fn a_slow_accept_makes_new_connections_late_and_no_others() {
    let base = story_with(Duration::millis(500), reset_of_the_shop(), Lasts::UntilHeal);
    let (who, delay) = (name("broker-1"), Duration::secs(2));
    let run = harmed_in(&base, Fault::SlowAccept { who, delay });
    let before = Duration::millis(2_500);
    assert_eq!(answers_to_the_shop(&run, Duration::ZERO, before), (0, 0));
    assert_eq!(answers_to_the_shop(&run, before, LASTS), (1, 0));
    assert!(heard(&run, "broker-2", "broker-1").0 > 0, "old ones work");
    let again = story_with(LASTS + SETTLED, reset_of_the_shop(), Lasts::UntilHeal);
    let (who, delay) = (name("broker-1"), Duration::secs(2));
    let run = Run::of(&with_in(
        &again,
        Fault::SlowAccept { who, delay },
        Lasts::For(LASTS),
    ));
    let (from, to) = (LASTS + SETTLED, LASTS + SETTLED + Duration::secs(1));
    assert_eq!(answers_to_the_shop(&run, from, to).0, 1, "it is over");
}

/// Messages that both of a pair handled from one another, inside the harm.
fn between(run: &Run, a: &str, b: &str) -> usize {
    heard(run, a, b).0 + heard(run, b, a).0
}

#[test]
fn in_a_ring_of_majorities_nobody_hears_who_is_opposite_and_everybody_hears_a_neighbour() {
    let who = Selector::Several(vec![Selector::Brokers, Selector::Controllers]);
    let run = harmed(Fault::Ring { who });
    for n in 1..=3 {
        let (a, b) = (format!("broker-{n}"), format!("controller-{n}"));
        assert_eq!(between(&run, &a, &b), 0);
    }
    assert!(between(&run, "broker-1", "broker-2") > 0);
    let after = |n| heard(&run, &format!("controller-{n}"), &format!("broker-{n}")).1;
    assert!((1..=3).map(after).sum::<usize>() > 0, "it is over");
}

#[test]
fn halves_hear_nothing_of_one_another() {
    let half = Selector::HalfOf(Box::new(Selector::Everyone));
    let run = harmed(Fault::Cut {
        from: half,
        to: Selector::TheOthers,
        one_way: false,
    });
    let [entry] = run.world.tape() else {
        panic!("one harm")
    };
    let klab_world::steps::Taped::Fault(Fault::Cut { from, to, .. }, _) = &entry.what else {
        panic!("a cut")
    };
    let all = klab_world::view::View::new(&run.world)
        .names()
        .iter()
        .count();
    assert_eq!((from.len(), to.len()), (all / 2, all - all / 2));
    assert!(from.iter().all(|p| !to.contains(p)));
    let crosses = |r: &&Record| {
        let at = r.process.expect("somebody handles it");
        let others = if from.contains(&at) { to } else { from };
        others.iter().any(|p| is_handled_from(r, at, *p))
    };
    let handles = |r: &&Record| matches!(r.what, What::Handled(_));
    let inside = run.between(Duration::millis(100), LASTS).filter(handles);
    assert_eq!(inside.filter(crosses).count(), 0);
    let after = run.between(LASTS, LASTS + SETTLED).filter(handles);
    assert!(after.filter(crosses).count() > 0);
}

fn whole(run: &Run, at: &str, peer: &str) -> Duration {
    slowest(run, at, peer, Duration::ZERO, Duration::secs(20))
}

#[test]
fn links_between_two_racks_have_their_own_latency() {
    let mut far = story();
    far.cluster.racks = ["a", "b", "c"].map(std::sync::Arc::from).into();
    let rack = |name: &str| Selector::Rack(name.into());
    far.network.links = vec![LinkPlan {
        between: (rack("a"), rack("b")),
        latency: Some(Range {
            min: 50_000_000,
            max: 60_000_000,
        }),
        bandwidth: None,
    }];
    let run = Run::of(&far);
    assert!(whole(&run, "broker-2", "broker-1") >= Duration::millis(50));
    assert!(whole(&run, "broker-3", "broker-1") < Duration::millis(10));
}

#[test]
fn a_link_and_a_machine_have_their_own_bandwidth() {
    let plain = Run::of(&story());
    assert!(whole(&plain, "broker-2", "broker-1") < Duration::millis(10));
    let mut narrow = story();
    narrow.network.links = vec![LinkPlan {
        between: (name("broker-1"), name("broker-2")),
        latency: None,
        bandwidth: Some(5_000),
    }];
    let run = Run::of(&narrow);
    assert!(whole(&run, "broker-2", "broker-1") > Duration::millis(25));
    assert!(whole(&run, "broker-3", "broker-1") < Duration::millis(10));
    let mut weak = story();
    weak.network.nodes = [("broker-1".into(), 5_000)].into();
    let run = Run::of(&weak);
    for follower in ["broker-2", "broker-3"] {
        assert!(whole(&run, follower, "broker-1") > Duration::millis(25));
    }
    assert!(whole(&run, "broker-1", "broker-2") < Duration::millis(25));
}

#[test]
fn a_long_tail_makes_a_few_messages_slow_and_loss_makes_some_late() {
    let mut tailed = story();
    tailed.network.tail = Some(Tail {
        ppm: 100_000,
        upto: 300_000_000,
    });
    let run = Run::of(&tailed);
    let slow = whole(&run, "broker-2", "broker-1");
    assert!(slow > Duration::millis(20), "{slow:?}");
    let mut lossy = story();
    lossy.network.loss = 20_000;
    let run = Run::of(&lossy);
    let late = whole(&run, "broker-2", "broker-1");
    assert!(late >= Duration::millis(200), "{late:?}");
}
