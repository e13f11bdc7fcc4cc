//! A replica's hands: Kafka's KafkaRaftClientDriver and KafkaNetworkChannel. It works for a role, as the network client
//! does, and so may name `Context`: it carries out what the replica wants, and knows the connections to the voters.
//!
//! A role gives it every input that [`Driver::takes`], and looks at [`Driver::raft`]'s `seen` afterwards.

use crate::client::connections::{Connections, Happened, Happenings, NetworkSettings};
use crate::context::{Context, Exit, Halt, Purpose};
use crate::controller::records::MetadataRecord;
use crate::disk::{DiskImage, FileId};
use crate::effect::{Effects, Sends, carry_out};
use crate::ids::{
    Address, ClientId, ConnId, LeaderEpoch, METADATA_PARTITION, METADATA_TOPIC, NodeId, Offset,
};
use crate::input::Input;
use crate::protocol::{ErrorCode, Request};
use crate::raft::quorum::Die;
use crate::raft::{At, Fault, Member, Raft, RaftInput};
use crate::rules::Rules;
use crate::time::{Duration, Time};
use crate::timer::Timer;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// A replica of the metadata log, in a process.
#[derive(Clone, Debug, Serialize)]
pub struct Driver {
    raft: Raft,
    network: Connections<()>,
    /// Requests to voters that cannot be sent yet, oldest first, and until when they are worth sending.
    unsent: BTreeMap<NodeId, VecDeque<(Request, Time)>>,
    /// The alarm that is set. One that goes off too early does no harm, so only an earlier one is set anew.
    armed: Option<Time>,
    /// The buffer of a step's wishes. Empty between two steps.
    #[serde(skip)]
    wishes: Effects,
}

impl Driver {
    /// Opens the replica from what is on disk and does its first step.
    pub fn boot(
        member: Member,
        addresses: &[(NodeId, Address)],
        client: ClientId,
        disk: &DiskImage,
        rules: &Rules,
        cx: &mut Context<'_>,
    ) -> Driver {
        let settings = NetworkSettings {
            request_timeout: member.config.request_timeout,
            reconnect_backoff: Duration::millis(50),
            reconnect_backoff_max: Duration::millis(500),
            max_in_flight: 1,
            ..NetworkSettings::default()
        };
        let mut network = Connections::new(client, settings);
        for (voter, address) in addresses.iter().filter(|(v, _)| *v != member.node) {
            network.learn(*voter, *address);
        }
        let drawn = [
            cx.draw(Purpose::ElectionTimeout),
            cx.draw(Purpose::LeastLoadedNode(client)),
        ];
        let mut out = Effects::new();
        let raft = Raft::open(member, disk, drawn, at(rules, cx), &mut out);
        let mut driver = Driver {
            raft,
            network,
            unsent: BTreeMap::new(),
            armed: None,
            wishes: Effects::new(),
        };
        let sends = driver.finish(&mut out, cx);
        driver.queue(sends, cx);
        driver.step(RaftInput::Alarm, rules, cx);
        driver
    }

    /// The replica.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Whether an input is this replica's: a voter's request, the answer of one, a sync of its files, its alarm.
    pub fn takes(&self, input: &Input) -> bool {
        match input {
            Input::Request { request, .. } => match request {
                Request::Fetch(r) => r.topics.iter().all(|t| t.topic_id == METADATA_TOPIC),
                Request::Vote(_) | Request::BeginQuorumEpoch(_) | Request::EndQuorumEpoch(_) => {
                    true
                }
                _ => false,
            },
            Input::Opened { conn, .. }
            | Input::Closed { conn, .. }
            | Input::Response { conn, .. }
            | Input::Sent { conn, .. } => self.network.owns(*conn),
            Input::Timer(timer) => *timer == Timer::Raft,
            Input::Synced { file, .. } => match file {
                FileId::QuorumState => true,
                FileId::Segment(partition, _) => *partition == METADATA_PARTITION,
                _ => false,
            },
            Input::Command(_) | Input::Stop => false,
        }
    }

    /// Takes an input that is this replica's.
    pub fn handle(&mut self, input: Input, rules: &Rules, cx: &mut Context<'_>) {
        match input {
            Input::Request {
                conn, id, request, ..
            } => self.step(RaftInput::Request { conn, id, request }, rules, cx),
            Input::Synced { file, result } => self.step(RaftInput::Synced(file, result), rules, cx),
            Input::Timer(_) => {
                self.armed = None;
                let happened = self.network.expire(cx);
                self.happened(happened, rules, cx);
                self.step(RaftInput::Alarm, rules, cx);
            }
            other => {
                let happened = self.network.handle(other, cx);
                self.happened(happened, rules, cx);
            }
        }
    }

    /// A connection from elsewhere is gone.
    pub fn closed(&mut self, conn: ConnId, rules: &Rules, cx: &mut Context<'_>) {
        self.step(RaftInput::Closed(conn), rules, cx);
    }

    /// The process was asked to stop: a leader resigns first (see [`Raft::may_stop`]).
    pub fn stop(&mut self, rules: &Rules, cx: &mut Context<'_>) {
        self.step(RaftInput::Stop, rules, cx);
    }

