//! What was lost, and why, over many seeds. The number lost is what the logs themselves say; every answer of `klab why` can
//! be looked up in the trace; and without the fault that it names the record is safe.

use klab_kafka::event::{ControllerEvent, Event, LogEvent};
use klab_kafka::ids::{Offset, RecordId, TopicIdPartition};
use klab_kafka::protocol::Api;
use klab_world::app::App;
use klab_world::check::harms::strikes;
use klab_world::line::Lexicon;
use klab_world::process::{Process, ProcessId};
use klab_world::scenario::{Answers, Scenario, library};
use klab_world::swarm::explore::replay_without;
use klab_world::trace::{Handled, ProcessFact, Record, What};
use klab_world::verdict::{FindingKind, Verdict};
use klab_world::view::View;
use klab_world::why::{self, Absence, EdgeKind, MOST_LINES, Part, Why, WhyLine};
use klab_world::world::{Watch, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[test]
fn every_lost_record_is_told_in_order_and_without_the_fault_it_survives() {
    let mut told = 0;
    let guilt = try_without_the_fault("quickstart", FindingKind::Lost, |parts| {
        told += 1;
        let order = [
            Part::Send,
            Part::Append,
            Part::Acknowledgement,
            Part::MissingCopy,
            Part::Fault,
            Part::Election,
            Part::Truncation,
        ];
        assert_eq!(parts, order);
    });
    assert!(told >= 50, "only {told} records were lost");
    assert!(10 * guilt.survived >= 9 * guilt.records, "{guilt:?}");
}

#[test]
fn every_doubled_record_is_told_in_order_and_without_the_fault_it_stands_there_once() {
    let mut told = 0;
    let guilt = try_without_the_fault("p01", FindingKind::Duplicated, |parts| {
        told += 1;
        let order = [
            Part::Send,
            Part::Append,
            Part::Fault,
            Part::Retry,
            Part::Append,
            Part::Acknowledgement,
        ];
        assert_eq!(parts, order);
    });
    assert!(told >= 50, "only {told} records were doubled");
    assert!(10 * guilt.survived >= 9 * guilt.records, "{guilt:?}");
}

#[test]
fn an_event_is_told_by_events_that_led_to_it() {
    let world = watched(&story("quickstart"), 1);
    let (records, checkers) = (world.trace().records(), world.checkers().expect("watched"));
    let look = Look::new(&world, None);
    for record in records.iter().step_by(61) {
        let why = why::of_event(records, checkers, View::new(&world), record.seq)
            .expect("the run has this event");
        look.check(&why);
        let last = why.lines.last().expect("at least the event itself");
        assert_eq!(last.seq, record.seq, "{why}");
        assert!(why.lines.len() > 1 || record.cause.is_none(), "{why}");
    }
}

#[test]
fn every_record_of_every_story_is_told_by_events_that_led_to_it() {
    for entry in library::ALL {
        let world = watched(&story(entry.name), 1);
        let (records, checkers) = (world.trace().records(), world.checkers().expect("watched"));
        let verdict = verdict(&world);
        // Where a switched-off rule broke a promise there is no fault to join an election to.
        let broken: Vec<_> = verdict.unexplained().map(|f| f.record).collect();
        let fates = verdict.fates.iter().step_by(7);
        for fate in fates.filter(|fate| !broken.contains(&fate.id)) {
            let why = why::of_record(records, checkers, View::new(&world), fate.id)
                .expect("the run knows the record");
            Look::new(&world, Some(fate.id)).check(&why);
        }
    }
}

#[test]
fn what_acks_1_loses_lay_between_the_ends_of_the_new_leaders_log_and_the_old_ones() {
    let scenario = story("quickstart");
    let losing = (0..200).filter(|seed| lost_as_the_logs_say(&scenario, *seed) > 0);
    assert!(losing.count() >= 40);
}

#[test]
fn acks_all_loses_nothing_though_leaders_change() {
    let scenario = Arc::new((*story("quickstart").twins[0].scenario).clone());
    let losing = (0..200).filter(|seed| lost_as_the_logs_say(&scenario, *seed) > 0);
    assert_eq!(losing.count(), 0);
}

/// How often a fault that `why` names is guilty.
#[derive(Default, Debug)]
struct Guilt {
    records: u64,
    survived: u64,
}

/// Asks why about every finding of one kind in 50 runs, and runs again without each fault that is named.
fn try_without_the_fault(name: &str, kind: FindingKind, mut parts: impl FnMut(&[Part])) -> Guilt {
    let scenario = story(name);
    let mut guilt = Guilt::default();
    for seed in 0..50 {
        let world = watched(&scenario, seed);
        let mut accused: BTreeMap<u64, Vec<RecordId>> = BTreeMap::new();
        for finding in verdict(&world).found(kind) {
            let id = finding.record;
            let why = why::of_record(
                world.trace().records(),
                world.checkers().expect("watched"),
                View::new(&world),
                id,
            )
            .expect("the run knows the record");
            Look::new(&world, Some(id)).check(&why);
            let mut told: Vec<Part> = why.lines.iter().map(|l| l.part).collect();
            told.dedup();
            parts(&told);
            let fault = why.fault.unwrap_or_else(|| panic!("no fault is named"));
            accused.entry(fault.step).or_default().push(id);
        }
        for (step, ids) in accused {
            let without = replay_without(scenario.clone(), seed, world.tape(), |e| e.step != step);
            let verdict = verdict(&without);
            let is_safe = |id: &&RecordId| verdict.fate(**id).is_some_and(|f| f.copies == 1);
            guilt.records += ids.len() as u64;
            guilt.survived += ids.iter().filter(is_safe).count() as u64;
        }
    }
    guilt
}

/// Who looks up in the trace what an answer says.
struct Look<'a> {
    records: &'a [Record],
    lexicon: Lexicon,
    id: Option<RecordId>,
}

