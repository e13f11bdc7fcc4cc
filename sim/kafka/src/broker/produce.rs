//! Produce requests at a broker: append, then wait for the in-sync replicas if acks=all asks for it (Kafka's DelayedProduce;
//! R-15…R-18).
//!
//! Left out: transactions, throttling, per-record errors in the response (KIP-467).

use crate::broker::partition::{Here, Replication};
use crate::broker::purgatory::Watched;
use crate::broker::replicas::Replicas;
use crate::controller::image::Image;
use crate::effect::{Effect, Effects};
use crate::event::{Event, ReplicaEvent};
use crate::ids::*;
use crate::log::Appended;
use crate::log::batch::BatchData;
use crate::protocol::ErrorCode;
use crate::protocol::metadata::NodeEndpoint;
use crate::protocol::produce::*;
use serde::Serialize;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// A produce request under way.
#[derive(Clone, Debug, Serialize)]
pub struct Producing {
    /// Where the answer goes.
    pub conn: ConnId,
    /// To which request.
    pub id: CorrelationId,
    acks: i16,
    batches: SmallVec<[Batch; 1]>,
}

/// One batch of it, in the order of the request.
#[derive(Clone, Debug, Serialize)]
struct Batch {
    partition: TopicIdPartition,
    records: Arc<BatchData>,
    state: State,
}

/// The legal transitions, with their causes:
/// - Waiting -> Decided: the high watermark passed it, the leader changed, or the request's time is over;
/// - without acks=all a batch is Decided at once;
/// - one that is not appended is Refused at once.
#[derive(Clone, Copy, Debug, Serialize)]
enum State {
    /// Appended; the in-sync replicas are not there yet.
    Waiting(Place),
    /// NONE, or why it is not known to be replicated; with where it lies.
    Decided(ErrorCode, Place),
    /// Why it was not appended, and where the log starts, or -1.
    Refused(ErrorCode, Offset),
}

/// Where a batch was put.
#[derive(Clone, Copy, Debug, Serialize)]
struct Place {
    base: Offset,
    end: Offset,
    append_time: Option<crate::time::Timestamp>,
    log_start: Offset,
}

