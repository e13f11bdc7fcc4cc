//! Several replicas as plain values: a network, disks and a schedule that spoils them, and I-8 checked after every step.

use super::*;
use crate::disk::{FileImage, SmallFile, Write};
use crate::ids::METADATA_PARTITION;
use crate::log::batch::RecordBatch;
use crate::raft::fetch::Parked;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SEGMENT: FileId = FileId::Segment(METADATA_PARTITION, Offset(0));

/// A quorum on a bench.
struct Bench {
    now: Time,
    rules: Rules,
    voters: Vec<NodeId>,
    nodes: BTreeMap<NodeId, Node>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    queue: BTreeMap<(Time, u64), Happening>,
    counter: u64,
    chance: u64,
    /// `.0` cannot reach `.1` with requests.
    blocked: BTreeSet<(NodeId, NodeId)>,
    /// Their vote requests go nowhere.
    barred: BTreeSet<NodeId>,
    history: History,
}

#[derive(Default)]
struct Node {
    raft: Option<Raft>,
    disk: Disk,
    life: u32,
    armed: Option<Time>,
}

#[derive(Clone, Default)]
struct Disk {
    written: Vec<RecordBatch>,
    synced: Vec<RecordBatch>,
    quorum: Option<SmallFile>,
    quorum_synced: Option<SmallFile>,
}

/// One connection from an asker: requests wait at the other end until the one before is answered (N-1).
#[derive(Default)]
struct Link {
    conn: Option<ConnId>,
    unanswered: u32,
    waiting: VecDeque<Request>,
    busy: bool,
    latest: Time,
}

enum Happening {
    Arrives {
        from: NodeId,
        to: NodeId,
        conn: ConnId,
        request: Request,
    },
    Returns {
        from: NodeId,
        to: NodeId,
        conn: ConnId,
        response: Response,
    },
    Fails {
        from: NodeId,
        to: NodeId,
        life: u32,
    },
    Synced {
        node: NodeId,
        life: u32,
        file: FileId,
    },
    Rings {
        node: NodeId,
        life: u32,
        at: Time,
    },
}

/// What has been promised (I-8, W11).
#[derive(Default)]
struct History {
    leaders: BTreeMap<LeaderEpoch, NodeId>,
    committed: BTreeMap<Offset, RecordBatch>,
    appended: BTreeMap<(Offset, LeaderEpoch), (Option<LeaderEpoch>, RecordBatch)>,
    hw: BTreeMap<(NodeId, u32), Offset>,
    broken: Vec<String>,
}

impl History {
    fn promise(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }
}

impl Bench {
    fn new(voters: i32, rules: Rules, seed: u64) -> Bench {
        let voters: Vec<NodeId> = (1..=voters).map(NodeId).collect();
        let mut bench = Bench {
            now: Time(0),
            rules,
            nodes: voters.iter().map(|v| (*v, Node::default())).collect(),
            voters,
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            counter: 0,
            chance: seed,
            blocked: BTreeSet::new(),
            barred: BTreeSet::new(),
            history: History::default(),
        };
        for node in bench.voters.clone() {
            bench.start(node);
        }
        bench
    }

    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn after(&mut self, least: u64, most: u64) -> Time {
        self.now + Duration::micros(least + self.draw() % (most - least + 1))
    }

    fn enqueue(&mut self, at: Time, happening: Happening) {
        self.counter += 1;
        self.queue.insert((at, self.counter), happening);
    }

    fn start(&mut self, id: NodeId) {
        if self.nodes[&id].raft.is_some() {
            return;
        }
        let drawn = [self.draw(), self.draw()];
        let (now, rules) = (self.now, self.rules.clone());
        let node = self.nodes.get_mut(&id).expect("a voter");
        node.life += 1;
        node.armed = None;
        let mut files = DiskImage::new();
        if node.life > 1 {
            let batches = node.disk.written.clone();
            files.insert(
                SEGMENT,
                FileImage::Segment {
                    batches,
                    torn: false,
                },
            );
        }
        if let Some(file) = &node.disk.quorum {
            files.insert(FileId::QuorumState, FileImage::Small(file.clone()));
        }
        let member = Member {
            node: id,
            voters: self.voters.clone(),
            config: RaftConfig::default(),
        };
        let at = At {
            now,
            wall: Timestamp(0),
            rules: &rules,
        };
        let mut out = Effects::new();
        node.raft = Some(Raft::open(member, &files, drawn, at, &mut out));
        self.carry_out(id, out);
        self.tell(id, RaftInput::Alarm);
    }

