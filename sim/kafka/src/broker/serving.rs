//! What a broker answers: requests of clients and followers, at once or when what they wait for has come (N-1).

use super::network::{Forwarded, refusal};
use super::{Broker, Deleting, Fetching, Producing};
use crate::broker::channel::Outcome;
use crate::broker::configs;
use crate::broker::partition::Here;
use crate::broker::producer_ids::ProducerIds;
use crate::broker::replicas::{Moved, Replicas};
use crate::context::Context;
use crate::effect::{Effect, Effects};
use crate::ids::*;
use crate::protocol::admin::*;
use crate::protocol::deletion::DeleteRecordsRequest;
use crate::protocol::fetch::FetchRequest;
use crate::protocol::metadata::MetadataRequest;
use crate::protocol::offsets::*;
use crate::protocol::produce::*;
use crate::protocol::{ErrorCode, Request, Response};
use crate::time::{Duration, Timestamp};

impl Broker {
    pub(super) fn answer(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: Request,
        cx: &mut Context<'_>,
    ) {
        if self.is_flushing {
            return;
        }
        match request {
            Request::Produce(r) => self.produce(conn, id, r, cx),
            Request::Fetch(r) => self.fetch(conn, id, r, cx),
            Request::Metadata(r) => {
                let response = self.standing.metadata.answer(&r);
                cx.reply(conn, id, Response::Metadata(response));
                self.create_what_is_unknown(&r, cx);
            }
            Request::DescribeConfigs(r) => {
                let standing = &self.standing;
                let response = configs::describe(&r, standing.layers(), standing.metadata.image());
                cx.reply(conn, id, Response::DescribeConfigs(response));
            }
            Request::ListOffsets(r) => {
                let response = list_offsets(&r, &self.replicas, self.standing.here(cx.wall()));
                cx.reply(conn, id, Response::ListOffsets(response));
            }
            Request::OffsetForLeaderEpoch(r) => {
                let response = epoch_ends(&r, &self.replicas, self.standing.here(cx.wall()));
                cx.reply(conn, id, Response::OffsetForLeaderEpoch(response));
            }
            Request::DeleteRecords(r) => self.delete_records(conn, id, &r, cx),
            Request::InitProducerId(_) => self.init_producer_id(conn, id, cx),
            Request::CreateTopics(_)
            | Request::DeleteTopics(_)
            | Request::CreatePartitions(_)
            | Request::ElectLeaders(_) => {
                self.forward(conn, id, request, Vec::new(), cx);
            }
            Request::IncrementalAlterConfigs(r) => self.alter_configs(conn, id, r, cx),
            _ => cx.close(conn),
        }
    }

    fn produce(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: ProduceRequest,
        cx: &mut Context<'_>,
    ) {
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        let timeout = Duration::millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let mut producing = Producing::begin(conn, id, request, &mut self.replicas, here, &mut out);
        let unanswered = producing.is_unanswered().then(|| producing.has_error());
        if unanswered.is_some() {
            producing.finish(&self.replicas, here, &mut out);
        } else if producing.advance(&self.replicas, here) {
            finish_produce(producing, &self.replicas, here, &mut out);
        } else {
            let watched = producing.watched();
            self.produces
                .park(conn, cx.now() + timeout, watched, producing);
        }
        self.carry_out(out, cx);
        match unanswered {
            // for want of an answer the client learns from the broken connection that something went wrong.
            Some(true) => cx.close(conn),
            Some(false) => cx.done(conn, id),
            None => {}
        }
    }

    fn fetch(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: FetchRequest,
        cx: &mut Context<'_>,
    ) {
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        let fetching = Fetching::new(conn, id, request);
        if let Some(response) = fetching.begin(&mut self.replicas, here, &mut out) {
            out.push(Effect::Reply(conn, id, Response::Fetch(response)));
        } else if fetching.is_satisfied(&self.replicas, here) {
            finish_fetch(&fetching, &mut self.replicas, here, &mut out);
        } else {
            let deadline = cx.now() + Duration::millis(fetching.max_wait_ms());
            self.fetches
                .park(conn, deadline, fetching.watched(), fetching);
        }
        self.carry_out(out, cx);
    }

    /// L-26.
    fn delete_records(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: &DeleteRecordsRequest,
        cx: &mut Context<'_>,
    ) {
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        let timeout = Duration::millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let mut deleting = Deleting::begin(conn, id, request, &mut self.replicas, here, &mut out);
        if deleting.advance(&self.replicas, here) {
            finish_delete(&deleting, &mut out);
        } else {
            let watched = deleting.watched();
            self.deletes
                .park(conn, cx.now() + timeout, watched, deleting);
        }
        self.carry_out(out, cx);
    }

