//! A controller alone on its machine: the only voter, so that its quorum is itself and only its disk takes time.

use super::*;
use crate::context::{Host, Output, Sending};
use crate::disk::{DiskError, FileId, FileImage, Write};
use crate::event::RaftEvent;
use crate::ids::METADATA_PARTITION;
use crate::time::{Time, Timestamp};
use std::collections::BTreeMap;

const ME: NodeId = NodeId(3001);
const LOG: FileId = FileId::Segment(METADATA_PARTITION, Offset(0));

/// A machine whose disk syncs when it is told to.
struct Desk {
    clock: Clock,
    controller: Controller,
    disk: DiskImage,
    syncs: VecDeque<FileId>,
    timers: BTreeMap<Timer, Time>,
    replies: Vec<(ConnId, Response)>,
    told: Vec<Event>,
    asked: u64,
}

struct Clock {
    now: Time,
    draws: u64,
}

impl Host for Clock {
    fn now(&self) -> Time {
        self.now
    }
    fn wall(&self) -> Timestamp {
        Timestamp(self.now.0 as i64 / 1_000_000)
    }
    fn draw(&mut self, _: Purpose) -> u64 {
        self.draws += 1;
        self.draws << 40
    }
    fn new_connection(&mut self, _: Address) -> ConnId {
        unreachable!("because a voter alone connects to nobody")
    }
    fn accept_send(&mut self, _: ConnId, _: u64) -> Sending {
        unreachable!("because a voter alone asks nobody")
    }
    fn accept_write(&mut self, _: FileId, _: &Write) -> Result<(), DiskError> {
        Ok(())
    }
}

fn boot(disk: DiskImage, clock: &mut Clock, outputs: &mut Vec<Output>) -> Controller {
    let config = ControllerConfig {
        node: ME,
        voters: vec![(ME, Address(0))],
        server: ServerConfig::default(),
    };
    Controller::boot(
        config,
        Rules::default(),
        disk,
        &mut Context::new(clock, outputs),
    )
}

impl Desk {
    fn new() -> Desk {
        let mut clock = Clock {
            now: Time(0),
            draws: 0,
        };
        let mut outputs = Vec::new();
        let controller = boot(DiskImage::new(), &mut clock, &mut outputs);
        let mut desk = Desk {
            clock,
            controller,
            disk: DiskImage::new(),
            syncs: VecDeque::new(),
            timers: BTreeMap::new(),
            replies: Vec::new(),
            told: Vec::new(),
            asked: 0,
        };
        desk.carry_out(outputs);
        desk
    }