    fn kill(&mut self, id: NodeId) {
        self.nodes.get_mut(&id).expect("a voter").raft = None;
        for other in self.voters.clone() {
            self.break_link(id, other);
            self.break_link(other, id);
        }
    }

    fn power_loss(&mut self, id: NodeId) {
        self.kill(id);
        let disk = &mut self.nodes.get_mut(&id).expect("a voter").disk;
        disk.written = disk.synced.clone();
        disk.quorum = disk.quorum_synced.clone();
    }

    fn block(&mut self, from: i32, to: i32) {
        self.blocked.insert((NodeId(from), NodeId(to)));
        self.break_link(NodeId(from), NodeId(to));
    }

    fn isolate(&mut self, id: NodeId) {
        for other in self.voters.clone() {
            self.block(id.0, other.0);
            self.block(other.0, id.0);
        }
    }

    fn heal(&mut self) {
        self.blocked.clear();
        self.barred.clear();
    }

    fn break_link(&mut self, from: NodeId, to: NodeId) {
        let link = std::mem::take(self.links.entry((from, to)).or_default());
        let Some(conn) = link.conn else {
            return;
        };
        let life = self.nodes[&from].life;
        for _ in 0..link.unanswered {
            self.enqueue(self.now, Happening::Fails { from, to, life });
        }
        self.tell(to, RaftInput::Closed(conn));
    }

    /// One input to one replica, and what it wants done.
    fn tell(&mut self, id: NodeId, input: RaftInput) {
        let (now, rules) = (self.now, self.rules.clone());
        let at = At {
            now,
            wall: Timestamp(0),
            rules: &rules,
        };
        let drawn = [self.draw(), self.draw()];
        let Some(raft) = self.nodes.get_mut(&id).and_then(|n| n.raft.as_mut()) else {
            return;
        };
        let mut out = Effects::new();
        let ended = raft.handle(input, at, &mut out);
        for (die, number) in raft.dice().into_iter().zip(drawn) {
            if die.spent {
                *die = Die::new(number);
            }
        }
        let alarm = raft.next_alarm(now, &rules);
        self.carry_out(id, out);
        if let Err(fault) = ended {
            self.history.broken.push(format!("{id} halted: {fault:?}"));
            return self.kill(id);
        }
        self.arm(id, alarm);
        self.check(id);
    }

    /// An alarm that goes off too early does no harm, so only an earlier one is set anew.
    fn arm(&mut self, id: NodeId, alarm: Option<Time>) {
        let node = self.nodes.get_mut(&id).expect("a voter");
        let Some(at) = alarm.map(|at| at.max(self.now)) else {
            return;
        };
        if node.armed.is_none_or(|armed| at < armed) {
            node.armed = Some(at);
            let life = node.life;
            self.enqueue(at, Happening::Rings { node: id, life, at });
        }
    }

    fn carry_out(&mut self, id: NodeId, out: Effects) {
        for effect in out {
            match effect {
                Effect::Write(file, write) => self.write(id, file, write),
                Effect::Sync(file) => {
                    let (at, life) = (self.after(100, 5_000), self.nodes[&id].life);
                    self.enqueue(
                        at,
                        Happening::Synced {
                            node: id,
                            life,
                            file,
                        },
                    );
                }
                Effect::Tell(event) => self.told(id, &event),
                Effect::Send(to, request) => self.send(id, to, request),
                Effect::Reply(conn, _, response) => self.reply(id, conn, response),
            }
        }
    }