    /// P-16.
    fn init_producer_id(&mut self, conn: ConnId, id: CorrelationId, cx: &mut Context<'_>) {
        let (producer_id, asks) = self.producer_ids.generate(cx.wall());
        let response = InitProducerIdResponse {
            error_code: match producer_id {
                Some(_) => ErrorCode::None,
                None => ErrorCode::CoordinatorLoadInProgress,
            },
            producer_id: producer_id.unwrap_or(ProducerId(-1)),
            producer_epoch: ProducerEpoch(if producer_id.is_some() { 0 } else { -1 }),
        };
        cx.reply(conn, id, Response::InitProducerId(response));
        match self.standing.lifecycle.epoch().filter(|_| asks) {
            Some(epoch) => {
                let request = ProducerIds::request(self.standing.config.node, epoch);
                let request = Request::AllocateProducerIds(request);
                self.send_on(request, Forwarded::ProducerIds, cx);
            }
            None if asks => self.producer_ids.timed_out(),
            None => {}
        }
    }

    /// An operator's request goes to the active controller in an envelope. `apart`: what was answered here already.
    fn forward(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: Request,
        apart: Vec<AlterConfigsResult>,
        cx: &mut Context<'_>,
    ) {
        let request = Box::new(request);
        let envelope = Request::Envelope(request.clone());
        let who = Forwarded::Client {
            conn,
            id,
            request,
            apart,
        };
        self.send_on(envelope, who, cx);
    }

    fn alter_configs(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: IncrementalAlterConfigsRequest,
        cx: &mut Context<'_>,
    ) {
        let (remaining, apart) = configs::preprocess(request, self.standing.layers());
        if remaining.resources.is_empty() {
            let response = IncrementalAlterConfigsResponse { responses: apart };
            return cx.reply(conn, id, Response::IncrementalAlterConfigs(response));
        }
        let remaining = Request::IncrementalAlterConfigs(remaining);
        self.forward(conn, id, remaining, apart, cx);
    }

    /// K-25: the answer has gone out already, and says that there is no such topic.
    fn create_what_is_unknown(&mut self, r: &MetadataRequest, cx: &mut Context<'_>) {
        let config = &self.standing.config.server;
        if !config.auto_create_topics_enable {
            return;
        }
        let unknown = self.standing.metadata.to_create(r);
        let Some(request) = self.auto_topics.begin(unknown, config) else {
            return;
        };
        let names = request.topics.iter().map(|t| t.name.clone()).collect();
        let request = Request::Envelope(Box::new(Request::CreateTopics(request)));
        self.send_on(request, Forwarded::AutoTopics(names), cx);
    }

    fn send_on(&mut self, request: Request, who: Forwarded, cx: &mut Context<'_>) {
        let leader = self.raft().leader();
        let news = self.network.forward(request, who, leader, cx);
        self.hear(news, cx);
    }

    /// The controller's answer to a forwarded request, or none in time.
    pub(super) fn forwarded(&mut self, outcome: Outcome<Forwarded>, cx: &mut Context<'_>) {
        match outcome {
            Outcome::Answered(Forwarded::ProducerIds, Response::AllocateProducerIds(r)) => {
                self.producer_ids.allocated(&r, cx.wall());
            }
            Outcome::Answered(
                Forwarded::Client {
                    conn, id, apart, ..
                },
                Response::Envelope(Ok(r)),
            ) => cx.reply(conn, id, with(*r, apart)),
            Outcome::Answered(
                Forwarded::Client {
                    conn,
                    id,
                    request,
                    apart,
                },
                Response::Envelope(Err(error)),
            ) => refuse(conn, id, &request, apart, error, cx),
            Outcome::Answered(Forwarded::AutoTopics(topics), Response::Envelope(_))
            | Outcome::TimedOut(Forwarded::AutoTopics(topics)) => self.auto_topics.end(&topics),
            Outcome::Answered(who, response) => {
                panic!("{:?} does not answer {who:?}", response.api())
            }
            Outcome::TimedOut(Forwarded::ProducerIds) => self.producer_ids.timed_out(),
            Outcome::TimedOut(Forwarded::Client {
                conn,
                id,
                request,
                apart,
            }) => refuse(conn, id, &request, apart, ErrorCode::RequestTimedOut, cx),
        }
    }

