//! A bench for tests: several replicas as plain values, a network, disks and a schedule that spoils them, and I-8 checked
//! after every step.

use super::*;
use crate::disk::{FileImage, SmallFile, Write};
use crate::ids::METADATA_PARTITION;
use crate::log::batch::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};

const SEGMENT: FileId = FileId::Segment(METADATA_PARTITION, Offset(0));

/// A quorum on a bench.
pub(super) struct Bench {
    pub(super) now: Time,
    pub(super) rules: Rules,
    pub(super) voters: Vec<NodeId>,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    queue: BTreeMap<(Time, u64), Happening>,
    pub(super) counter: u64,
    chance: u64,
    /// `.0` cannot reach `.1` with requests.
    pub(super) blocked: BTreeSet<(NodeId, NodeId)>,
    /// Their vote requests go nowhere.
    pub(super) barred: BTreeSet<NodeId>,
    pub(super) history: History,
    /// To what a test asked itself.
    answers: Vec<Response>,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) raft: Option<Raft>,
    pub(super) disk: Disk,
    life: u32,
    armed: Option<Time>,
    /// Its disk was replaced.
    is_new: bool,
}

#[derive(Clone, Default)]
pub(super) struct Disk {
    written: Vec<RecordBatch>,
    pub(super) synced: Vec<RecordBatch>,
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
pub(super) struct History {
    leaders: BTreeMap<LeaderEpoch, NodeId>,
    committed: BTreeMap<Offset, RecordBatch>,
    appended: BTreeMap<(Offset, LeaderEpoch), (Option<LeaderEpoch>, RecordBatch)>,
    hw: BTreeMap<(NodeId, u32), Offset>,
    pub(super) broken: Vec<String>,
}

impl History {
    fn promise(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }
}

impl Bench {
    pub(super) fn new(voters: i32, rules: Rules, seed: u64) -> Bench {
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
            answers: Vec::new(),
        };
        for node in bench.voters.clone() {
            bench.start(node);
        }
        bench
    }

    pub(super) fn draw(&mut self) -> u64 {
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

    pub(super) fn start(&mut self, id: NodeId) {
        if self.nodes[&id].raft.is_some() {
            return;
        }
        let drawn = [self.draw(), self.draw()];
        let (now, rules) = (self.now, self.rules.clone());
        let node = self.nodes.get_mut(&id).expect("a voter");
        node.life += 1;
        node.armed = None;
        let mut files = DiskImage::new();
        if node.life > 1 && !node.is_new {
            let batches = node.disk.written.clone();
            files.insert(
                SEGMENT,
                FileImage::Segment {
                    batches,
                    torn: false,
                },
            );
        }
        node.is_new = false;
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

    pub(super) fn kill(&mut self, id: NodeId) {
        self.nodes.get_mut(&id).expect("a voter").raft = None;
        for other in self.voters.clone() {
            self.break_link(id, other);
            self.break_link(other, id);
        }
    }

    pub(super) fn power_loss(&mut self, id: NodeId) {
        self.kill(id);
        let disk = &mut self.nodes.get_mut(&id).expect("a voter").disk;
        disk.written = disk.synced.clone();
        disk.quorum = disk.quorum_synced.clone();
    }

    pub(super) fn wipe(&mut self, id: NodeId) {
        self.kill(id);
        let node = self.nodes.get_mut(&id).expect("a voter");
        node.disk = Disk::default();
        node.is_new = true;
    }

    pub(super) fn block(&mut self, from: i32, to: i32) {
        self.blocked.insert((NodeId(from), NodeId(to)));
        self.break_link(NodeId(from), NodeId(to));
    }

    pub(super) fn isolate(&mut self, id: NodeId) {
        for other in self.voters.clone() {
            self.block(id.0, other.0);
            self.block(other.0, id.0);
        }
    }

    pub(super) fn heal(&mut self) {
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
    pub(super) fn tell(&mut self, id: NodeId, input: RaftInput) {
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
            Write::Delete | Write::Rename(_) => {
                unreachable!("because {file:?} is never deleted")
            }
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
            last.is_none_or(|last| raft.log().batches_from(last.base_offset).next() == Some(last));
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
            if conn == ConnId(u64::MAX) {
                self.answers.push(response);
            }
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

    pub(super) fn run(&mut self, span: Duration) {
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

    pub(super) fn run_till(&mut self, what: &str, done: impl Fn(&Bench) -> bool) {
        assert!(
            self.run_until(self.now + Duration::secs(60), done),
            "60 s without: {what}"
        );
    }

    pub(super) fn check(&mut self, id: NodeId) {
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
            let same = *known == batch;
            let at = batch.base_offset;
            self.history.promise(same, || {
                format!("{id} has another committed record at {at}")
            });
        }
    }

    pub(super) fn raft(&self, id: i32) -> &Raft {
        self.nodes[&NodeId(id)].raft.as_ref().expect("it runs")
    }

    /// The replica that sees itself lead the highest epoch.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let running = self
            .nodes
            .iter()
            .filter_map(|(id, n)| Some((*id, n.raft.as_ref()?)));
        let leading = running.filter(|(id, r)| r.is_leader() && r.seen().leader == Some(*id));
        leading.max_by_key(|(_, r)| r.epoch()).map(|(id, _)| id)
    }

    pub(super) fn append(&mut self, id: NodeId) -> Option<Offset> {
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

    /// What a replica says to a request that it answers at once, or after its sync.
    pub(super) fn ask(&mut self, id: NodeId, request: Request) -> Response {
        let conn = ConnId(u64::MAX);
        self.answers.clear();
        let input = RaftInput::Request {
            conn,
            id: CorrelationId(0),
            request,
        };
        self.tell(id, input);
        self.run_till("an answer", |b| !b.answers.is_empty());
        self.answers.remove(0)
    }

    pub(super) fn elect(&mut self, id: i32) {
        self.barred = self.voters.iter().copied().filter(|v| v.0 != id).collect();
        self.run_till("an election", |b| {
            b.nodes[&NodeId(id)]
                .raft
                .as_ref()
                .is_some_and(Raft::is_leader)
        });
    }

    pub(super) fn assert_unbroken(&self) {
        assert!(self.history.broken.is_empty(), "{:#?}", self.history.broken);
    }
}