    fn write(&mut self, id: NodeId, file: FileId, write: Write) {
        let disk = &mut self.nodes.get_mut(&id).expect("a voter").disk;
        match write {
            Write::Create => {}
            Write::Append(batch) => {
                let before = disk.written.last().map(|b| b.leader_epoch);
                disk.written.push(batch.clone());
                let key = (batch.base_offset, batch.leader_epoch);
                let known = self
                    .history
                    .appended
                    .entry(key)
                    .or_insert((before, batch.clone()))
                    .clone();
                let same = known == (before, batch);
                self.history
                    .promise(same, || format!("two logs differ at {key:?}"));
            }
            Write::TruncateTo(to) => disk.written.retain(|b| b.end_offset() <= to),
            Write::Replace(content) => disk.quorum = Some(content),
            Write::Delete => unreachable!("because {file:?} is never deleted"),
        }
    }

    fn told(&mut self, id: NodeId, event: &Event) {
        let Event::Raft(RaftEvent::Became {
            state: crate::event::RaftState::Leader,
            epoch,
            ..
        }) = event
        else {
            return;
        };
        let known = *self.history.leaders.entry(*epoch).or_insert(id);
        self.history.promise(known == id, || {
            format!("{known} and {id} lead epoch {epoch}")
        });
        let last = self.history.committed.values().next_back().cloned();
        let raft = self.nodes[&id].raft.as_ref().expect("it speaks");
        let complete =
            last.is_none_or(|last| raft.log().batches_from(last.base_offset).next() == Some(&last));
        self.history.promise(complete, || {
            format!("leader {id} of epoch {epoch} lacks committed records")
        });
    }

    fn send(&mut self, from: NodeId, to: NodeId, request: Request) {
        let is_vote = matches!(request, Request::Vote(_));
        let down = self.nodes[&to].raft.is_none();
        let lost = self.blocked.contains(&(from, to)) || (is_vote && self.barred.contains(&from));
        if down || lost {
            let (at, life) = (self.after(500, 3_000), self.nodes[&from].life);
            return self.enqueue(at, Happening::Fails { from, to, life });
        }
        let at = self.after(500, 3_000);
        self.counter += 1;
        let fresh = ConnId(self.counter);
        let link = self.links.entry((from, to)).or_default();
        let conn = *link.conn.get_or_insert(fresh);
        link.unanswered += 1;
        link.latest = link.latest.max(at);
        let at = link.latest;
        self.enqueue(
            at,
            Happening::Arrives {
                from,
                to,
                conn,
                request,
            },
        );
    }

    fn reply(&mut self, id: NodeId, conn: ConnId, response: Response) {
        let at = self.after(500, 3_000);
        let found = self.links.iter_mut().find(|(_, l)| l.conn == Some(conn));
        let Some((&(from, to), link)) = found else {
            return;
        };
        assert_eq!(to, id, "a reply goes back over its own connection");
        link.busy = false;
        let next = link.waiting.pop_front();
        self.enqueue(
            at,
            Happening::Returns {
                from,
                to,
                conn,
                response,
            },
        );
        if let Some(request) = next {
            self.enqueue(
                self.now,
                Happening::Arrives {
                    from,
                    to,
                    conn,
                    request,
                },
            );
        }
    }