    /// Looks at what is parked at partitions that have moved. An end alone confirms no write.
    pub(super) fn complete_parked(&mut self, cx: &mut Context<'_>) {
        if !self.replicas.has_moved() {
            return;
        }
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        let replicas = &mut self.replicas;
        while let Some((id, what)) = replicas.next_moved() {
            if what == Moved::All {
                let (parked, mut from) = (&mut self.produces, 0);
                while let Some(p) = parked.take_done(id, &mut from, |p| p.advance(replicas, here)) {
                    finish_produce(p, replicas, here, &mut out);
                }
            }
            if what != Moved::End {
                let (parked, mut from) = (&mut self.deletes, 0);
                while let Some(d) = parked.take_done(id, &mut from, |d| d.advance(replicas, here)) {
                    finish_delete(&d, &mut out);
                }
            }
            if what != Moved::Start {
                let (parked, mut from) = (&mut self.fetches, 0);
                // What has moved was here: who waits for a topic that is deleted waits no longer.
                let gone = replicas.get(id).is_none();
                let done = Fetching::is_satisfied;
                let mut next =
                    |r: &_| parked.take_done(id, &mut from, |f| gone || done(f, r, here));
                while let Some(f) = next(replicas) {
                    finish_fetch(&f, replicas, here, &mut out);
                }
            }
        }
        self.carry_out(out, cx);
    }

    /// Answers what has waited long enough.
    pub(super) fn time_out_parked(&mut self, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        while let Some(mut producing) = self.produces.take_due(cx.now()) {
            producing.time_out();
            finish_produce(producing, &self.replicas, here, &mut out);
        }
        while let Some(mut deleting) = self.deletes.take_due(cx.now()) {
            deleting.advance(&self.replicas, here);
            deleting.time_out();
            finish_delete(&deleting, &mut out);
        }
        while let Some(fetching) = self.fetches.take_due(cx.now()) {
            finish_fetch(&fetching, &mut self.replicas, here, &mut out);
        }
        self.carry_out(out, cx);
    }
}

fn finish_produce(producing: Producing, replicas: &Replicas, here: Here<'_>, out: &mut Effects) {
    let (conn, id) = (producing.conn, producing.id);
    let response = producing.finish(replicas, here, out);
    out.push(Effect::Reply(conn, id, Response::Produce(response)));
}

fn finish_delete(deleting: &Deleting, out: &mut Effects) {
    let response = Response::DeleteRecords(deleting.finish());
    out.push(Effect::Reply(deleting.conn, deleting.id, response));
}

fn finish_fetch(fetching: &Fetching, replicas: &mut Replicas, here: Here<'_>, out: &mut Effects) {
    let response = Response::Fetch(fetching.finish(replicas, here, out));
    out.push(Effect::Reply(fetching.conn, fetching.id, response));
}

/// The controller's answer with what was answered here.
fn with(mut response: Response, apart: Vec<AlterConfigsResult>) -> Response {
    if let Response::IncrementalAlterConfigs(r) = &mut response {
        r.responses.extend(apart);
    }
    response
}

fn refuse(
    conn: ConnId,
    id: CorrelationId,
    request: &Request,
    apart: Vec<AlterConfigsResult>,
    error: ErrorCode,
    cx: &mut Context<'_>,
) {
    match refusal(request, error) {
        Some(response) => cx.reply(conn, id, with(response, apart)),
        None => cx.close(conn),
    }
}

///
pub(super) fn list_offsets(
    request: &ListOffsetsRequest,
    replicas: &Replicas,
    here: Here<'_>,
) -> ListOffsetsResponse {
    let client = match request.replica_id {
        Some(_) => None,
        None => Some(request.isolation_level),
    };
    let answer = |asked: &ListOffsetsPartition| {
        let id = TopicIdPartition {
            topic: asked.topic_id,
            partition: asked.partition,
        };
        let found = replicas
            .find(id, here.image)
            .and_then(|p| p.list_offset(asked.at, asked.current_leader_epoch, client));
        let offset = found.ok().flatten();
        ListOffsetsPartitionResponse {
            topic_id: asked.topic_id,
            partition: asked.partition,
            error_code: found.err().unwrap_or(ErrorCode::None),
            offset: offset.map(|f| f.offset),
            timestamp: offset.map_or(Timestamp(-1), |f| f.timestamp),
            leader_epoch: offset.and_then(|f| f.epoch),
        }
    };
    ListOffsetsResponse {
        partitions: request.partitions.iter().map(answer).collect(),
    }
}

/// L-39.
pub(super) fn epoch_ends(
    request: &OffsetForLeaderEpochRequest,
    replicas: &Replicas,
    here: Here<'_>,
) -> OffsetForLeaderEpochResponse {
    let answer = |asked: &OffsetForLeaderPartition| {
        let id = TopicIdPartition {
            topic: asked.topic_id,
            partition: asked.partition,
        };
        let found = replicas
            .find(id, here.image)
            .and_then(|p| p.epoch_end(asked.leader_epoch, asked.current_leader_epoch, here));
        let (leader_epoch, end_offset) = found.unwrap_or_default();
        OffsetForLeaderPartitionResponse {
            topic_id: asked.topic_id,
            partition: asked.partition,
            error_code: found.err().unwrap_or(ErrorCode::None),
            leader_epoch,
            end_offset,
        }
    };
    OffsetForLeaderEpochResponse {
        partitions: request.partitions.iter().map(answer).collect(),
    }
}
