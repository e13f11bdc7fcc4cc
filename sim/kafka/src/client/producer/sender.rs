//! The sender: Kafka's Sender thread, as far as it is the producer's. A turn resolves sequence numbers, sees to the
//! producer's identity, sends what is ready, and lets the network do what is due; it ends when nothing more can be done
//! before something happens.
//!
//! It keeps: one produce request per node and turn, with one batch per partition (L-1, P-8); what the network or a broker
//! says about a batch ends it, or puts it back (P-11); a batch that has expired is told to have failed, in its queue or
//! in flight, and a later answer changes nothing about that (P-10); while the producer waits for its id nothing is sent
//! and nothing expires, as in Kafka, whose sender does nothing else meanwhile.
//!
//! Left out: errors of single records, transactions.

use super::accumulator::{Drained, ReadyNode};
use super::batch::{BatchId, TopicPartition};
use super::idempotence::{Asking, Identity, RefusedBatch};
use super::{Asked, Blockage, Call, Life, Producer, RecordMetadata, SendId};
use crate::client::connections::{Happened, Happenings};
use crate::config::Acks;
use crate::context::{Context, Purpose};
use crate::event::{ClientEvent, SendFailure};
use crate::ids::{NodeId, Offset, RecordId, TopicIdPartition};
use crate::log::batch::sequence_after;
use crate::protocol::produce::{
    InitProducerIdRequest, InitProducerIdResponse, LeaderIdAndEpoch, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};
use crate::protocol::{ErrorCode, Request, Response};
use crate::time::Time;
use smallvec::{SmallVec, smallvec};

/// What became of a batch, as one answer says.
#[derive(Clone, Copy)]
struct Outcome {
    error: ErrorCode,
    offset: Option<Offset>,
}

/// A leader that an answer named.
type Hint = (TopicIdPartition, LeaderIdAndEpoch);

/// What one turn of the sender came to.
#[derive(Default)]
struct Turn {
    /// Something was sent: look again at once.
    sent: bool,
    /// When to look again otherwise.
    again: Option<Time>,
}

impl Turn {
    fn again_at(&mut self, at: Option<Time>) {
        self.again = Time::earliest([self.again, at]);
    }
}

impl Producer {
    /// Lets the sender work until nothing more can be done before something happens.
    pub(super) fn run(&mut self, cx: &mut Context<'_>) {
        if matches!(self.life, Life::Closed) {
            return;
        }
        let turn = loop {
            self.assign(cx);
            let turn = self.run_once(cx);
            let happened = self.network.poll(cx);
            let quiet = happened.is_empty();
            self.take_in(happened, cx);
            if !turn.sent && quiet {
                break turn;
            }
        };
        self.check_blocked(cx.now());
        if self.finish_closing(cx) {
            return;
        }
        self.set_alarm(turn, cx);
    }

    /// Sender.runOnce.
    fn run_once(&mut self, cx: &mut Context<'_>) -> Turn {
        let mut turn = Turn::default();
        if let Some(idempotence) = &mut self.idempotence {
            idempotence.resolve();
            if let Some((identity, renumbered)) = idempotence.bump_if_required(cx.now()) {
                self.accumulator.renumber(&renumbered);
                self.tell_identity(identity, true, cx);
            }
            match self.identity() {
                Some(Identity::Failed(error)) => {
                    self.abort_all(SendFailure::Error(error), cx);
                    return turn;
                }
                Some(Identity::Wanted(asking)) => {
                    turn.again = self.ask_for_identity(asking, cx);
                    return turn;
                }
                _ => {}
            }
        }
        self.send_producer_data(&mut turn, cx);
        turn
    }

    fn identity(&self) -> Option<Identity> {
        self.idempotence.as_ref().map(|i| i.identity())
    }

    fn tell_identity(&self, identity: Identity, bumped: bool, cx: &mut Context<'_>) {
        if let Identity::Known(p) = identity {
            let (producer, epoch) = (p.id, p.epoch);
            let event = match bumped {
                true => ClientEvent::EpochBumped { producer, epoch },
                false => ClientEvent::ProducerIdObtained { producer, epoch },
            };
            self.tell(event, cx);
        }
    }