    fn is_open(&self, from: NodeId, to: NodeId, conn: ConnId) -> bool {
        self.links
            .get(&(from, to))
            .is_some_and(|l| l.conn == Some(conn))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives {
                from,
                to,
                conn,
                request,
            } if self.is_open(from, to, conn) => {
                let link = self.links.get_mut(&(from, to)).expect("open");
                if link.busy {
                    return link.waiting.push_back(request);
                }
                link.busy = true;
                let id = CorrelationId(0);
                self.tell(to, RaftInput::Request { conn, id, request });
            }
            Happening::Returns {
                from,
                to,
                conn,
                response,
            } if self.is_open(from, to, conn) => {
                self.links.get_mut(&(from, to)).expect("open").unanswered -= 1;
                self.tell(from, RaftInput::Answered(to, response));
            }
            Happening::Fails { from, to, life } if self.nodes[&from].life == life => {
                self.tell(from, RaftInput::Failed(to));
            }
            Happening::Synced { node, life, file } if self.nodes[&node].life == life => {
                let n = self.nodes.get_mut(&node).expect("a voter");
                if n.raft.is_some() {
                    match file {
                        FileId::QuorumState => n.disk.quorum_synced = n.disk.quorum.clone(),
                        _ => n.disk.synced = n.disk.written.clone(),
                    }
                    self.tell(node, RaftInput::Synced(file, Ok(())));
                }
            }
            Happening::Rings { node, life, at } if self.nodes[&node].life == life => {
                let n = self.nodes.get_mut(&node).expect("a voter");
                if n.armed == Some(at) {
                    n.armed = None;
                    self.tell(node, RaftInput::Alarm);
                }
            }
            _ => {}
        }
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        self.run_until(until, |_| false);
        self.now = until;
    }

    fn run_until(&mut self, until: Time, done: impl Fn(&Bench) -> bool) -> bool {
        while !done(self) {
            let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= until) else {
                return false;
            };
            self.now = entry.key().0;
            let happening = entry.remove();
            self.happen(happening);
        }
        true
    }

    fn run_till(&mut self, what: &str, done: impl Fn(&Bench) -> bool) {
        assert!(
            self.run_until(self.now + Duration::secs(60), done),
            "60 s without: {what}"
        );
    }

    fn check(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        let Some(raft) = &node.raft else {
            return;
        };
        let hw = raft.log().hw();
        let before = self
            .history
            .hw
            .insert((id, node.life), hw)
            .unwrap_or(Offset(0));
        self.history.promise(before <= hw, || {
            format!("the high watermark of {id} fell from {before} to {hw}")
        });
        for batch in raft
            .log()
            .batches_from(before)
            .take_while(|b| b.end_offset() <= hw)
        {
            let known = self
                .history
                .committed
                .entry(batch.base_offset)
                .or_insert_with(|| batch.clone());
            let same = known == batch;
            let at = batch.base_offset;
            self.history.promise(same, || {
                format!("{id} has another committed record at {at}")
            });
        }
    }

    fn raft(&self, id: i32) -> &Raft {
        self.nodes[&NodeId(id)].raft.as_ref().expect("it runs")
    }

    /// The replica that sees itself lead the highest epoch.
    fn leader(&self) -> Option<NodeId> {
        let running = self
            .nodes
            .iter()
            .filter_map(|(id, n)| Some((*id, n.raft.as_ref()?)));
        let leading = running.filter(|(id, r)| r.is_leader() && r.seen().leader == Some(*id));
        leading.max_by_key(|(_, r)| r.epoch()).map(|(id, _)| id)
    }

    fn append(&mut self, id: NodeId) -> Option<Offset> {
        let (now, rules) = (self.now, self.rules.clone());
        let at = At {
            now,
            wall: Timestamp(0),
            rules: &rules,
        };
        let raft = self.nodes.get_mut(&id)?.raft.as_mut()?;
        let offset = raft
            .append(raft.epoch(), vec![MetadataRecord::NoOp], at)
            .ok()?;
        self.tell(id, RaftInput::Alarm);
        Some(offset)
    }

    fn elect(&mut self, id: i32) {
        self.barred = self.voters.iter().copied().filter(|v| v.0 != id).collect();
        self.run_till("an election", |b| {
            b.nodes[&NodeId(id)]
                .raft
                .as_ref()
                .is_some_and(Raft::is_leader)
        });
    }

    fn assert_unbroken(&self) {
        assert!(self.history.broken.is_empty(), "{:#?}", self.history.broken);
    }
}

#[test]
fn three_voters_elect_one_leader_and_commit_its_first_record() {
    let mut bench = Bench::new(3, Rules::default(), 1);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    for id in 1..=3 {
        assert_eq!(bench.raft(id).seen().leader, Some(leader));
        assert_eq!(bench.raft(id).seen().committed, Offset(1));
    }
    bench.assert_unbroken();
}

#[test]
fn a_single_voter_leads_at_once() {
    let mut bench = Bench::new(1, Rules::default(), 1);
    bench.run(Duration::millis(50));
    assert_eq!(bench.leader(), Some(NodeId(1)));
    assert_eq!(bench.raft(1).seen().committed, Offset(1));
}

