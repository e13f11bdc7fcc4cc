//! A broker under test: what it sends, answers, writes and tells is kept; connections open at once unless nobody listens;
//! its one controller is played by the test, which also writes the metadata log.

use super::{Broker, BrokerConfig};
use crate::client::machine::Machine;
use crate::config::{Configs, ServerConfig};
use crate::context::{Context, Exit, Output};
use crate::controller::records::MetadataRecord;
use crate::disk::{DiskImage, FileId, Write};
use crate::event::Event;
use crate::ids::*;
use crate::input::{Closed, Input};
use crate::log::batch::{BatchData, RecordBatch};
use crate::protocol::cluster::*;
use crate::protocol::fetch::*;
use crate::protocol::{Api, ErrorCode, Header, Request, Response};
use crate::rules::Rules;
use crate::time::{Duration, Time, Timestamp};
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The broker under test.
pub(super) const ME: NodeId = NodeId(1);
/// The active controller.
pub(super) const CONTROLLER: NodeId = NodeId(3001);
/// Where the controller listens; a broker listens at the address of its own number.
pub(super) const CONTROLLER_AT: Address = Address(301);
/// The broker epoch that the controller gives.
pub(super) const EPOCH: BrokerEpoch = BrokerEpoch(100);
/// Connections of others begin here.
const FOREIGN: u64 = 1_000;

/// A broker and all that came out of it.
pub(super) struct Bench {
    pub broker: Broker,
    pub machine: Machine,
    /// Not answered yet, oldest first.
    pub sent: VecDeque<Packet>,
    /// What it did besides sending and telling, in order.
    pub did: Vec<Output>,
    pub told: Vec<Event>,
    pub ended: Option<Exit>,
    /// Nobody listens there.
    pub refusing: BTreeSet<Address>,
    /// Syncs end only when the test says so.
    pub disk_is_slow: bool,
    metadata: Vec<RecordBatch>,
    open: BTreeMap<ConnId, Address>,
    alarms: BTreeMap<Timer, Time>,
    coming: VecDeque<Input>,
    syncs: Vec<FileId>,
    asked: u32,
}

/// A request on the wire.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Packet {
    pub to: Address,
    pub conn: ConnId,
    pub id: CorrelationId,
    pub request: Request,
}

impl Bench {
    /// A broker that has just been started on this disk.
    pub fn boot(disk: DiskImage) -> Bench {
        Bench::boot_on(disk, ServerConfig::default())
    }

    /// One that has just been started with these settings.
    pub fn boot_on(disk: DiskImage, server: ServerConfig) -> Bench {
        let mut machine = Machine::default();
        let config = BrokerConfig {
            node: ME,
            address: Address(1),
            rack: None,
            voters: vec![(CONTROLLER, CONTROLLER_AT)],
            server,
        };
        let boot = |cx: &mut Context<'_>| Broker::boot(config, Rules::default(), disk, cx);
        let (broker, outputs) = machine.step(boot);
        let mut bench = Bench {
            broker,
            machine,
            sent: VecDeque::new(),
            did: Vec::new(),
            told: Vec::new(),
            ended: None,
            refusing: BTreeSet::new(),
            disk_is_slow: false,
            metadata: Vec::new(),
            open: BTreeMap::new(),
            alarms: BTreeMap::new(),
            coming: VecDeque::new(),
            syncs: Vec::new(),
            asked: 0,
        };
        bench.take_in(outputs);
        bench.go_on();
        bench
    }

    /// One that is registered, unfenced and running; brokers 2 and 3 are too.
    pub fn running() -> Bench {
        Bench::run_on(ServerConfig::default())
    }

    /// One that runs with another setting.
    pub fn running_with(key: &str, value: &str) -> Bench {
        let mut server = ServerConfig::default();
        server.set(key, value).expect("a value of a key");
        Bench::run_on(server)
    }