impl Producing {
    /// Appends what a request holds.
    pub fn begin(
        conn: ConnId,
        id: CorrelationId,
        request: ProduceRequest,
        replicas: &mut Replicas,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Producing {
        let acks = request.acks;
        let mut batches = SmallVec::new();
        for topic in request.topics {
            for data in topic.partitions {
                let partition = TopicIdPartition {
                    topic: topic.topic_id,
                    partition: data.index,
                };
                let appended = append(partition, &data.records, acks, replicas, here, out);
                let state = match appended {
                    Ok(place) if acks == -1 => State::Waiting(place),
                    Ok(place) => State::Decided(ErrorCode::None, place),
                    Err(error) if is_expected(error) => State::Refused(error, Offset(-1)),
                    Err(error) => {
                        let log_start = replicas.get(partition).map(|p| p.log().log_start());
                        State::Refused(error, log_start.unwrap_or(Offset(-1)))
                    }
                };
                batches.push(Batch {
                    partition,
                    records: data.records,
                    state,
                });
            }
        }
        Producing {
            conn,
            id,
            acks,
            batches,
        }
    }

    /// Which partitions it waits for.
    pub fn watched(&self) -> Watched {
        self.batches.iter().map(|b| b.partition).collect()
    }

    /// Looks how far its batches have come; whether all are decided.
    pub fn advance(&mut self, replicas: &Replicas, here: Here<'_>) -> bool {
        for batch in &mut self.batches {
            let State::Waiting(place) = batch.state else {
                continue;
            };
            if let Replication::Decided(error) =
                replicas.replication(batch.partition, place.end, here)
            {
                batch.state = State::Decided(error, place);
            }
        }
        self.batches
            .iter()
            .all(|b| !matches!(b.state, State::Waiting(_)))
    }

    /// The time that the client gave is over.
    pub fn time_out(&mut self) {
        for batch in &mut self.batches {
            if let State::Waiting(place) = batch.state {
                batch.state = State::Decided(ErrorCode::RequestTimedOut, place);
            }
        }
    }

    /// Whether something went wrong.
    pub fn has_error(&self) -> bool {
        self.batches
            .iter()
            .any(|b| !matches!(b.state, State::Decided(ErrorCode::None, _)))
    }

    /// Whether the client wants no answer.
    pub fn is_unanswered(&self) -> bool {
        self.acks == 0
    }

    /// The answer, once everything is decided. What is confirmed by it is told.
    pub fn finish(self, replicas: &Replicas, here: Here<'_>, out: &mut Effects) -> ProduceResponse {
        let mut responses: Vec<TopicProduceResponse> = Vec::with_capacity(1);
        let mut hints = Hints::default();
        for batch in &self.batches {
            let partition = batch.answer(self.acks, replicas, here, &mut hints, out);
            match responses.last_mut() {
                Some(t) if t.topic_id == batch.partition.topic => t.partitions.push(partition),
                _ => responses.push(TopicProduceResponse {
                    topic_id: batch.partition.topic,
                    partitions: smallvec![partition],
                }),
            }
        }
        ProduceResponse {
            responses,
            node_endpoints: hints.endpoints,
        }
    }
}

impl Batch {
    fn answer(
        &self,
        acks: i16,
        replicas: &Replicas,
        here: Here<'_>,
        hints: &mut Hints,
        out: &mut Effects,
    ) -> PartitionProduceResponse {
        let (error_code, base_offset, log_append_time, log_start_offset) = match self.state {
            State::Decided(error, place) => (error, place.base, place.append_time, place.log_start),
            State::Refused(error, log_start) => (error, Offset(-1), None, log_start),
            State::Waiting(_) => unreachable!("because a request is answered when all is decided"),
        };
        match error_code {
            ErrorCode::None => {
                tell_acknowledged(self.partition, base_offset, acks, &self.records, out);
            }
            ErrorCode::NotLeaderOrFollower => {
                let event = ReplicaEvent::Fenced {
                    error: error_code,
                    write: true,
                };
                out.push(Effect::Tell(Event::Replica(self.partition, event)));
            }
            _ => {}
        }
        let current_leader = match error_code {
            ErrorCode::NotLeaderOrFollower => hints.leader(self.partition, replicas, here),
            _ => None,
        };
        PartitionProduceResponse {
            index: self.partition.partition,
            error_code,
            base_offset,
            log_append_time,
            log_start_offset,
            current_leader,
        }
    }
}

impl Place {
    fn of(appended: &Appended, log_start: Offset) -> Place {
        Place {
            base: appended.base_offset(),
            end: appended.end_offset(),
            append_time: appended.log_append_time(),
            log_start,
        }
    }
}

fn append(
    partition: TopicIdPartition,
    records: &Arc<BatchData>,
    acks: i16,
    replicas: &mut Replicas,
    here: Here<'_>,
    out: &mut Effects,
) -> Result<Place, ErrorCode> {
    if !here.image.topics.contains_key(&partition.topic) {
        return Err(ErrorCode::UnknownTopicId);
    }
    if !matches!(acks, -1..=1) {
        return Err(ErrorCode::InvalidRequiredAcks);
    }
    let (appended, log_start) = replicas.append(partition, records, acks, here, out)?;
    Ok(Place::of(&appended, log_start))
}

/// Refusals that Kafka's ReplicaManager expects; with any other it says where the log starts.
fn is_expected(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InvalidRequiredAcks
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::CorruptMessage
            | ErrorCode::KafkaStorageError
    )
}

fn tell_acknowledged(
    partition: TopicIdPartition,
    base_offset: Offset,
    acks: i16,
    records: &BatchData,
    out: &mut Effects,
) {
    if acks == 0 {
        return;
    }
    let event = ReplicaEvent::Acknowledged {
        base_offset,
        ids: RecordIds::from_slice(records.ids()),
        acks,
    };
    out.push(Effect::Tell(Event::Replica(partition, event)));
}

/// KIP-951: who leads instead, so that the client need not ask for metadata.
#[derive(Default)]
pub struct Hints {
    /// Where those named listen, each once.
    pub endpoints: Vec<NodeEndpoint>,
}

impl Hints {
    /// The leader of a partition as this broker knows it: from the replica, if there is one here, else from the metadata.
    pub fn leader(
        &mut self,
        partition: TopicIdPartition,
        replicas: &Replicas,
        here: Here<'_>,
    ) -> Option<LeaderIdAndEpoch> {
        let (leader_id, leader_epoch) = match replicas.get(partition) {
            Some(p) => (p.leader(here.node)?, p.leader_epoch()?),
            None => {
                let registration = here.image.partition(partition)?;
                (registration.leader?, registration.leader_epoch)
            }
        };
        self.name(leader_id, here.image);
        Some(LeaderIdAndEpoch {
            leader_id,
            leader_epoch,
        })
    }

    fn name(&mut self, node: NodeId, image: &Image) {
        let alive = image.brokers.get(&node).filter(|b| !b.fenced);
        let is_new = self.endpoints.iter().all(|e| e.node_id != node);
        if let Some(broker) = alive.filter(|_| is_new) {
            self.endpoints.push(NodeEndpoint {
                node_id: node,
                address: broker.address,
                rack: broker.rack.clone(),
            });
        }
    }
}
