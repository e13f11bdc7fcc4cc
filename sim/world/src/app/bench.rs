//! One application in tests, with one broker that answers whatever it is asked, or keeps silent.

use super::App;
use klab_kafka::context::{Context, Exit, Host, Output, Purpose, Sending};
use klab_kafka::disk::{DiskError, FileId, Write};
use klab_kafka::event::{AppEvent, Event};
use klab_kafka::ids::*;
use klab_kafka::input::{Command, Input};
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::protocol::fetch::*;
use klab_kafka::protocol::metadata::*;
use klab_kafka::protocol::offsets::*;
use klab_kafka::protocol::produce::*;
use klab_kafka::protocol::{Api, ErrorCode, Request, Response};
use klab_kafka::time::{Duration, Time, Timestamp};
use klab_kafka::timer::Timer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The broker.
pub const BROKER: Address = Address(1);
const TOPIC: TopicId = TopicId(7);

/// An application and its surroundings.
pub struct Bench {
    pub app: App,
    /// What it did and told its caller.
    pub told: Vec<AppEvent>,
    pub exit: Option<Exit>,
    /// Requests of this kind are not answered.
    pub silent: Option<Api>,
    /// What was produced, in order.
    pub log: Vec<RecordBatch>,
    machine: Machine,
    alarms: BTreeMap<Timer, Time>,
    coming: VecDeque<Input>,
    muted: BTreeSet<ConnId>,
}

#[derive(Default)]
struct Machine {
    now: Time,
    connections: u64,
    requests: u32,
}

impl Host for Machine {
    fn now(&self) -> Time {
        self.now
    }
    fn wall(&self) -> Timestamp {
        Timestamp(self.now.since(Time(0)).as_millis() as i64)
    }
    fn draw(&mut self, _: Purpose) -> u64 {
        1 << 63
    }
    fn new_connection(&mut self, _: Address) -> ConnId {
        self.connections += 1;
        ConnId(self.connections)
    }
    fn accept_send(&mut self, _: ConnId, _: u64) -> Sending {
        self.requests += 1;
        Sending::Done(CorrelationId(self.requests))
    }
    fn accept_write(&mut self, _: FileId, _: &Write) -> Result<(), DiskError> {
        Ok(())
    }
}

impl Bench {
    /// Not started yet.
    pub fn of(app: App) -> Bench {
        Bench {
            app,
            told: Vec::new(),
            exit: None,
            silent: None,
            log: Vec::new(),
            machine: Machine::default(),
            alarms: BTreeMap::new(),
            coming: VecDeque::new(),
            muted: BTreeSet::new(),
        }
    }

    pub fn start(&mut self) {
        self.hand(Input::Command(Command::Start));
    }

    /// Something comes in; all that follows at once happens, too.
    pub fn hand(&mut self, input: Input) {
        self.coming.push_back(input);
        while let Some(input) = self.coming.pop_front() {
            let mut outputs = Vec::new();
            self.app
                .handle(input, &mut Context::new(&mut self.machine, &mut outputs));
            for output in outputs {
                self.take_in(output);
            }
        }
    }

    /// Time goes by, with all alarms on the way.
    pub fn pass(&mut self, span: Duration) {
        let end = self.machine.now + span;
        while let Some((timer, at)) = self.next_alarm().filter(|(_, at)| *at <= end) {
            self.machine.now = at.max(self.machine.now);
            self.alarms.remove(&timer);
            self.hand(Input::Timer(timer));
        }
        self.machine.now = end;
    }

    /// What it told about records, by the records' numbers.
    pub fn numbers(&self, which: impl Fn(&AppEvent) -> Option<RecordId>) -> Vec<u32> {
        self.told
            .iter()
            .filter_map(|e| Some(which(e)?.number))
            .collect()
    }

    fn next_alarm(&self) -> Option<(Timer, Time)> {
        let alarms = self.alarms.iter().map(|(timer, at)| (*timer, *at));
        alarms.min_by_key(|(_, at)| *at)
    }

    fn take_in(&mut self, output: Output) {
        match output {
            Output::Connect { conn, to } => self.coming.push_back(Input::Opened { conn, peer: to }),
            Output::Send {
                conn, id, request, ..
            } => self.sent(conn, id, request),
            Output::SetTimer { timer, at } => {
                self.alarms.insert(timer, at);
            }
            Output::CancelTimer { timer } => {
                self.alarms.remove(&timer);
            }
            Output::Tell(Event::App(event)) => self.told.push(event),
            Output::Exit(exit) => self.exit = self.exit.or(Some(exit)),
            _ => {}
        }
    }