impl<'a> Look<'a> {
    fn new(world: &'a World, id: Option<RecordId>) -> Look<'a> {
        Look {
            records: world.trace().records(),
            lexicon: Lexicon::of(View::new(world)),
            id,
        }
    }

    fn record(&self, seq: u64) -> &'a Record {
        let at = self.records.binary_search_by_key(&seq, |r| r.seq);
        &self.records[at.unwrap_or_else(|_| panic!("the trace has no event {seq}"))]
    }

    /// At most ten lines, each with its event and time; each but the first is joined to an earlier one by an edge that the
    /// trace shows.
    fn check(&self, why: &Why) {
        assert!((1..=MOST_LINES).contains(&why.lines.len()), "{why}");
        for (at, line) in why.lines.iter().enumerate() {
            let (text, time) = (
                line.to_string(),
                self.lexicon.time(self.record(line.seq).at),
            );
            assert!(text.starts_with(&format!("#{} ", line.seq)), "{text}");
            assert!(text.contains(&format!(" {time}  ")), "{text}: at {time}");
            let Some(edge) = line.edge else {
                assert_eq!(at, 0, "not joined: {text}\n{why}");
                continue;
            };
            assert!(text.ends_with(&format!(" #{})", edge.to)), "{text}");
            let to = why.lines[..at].iter().find(|l| l.seq == edge.to);
            let to = to.unwrap_or_else(|| panic!("{text} is not joined to an earlier line\n{why}"));
            assert!(self.is_so(edge.kind, line, to, why), "{text}\n{why}");
        }
    }

    fn is_so(&self, kind: EdgeKind, line: &WhyLine, to: &WhyLine, why: &Why) -> bool {
        let mentions = |seq| {
            self.id
                .is_some_and(|id| why::mentions(self.record(seq), id))
        };
        match kind {
            EdgeKind::Cause => self.way(line.seq, to.seq).is_some(),
            EdgeKind::Reply if to.part == Part::Election => {
                let cause = self.record(line.seq).cause.map(|c| &self.record(c).what);
                matches!(cause, Some(What::Handled(Handled::Response { from, .. }))
                    if *from == self.elected(to.seq))
            }
            EdgeKind::Reply => self
                .way(line.seq, to.seq)
                .is_some_and(|way| way.iter().any(|r| is_answer(r))),
            EdgeKind::Record => (self.is_mark(line.seq) || mentions(line.seq)) && mentions(to.seq),
            EdgeKind::Absence(Absence::CopyNotFetched) => {
                let election = why.lines.iter().find(|l| l.part == Part::Election);
                let election = election.expect("who lacks a copy is elected").seq;
                mentions(to.seq) && !self.has_copy(self.elected(election), election)
            }
            EdgeKind::Absence(Absence::HeartbeatNotSent) => self.is_silent(to.seq, line.seq),
            EdgeKind::Absence(Absence::Left) => self.has_ended(to.seq, line.seq),
            // A fault that took the request away: there was nothing to answer.
            EdgeKind::Absence(Absence::AnswerNotReceived) if to.part == Part::Fault => {
                let fault = &self.record(to.seq).what;
                matches!(fault, What::Fault { lifted: false, .. })
                    && !self.between(to.seq, line.seq).any(|r| self.is_copy(r))
            }
            EdgeKind::Absence(Absence::AnswerNotReceived) => {
                let between = self.between(to.seq, line.seq);
                let answers = between.filter(|r| is_answer(r));
                mentions(to.seq) && answers.filter(|r| self.answers(r, to.seq)).count() == 0
            }
            EdgeKind::Absence(Absence::NotSent) => {
                mentions(to.seq) && !self.between(line.seq, u64::MAX).any(|r| self.is_copy(r))
            }
            EdgeKind::Absence(other) => panic!("{other:?} does not belong into these stories"),
        }
    }