    /// InitProducerId goes to the least loaded node, which is waited for until it can be sent to, fails, or
    /// `request.timeout.ms` is over (P-16).
    fn ask_for_identity(&mut self, asking: Asking, cx: &mut Context<'_>) -> Option<Time> {
        let now = cx.now();
        let (node, since) = match asking {
            Asking::Sent => return None,
            Asking::From(time) if time > now => return Some(time),
            Asking::From(_) => match self.network.least_loaded(cx) {
                Some(node) => (node, now),
                None => return self.ask_later(now),
            },
            Asking::Awaiting { node, since } => (node, since),
        };
        let patience = since + self.settings.network.request_timeout;
        if self.network.ready(node, cx) {
            let request = Request::InitProducerId(InitProducerIdRequest {});
            self.network.send(node, request, Call::InitProducerId, cx);
            self.ask(Asking::Sent);
            return None;
        }
        if self.network.is_disconnected(node) || patience <= now {
            self.network.metadata.request_update();
            return self.ask_later(now);
        }
        self.ask(Asking::Awaiting { node, since });
        Some(patience)
    }

    fn ask_later(&mut self, now: Time) -> Option<Time> {
        let at = now + self.settings.init_backoff;
        self.ask(Asking::From(at));
        Some(at)
    }

    fn ask(&mut self, asking: Asking) {
        let idempotence = self.idempotence.as_mut();
        idempotence
            .expect("only idempotent producers ask")
            .ask(asking);
    }

    /// Sender.sendProducerData.
    fn send_producer_data(&mut self, turn: &mut Turn, cx: &mut Context<'_>) {
        let now = cx.now();
        let exhausted = matches!(self.blocked_on(), Some(Blockage::Memory { .. }));
        let ready = self
            .accumulator
            .ready(&self.network.metadata, exhausted, now);
        turn.again_at(ready.next_check);
        if !ready.unknown_leaders.is_empty() {
            for topic in &ready.unknown_leaders {
                self.network
                    .metadata
                    .add(self.accumulator.name(*topic), now);
            }
            self.network.metadata.request_update();
        }
        let mut requests: SmallVec<[_; 2]> = SmallVec::new();
        let mut latencies: SmallVec<[_; 4]> = SmallVec::new();
        for node in &ready.nodes {
            let taken = self.network.ready(node.node, cx);
            latencies.push((node.node, taken));
            if taken {
                requests.push((node.node, self.drain(node, now)));
            } else {
                turn.again_at(self.network.backing_off_until(node.node, now));
            }
        }
        turn.sent = requests.iter().any(|(_, drained)| !drained.is_empty());
        // Where something is sent the sender looks again at once, before the application draws.
        if !turn.sent {
            self.accumulator.weigh(&self.network.metadata);
        }
        // Kafka weighs first: a turn does not see its own latencies.
        for (node, taken) in latencies {
            self.accumulator.note_latency(node, now, taken);
        }
        self.expire(now, cx);
        for (node, drained) in requests {
            if !drained.is_empty() {
                self.send_produce_request(node, drained, cx);
            }
        }
    }

    fn drain(&mut self, node: &ReadyNode, now: Time) -> SmallVec<[Drained; 2]> {
        let limit = self.settings.max_request_size;
        let drained = self
            .accumulator
            .drain(node, self.idempotence.as_mut(), limit, now);
        // P-15: with one request in flight, order is kept even without sequence numbers.
        if self.settings.network.max_in_flight == 1 {
            for one in &drained {
                self.accumulator.mute(one.partition);
            }
        }
        drained
    }

    /// P-10. A batch that was sent before may have been written, whatever its callbacks are told now (P-18).
    fn expire(&mut self, now: Time, cx: &mut Context<'_>) {
        let is_due = |at| at <= now;
        if !self.accumulator.has_old(now) || !self.accumulator.next_expiry().is_some_and(is_due) {
            return;
        }
        let queued = self.accumulator.take_expired(now);
        let in_flight = self.accumulator.expired_in_flight(now);
        for id in queued.into_iter().chain(in_flight) {
            let batch = self.accumulator.batch(id);
            let (partition, retried) = (batch.partition, batch.attempts > 0);
            let after = batch
                .stamp()
                .map(|s| sequence_after(s.base_sequence, batch.count()));
            self.fail(id, SendFailure::DeliveryTimeout, false, cx);
            if let (Some(idempotence), Some(after), true) = (&mut self.idempotence, after, retried)
            {
                idempotence.mark_unresolved(partition, after);
            }
        }
    }

