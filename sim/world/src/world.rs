//! The world: one queue, the machines, the network, the steps. A run is a function of (scenario, seed).
//!
//! `step()` takes the earliest item, gives it to a process, and applies the process's outputs one by one, in order; facts
//! that come of it are recorded, and triggers look at each as it is made.

use crate::census::Census;
use crate::check::{Checkers, Step, Violation};
use crate::digest;
use crate::network::harm::Chance;
use crate::network::{Arrival, Body, Network, Taken};
use crate::process::{Coming, Down, Machine, Names, Pending, Process, ProcessId, service_time};
use crate::queue::{Item, Queue};
use crate::scenario::operation::Operation;
use crate::scenario::{Action, Scenario};
use crate::steps::{Deed, Due, Entry, Steps, Taped};
use crate::streams::{Stream, Streams};
use crate::trace::{Handled, Phase, Record, Trace, What};
use crate::view::View;
use klab_kafka::context::{Context, Output};
use klab_kafka::disk::FileId;
use klab_kafka::event::Event;
use klab_kafka::ids::{BrokerEpoch, ConnId, NodeId, TopicId, TopicIdPartition};
use klab_kafka::input::Closed;
use klab_kafka::time::{Duration, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run at one moment.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) scenario: Arc<Scenario>,
    seed: u64,
    pub(crate) now: Time,
    pub(crate) queue: Queue,
    pub(crate) names: Names,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) streams: Streams,
    pub(crate) steps: Steps,
    pub(crate) run: crate::run::Run,
    pub(crate) ambushes: Vec<crate::ambush::Ambush>,
    pub(crate) former_leaders: BTreeMap<TopicIdPartition, ProcessId>,
    pub(crate) leaders: BTreeMap<TopicIdPartition, ProcessId>,
    /// Brokers that lost unsynced data or their disk, with the broker epoch they had.
    losses: BTreeMap<ProcessId, Option<BrokerEpoch>>,
    /// The names that deleted topics had.
    pub(crate) former_topics: BTreeMap<TopicId, Arc<str>>,
    trace: Trace,
    checkers: Option<Box<Checkers>>,
    /// Counts, if the run has checkers.
    census: Option<Box<Census>>,
    /// The first promise that was broken.
    violation: Option<Violation>,
    /// The records of the step under way.
    fresh: Vec<Record>,
    pub(crate) outputs: Vec<Output>,
    events: u64,
}

/// Names of interventions begin here, far from those of a scenario's steps.
const INTERVENTIONS: u64 = 1 << 62;

/// What is looked at while a run goes on. None of it changes the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Keep the records of the trace.
    pub records: bool,
    /// Run the checkers.
    pub checkers: bool,
}

impl World {
    /// A run at its very beginning.
    pub fn new(scenario: Arc<Scenario>, seed: u64, watch: Watch) -> World {
        World::start_with(scenario, seed, watch, None)
    }

    /// A run whose steps come from a tape instead of the scenario.
    pub fn replay(
        scenario: Arc<Scenario>,
        seed: u64,
        watch: Watch,
        tape: Arc<Vec<Entry>>,
    ) -> World {
        World::start_with(scenario, seed, watch, Some(tape))
    }

    fn start_with(
        scenario: Arc<Scenario>,
        seed: u64,
        watch: Watch,
        tape: Option<Arc<Vec<Entry>>>,
    ) -> World {
        let (names, machines) = crate::setup::machines(&scenario);
        let network = crate::setup::network(&scenario, &names);
        let mut world = World {
            seed,
            now: Time(0),
            queue: Queue::default(),
            names,
            machines,
            network,
            streams: Streams::new(seed),
            steps: Steps::default(),
            run: crate::run::Run::of(tape),
            ambushes: Vec::new(),
            former_leaders: BTreeMap::new(),
            leaders: BTreeMap::new(),
            losses: BTreeMap::new(),
            former_topics: BTreeMap::new(),
            trace: Trace::new(watch.records),
            checkers: watch.checkers.then(Box::default),
            census: watch.checkers.then(|| Census::of(&scenario.expect).into()),
            violation: None,
            fresh: Vec::new(),
            outputs: Vec::new(),
            events: 0,
            scenario,
        };
        world.begin();
        world.finish_step();
        world
    }