    /// Whether an event is about every record below an offset, and names none.
    fn is_mark(&self, seq: u64) -> bool {
        let what = &self.record(seq).what;
        let What::Told(Event::Log(_, event)) = what else {
            return false;
        };
        matches!(
            event,
            LogEvent::HighWatermark { .. }
                | LogEvent::LogStartMoved { .. }
                | LogEvent::Compacted { .. }
        )
    }

    /// The events from one back to another that it came of, or to an input that the other came of too.
    fn way(&self, from: u64, to: u64) -> Option<Vec<&'a Record>> {
        let input = self.record(to).cause;
        let mut way = vec![self.record(from)];
        while let Some(cause) = way.last().and_then(|r| r.cause) {
            way.push(self.record(cause));
            if cause == to || Some(cause) == input {
                return Some(way);
            }
        }
        None
    }

    fn between(&self, after: u64, before: u64) -> impl Iterator<Item = &'a Record> {
        let all = self.records.iter();
        all.filter(move |r| after < r.seq && r.seq < before)
    }

    fn elected(&self, seq: u64) -> ProcessId {
        let leader = match &self.record(seq).what {
            What::Told(Event::Controller(ControllerEvent::LeaderElected { leader, .. })) => *leader,
            other => panic!("no election: {other:?}"),
        };
        let name = self.lexicon.node(leader.expect("somebody is elected"));
        let mut all = (0u32..).map(ProcessId);
        all.find(|p| self.lexicon.name(*p) == name)
            .expect("a broker")
    }

    fn has_copy(&self, process: ProcessId, before: u64) -> bool {
        let own = |r: &&Record| r.process == Some(process);
        self.between(0, before).filter(own).any(|r| self.is_copy(r))
    }

    /// Whether a log grows by the record.
    fn is_copy(&self, record: &Record) -> bool {
        matches!(
            &record.what,
            What::Told(Event::Log(_, LogEvent::Appended { .. }))
        ) && self.id.is_some_and(|id| why::mentions(record, id))
    }

    /// Whoever the fault struck has ended by the event, and not begun again.
    fn has_ended(&self, fault: u64, event: u64) -> bool {
        let What::Fault { fault: harm, .. } = &self.record(fault).what else {
            return false;
        };
        let ends = self.between(fault, event).filter_map(|r| match &r.what {
            What::Process(fact) if r.process.is_some_and(|p| strikes(harm, p)) => Some(fact),
            _ => None,
        });
        matches!(ends.last(), Some(ProcessFact::Ended { .. }))
    }

    /// Whoever the fault struck sends no heartbeat up to the event.
    fn is_silent(&self, fault: u64, event: u64) -> bool {
        let What::Fault { fault: harm, .. } = &self.record(fault).what else {
            return false;
        };
        let is_heartbeat = |r: &Record| {
            let api = Api::BrokerHeartbeat;
            matches!(&r.what, What::Sent { api: a, response: false, .. } if *a == api)
                && r.process.is_some_and(|p| strikes(harm, p))
        };
        !self.between(fault, event).any(is_heartbeat)
    }

    /// Whether an answer that arrived is one to the request that an append came of.
    fn answers(&self, answer: &Record, append: u64) -> bool {
        let request = self.record(append).cause.expect("a request");
        match (&answer.what, &self.record(request).what) {
            (
                What::Handled(Handled::Response { conn, id, .. }),
                What::Handled(Handled::Request {
                    conn: c,
                    id: i,
                    from,
                    ..
                }),
            ) => answer.process == Some(*from) && (conn, id) == (c, i),
            _ => false,
        }
    }
}