#[test]
fn a_restarted_leader_resigns_and_never_leads_that_epoch_again() {
    let mut bench = Bench::new(1, Rules::default(), 1);
    bench.run(Duration::millis(50));
    let epoch = bench.raft(1).epoch();
    bench.kill(NodeId(1));
    bench.start(NodeId(1));
    bench.run(Duration::millis(50));
    assert!(bench.raft(1).epoch() > epoch);
    bench.assert_unbroken();
}

#[test]
fn a_voter_forces_records_to_disk_before_its_next_fetch_says_so() {
    let mut bench = Bench::new(3, Rules::default(), 3);
    bench.run_till("a leader", |b| b.leader().is_some());
    let leader = bench.leader().expect("just elected");
    let offset = bench.append(leader).expect("it leads");
    bench.run_till("a commit", |b| b.raft(leader.0).seen().committed > offset);
    let on_disk = bench
        .nodes
        .values()
        .filter(|n| n.disk.synced.iter().any(|b| b.base_offset == offset));
    assert!(
        on_disk.count() >= 2,
        "a majority has what is committed on disk"
    );
}

#[test]
fn a_parked_fetch_is_answered_when_the_high_watermark_moves() {
    let mut bench = Bench::new(3, Rules::default(), 4);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    bench.append(leader);
    let before = bench.now;
    bench.run_till("all know", |b| {
        (1..=3).all(|id| b.raft(id).seen().committed == Offset(2))
    });
    // Linger, two round trips, two syncs: far less than the half second that a fetch may be parked.
    assert!(bench.now.since(before) < Duration::millis(100));
}

#[test]
fn a_resigned_leader_is_followed_by_the_voter_it_named_first() {
    let mut bench = Bench::new(3, Rules::default(), 5);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    let before = bench.now;
    bench.tell(leader, RaftInput::Stop);
    bench.run_till("a successor", |b| b.leader().is_some_and(|l| l != leader));
    assert!(bench.now.since(before) < Duration::secs(1));
    assert!(bench.raft(leader.0).may_stop(bench.now));
    bench.assert_unbroken();
}

#[test]
fn without_a_leader_a_voter_is_asked_once_per_retry_backoff() {
    let mut bench = Bench::new(3, Rules::default(), 10);
    let before = bench.counter;
    bench.run(Duration::secs(1));
    // 6 pairs, 50 back-offs; a request, an answer, and what names a connection or an alarm.
    assert!(bench.leader().is_none(), "election timeouts are longer");
    assert!(bench.counter - before < 6 * 50 * 4);
}

/// K06: voter 3 cannot fetch from the leader, but can ask voter 2 for its vote.
fn with_one_voter_that_cannot_fetch(prevote: bool) -> (LeaderEpoch, LeaderEpoch) {
    let mut bench = Bench::new(
        3,
        Rules {
            prevote,
            ..Rules::default()
        },
        6,
    );
    bench.elect(1);
    bench.barred.clear();
    bench.run(Duration::secs(1));
    let before = bench.raft(1).epoch();
    bench.block(3, 1);
    for _ in 0..200 {
        if let Some(leader) = bench.leader() {
            bench.append(leader);
        }
        bench.run(Duration::millis(100));
    }
    bench.assert_unbroken();
    (before, bench.raft(2).epoch())
}

#[test]
fn with_prevote_a_voter_that_cannot_fetch_leaves_the_leader_alone() {
    let (before, after) = with_one_voter_that_cannot_fetch(true);
    assert_eq!(before, after);
}

#[test]
fn without_prevote_a_voter_that_cannot_fetch_deposes_the_leader() {
    let (before, after) = with_one_voter_that_cannot_fetch(false);
    assert!(after > before);
}