    /// Does the next thing; false when the run is over.
    pub fn step(&mut self) -> bool {
        if self.run.phase == Phase::Done {
            return false;
        }
        let next_step = self
            .steps
            .peek()
            .filter(|_| Steps::are_armed(self.run.phase));
        let next_item = self.queue.peek();
        match (next_step, next_item) {
            (Some(at), item) if item.is_none_or(|i| at <= i) => {
                self.now = self.now.max(at);
                let due = self.steps.take(self.now).expect("just seen");
                self.fire(due);
            }
            (_, Some(_)) => {
                let (at, number, item) = self.queue.pop().expect("just seen");
                self.now = self.now.max(at);
                self.process_item(item, number);
            }
            _ => unreachable!("the phase item is always in the queue"),
        }
        self.finish_step();
        true
    }

    /// Steps until the run is over.
    pub fn run_to_end(&mut self) {
        while self.step() {}
    }

    /// Steps until the next thing lies after `t`.
    pub fn run_until(&mut self, t: Time) {
        while self.next_at().is_some_and(|at| at <= t) && self.step() {}
    }

    /// When the next thing happens; none when the run is over.
    pub fn next_at(&self) -> Option<Time> {
        if self.run.phase == Phase::Done {
            return None;
        }
        let step = self
            .steps
            .peek()
            .filter(|_| Steps::are_armed(self.run.phase));
        step.into_iter().chain(self.queue.peek()).min()
    }

    /// Time since boot.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The phase of the run.
    pub fn phase(&self) -> Phase {
        self.run.phase
    }

    /// When the run was ready.
    pub fn ready(&self) -> Option<Time> {
        self.run.ready
    }

    /// What is run.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What was missing when a deadline of the run passed.
    pub fn stuck(&self) -> Option<&crate::stuck::Stuck> {
        self.run.stuck.as_ref()
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Inputs handled so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The trace so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Hands over the records kept since the last time; the hash and the count stay.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        self.trace.take_records()
    }

    /// All that was done to the run.
    pub fn tape(&self) -> &[Entry] {
        self.steps.tape()
    }

    /// The checkers, if the run has them.
    pub fn checkers(&self) -> Option<&Checkers> {
        self.checkers.as_deref()
    }

    /// The counts, if the run has checkers.
    pub fn census(&self) -> Option<&Census> {
        self.census.as_deref()
    }

    /// The first promise that was broken.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The trace's hash with a digest of all processes, connections and disks on top.
    pub fn hash(&self) -> u64 {
        let hash = digest::roll(self.trace.hash(), &self.machines);
        let hash = digest::roll(hash, &self.network);
        digest::roll(hash, &self.steps)
    }

    fn process_item(&mut self, item: Item, number: u64) {
        match item {
            Item::Deliver(key, end) => {
                let chance = match self.network.answers(key, end) {
                    Some((from, to)) => self.chance(from, to),
                    None => Chance::default(),
                };
                let machines = &self.machines;
                let listens = |p: ProcessId| {
                    let m = &machines[p.index()];
                    m.process.is_some() && m.listening
                };
                let taken =
                    self.network
                        .take(key, end, number, self.now, listens, chance, &mut self.queue);
                let sent = self.network.take_sent(key);
                if let Some(taken) = taken {
                    match taken.refused {
                        Some((step, error)) => self.answer_in_place(taken, step, error),
                        None => self.arrive(taken),
                    }
                }
                if let Some(sent) = sent {
                    self.arrive(sent);
                }
            }
            Item::Alarm(p) => self.alarm(p, number),
            Item::Wake(p) => self.wake(p),
            Item::Synced(p) => {
                while let Some((file, result)) = self.machines[p.index()].disk.take_synced(self.now)
                {
                    self.come(
                        p,
                        Pending {
                            cause: 0,
                            input: Coming::Synced(file, result),
                        },
                    );
                }
            }
            Item::Phase => self.look_at_phase(),
        }
    }