    fn run_on(server: ServerConfig) -> Bench {
        let mut bench = Bench::boot_on(DiskImage::new(), server);
        bench.commit(vec![register(2), register(3), unfence(2), unfence(3)]);
        // The way to the controller is looked for every 100 ms.
        bench.pass(Duration::millis(100));
        bench.register();
        bench.commit(vec![register(1), unfence(1)]);
        bench.beat(false);
        bench.pass(Duration::millis(10));
        bench.beat(false);
        assert!(bench.broker.lifecycle().serves());
        bench
    }

    /// One that runs and has its part of `orders`, whose replicas are on brokers 1, 2 and 3.
    pub fn with_orders(leader: i32, isr: &[i32]) -> Bench {
        let mut bench = Bench::running();
        bench.commit(super::fixture::orders_records(leader, isr));
        bench
    }

    /// The controller takes its registration.
    pub fn register(&mut self) {
        self.answer(Response::BrokerRegistration(BrokerRegistrationResponse {
            error_code: ErrorCode::None,
            broker_epoch: Some(EPOCH),
        }));
    }

    /// The controller answers a heartbeat.
    pub fn beat(&mut self, should_shut_down: bool) {
        self.answer(Response::BrokerHeartbeat(BrokerHeartbeatResponse {
            error_code: ErrorCode::None,
            is_caught_up: true,
            is_fenced: false,
            should_shut_down,
        }));
    }

    /// The quorum commits records, and the broker hears of it.
    pub fn commit(&mut self, records: Vec<MetadataRecord>) {
        let base_offset = self
            .metadata
            .last()
            .map_or(Offset(0), RecordBatch::end_offset);
        let data = Arc::new(BatchData::of_metadata(records, Timestamp(0)));
        self.metadata.push(RecordBatch {
            base_offset,
            leader_epoch: LeaderEpoch(1),
            data,
        });
        // The first answer only says who leads, if the broker had to look for the leader.
        for _ in 0..2 {
            if self.wire().contains(&(Api::Fetch, CONTROLLER_AT)) {
                self.answer_metadata_fetch();
            } else {
                self.pass(Duration::millis(50));
            }
            if self.broker.image().end == self.metadata_end() {
                return;
            }
        }
        self.answer_metadata_fetch();
    }

    fn metadata_end(&self) -> Offset {
        self.metadata
            .last()
            .map_or(Offset(0), RecordBatch::end_offset)
    }

    fn answer_metadata_fetch(&mut self) {
        let at = |p: &Packet| p.to == CONTROLLER_AT && p.request.api() == Api::Fetch;
        let found = self.sent.iter().position(at);
        let packet = self
            .sent
            .remove(found.expect("it always fetches metadata"))
            .expect("just found");
        let Request::Fetch(r) = &packet.request else {
            unreachable!("because it is a fetch");
        };
        let from = r.topics[0].partitions[0].fetch_offset;
        let batches = self.metadata.iter().filter(|b| b.base_offset >= from);
        let answer = FetchPartitionResponse {
            partition: 0,
            error_code: ErrorCode::None,
            high_watermark: Some(self.metadata_end()),
            last_stable_offset: None,
            log_start_offset: Offset(0),
            diverging_epoch: None,
            current_leader: Some(crate::protocol::produce::LeaderIdAndEpoch {
                leader_id: CONTROLLER,
                leader_epoch: LeaderEpoch(1),
            }),
            records: batches.cloned().collect(),
        };
        let response = Response::Fetch(FetchResponse {
            error_code: ErrorCode::None,
            topics: vec![FetchTopicResponse {
                topic_id: METADATA_TOPIC,
                partitions: [answer].into(),
            }],
            node_endpoints: Vec::new(),
        });
        let (conn, id) = (packet.conn, packet.id);
        self.hand(Input::Response { conn, id, response });
    }

    /// A request of somebody else's comes in, on a connection of its own.
    pub fn ask(&mut self, request: Request) -> ConnId {
        self.asked += 1;
        let conn = ConnId(FOREIGN + u64::from(self.asked));
        let peer = Address(999);
        self.hand(Input::Opened { conn, peer });
        let header = Header::of(&request);
        let id = CorrelationId(0);
        self.hand(Input::Request {
            conn,
            id,
            header,
            request,
        });
        conn
    }

