//! DeleteRecords requests at a broker: the log start moves at once, and the answer waits until that of every living replica
//! has followed (Kafka's DelayedDeleteRecords; L-26).
//!
//! Left out: internal topics, which are refused (INVALID_TOPIC_EXCEPTION); there are none here.

use crate::broker::partition::Here;
use crate::broker::replicas::Replicas;
use crate::effect::Effects;
use crate::ids::*;
use crate::protocol::ErrorCode;
use crate::protocol::deletion::*;
use serde::Serialize;

/// A request under way.
#[derive(Clone, Debug, Serialize)]
pub struct Deleting {
    /// Where the answer goes.
    pub conn: ConnId,
    /// To which request.
    pub id: CorrelationId,
    partitions: Vec<(TopicIdPartition, State)>,
}

/// Waiting -> Decided: the low watermark has come there, the leader changed, or the request's time is over.
#[derive(Clone, Copy, Debug, Serialize)]
enum State {
    /// Until the low watermark is there.
    Waiting(Offset),
    Decided(Result<Offset, ErrorCode>),
}

impl Deleting {
    /// Moves the log starts.
    pub fn begin(
        conn: ConnId,
        id: CorrelationId,
        request: &DeleteRecordsRequest,
        replicas: &mut Replicas,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Deleting {
        let mut begin = |asked: &DeleteRecordsPartition| {
            let partition = TopicIdPartition {
                topic: asked.topic_id,
                partition: asked.partition,
            };
            let before = (asked.offset != Offset(-1)).then_some(asked.offset);
            let state = match replicas.delete_records(partition, before, here, out) {
                Ok(required) => State::Waiting(required),
                Err(error) => State::Decided(Err(error)),
            };
            (partition, state)
        };
        Deleting {
            conn,
            id,
            partitions: request.partitions.iter().map(&mut begin).collect(),
        }
    }

    /// Which partitions it waits for.
    pub fn watched(&self) -> Vec<TopicIdPartition> {
        self.partitions.iter().map(|(id, _)| *id).collect()
    }

    /// Looks how far the replicas have come; whether all is decided.
    pub fn advance(&mut self, replicas: &Replicas, here: Here<'_>) -> bool {
        for (id, state) in &mut self.partitions {
            let State::Waiting(required) = *state else {
                continue;
            };
            match replicas
                .find(*id, here.image)
                .and_then(|p| p.low_watermark(here))
            {
                Ok(low) if low >= required => *state = State::Decided(Ok(low)),
                Ok(_) => {}
                Err(error) => *state = State::Decided(Err(error)),
            }
        }
        let is_decided = |(_, state): &(_, State)| matches!(state, State::Decided(_));
        self.partitions.iter().all(is_decided)
    }

    /// The time that the client gave is over. What was given up stays given up.
    pub fn time_out(&mut self) {
        for (_, state) in &mut self.partitions {
            if let State::Waiting(_) = state {
                *state = State::Decided(Err(ErrorCode::RequestTimedOut));
            }
        }
    }

    /// The answer, once everything is decided.
    pub fn finish(&self) -> DeleteRecordsResponse {
        let answer = |(id, state): &(TopicIdPartition, State)| {
            let State::Decided(result) = state else {
                unreachable!("because a request is answered when all is decided");
            };
            DeleteRecordsPartitionResponse {
                topic_id: id.topic,
                partition: id.partition,
                low_watermark: result.unwrap_or(Offset(-1)),
                error_code: result.err().unwrap_or(ErrorCode::None),
            }
        };
        DeleteRecordsResponse {
            partitions: self.partitions.iter().map(answer).collect(),
        }
    }
}