    fn send_produce_request(
        &mut self,
        node: NodeId,
        drained: SmallVec<[Drained; 2]>,
        cx: &mut Context<'_>,
    ) {
        let mut topics: Vec<TopicProduceData> = Vec::with_capacity(1);
        let mut batches = Asked::new();
        for one in drained {
            let to = self.topic_id_partition(one.partition);
            self.tell_sent(one.batch, to, cx);
            batches.push((to, one.batch));
            let data = PartitionProduceData {
                index: to.partition,
                records: one.data,
            };
            match topics.iter_mut().find(|t| t.topic_id == to.topic) {
                Some(topic) => topic.partitions.push(data),
                None => topics.push(TopicProduceData {
                    topic_id: to.topic,
                    partitions: smallvec![data],
                }),
            }
        }
        let request = Request::Produce(ProduceRequest {
            acks: self.settings.acks.code(),
            timeout_ms: self.settings.request_timeout_ms,
            topics,
        });
        let call = Call::Produce(batches);
        if self.settings.acks != Acks::Zero {
            self.network.send(node, request, call, cx);
        } else if let Some(call) = self.network.send_unanswered(node, request, call, cx) {
            self.produce_left(call, cx);
        }
    }

    /// The id under which the client knows the topic now: it may have been created anew since the record was appended.
    fn topic_id_partition(&mut self, at: TopicPartition) -> TopicIdPartition {
        let name = self.accumulator.name(at.topic);
        if let Some(known) = self.network.metadata.topic(name) {
            self.accumulator.seen(at.topic, known.id);
        }
        self.accumulator.with_id(at)
    }

    fn tell_sent(&self, id: BatchId, partition: TopicIdPartition, cx: &mut Context<'_>) {
        let batch = self.accumulator.batch(id);
        let event = ClientEvent::BatchSent {
            partition,
            ids: batch.ids().into(),
            base_sequence: batch.stamp().map(|s| s.base_sequence),
            attempt: batch.attempts,
        };
        self.tell(event, cx);
    }

    /// Takes in what the network says.
    pub(super) fn take_in(&mut self, happened: Happenings<Call>, cx: &mut Context<'_>) {
        for one in happened {
            match one {
                Happened::Answered(_, Call::Produce(batches), Response::Produce(response)) => {
                    self.produce_answered(batches, response, cx);
                }
                Happened::Failed(_, Call::Produce(batches), error) => {
                    let outcome = Outcome {
                        error,
                        offset: None,
                    };
                    for (_, id) in batches {
                        self.complete(id, outcome, cx);
                    }
                }
                Happened::Sent(_, call) => self.produce_left(call, cx),
                Happened::Answered(_, Call::InitProducerId, Response::InitProducerId(r)) => {
                    self.identity_answered(r, cx);
                }
                Happened::Failed(_, Call::InitProducerId, _) => {
                    self.ask_later(cx.now());
                }
                Happened::Answered(..) => {
                    unreachable!("because answers are of their requests' kind")
                }
                Happened::Ready(_) | Happened::Disconnected(_) => {}
            }
        }
    }

    fn identity_answered(&mut self, response: InitProducerIdResponse, cx: &mut Context<'_>) {
        let idempotence = self
            .idempotence
            .as_mut()
            .expect("only idempotent producers ask");
        match response.error_code {
            ErrorCode::None => {
                let renumbered =
                    idempotence.obtained(response.producer_id, response.producer_epoch);
                let identity = idempotence.identity();
                self.accumulator.renumber(&renumbered);
                self.tell_identity(identity, false, cx);
            }
            error if error.is_retriable() => {
                self.ask_later(cx.now());
            }
            error => idempotence.refused(error),
        }
    }

    /// P-14: with acks=0 a batch is done once it is in the socket.
    fn produce_left(&mut self, call: Call, cx: &mut Context<'_>) {
        let Call::Produce(batches) = call else {
            unreachable!("because only produce requests go unanswered");
        };
        let outcome = Outcome {
            error: ErrorCode::None,
            offset: None,
        };
        for (_, id) in batches {
            self.complete(id, outcome, cx);
        }
    }