/// K02: the leader is cut off from both other voters.
fn with_an_isolated_leader(check_quorum: bool) -> (bool, Option<NodeId>) {
    let mut bench = Bench::new(
        3,
        Rules {
            check_quorum,
            ..Rules::default()
        },
        7,
    );
    bench.elect(1);
    bench.barred.clear();
    bench.run(Duration::secs(1));
    let committed = bench.raft(1).seen().committed;
    bench.isolate(NodeId(1));
    bench.append(NodeId(1));
    bench.run(Duration::secs(10));
    assert_eq!(
        bench.raft(1).seen().committed,
        committed,
        "a minority commits nothing"
    );
    let still = bench.raft(1).is_leader();
    let new = [2, 3]
        .into_iter()
        .map(NodeId)
        .find(|id| bench.raft(id.0).is_leader());
    bench.heal();
    bench.run(Duration::secs(10));
    let end = bench.raft(1).seen();
    assert!(
        (2..=3).all(|id| bench.raft(id).seen() == end),
        "one quorum again"
    );
    bench.assert_unbroken();
    (still, new)
}

#[test]
fn with_check_quorum_an_isolated_leader_resigns() {
    let (still, new) = with_an_isolated_leader(true);
    assert!(!still);
    assert!(new.is_some());
}

#[test]
fn without_check_quorum_an_isolated_leader_goes_on_believing() {
    let (still, new) = with_an_isolated_leader(false);
    assert!(still);
    assert!(new.is_some());
}

/// K03, Raft's figure 8 with five voters:
/// 1. Leader 1 appends X, which reaches 2 alone; both go away.
/// 2. Leader 5 appends Y (its epoch's first record) at the same offset, which reaches nobody; it goes away.
/// 3. Leader 1 again: voter 3 gets X and the new epoch's first record, voter 2 shows that it has X but gets nothing more.
///    A majority has X; only a minority has a record of the new epoch.
/// 4. 1 and 3 go away; 5 wins with 2 and 4, whose logs end in older epochs, and writes Y over X.
fn with_an_old_record_on_a_majority(own_epoch_commit: bool) -> Vec<String> {
    let mut bench = Bench::new(
        5,
        Rules {
            own_epoch_commit,
            ..Rules::default()
        },
        8,
    );
    bench.elect(1);
    bench.run(Duration::secs(1));
    let start = bench.raft(1).seen().committed;
    assert!((1..=5).all(|id| bench.raft(id).seen().committed == start));

    (3..=5).for_each(|id| bench.block(id, 1));
    assert_eq!(bench.append(NodeId(1)), Some(start));
    bench.run_till("X on 2", |b| {
        b.raft(2).log().leo() == start.plus(1) && b.raft(2).flushing.is_none()
    });
    [1, 2].into_iter().for_each(|id| bench.kill(NodeId(id)));

    [3, 4].into_iter().for_each(|id| bench.block(id, 5));
    bench.elect(5);
    bench.run_till("Y on disk", |b| b.raft(5).flushing.is_none());
    bench.kill(NodeId(5));

    bench.heal();
    [2, 3, 4].into_iter().for_each(|id| bench.block(id, 1));
    [1, 2].into_iter().for_each(|id| bench.start(NodeId(id)));
    bench.elect(1);
    bench.blocked.remove(&(NodeId(3), NodeId(1)));
    bench.run_till("3 has all", |b| {
        b.raft(3).log().leo() == start.plus(2) && b.raft(3).flushing.is_none()
    });
    bench.run(Duration::millis(100));
    // 2 says how far it is, and its answer is lost.
    let (epoch, end) = (bench.raft(1).epoch(), bench.raft(2).log().end());
    assert_eq!(end.offset, start.plus(1));
    let now = bench.now;
    let leader = bench
        .nodes
        .get_mut(&NodeId(1))
        .and_then(|n| n.raft.as_mut())
        .expect("it leads");
    let mut lost = Effects::new();
    let rules = bench.rules.clone();
    let at = At {
        now,
        wall: Timestamp(0),
        rules: &rules,
    };
    let request = Request::Fetch(fetch::request_of(NodeId(2), epoch, end, None));
    let (conn, id) = (ConnId(u64::MAX), CorrelationId(0));
    leader
        .handle(RaftInput::Request { conn, id, request }, at, &mut lost)
        .expect("no fault");
    bench.check(NodeId(1));
    [1, 3].into_iter().for_each(|id| bench.kill(NodeId(id)));

    bench.heal();
    bench.start(NodeId(5));
    bench.elect(5);
    bench.barred.clear();
    bench.run(Duration::secs(5));
    assert!(
        bench.raft(5).seen().committed > start,
        "a majority of five is enough"
    );
    bench.history.broken
}