    /// Gathers records as leader of `epoch`; returns the offset of the first.
    ///
    /// # Errors
    /// NOT_CONTROLLER if the replica does not lead that epoch any more (K-8).
    pub fn append(
        &mut self,
        epoch: LeaderEpoch,
        records: Vec<MetadataRecord>,
        rules: &Rules,
        cx: &mut Context<'_>,
    ) -> Result<Offset, ErrorCode> {
        let first = self.raft.append(epoch, records, at(rules, cx))?;
        self.arm(rules, cx);
        Ok(first)
    }

    /// Gives up the lead of `epoch`, if the replica has it.
    pub fn resign(&mut self, epoch: LeaderEpoch, rules: &Rules, cx: &mut Context<'_>) {
        self.raft.resign(epoch);
        self.step(RaftInput::Alarm, rules, cx);
    }

    fn step(&mut self, input: RaftInput, rules: &Rules, cx: &mut Context<'_>) {
        let mut out = std::mem::take(&mut self.wishes);
        let ended = self.raft.handle(input, at(rules, cx), &mut out);
        let mut sends = self.finish(&mut out, cx);
        self.wishes = out;
        if let Err(fault) = ended {
            halt(fault, cx);
        }
        // Mostly one request at most, which can go at once and needs no queue.
        match sends.first() {
            None if self.unsent.is_empty() => {}
            Some((to, _))
                if sends.len() == 1 && self.unsent.is_empty() && self.network.ready(*to, cx) =>
            {
                let (to, request) = sends.pop().expect("there is one");
                self.network.send(to, request, (), cx);
            }
            _ => {
                self.queue(sends, cx);
                self.flush(rules, cx);
            }
        }
        self.arm(rules, cx);
    }

    /// Carries out what the replica wants, but for its requests. The buffer is left empty.
    fn finish(&mut self, out: &mut Effects, cx: &mut Context<'_>) -> Sends {
        let purposes = [
            Purpose::ElectionTimeout,
            Purpose::LeastLoadedNode(self.network.client()),
        ];
        for (die, purpose) in self.raft.dice().into_iter().zip(purposes) {
            if die.spent {
                *die = Die::new(cx.draw(purpose));
            }
        }
        let mut sends = Sends::new();
        let done = carry_out(out.drain(..), cx, |to, request| sends.push((to, request)));
        if let Err(error) = done {
            halt(Fault::Disk(error), cx);
            sends.clear();
        }
        sends
    }

    /// Requests wait for their connections.
    fn queue(&mut self, sends: Sends, cx: &Context<'_>) {
        let expires = cx.now() + self.network.settings().request_timeout;
        for (to, request) in sends {
            self.unsent
                .entry(to)
                .or_default()
                .push_back((request, expires));
        }
    }

    /// Sends what can be sent. To a node that cannot be connected to now nothing is kept: the replica shall look for
    /// another.
    fn flush(&mut self, rules: &Rules, cx: &mut Context<'_>) {
        let now = cx.now();
        let mut failed = Vec::new();
        for (node, requests) in &mut self.unsent {
            while let Some((request, expires)) = requests.pop_front() {
                if expires <= now {
                    failed.push(*node);
                } else if self.network.ready(*node, cx) {
                    self.network.send(*node, request, (), cx);
                } else if self.network.is_disconnected(*node) {
                    failed.push(*node);
                } else {
                    requests.push_front((request, expires));
                    break;
                }
            }
        }
        self.unsent.retain(|_, requests| !requests.is_empty());
        for node in failed {
            self.step(RaftInput::Failed(node), rules, cx);
        }
    }

    fn happened(&mut self, happened: Happenings<()>, rules: &Rules, cx: &mut Context<'_>) {
        for happened in happened {
            match happened {
                Happened::Answered(from, (), response) => {
                    self.step(RaftInput::Answered(from, response), rules, cx);
                }
                Happened::Failed(to, (), _) => self.step(RaftInput::Failed(to), rules, cx),
                Happened::Ready(_) | Happened::Disconnected(_) => self.flush(rules, cx),
                Happened::Sent(..) => {}
            }
        }
    }

    fn arm(&mut self, rules: &Rules, cx: &mut Context<'_>) {
        let unsent = self
            .unsent
            .values()
            .filter_map(|r| r.front())
            .map(|(_, expires)| *expires);
        let alarms = [
            self.raft.next_alarm(cx.now(), rules),
            self.network.next_deadline(),
            unsent.min(),
        ];
        let Some(at) = Time::earliest(alarms) else {
            return;
        };
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at);
            cx.set_timer(Timer::Raft, at);
        }
    }
}

fn at<'a>(rules: &'a Rules, cx: &Context<'_>) -> At<'a> {
    At {
        now: cx.now(),
        wall: cx.wall(),
        rules,
    }
}

fn halt(fault: Fault, cx: &mut Context<'_>) {
    let why = match fault {
        Fault::Disk(error) => Halt::Disk(error),
        fault => Halt::Raft(fault),
    };
    cx.exit(Exit::Halted(why));
}