    /// Sender.handleProduceResponse.
    fn produce_answered(
        &mut self,
        batches: Asked,
        response: ProduceResponse,
        cx: &mut Context<'_>,
    ) {
        let mut hints: Vec<Hint> = Vec::new();
        for topic in &response.responses {
            for answer in &topic.partitions {
                let partition = TopicIdPartition {
                    topic: topic.topic_id,
                    partition: answer.index,
                };
                let asked = batches.iter().find(|(to, _)| *to == partition);
                let (_, id) = asked.expect("an answer is about a batch of its request");
                self.complete(*id, outcome(answer), cx);
                let error = answer.error_code;
                let moved = ErrorCode::NotLeaderOrFollower == error
                    || ErrorCode::FencedLeaderEpoch == error;
                hints.extend(
                    answer
                        .current_leader
                        .filter(|_| moved)
                        .map(|l| (partition, l)),
                );
            }
        }
        self.network
            .learn_leaders(&hints, &response.node_endpoints, cx);
    }

    /// Sender.completeBatch: the network has given a batch back.
    fn complete(&mut self, id: BatchId, outcome: Outcome, cx: &mut Context<'_>) {
        let error = outcome.error;
        let batch = self.accumulator.batch_mut(id);
        batch.in_flight = false;
        let partition = batch.partition;
        // librdkafka splits no batch: to it the error is final.
        let splits = self.local.is_none() && batch.count() > 1 && !batch.done;
        if error == ErrorCode::MessageTooLarge && splits {
            self.split(id, cx);
        } else if error.is_none() {
            self.succeed(id, outcome.offset, cx);
        } else if self.may_retry(id, error, cx.now()) {
            self.retry(id, error, cx);
        } else if error == ErrorCode::DuplicateSequenceNumber {
            // It was written, but nobody remembers where.
            self.succeed(id, None, cx);
        } else {
            // Retries used up: the last attempt may have been written, so its numbers must not be used again.
            let never_written = self.accumulator.batch(id).attempts < self.settings.retries;
            self.fail(id, SendFailure::Error(error), never_written, cx);
        }
        if error.wants_metadata() {
            self.network.metadata.request_update();
        }
        if self.settings.network.max_in_flight == 1 {
            self.accumulator.unmute(partition);
        }
    }

    /// P-11.
    fn may_retry(&mut self, id: BatchId, error: ErrorCode, now: Time) -> bool {
        let batch = self.accumulator.batch(id);
        let given_up = batch.done || batch.attempts >= self.settings.retries;
        if given_up || self.accumulator.has_expired(id, now) {
            return false;
        }
        match (&mut self.idempotence, batch.stamp()) {
            (Some(idempotence), Some(stamp)) => {
                let refused = RefusedBatch {
                    partition: batch.partition,
                    stamp,
                    reset: batch.sequence_has_been_reset(),
                };
                idempotence.may_retry(refused, error)
            }
            _ => error.is_retriable(),
        }
    }

    /// P-12: no attempt is counted, and the sequence numbers stay with their records.
    fn split(&mut self, id: BatchId, cx: &mut Context<'_>) {
        let batch = self.accumulator.batch(id);
        let (at, ids) = (batch.partition, batch.ids().into());
        let parts = self.accumulator.split(id);
        if let Some(idempotence) = &mut self.idempotence {
            let parts = parts.iter().map(|part| {
                let batch = self.accumulator.batch(*part);
                (*part, batch.stamp().expect("it was sent"), batch.count())
            });
            idempotence.split(at, id, parts);
        }
        let event = ClientEvent::BatchSplit {
            partition: self.accumulator.with_id(at),
            ids,
            parts: u32::try_from(parts.len()).expect("a batch holds fewer than 2^31 records"),
        };
        self.tell(event, cx);
    }

    fn retry(&mut self, id: BatchId, error: ErrorCode, cx: &mut Context<'_>) {
        let drawn = cx.draw(Purpose::RetryBackoff(self.client));
        self.accumulator.reenqueue(id, cx.now(), drawn);
        let batch = self.accumulator.batch(id);
        let event = ClientEvent::Retried {
            partition: self.accumulator.with_id(batch.partition),
            ids: batch.ids().into(),
            error,
        };
        self.tell(event, cx);
    }