    /// A controller that is active.
    fn active() -> Desk {
        let mut desk = Desk::new();
        desk.sync_all();
        assert!(desk.controller.active_epoch().is_some());
        desk
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Reply { conn, response, .. } => self.replies.push((conn, response)),
                Output::Write { file, write } => self.write(file, write),
                Output::Sync { file } => self.syncs.push_back(file),
                Output::SetTimer { timer, at } => {
                    self.timers.insert(timer, at);
                }
                Output::CancelTimer { timer } => {
                    self.timers.remove(&timer);
                }
                Output::Tell(event) => self.told.push(event),
                Output::Listen => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn write(&mut self, file: FileId, write: Write) {
        match (write, self.disk.get_mut(&file)) {
            (Write::Create, _) => {
                self.disk.insert(
                    file,
                    FileImage::Segment {
                        batches: Vec::new(),
                        torn: false,
                    },
                );
            }
            (Write::Append(batch), Some(FileImage::Segment { batches, .. })) => batches.push(batch),
            (Write::Replace(small), _) => {
                self.disk.insert(file, FileImage::Small(small));
            }
            other => panic!("{other:?}"),
        }
    }

    fn handle(&mut self, input: Input) {
        let mut outputs = Vec::new();
        let cx = &mut Context::new(&mut self.clock, &mut outputs);
        self.controller.handle(input, cx);
        self.carry_out(outputs);
    }

    fn sync_all(&mut self) {
        while let Some(file) = self.syncs.pop_front() {
            self.handle(Input::Synced {
                file,
                result: Ok(()),
            });
        }
    }

    /// Lets time go by, with every alarm at its time and every sync at once.
    fn pass(&mut self, span: Duration) {
        let until = self.clock.now + span;
        self.sync_all();
        while let Some((timer, at)) = self
            .timers
            .iter()
            .map(|(t, at)| (*t, *at))
            .min_by_key(|(_, at)| *at)
        {
            if at > until {
                break;
            }
            self.clock.now = at;
            self.timers.remove(&timer);
            self.handle(Input::Timer(timer));
            self.sync_all();
        }
        self.clock.now = until;
    }

    /// Asks on a connection of its own; the answer may take its time.
    fn ask(&mut self, request: Request) -> ConnId {
        self.asked += 1;
        let (conn, header) = (ConnId(self.asked), crate::protocol::Header::of(&request));
        self.handle(Input::Request {
            conn,
            id: CorrelationId(0),
            header,
            request,
        });
        conn
    }

    fn answer_to(&self, conn: ConnId) -> Option<&Response> {
        self.replies
            .iter()
            .find(|(c, _)| *c == conn)
            .map(|(_, r)| r)
    }

    /// Asks, waits, and gives the answer.
    fn get(&mut self, request: Request) -> Response {
        let conn = self.ask(request);
        self.pass(Duration::millis(50));
        self.answer_to(conn).expect("50 ms are enough").clone()
    }

    fn register(&mut self, id: i32, incarnation: u128) -> BrokerRegistrationResponse {
        match self.get(registration(id, incarnation)) {
            Response::BrokerRegistration(r) => r,
            other => panic!("{other:?}"),
        }
    }

    fn heartbeat(&mut self, id: i32, epoch: BrokerEpoch) -> BrokerHeartbeatResponse {
        let request = Request::BrokerHeartbeat(BrokerHeartbeatRequest {
            broker_id: NodeId(id),
            broker_epoch: epoch,
            current_metadata_offset: self.controller.image().end.plus(-1),
            want_fence: false,
            want_shut_down: false,
        });
        match self.get(request) {
            Response::BrokerHeartbeat(r) => r,
            other => panic!("{other:?}"),
        }
    }

    fn unfenced_broker(&mut self, id: i32) -> BrokerEpoch {
        let epoch = self
            .register(id, id as u128)
            .broker_epoch
            .expect("nobody else has its id");
        assert!(!self.heartbeat(id, epoch).is_fenced);
        epoch
    }

    fn create_topic(&mut self, replicas: &[i32]) {
        let topic = crate::protocol::admin::CreatableTopic {
            name: "orders".into(),
            num_partitions: None,
            replication_factor: None,
            assignments: vec![replicas.iter().copied().map(NodeId).collect()],
            configs: Vec::new(),
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 0,
            validate_only: false,
        };
        self.get(Request::Envelope(Box::new(Request::CreateTopics(request))));
    }

    fn fenced(&self) -> Vec<(i32, bool)> {
        let fenced = |e: &Event| match e {
            Event::Controller(ControllerEvent::BrokerFenced {
                broker,
                session_expired,
            }) => Some((broker.0, *session_expired)),
            _ => None,
        };
        self.told.iter().filter_map(fenced).collect()
    }
}

fn registration(id: i32, incarnation: u128) -> Request {
    Request::BrokerRegistration(BrokerRegistrationRequest {
        broker_id: NodeId(id),
        incarnation_id: crate::ids::IncarnationId(incarnation),
        address: Address(id as u32),
        rack: None,
        previous_broker_epoch: None,
    })
}

#[test]
fn a_controller_that_is_not_active_sends_everybody_away() {
    let mut desk = Desk::new();
    let conn = desk.ask(registration(1, 1));
    let Some(Response::BrokerRegistration(r)) = desk.answer_to(conn) else {
        panic!("it answers at once");
    };
    assert_eq!(r.error_code, ErrorCode::NotController);
}

#[test]
fn an_answer_waits_for_the_commit_of_its_records() {
    let mut desk = Desk::active();
    let conn = desk.ask(registration(1, 1));
    assert_eq!(desk.answer_to(conn), None, "the records are gathered");
    desk.clock.now = desk.timers[&Timer::Raft];
    desk.handle(Input::Timer(Timer::Raft));
    assert_eq!(
        desk.answer_to(conn),
        None,
        "the records are written, not synced"
    );
    desk.sync_all();
    assert!(desk.answer_to(conn).is_some());
}

#[test]
fn an_answer_without_records_waits_for_what_it_stands_on() {
    let mut desk = Desk::active();
    let epoch = desk.unfenced_broker(1);
    desk.ask(registration(2, 2));
    let heartbeat = Request::BrokerHeartbeat(BrokerHeartbeatRequest {
        broker_id: NodeId(1),
        broker_epoch: epoch,
        current_metadata_offset: Offset(0),
        want_fence: false,
        want_shut_down: false,
    });
    let conn = desk.ask(heartbeat);
    assert_eq!(desk.answer_to(conn), None);
    desk.pass(Duration::millis(50));
    assert!(desk.answer_to(conn).is_some());
}

#[test]
fn the_broker_epoch_is_the_next_offset_at_registration() {
    let mut desk = Desk::active();
    let next = desk.controller.raft().next_offset().expect("it leads");
    assert_eq!(desk.register(1, 1).broker_epoch, Some(BrokerEpoch(next.0)));
}

#[test]
fn an_idle_controller_writes_a_noop_every_half_second() {
    let mut desk = Desk::active();
    desk.pass(Duration::millis(100));
    let before = desk.controller.raft().log().leo();
    desk.pass(Duration::secs(10));
    assert_eq!(desk.controller.raft().log().leo(), before.plus(20));
}

#[test]
fn a_broker_that_falls_silent_is_fenced_9_to_10_125_ms_after_its_last_heartbeat() {
    let mut desk = Desk::active();
    desk.unfenced_broker(1);
    desk.pass(Duration::millis(8_950));
    assert_eq!(desk.fenced(), []);
    // The stale check comes every 1,125 ms; the record takes its linger.
    desk.pass(Duration::millis(1_125 + 25));
    assert_eq!(desk.fenced(), [(1, true)]);
}

#[test]
fn brokers_that_fall_silent_together_are_fenced_one_after_the_other() {
    let mut desk = Desk::active();
    desk.unfenced_broker(1);
    desk.unfenced_broker(2);
    desk.create_topic(&[1, 2]);
    desk.pass(Duration::secs(11));
    assert_eq!(desk.fenced(), [(1, true), (2, true)]);
    // The second was the ISR's last member by then, and nobody took over.
    let (_, partition) = desk
        .controller
        .image()
        .partitions()
        .next()
        .expect("there is a topic");
    assert_eq!((partition.leader, &partition.isr), (None, &vec![NodeId(2)]));
}

#[test]
fn a_restarted_broker_waits_for_the_session_of_its_former_self() {
    let mut desk = Desk::active();
    desk.unfenced_broker(1);
    desk.pass(Duration::secs(1));
    assert_eq!(
        desk.register(1, 99).error_code,
        ErrorCode::DuplicateBrokerRegistration
    );
    desk.pass(Duration::secs(9));
    assert_eq!(desk.register(1, 99).error_code, ErrorCode::None);
}

#[test]
fn what_was_decided_in_vain_is_forgotten() {
    let mut desk = Desk::active();
    let conn = desk.ask(registration(1, 1));
    let epoch = desk.controller.active_epoch().expect("it is active");
    let mut outputs = Vec::new();
    let Desk {
        controller, clock, ..
    } = &mut desk;
    let cx = &mut Context::new(clock, &mut outputs);
    controller.quorum.resign(epoch, &controller.rules, cx);
    desk.carry_out(outputs);
    // A resigned leader stays active until its epoch is over, but gets nothing committed any more.
    desk.pass(Duration::millis(50));
    assert_eq!(desk.answer_to(conn), None);
    desk.pass(Duration::secs(2));
    let Some(Response::BrokerRegistration(r)) = desk.answer_to(conn) else {
        panic!("whoever waits is sent away");
    };
    assert_eq!(r.error_code, ErrorCode::NotController);
    desk.pass(Duration::secs(5));
    assert!(
        desk.controller.active_epoch() > Some(epoch),
        "alone it is elected again"
    );
    assert!(desk.controller.image().brokers.is_empty());
}

#[test]
fn a_controller_started_again_has_the_image_it_had() {
    let mut desk = Desk::active();
    desk.unfenced_broker(1);
    let (before, disk) = (desk.controller.image().clone(), desk.disk.clone());
    let mut clock = Clock {
        now: desk.clock.now,
        draws: 0,
    };
    let mut outputs = Vec::new();
    desk.controller = boot(disk, &mut clock, &mut outputs);
    desk.timers.clear();
    desk.carry_out(outputs);
    desk.sync_all();
    assert_eq!(
        desk.controller.image().brokers[&NodeId(1)].epoch,
        before.brokers[&NodeId(1)].epoch
    );
    assert!(desk.disk.contains_key(&LOG));
    let elections = |e: &&Event| {
        matches!(
            e,
            Event::Raft(RaftEvent::Became {
                state: crate::event::RaftState::Leader,
                ..
            })
        )
    };
    assert_eq!(desk.told.iter().filter(elections).count(), 2);
}