    /// The answer that went out on a connection, if one did.
    pub fn reply(&self, to: ConnId) -> Option<&Response> {
        self.did.iter().find_map(|output| match output {
            Output::Reply { conn, response, .. } if *conn == to => Some(response),
            _ => None,
        })
    }

    /// Answers the oldest request of this kind that did not go to the controller's Raft client.
    pub fn answer(&mut self, response: Response) {
        let Packet { conn, id, .. } = self.take(response.api());
        self.hand(Input::Response { conn, id, response });
    }

    /// Takes the oldest request of this kind off the wire, but for metadata fetches.
    pub fn take(&mut self, api: Api) -> Packet {
        let fits =
            |p: &Packet| p.request.api() == api && (api != Api::Fetch || p.to != CONTROLLER_AT);
        let at = self.sent.iter().position(fits);
        let at = at.unwrap_or_else(|| panic!("there is no {api:?} on the wire: {:?}", self.wire()));
        self.sent.remove(at).expect("it is there")
    }

    /// What is on the wire, oldest first.
    pub fn wire(&self) -> Vec<(Api, Address)> {
        self.sent.iter().map(|p| (p.request.api(), p.to)).collect()
    }

    /// Something comes in.
    pub fn hand(&mut self, input: Input) {
        self.coming.push_back(input);
        self.go_on();
    }

    /// Time goes by, with all alarms on the way.
    pub fn pass(&mut self, span: Duration) {
        let end = self.machine.now + span;
        let mut rings = 0;
        while let Some((timer, at)) = self.next_alarm().filter(|(_, at)| *at <= end) {
            rings += 1;
            assert!(rings < 10_000, "{timer:?} rings without end at {at:?}");
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

    /// All syncs that were asked for end.
    pub fn finish_syncs(&mut self) {
        for file in std::mem::take(&mut self.syncs) {
            let result = Ok(());
            self.hand(Input::Synced { file, result });
        }
    }

    /// What was written to files of this kind.
    pub fn written(&self, is_it: impl Fn(&FileId) -> bool) -> Vec<&Write> {
        let writes = self.did.iter().filter_map(|output| match output {
            Output::Write { file, write } if is_it(file) => Some(write),
            _ => None,
        });
        writes.collect()
    }

    fn go_on(&mut self) {
        while let Some(input) = self.coming.pop_front() {
            if self.ended.is_some() {
                return;
            }
            let broker = &mut self.broker;
            let ((), outputs) = self.machine.step(|cx| broker.handle(input, cx));
            self.take_in(outputs);
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
                Output::Tell(event) => self.told.push(event),
                Output::Sync { file } if self.disk_is_slow => self.syncs.push(file),
                Output::Sync { file } => {
                    let result = Ok(());
                    self.coming.push_back(Input::Synced { file, result });
                }
                Output::Exit(why) => {
                    self.ended = Some(why);
                    return;
                }
                Output::Close { conn } => {
                    self.open.remove(&conn);
                    self.sent.retain(|p| p.conn != conn);
                    self.did.push(Output::Close { conn });
                }
                other => self.did.push(other),
            }
        }
    }
}

/// A broker registers; broker 1 with the epoch that [`Bench::register`] gives, the others with their number times 100.
pub(super) fn register(id: i32) -> MetadataRecord {
    MetadataRecord::RegisterBroker {
        broker: NodeId(id),
        incarnation: IncarnationId(1),
        epoch: BrokerEpoch(i64::from(id) * 100),
        address: Address(u32::try_from(id).expect("a broker's number is positive")),
        rack: None,
        fenced: true,
    }
}

pub(super) fn unfence(id: i32) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange {
        broker: NodeId(id),
        epoch: BrokerEpoch(i64::from(id) * 100),
        fenced: Some(false),
        in_controlled_shutdown: None,
    }
}
