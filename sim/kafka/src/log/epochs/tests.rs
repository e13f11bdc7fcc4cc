//! The epoch cache, rule by rule and against a naive one.

use super::*;
use proptest::prelude::*;

fn cache(entries: &[(i32, i64)]) -> EpochCache {
    let mut cache = EpochCache::default();
    for (epoch, start) in entries {
        cache.assign(LeaderEpoch(*epoch), Offset(*start));
    }
    cache
}

fn pairs(cache: &EpochCache) -> Vec<(i32, i64)> {
    let pair = |e: &EpochEntry| (e.epoch.0, e.start_offset.0);
    cache.entries().iter().map(pair).collect()
}

fn end(cache: &EpochCache, epoch: i32) -> Option<(i32, i64)> {
    let end = cache.end_offset_for(LeaderEpoch(epoch), Offset(100));
    end.map(|e| (e.epoch.0, e.end_offset.0))
}

#[test]
fn an_epochs_end_is_the_start_of_the_next_one_known() {
    let cache = cache(&[(2, 10), (4, 30), (7, 60)]);
    assert_eq!(end(&cache, 7), Some((7, 100)), "the current: the log's end");
    assert_eq!(end(&cache, 4), Some((4, 60)));
    assert_eq!(end(&cache, 5), Some((4, 60)), "the largest not above");
    assert_eq!(
        end(&cache, 1),
        Some((1, 10)),
        "below all: the first's start"
    );
    assert_eq!(end(&cache, 8), None, "above all: undefined");
    assert_eq!(end(&EpochCache::default(), 0), None);
}

#[test]
fn a_new_entry_removes_those_it_contradicts() {
    assert_eq!(
        pairs(&cache(&[(1, 0), (2, 10), (3, 10)])),
        [(1, 0), (3, 10)]
    );
    assert_eq!(
        pairs(&cache(&[(1, 0), (5, 10), (3, 20)])),
        [(1, 0), (3, 20)]
    );
    assert_eq!(
        pairs(&cache(&[(1, 0), (2, 10), (2, 20)])),
        [(1, 0), (2, 10)]
    );
    assert_eq!(pairs(&cache(&[(1, 0), (2, 10), (2, 5)])), [(1, 0), (2, 5)]);
}

#[test]
fn an_epoch_begun_in_vain_goes_even_when_nothing_is_cut() {
    // KAFKA-10706: epoch 2 began at the end, 50, and wrote nothing.
    let mut cache = cache(&[(1, 0), (2, 50)]);
    assert!(cache.truncate_from_end(Offset(50)));
    assert_eq!(pairs(&cache), [(1, 0)]);
    assert!(!cache.truncate_from_end(Offset(50)));
}

#[test]
fn the_epoch_in_force_at_the_log_start_starts_there() {
    let mut cache = cache(&[(1, 0), (2, 10), (3, 20)]);
    assert!(cache.truncate_from_start(Offset(15)));
    assert_eq!(pairs(&cache), [(2, 15), (3, 20)]);
    assert!(!cache.truncate_from_start(Offset(15)));
}

#[derive(Clone, Debug)]
enum Op {
    Assign(i32, i64),
    FromEnd(i64),
    FromStart(i64),
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..12i32, 0..40i64).prop_map(|(e, s)| Op::Assign(e, s)),
        1 => (0..40i64).prop_map(Op::FromEnd),
        1 => (0..40i64).prop_map(Op::FromStart),
    ]
}

/// The rules as a list that is filtered.
fn apply(naive: &mut Vec<(i32, i64)>, op: &Op) {
    match *op {
        Op::Assign(epoch, start) => {
            if naive.last().is_some_and(|l| l.0 == epoch && l.1 <= start) {
                return;
            }
            let contradicts = |l: &(i32, i64)| l.0 >= epoch || l.1 >= start;
            naive.retain(|l| !contradicts(l));
            naive.push((epoch, start));
        }
        Op::FromEnd(end) => naive.retain(|l| l.1 < end),
        Op::FromStart(start) => {
            let in_force = naive.iter().rfind(|l| l.1 <= start).copied();
            naive.retain(|l| l.1 > start);
            if let Some((epoch, _)) = in_force {
                naive.insert(0, (epoch, start));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_cache_does_what_a_filtered_list_does(ops in prop::collection::vec(any_op(), 0..40), asked in 0..14i32) {
        let (mut cache, mut naive) = (EpochCache::default(), Vec::new());
        for op in &ops {
            match *op {
                Op::Assign(e, s) => { cache.assign(LeaderEpoch(e), Offset(s)); }
                Op::FromEnd(at) => { cache.truncate_from_end(Offset(at)); }
                Op::FromStart(at) => { cache.truncate_from_start(Offset(at)); }
            }
            apply(&mut naive, op);
            prop_assert_eq!(pairs(&cache), naive.clone());
            prop_assert!(naive.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1));
        }
        let next = naive.iter().find(|e| e.0 > asked);
        let floor = naive.iter().rfind(|e| e.0 <= asked);
        let expected = match (floor, next) {
            (Some(f), Some(n)) => Some((f.0, n.1)),
            (None, Some(n)) => Some((asked, n.1)),
            (Some(f), None) => (f.0 == asked).then_some((asked, 100)),
            (None, None) => None,
        };
        prop_assert_eq!(end(&cache, asked), expected);
        for at in 0..40 {
            let expected = naive.iter().rfind(|e| e.1 <= at).map(|e| LeaderEpoch(e.0));
            prop_assert_eq!(cache.epoch_at(Offset(at)), expected);
        }
    }
}