#[test]
fn a_record_of_an_old_epoch_is_not_committed_by_counting() {
    assert_eq!(with_an_old_record_on_a_majority(true), Vec::<String>::new());
}

#[test]
fn without_the_own_epoch_rule_a_committed_record_is_overwritten() {
    let broken = with_an_old_record_on_a_majority(false);
    assert!(
        broken
            .iter()
            .any(|b| b.contains("another committed record")),
        "{broken:?}"
    );
}

/// What can be done to a quorum at some time.
#[derive(Clone, Debug)]
enum Harm {
    Kill(i32),
    PowerLoss(i32),
    Isolate(i32),
    Block(i32, i32),
    Heal,
    Append,
    Resign,
}

fn harm(voters: i32) -> impl Strategy<Value = Harm> {
    let one = 1..=voters;
    prop_oneof![
        2 => one.clone().prop_map(Harm::Kill),
        2 => one.clone().prop_map(Harm::PowerLoss),
        2 => one.clone().prop_map(Harm::Isolate),
        3 => (one.clone(), one).prop_map(|(a, b)| Harm::Block(a, b)),
        2 => Just(Harm::Heal),
        6 => Just(Harm::Append),
        1 => Just(Harm::Resign),
    ]
}

fn suffer(bench: &mut Bench, harm: &Harm) {
    match *harm {
        Harm::Kill(id) => bench.kill(NodeId(id)),
        Harm::PowerLoss(id) => bench.power_loss(NodeId(id)),
        Harm::Isolate(id) => bench.isolate(NodeId(id)),
        Harm::Block(a, b) if a != b => bench.block(a, b),
        Harm::Block(..) => {}
        Harm::Heal => bench.heal(),
        Harm::Append => {
            let leading: Vec<NodeId> = bench
                .nodes
                .iter()
                .filter(|(_, n)| n.raft.as_ref().is_some_and(Raft::is_leader))
                .map(|(id, _)| *id)
                .collect();
            leading.into_iter().for_each(|id| {
                bench.append(id);
            });
        }
        Harm::Resign => {
            if let Some(leader) = bench.leader() {
                let raft = bench
                    .nodes
                    .get_mut(&leader)
                    .and_then(|n| n.raft.as_mut())
                    .expect("it leads");
                raft.resign(raft.epoch());
                bench.tell(leader, RaftInput::Alarm);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_voters_what_was_committed_stays(
        seed in any::<u64>(),
        voters in prop_oneof![Just(3), Just(5)],
        prevote in any::<bool>(),
        harms in prop::collection::vec((1u64..3_000, harm(3)), 1..24),
    ) {
        let mut bench = Bench::new(voters, Rules { prevote, ..Rules::default() }, seed);
        for (wait, harm) in &harms {
            bench.run(Duration::millis(*wait));
            suffer(&mut bench, harm);
            // Whoever is down comes back with the next harm but one in four.
            for id in bench.voters.clone() {
                if bench.draw() % 4 == 0 {
                    bench.start(id);
                }
            }
        }
        bench.heal();
        bench.voters.clone().into_iter().for_each(|id| bench.start(id));
        bench.run(Duration::secs(15));
        let leader = bench.leader().expect("a healed quorum has a leader");
        let offset = bench.append(leader).expect("it leads");
        bench.run(Duration::secs(2));
        for id in bench.voters.clone() {
            prop_assert_eq!(bench.raft(id.0).seen().committed, offset.plus(1), "replica {}", id);
        }
        prop_assert!(bench.history.broken.is_empty(), "{:#?}", bench.history.broken);
    }
}

#[test]
fn a_fetch_parked_on_a_closed_connection_is_forgotten() {
    let mut bench = Bench::new(3, Rules::default(), 9);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    let parked: Vec<ConnId> = bench
        .raft(leader.0)
        .parked
        .iter()
        .map(Parked::conn)
        .collect();
    assert_eq!(parked.len(), 2, "both followers wait");
    bench.tell(leader, RaftInput::Closed(parked[0]));
    assert_eq!(bench.raft(leader.0).parked.len(), 1);
}