fn is_answer(record: &Record) -> bool {
    matches!(record.what, What::Handled(Handled::Response { .. }))
}

fn story(name: &str) -> Arc<Scenario> {
    let text = library::find(name).expect("a scenario that comes with klab");
    Arc::new(Scenario::parse(name, &text).unwrap_or_else(|errors| panic!("{errors}")))
}

fn watched(scenario: &Arc<Scenario>, seed: u64) -> World {
    let watch = Watch {
        records: true,
        checkers: true,
    };
    let mut world = World::new(scenario.clone(), seed, watch);
    world.run_to_end();
    world
}

fn verdict(world: &World) -> Verdict {
    let checkers = world.checkers().expect("the run is watched");
    checkers.verdict(View::new(world))
}

/// Runs a seed and compares what the checkers call lost with what the logs say; how many that is.
fn lost_as_the_logs_say(scenario: &Arc<Scenario>, seed: u64) -> usize {
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(scenario.clone(), seed, watch);
    let lost = cut_off_by_elections(&mut world);
    let verdict = verdict(&world);
    let found: BTreeSet<RecordId> = verdict.found(FindingKind::Lost).map(|f| f.record).collect();
    assert_eq!(found, lost, "klab run quickstart --seed {seed}");
    lost.len()
}

/// The acknowledged records that the leaders of a run did not have when they began.
///
/// Every election takes what lay from the new leader's end offset up to the end of the log of whoever led before it. What it
/// takes is acknowledged by then, or never will be: whoever led before is dead. No later leader has it again, since a leader
/// is elected from replicas that follow its predecessor; so the elections of a run add up, and no record counts twice.
fn cut_off_by_elections(world: &mut World) -> BTreeSet<RecordId> {
    let mut lost = BTreeSet::new();
    let mut reigns: Vec<Reign> = Vec::new();
    while world.step() {
        let view = View::new(world);
        let begun = reigning(view).filter(|new| reigns.last().is_none_or(|r| r.epoch < new.epoch));
        let Some(new) = begun else {
            continue;
        };
        if let Some(former) = reigns.last() {
            assert!(view.machine(former.leader).down.is_some());
            let old_log = records_on_disk(view, former.leader, new.id);
            let behind = old_log.filter(|(offset, _)| *offset >= new.end);
            lost.extend(
                behind
                    .map(|(_, id)| id)
                    .filter(|id| is_confirmed(view, *id)),
            );
        }
        reigns.push(new);
    }
    assert!(reigns.len() >= 2, "no leader was elected: nothing is shown");
    lost
}

/// A broker that leads.
struct Reign {
    id: TopicIdPartition,
    epoch: i32,
    leader: ProcessId,
    /// The end offset of its log when it began.
    end: Offset,
}

/// Who leads in the newest epoch in which any running broker leads.
fn reigning(view: View<'_>) -> Option<Reign> {
    let replicas = view.brokers().flat_map(|(p, broker)| {
        let own = broker.partitions().filter(|(_, r)| r.is_leader());
        own.filter_map(move |(id, replica)| {
            Some(Reign {
                id,
                epoch: replica.leader_epoch()?.0,
                leader: p,
                end: replica.log().leo(),
            })
        })
    });
    replicas.max_by_key(|r| r.epoch)
}

fn records_on_disk(
    view: View<'_>,
    process: ProcessId,
    id: TopicIdPartition,
) -> impl Iterator<Item = (Offset, RecordId)> {
    view.disk(process).batches(id).flat_map(|batch| {
        let base = batch.base_offset;
        let ids = batch.data.ids().to_vec();
        (0..).map(move |i| base.plus(i)).zip(ids)
    })
}

/// Whether the application that sends a record has been told that it is written.
fn is_confirmed(view: View<'_>, id: RecordId) -> bool {
    let process = ProcessId(id.source);
    let plan = &view.scenario().producers[view.names().of(process)];
    assert_eq!(
        plan.answers,
        Answers::InCallback,
        "it believes answers only"
    );
    match &view.machine(process).process {
        Some(Process::App(app)) => {
            let App::Producing(shop) = &**app else {
                panic!("whoever sends is a producer");
            };
            let source = shop.source();
            id.number < source.next && !source.unconfirmed.contains(&id.number)
        }
        _ => panic!("nobody harms the producer in this story"),
    }
}
