//! Packet captures of a role in tests: what it sends is kept until the test answers; connections open at once unless a
//! test says otherwise; its alarm goes off when time passes.

use crate::client::admin::Admin;
use crate::client::consumer::Consumer;
use crate::client::machine::Machine;
use crate::context::Context;
use crate::context::Output;
use crate::event::Event;
use crate::ids::{Address, ConnId, CorrelationId};
use crate::input::{Closed, Input};
use crate::protocol::{Api, Request, Response};
use crate::time::{Duration, Time};
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is captured: a role with one way in.
pub(crate) trait Role {
    fn handle(&mut self, input: Input, cx: &mut Context<'_>);

    /// What its application lets it do at the end of a step.
    fn end_step(&mut self, _: &mut Context<'_>) {}
}

impl Role for Admin {
    fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        Admin::handle(self, input, cx);
    }
}

impl Role for Consumer {
    fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        Consumer::handle(self, input, cx);
    }
}

/// One role, its machine, and all that it sent.
pub(crate) struct Capture<R> {
    pub role: R,
    pub machine: Machine,
    /// Not answered yet, oldest first.
    pub sent: VecDeque<Packet>,
    pub events: Vec<Event>,
    /// Nobody listens there.
    pub refusing: BTreeSet<Address>,
    open: BTreeMap<ConnId, Address>,
    alarms: BTreeMap<Timer, Time>,
    coming: VecDeque<Input>,
}

/// A request on the wire.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Packet {
    pub to: Address,
    pub conn: ConnId,
    pub id: CorrelationId,
    pub request: Request,
}

impl<R: Role> Capture<R> {
    pub fn of(role: R) -> Capture<R> {
        Capture {
            role,
            machine: Machine::default(),
            sent: VecDeque::new(),
            events: Vec::new(),
            refusing: BTreeSet::new(),
            open: BTreeMap::new(),
            alarms: BTreeMap::new(),
            coming: VecDeque::new(),
        }
    }

    /// A call of the application, and all that follows at once.
    pub fn call<T>(&mut self, work: impl FnOnce(&mut R, &mut Context<'_>) -> T) -> T {
        let role = &mut self.role;
        let (result, outputs) = self.machine.step(|cx| work(role, cx));
        self.take_in(outputs);
        while let Some(input) = self.coming.pop_front() {
            let role = &mut self.role;
            let ((), outputs) = self.machine.step(|cx| role.handle(input, cx));
            self.take_in(outputs);
        }
        result
    }

    /// Something comes in.
    pub fn hand(&mut self, input: Input) {
        self.call(|role, cx| role.handle(input, cx));
    }

    /// Time goes by, with all alarms on the way.
    pub fn pass(&mut self, span: Duration) {
        self.call(|role, cx| role.end_step(cx));
        let end = self.machine.now + span;
        while let Some((timer, at)) = self.next_alarm().filter(|(_, at)| *at <= end) {
            self.machine.now = at.max(self.machine.now);
            self.alarms.remove(&timer);
            self.hand(Input::Timer(timer));
        }
        self.machine.now = end;
    }

    fn next_alarm(&self) -> Option<(Timer, Time)> {
        let alarms = self.alarms.iter().map(|(timer, at)| (*timer, *at));
        alarms.min_by_key(|(_, at)| *at)
    }

    /// Answers the oldest request of this kind.
    pub fn answer(&mut self, response: Response) {
        let packet = self.take(response.api());
        let Packet { conn, id, .. } = packet;
        self.hand(Input::Response { conn, id, response });
    }

    /// Answers what is on the wire now, each with the response of its kind.
    pub fn answer_all(&mut self, one: Response, other: Response) {
        let now: Vec<Packet> = self.sent.drain(..).collect();
        for Packet {
            conn, id, request, ..
        } in now
        {
            let fits = |r: &&Response| r.api() == request.api();
            let response = [&one, &other].into_iter().find(fits);
            let response = response.expect("there is a response of its kind").clone();
            self.hand(Input::Response { conn, id, response });
        }
    }

    /// Takes the oldest request of this kind off the wire: it is never answered.
    pub fn take(&mut self, api: Api) -> Packet {
        let at = self.sent.iter().position(|p| p.request.api() == api);
        let at = at.unwrap_or_else(|| panic!("there is no {api:?} on the wire: {:?}", self.sent));
        self.sent.remove(at).expect("it is there")
    }

    /// What is on the wire, oldest first.
    pub fn wire(&self) -> Vec<(Api, Address)> {
        self.sent.iter().map(|p| (p.request.api(), p.to)).collect()
    }

    /// Breaks every connection to there; what was on the wire is lost.
    pub fn reset(&mut self, address: Address) {
        let broken = self.open.iter().filter(|(_, to)| **to == address);
        let broken: Vec<ConnId> = broken.map(|(conn, _)| *conn).collect();
        for conn in broken {
            self.open.remove(&conn);
            self.sent.retain(|p| p.conn != conn);
            let why = Closed::Reset;
            self.hand(Input::Closed { conn, why });
        }
    }

    fn take_in(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Connect { conn, to } if self.refusing.contains(&to) => {
                    let why = Closed::Refused;
                    self.coming.push_back(Input::Closed { conn, why });
                }
                Output::Connect { conn, to } => {
                    self.open.insert(conn, to);
                    self.coming.push_back(Input::Opened { conn, peer: to });
                }
                Output::Close { conn } => {
                    self.open.remove(&conn);
                    self.sent.retain(|p| p.conn != conn);
                }
                Output::Send {
                    conn, id, request, ..
                } => {
                    let to = self.open[&conn];
                    self.sent.push_back(Packet {
                        to,
                        conn,
                        id,
                        request,
                    });
                }
                Output::SetTimer { timer, at } => {
                    self.alarms.insert(timer, at);
                }
                Output::CancelTimer { timer } => {
                    self.alarms.remove(&timer);
                }
                Output::Tell(event) => self.events.push(event),
                other => panic!("a client does not do that: {other:?}"),
            }
        }
    }
}