    fn succeed(&mut self, id: BatchId, offset: Option<Offset>, cx: &mut Context<'_>) {
        let batch = self.accumulator.batch_mut(id);
        let told = std::mem::replace(&mut batch.done, true);
        let batch = self.accumulator.release(id);
        if let (Some(idempotence), Some(stamp)) = (&mut self.idempotence, batch.stamp()) {
            let count = batch.count();
            let last = sequence_after(stamp.base_sequence, count - 1);
            let last_offset = offset.map(|o| o.plus(i64::from(count) - 1));
            idempotence.completed(batch.partition, id, last, last_offset);
        }
        if told {
            return; // It has expired meanwhile: its callbacks said so.
        }
        let partition = self.accumulator.with_id(batch.partition);
        for (delta, (send, id)) in (0..).zip(batch.sends()) {
            let offset = offset.map(|base| base.plus(delta));
            let acked = ClientEvent::Acked {
                id,
                partition,
                offset,
            };
            self.tell(acked, cx);
            let metadata = RecordMetadata { partition, offset };
            self.completed.push_back((send, id, Ok(metadata)));
        }
    }

    /// Sender.failBatch: its callbacks are told, unless they have been. `never_written`: the broker said so.
    fn fail(
        &mut self,
        id: BatchId,
        failure: SendFailure,
        never_written: bool,
        cx: &mut Context<'_>,
    ) {
        let batch = self.accumulator.batch_mut(id);
        let told = std::mem::replace(&mut batch.done, true);
        let (at, in_flight, stamp) = (batch.partition, batch.in_flight, batch.stamp());
        let sends: Vec<(SendId, RecordId)> = batch.sends().collect();
        if !in_flight {
            self.accumulator.release(id);
        }
        if told {
            return;
        }
        if let (Some(idempotence), Some(_)) = (&mut self.idempotence, stamp) {
            let error = match failure {
                SendFailure::Error(error) => Some(error),
                _ => None,
            };
            idempotence.failed(at, id, error, never_written);
        }
        let partition = Some(self.accumulator.with_id(at));
        for (send, id) in sends {
            let failed = ClientEvent::Failed {
                id,
                partition,
                error: failure,
            };
            self.tell(failed, cx);
            self.completed.push_back((send, id, Err(failure)));
        }
    }

    /// RecordAccumulator.abortBatches: nothing that is not over will ever be.
    fn abort_all(&mut self, failure: SendFailure, cx: &mut Context<'_>) {
        self.fail_all_unassigned(failure, cx);
        for id in self.accumulator.take_incomplete() {
            self.fail(id, failure, false, cx);
        }
    }

    /// Whether the producer is closed now: everything has left and been answered, or its time is up.
    fn finish_closing(&mut self, cx: &mut Context<'_>) -> bool {
        let Life::Closing { deadline } = self.life else {
            return false;
        };
        let forced = deadline.is_some_and(|at| at <= cx.now());
        let busy = self.accumulator.has_undrained()
            || self.has_unassigned()
            || self.network.in_flight() > 0;
        if busy && !forced {
            return false;
        }
        self.abort_all(SendFailure::Closed, cx);
        self.network.close(cx);
        self.life = Life::Closed;
        cx.cancel_timer(self.timer());
        true
    }

    fn set_alarm(&mut self, mut turn: Turn, cx: &mut Context<'_>) {
        let now = cx.now();
        turn.again_at(self.network.next_deadline(now));
        turn.again_at(self.blocked_deadline());
        turn.again_at(self.next_unassigned_expiry());
        if let Life::Closing { deadline } = self.life {
            turn.again_at(deadline);
        }
        if matches!(self.identity(), None | Some(Identity::Known(_))) {
            turn.again_at(self.accumulator.next_expiry());
        }
        if self.alarm != turn.again {
            self.alarm = turn.again;
            match self.alarm {
                Some(at) => cx.set_timer(self.timer(), at),
                None => cx.cancel_timer(self.timer()),
            }
        }
    }
}

fn outcome(answer: &PartitionProduceResponse) -> Outcome {
    let error = answer.error_code;
    Outcome {
        error,
        offset: error.is_none().then_some(answer.base_offset),
    }
}