    /// What a connection brings is handled now, or waits with what else has come.
    fn arrive(&mut self, taken: Taken) {
        let p = taken.process;
        let m = &self.machines[p.index()];
        if m.process.is_none() {
            return;
        }
        if !self.ambushes.is_empty() || m.is_occupied(self.now) {
            let pending = Pending {
                cause: taken.cause,
                input: Coming::Network(taken.conn, taken.arrival),
            };
            return self.come(p, pending);
        }
        // Mostly nothing is in its way.
        let handled = self.describe_arrival(taken.conn, &taken.arrival);
        if let Some(record) = self.tell_handled(p, taken.cause, handled) {
            let (conn, arrival) = (taken.conn, taken.arrival);
            self.let_work(p, taken.bytes, record, |process, cx| {
                process.handle(arrival.into_input(conn), cx);
            });
        }
    }

    /// An input has come: it is handled now, or waits while the process is busy or paused.
    pub(crate) fn come(&mut self, p: ProcessId, pending: Pending) {
        let m = &mut self.machines[p.index()];
        if m.process.is_none() {
            return;
        }
        if m.is_occupied(self.now) {
            m.inbox.push_back(pending);
            self.wake_later(p);
        } else {
            self.handle(p, pending);
        }
    }

    pub(crate) fn wake_later(&mut self, p: ProcessId) {
        let m = &mut self.machines[p.index()];
        if !m.waking && !m.paused {
            m.waking = true;
            self.queue.push(m.busy_until.max(self.now), Item::Wake(p));
        }
    }

    fn wake(&mut self, p: ProcessId) {
        let m = &mut self.machines[p.index()];
        m.waking = false;
        if m.process.is_none() || m.paused {
            return;
        }
        if m.busy_until > self.now {
            return self.wake_later(p);
        }
        if let Some(pending) = m.inbox.pop_front() {
            self.handle(p, pending);
        }
        if !self.machines[p.index()].inbox.is_empty() {
            self.wake_later(p);
        }
    }

    fn alarm(&mut self, p: ProcessId, number: u64) {
        let m = &mut self.machines[p.index()];
        if m.alarms.due.map(|(n, _)| n) != Some(number) {
            return;
        }
        m.alarms.due = None;
        while let Some(timer) = self.machines[p.index()].alarms.take(self.now) {
            self.come(
                p,
                Pending {
                    cause: 0,
                    input: Coming::Timer(timer),
                },
            );
        }
        self.set_alarm(p);
    }

    /// Keeps one item in the queue for the earliest alarm of a process.
    fn set_alarm(&mut self, p: ProcessId) {
        let m = &mut self.machines[p.index()];
        let Some(at) = m.alarms.earliest().map(|at| at.max(self.now)) else {
            m.alarms.due = None;
            return;
        };
        if m.alarms.due.is_none_or(|(_, due)| due != at) {
            m.alarms.due = Some((self.queue.push(at, Item::Alarm(p)), at));
        }
    }

    fn handle(&mut self, p: ProcessId, pending: Pending) {
        if !self.ambushes.is_empty() && self.dies_on(p, &pending.input) {
            return;
        }
        let handled = self.describe(&pending.input);
        let bytes = match &pending.input {
            Coming::Network(_, Arrival::Request { request, .. }) => request.size(),
            Coming::Network(_, Arrival::Response { response, .. }) => response.size(),
            _ => 0,
        };
        if let Some(record) = self.tell_handled(p, pending.cause, handled) {
            self.let_work(p, bytes, record, |process, cx| {
                process.handle(pending.input.into_input(), cx);
            });
        }
    }