    /// What comes after an unanswered request on a connection is not answered either (N-1).
    fn sent(&mut self, conn: ConnId, id: CorrelationId, request: Request) {
        if self.silent == Some(request.api()) {
            self.muted.insert(conn);
        }
        if self.muted.contains(&conn) {
            return;
        }
        match self.answer(request) {
            Some(response) => {
                let input = Input::Response { conn, id, response };
                self.coming.push_back(input);
            }
            None => {
                self.muted.insert(conn);
            }
        }
    }

    fn answer(&mut self, request: Request) -> Option<Response> {
        match request {
            Request::Metadata(_) => Some(Response::Metadata(metadata())),
            Request::InitProducerId(_) => Some(Response::InitProducerId(InitProducerIdResponse {
                error_code: ErrorCode::None,
                producer_id: ProducerId(1),
                producer_epoch: ProducerEpoch(0),
            })),
            Request::Produce(r) => Some(Response::Produce(self.append(r))),
            Request::ListOffsets(r) => Some(Response::ListOffsets(self.list(&r))),
            Request::Fetch(r) => self.fetch(&r).map(Response::Fetch),
            other => panic!("no application here asks that: {other:?}"),
        }
    }

    fn end(&self) -> Offset {
        self.log.last().map_or(Offset(0), RecordBatch::end_offset)
    }

    fn append(&mut self, r: ProduceRequest) -> ProduceResponse {
        let base_offset = self.end();
        let data = r.topics[0].partitions[0].records.clone();
        self.log.push(RecordBatch {
            base_offset,
            leader_epoch: LeaderEpoch(0),
            data,
        });
        let partition = PartitionProduceResponse {
            index: 0,
            error_code: ErrorCode::None,
            base_offset,
            log_append_time: None,
            log_start_offset: Offset(0),
            current_leader: None,
        };
        ProduceResponse {
            responses: vec![TopicProduceResponse {
                topic_id: TOPIC,
                partitions: [partition].into(),
            }],
            node_endpoints: Vec::new(),
        }
    }

    fn list(&self, r: &ListOffsetsRequest) -> ListOffsetsResponse {
        let answer = |p: &ListOffsetsPartition| ListOffsetsPartitionResponse {
            topic_id: p.topic_id,
            partition: p.partition,
            error_code: ErrorCode::None,
            offset: Some(match p.at {
                OffsetSpec::Earliest => Offset(0),
                _ => self.end(),
            }),
            timestamp: Timestamp(-1),
            leader_epoch: Some(LeaderEpoch(0)),
        };
        ListOffsetsResponse {
            partitions: r.partitions.iter().map(answer).collect(),
        }
    }

    /// What lies from the position on. A fetch at the end waits for ever.
    fn fetch(&self, r: &FetchRequest) -> Option<FetchResponse> {
        let from = r.topics[0].partitions[0].fetch_offset;
        let after = self.log.iter().filter(|b| b.end_offset() > from);
        let records: Vec<RecordBatch> = after.cloned().collect();
        let partition = FetchPartitionResponse {
            partition: 0,
            error_code: ErrorCode::None,
            high_watermark: Some(self.end()),
            last_stable_offset: Some(self.end()),
            log_start_offset: Offset(0),
            diverging_epoch: None,
            current_leader: None,
            records,
        };
        (from < self.end()).then(|| FetchResponse {
            error_code: ErrorCode::None,
            topics: vec![FetchTopicResponse {
                topic_id: TOPIC,
                partitions: [partition].into(),
            }],
            node_endpoints: Vec::new(),
        })
    }
}

fn metadata() -> MetadataResponse {
    MetadataResponse {
        brokers: vec![NodeEndpoint {
            node_id: NodeId(1),
            address: BROKER,
            rack: None,
        }],
        controller_id: Some(NodeId(1)),
        topics: vec![MetadataTopic {
            error_code: ErrorCode::None,
            name: "orders".into(),
            topic_id: TOPIC,
            partitions: vec![MetadataPartition {
                error_code: ErrorCode::None,
                partition_index: 0,
                leader_id: Some(NodeId(1)),
                leader_epoch: LeaderEpoch(0),
                replica_nodes: vec![NodeId(1)],
                isr_nodes: vec![NodeId(1)],
                offline_replicas: Vec::new(),
            }],
        }],
    }
}