    /// Tells that a process handles an input; `None` if the process is gone for that.
    fn tell_handled(&mut self, p: ProcessId, cause: u64, handled: Handled) -> Option<u64> {
        self.events += 1;
        let cause = (cause > 0).then_some(cause);
        let record = self.tell_process(p, cause, What::Handled(handled));
        self.machines[p.index()].process.is_some().then_some(record)
    }

    /// Lets a process work on something and applies what it does.
    fn let_work(
        &mut self,
        p: ProcessId,
        bytes: u64,
        record: u64,
        work: impl FnOnce(&mut Process, &mut Context<'_>),
    ) {
        let m = &mut self.machines[p.index()];
        let mut process = m.process.take().expect("only a running process works");
        let takes = Duration(service_time(bytes).0 * u64::from(m.slow));
        m.busy_until = self.now + takes;
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut machinery = self.machinery(p);
        work(
            &mut process,
            &mut Context::new(&mut machinery, &mut outputs),
        );
        self.machines[p.index()].process = Some(process);
        self.apply_outputs(p, &mut outputs, record);
        self.outputs = outputs;
    }

    /// Applies outputs one by one. A fault that falls between two ends the rest, or holds it. The buffer is left empty.
    pub(crate) fn apply_outputs(&mut self, p: ProcessId, outputs: &mut Vec<Output>, record: u64) {
        let starts = self.machines[p.index()].starts;
        // Mostly nothing can fall between two.
        if self.ambushes.is_empty() && !self.is_triggering() {
            let is_told_to_none = self.checkers.is_none() && !self.trace.is_kept();
            for output in outputs.iter_mut() {
                match output {
                    Output::Tell(event) if is_told_to_none => self.count_in(p, event, record),
                    // What it leaves behind is looked at by nobody.
                    output => {
                        let output = std::mem::replace(output, Output::Listen);
                        let is_last = matches!(output, Output::Exit(_));
                        self.apply_output(p, output, record);
                        if is_last {
                            break;
                        }
                    }
                }
            }
            outputs.clear();
            return;
        }
        let mut rest = outputs.drain(..);
        while let Some(output) = rest.next() {
            let point = match self.ambushes.is_empty() {
                true => None,
                false if self.dies_before(p, &output) => break,
                false => self.next_point(p, &output),
            };
            self.apply_output(p, output, record);
            if let Some(point) = point.filter(|_| self.machines[p.index()].starts == starts) {
                self.passes(p, point);
            }
            let m = &mut self.machines[p.index()];
            if m.process.is_none() || m.starts != starts {
                break;
            }
            if m.paused {
                m.held.extend(rest);
                break;
            }
        }
    }

    fn apply_output(&mut self, p: ProcessId, output: Output, record: u64) {
        let leaves = self.machines[p.index()].busy_until.max(self.now);
        match output {
            Output::Listen => self.machines[p.index()].listening = true,
            Output::Connect { conn, to } => {
                let departure = self.departure(p, ProcessId::at(to), leaves, record);
                self.network.connect(conn, departure, &mut self.queue);
            }
            Output::Close { conn } => {
                // What has come on it and was not read yet is gone with the socket.
                let is_of =
                    |c: &Pending| matches!(c.input, Coming::Network(from, _) if from == conn);
                self.machines[p.index()].inbox.retain(|c| !is_of(c));
                if let Some(peer) = self.peer(conn, p) {
                    let departure = self.departure(p, peer, leaves, record);
                    self.network
                        .close(conn, p, Closed::PeerGone, departure, &mut self.queue);
                }
            }
            Output::Send {
                conn,
                id,
                header,
                request,
            } => {
                let Some(to) = self.peer(conn, p) else { return };
                let size = request.size();
                let what = What::Sent {
                    to,
                    conn,
                    id,
                    api: request.api(),
                    response: false,
                    size,
                };
                let sent = self.tell_process(p, Some(record), what);
                let departure = self.departure(p, to, leaves, sent);
                let body = Body::Request {
                    id,
                    header,
                    request,
                };
                self.network
                    .request(conn, body, size, departure, &mut self.queue);
            }
            Output::Reply { conn, id, response } => {
                let Some(to) = self.peer(conn, p) else { return };
                let size = response.size();
                let what = What::Sent {
                    to,
                    conn,
                    id,
                    api: response.api(),
                    response: true,
                    size,
                };
                let sent = self.tell_process(p, Some(record), what);
                let departure = self.departure(p, to, leaves, sent);
                let sized = (response, size);
                self.network
                    .reply(conn, id, sized, departure, &mut self.queue);
            }
            Output::Done { conn, id } => self.network.unmute(conn, id, leaves, &mut self.queue),
            Output::Write { file, write } => self.machines[p.index()].disk.write(file, write),
            Output::Sync { file } => self.sync(p, file),
            Output::SetTimer { timer, at } => {
                let m = &mut self.machines[p.index()];
                let at = m.clocks.world(at);
                m.alarms.set(timer, at);
                self.set_alarm(p);
            }
            Output::CancelTimer { timer } => {
                self.machines[p.index()].alarms.cancel(timer);
                self.set_alarm(p);
            }
            Output::Tell(event) => {
                self.note_leader(&event);
                self.tell_process(p, Some(record), What::Told(event));
            }
            Output::Exit(_) => self.end(p, Down::Exited, record),
        }
    }

    fn sync(&mut self, p: ProcessId, file: FileId) {
        let plan = &self.scenario.cluster.sync;
        let mut takes = self
            .streams
            .within(Stream::Disk(p), plan.min, plan.max, &self.names);
        if let Some(tail) = self.scenario.cluster.sync_tail {
            let drawn = self.streams.draw(Stream::DiskTail(p), &self.names);
            takes = tail.draw(drawn, plan.max).unwrap_or(takes);
        }
        let disk = &mut self.machines[p.index()].disk;
        let begins = disk.busy_until().unwrap_or(self.now).max(self.now);
        let at = begins + Duration(takes);
        disk.sync(file, at);
        self.queue.push(at, Item::Synced(p));
    }

    pub(crate) fn peer(&self, conn: ConnId, me: ProcessId) -> Option<ProcessId> {
        let c = self.network.connection(conn)?;
        Some(if c.client == me { c.server } else { c.client })
    }

    /// What the trace says of an input.
    fn describe(&self, coming: &Coming) -> Handled {
        match coming {
            Coming::Timer(timer) => Handled::Timer(*timer),
            Coming::Synced(file, result) => Handled::Synced {
                file: *file,
                result: *result,
            },
            Coming::Command(_) => Handled::Command,
            Coming::Stop => Handled::Stop,
            Coming::Network(conn, arrival) => self.describe_arrival(*conn, arrival),
        }
    }

    fn describe_arrival(&self, conn: ConnId, arrival: &Arrival) -> Handled {
        let ends = || {
            let ends = self.network.connection(conn).map(|c| (c.client, c.server));
            ends.unwrap_or((ProcessId(u32::MAX), ProcessId(u32::MAX)))
        };
        match arrival {
            Arrival::Accepted { peer } | Arrival::Opened { peer } => {
                Handled::Opened { conn, peer: *peer }
            }
            Arrival::Closed(why) => Handled::Closed { conn, why: *why },
            Arrival::Sent(id) => Handled::Sent { conn, id: *id },
            Arrival::Request { id, request, .. } => Handled::Request {
                conn,
                id: *id,
                api: request.api(),
                from: ends().0,
            },
            Arrival::Response { id, response } => Handled::Response {
                conn,
                id: *id,
                api: response.api(),
                from: ends().1,
            },
        }
    }

    fn fire(&mut self, due: Due) {
        match due.deed {
            Deed::Begin(action, lasts, optional) => {
                self.act(due.step, &action, lasts, optional, None)
            }
            Deed::Replay(what) => self.replay_entry(due.step, what, None),
            Deed::Roll(roll) => self.roll(due.step, roll),
            Deed::Lift(fault) => {
                if self.steps.ended(due.step, &fault) {
                    self.lift(due.step, &fault);
                }
            }
        }
    }

    fn act(
        &mut self,
        step: u64,
        action: &Action,
        lasts: crate::scenario::Lasts,
        optional: bool,
        after: Option<u64>,
    ) {
        match action {
            Action::Fault(fault) => match self.realise(fault, step) {
                Some(fault) => self.do_fault(step, fault, lasts, after),
                None => {
                    self.run.missed(step, optional);
                    self.replay_entry(step, Taped::Missed, after);
                }
            },
            Action::Roll { who, kill, down } => {
                let who = self.resolve(who, step);
                if who.is_empty() {
                    self.run.missed(step, optional);
                    self.replay_entry(step, Taped::Missed, after);
                } else {
                    self.begin_roll(step, &who, *kill, *down);
                }
            }
            Action::Random { family, budget } => {
                let drawn = crate::swarm::faults::draw_fault(self, step, *family, *budget, lasts);
                if let Some((fault, lasts)) = drawn {
                    self.do_fault(step, fault, lasts, after);
                }
            }
            Action::Admin(operation) => {
                self.replay_entry(step, Taped::Admin(operation.clone()), after);
            }
        }
    }

    pub(crate) fn do_fault(
        &mut self,
        step: u64,
        fault: crate::fault::Realised,
        lasts: crate::scenario::Lasts,
        after: Option<u64>,
    ) {
        self.replay_entry(step, Taped::Fault(fault, lasts), after);
    }

    /// Does what was realised, now; it goes on the tape. The one way in which anything is ever done to a run.
    fn replay_entry(&mut self, step: u64, what: Taped, after: Option<u64>) {
        self.steps.began(Entry {
            at: self.now,
            after,
            step,
            what: what.clone(),
        });
        match what {
            Taped::Fault(fault, _) => self.apply(step, &fault),
            Taped::Admin(operation) => self.command(&operation),
            Taped::Missed => {
                self.tell_world(What::StepMissed { step });
            }
        }
    }

    /// Brokers that lost unsynced data or their disk, with the broker epoch they had when they last did.
    pub(crate) fn losses(&self) -> &BTreeMap<ProcessId, Option<BrokerEpoch>> {
        &self.losses
    }

    /// A machine loses what was not synced, or its disk.
    pub(crate) fn note_loss(&mut self, p: ProcessId) {
        let view = View::new(self);
        let node = self
            .names
            .of(p)
            .strip_prefix("broker-")
            .and_then(|n| n.parse().ok());
        let Some(node) = node.map(NodeId) else { return };
        let epoch = view
            .image()
            .and_then(|i| i.brokers.get(&node))
            .map(|b| b.epoch);
        self.losses.insert(p, epoch);
    }

    /// Records a fact of the world itself; returns its number.
    pub(crate) fn tell_world(&mut self, what: What) -> u64 {
        self.record(None, None, what)
    }

    /// Records a fact about a process; returns its number.
    pub(crate) fn tell_process(&mut self, p: ProcessId, cause: Option<u64>, what: What) -> u64 {
        self.record(Some(p), cause, what)
    }

    /// A fact that nobody will look at: it is only hashed.
    fn count_in(&mut self, p: ProcessId, event: &Event, cause: u64) {
        self.note_leader(event);
        let what: What<&Event> = What::Told(event);
        self.trace.count_in(&Record {
            seq: self.trace.next_seq(),
            at: self.now,
            process: Some(p),
            cause: Some(cause),
            what,
        });
    }

    fn record(&mut self, process: Option<ProcessId>, cause: Option<u64>, what: What) -> u64 {
        let (seq, at) = (self.trace.next_seq(), self.now);
        self.trace.push(&Record {
            seq,
            at,
            process,
            cause,
            what: &what,
        });
        let is_triggering = self.is_triggering();
        if !is_triggering && self.checkers.is_none() {
            return seq;
        }
        // It is moved to where the checkers find it. What a trigger does now is told behind it, and they learn it in this order.
        let place = self.fresh.len();
        self.fresh.push(Record {
            seq,
            at,
            process,
            cause,
            what,
        });
        if let Some(mut census) = self.census.take() {
            census.look(self, &self.fresh[place]);
            self.census = Some(census);
        }
        if is_triggering {
            let record = self.fresh[place].clone();
            self.look_for_triggers(&record);
        }
        if self.checkers.is_none() {
            self.fresh.truncate(place);
        }
        seq
    }

    /// Whether a record can set off a step. Once the healing has begun nothing new breaks.
    fn is_triggering(&self) -> bool {
        self.steps.is_waiting() && Steps::are_armed(self.run.phase)
    }

    /// Triggers see each record as it is made; what they do at once falls between two outputs.
    fn look_for_triggers(&mut self, record: &Record) {
        while let Some(entry) = self.steps.take_replay(record.seq) {
            self.replay_entry(entry.step, entry.what, entry.after);
        }
        let mut index = 0;
        while index < self.steps.waiting().len() {
            if !crate::met::counts(self, &self.steps.waiting()[index], record) {
                index += 1;
                continue;
            }
            match self.steps.met(index) {
                None => index += 1,
                Some(w) if w.after == Duration::ZERO => {
                    self.act(w.step, &w.action, w.lasts, w.optional, Some(record.seq))
                }
                Some(w) => {
                    let deed = Deed::Begin(w.action, w.lasts, w.optional);
                    self.steps.add(Due {
                        at: self.now + w.after,
                        step: w.step,
                        deed,
                    });
                }
            }
        }
    }

    fn finish_step(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let Some(mut checkers) = self.checkers.take() else {
            return;
        };
        let fresh = std::mem::take(&mut self.fresh);
        let violation = checkers.observe(&Step {
            records: &fresh,
            view: View::new(self),
        });
        if violation.is_some() && self.violation.is_none() {
            self.violation = violation;
        }
        self.checkers = Some(checkers);
        self.fresh = fresh;
        self.fresh.clear();
    }

    /// Does a harm at this moment, between two things that happen; it goes on the tape. Returns its name, by which it
    /// can be ended before its time.
    pub fn intervene(
        &mut self,
        fault: crate::fault::Realised,
        lasts: crate::scenario::Lasts,
    ) -> u64 {
        let step = INTERVENTIONS + self.steps.tape().len() as u64;
        self.replay_entry(step, Taped::Fault(fault, lasts), None);
        self.finish_step();
        step
    }

    /// An operator asks for something at this moment; it goes on the tape.
    pub fn operate(&mut self, operation: Operation) {
        let step = INTERVENTIONS + self.steps.tape().len() as u64;
        self.replay_entry(step, Taped::Admin(operation), None);
        self.finish_step();
    }

    /// Ends all harm now, whatever it was meant to last.
    pub fn relent(&mut self) {
        for (step, fault) in self.steps.heal() {
            self.lift(step, &fault);
        }
        self.finish_step();
    }

    /// Adds a step to a run under way, as if its scenario had always had it.
    ///
    /// # Panics
    /// If the run is past the moment at which the step could first be due: fork from an earlier one.
    pub(crate) fn add_step(&mut self, scenario: Arc<Scenario>, step: &crate::scenario::Step) {
        self.scenario = scenario;
        let Some(ready) = self.run.ready else { return };
        let (streams, names) = (&mut self.streams, &self.names);
        let draw = |id, below| streams.below(Stream::Step(id), below, names);
        self.steps.arm_one(step, ready, draw);
    }

    /// Puts an item for the run's next look at its phase into the queue.
    pub(crate) fn look_again(&mut self, after: Duration) {
        self.queue.push(self.now + after, Item::Phase);
    }
}
