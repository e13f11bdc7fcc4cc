//! Fetch requests at a broker, of consumers and of followers: read at once, or wait for data (Kafka's DelayedFetch;
//! R-7… ).
//!
//! Left out: fetch sessions (every request names all its partitions, every answer too), the choice of a replica near the
//! consumer, throttling, aborted transactions in the answer.

use crate::broker::partition::{Here, Read, Reading};
use crate::broker::produce::Hints;
use crate::broker::purgatory::Watched;
use crate::broker::replicas::Replicas;
use crate::effect::{Effect, Effects};
use crate::event::{Event, ReplicaEvent};
use crate::ids::*;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::*;
use serde::Serialize;
use smallvec::SmallVec;

/// A fetch request under way.
#[derive(Clone, Debug, Serialize)]
pub struct Fetching {
    /// Where the answer goes.
    pub conn: ConnId,
    /// To which request.
    pub id: CorrelationId,
    request: FetchRequest,
}

impl Fetching {
    /// A request.
    pub fn new(conn: ConnId, id: CorrelationId, request: FetchRequest) -> Fetching {
        Fetching { conn, id, request }
    }

    /// How long it may wait, in ms.
    pub fn max_wait_ms(&self) -> u64 {
        u64::try_from(self.request.max_wait_ms).unwrap_or(0)
    }

    /// Which partitions it waits for.
    pub fn watched(&self) -> Watched {
        let mut watched = Watched::new();
        for topic in &self.request.topics {
            for asked in &topic.partitions {
                watched.push(id_of(topic, asked));
            }
        }
        watched
    }

    /// Reads all positions of a request that has just come, so that a follower's positions count. The answer, if it is given now:
    /// there is enough, or something that the asker must know at once.
    pub fn begin(
        &self,
        replicas: &mut Replicas,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Option<FetchResponse> {
        let (due, response) = self.read(true, replicas, here, out);
        let is_due = self.request.max_wait_ms <= 0
            || !due.is_interested
            || due.is_urgent
            || due.bytes >= self.min_bytes(here);
        is_due.then_some(response)
    }

    /// The answer to a request that has waited, with what there is now.
    pub fn finish(
        &self,
        replicas: &mut Replicas,
        here: Here<'_>,
        out: &mut Effects,
    ) -> FetchResponse {
        self.read(false, replicas, here, out).1
    }

    fn read(
        &self,
        fresh: bool,
        replicas: &mut Replicas,
        here: Here<'_>,
        out: &mut Effects,
    ) -> (Due, FetchResponse) {
        let mut reading = self.reading(fresh, here);
        let mut due = Due::default();
        let mut hints = Hints::default();
        let mut topics = Vec::with_capacity(self.request.topics.len());
        for topic in &self.request.topics {
            let mut partitions = SmallVec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let id = id_of(topic, asked);
                let answer = match replicas.fetch(id, asked, &reading, here, out) {
                    Ok(read) => answer(id, read, &mut reading, &mut due),
                    Err(error) => {
                        tell_fenced(id, error, out);
                        refusal(id, error, &mut due, replicas, here, &mut hints)
                    }
                };
                partitions.push(answer);
            }
            topics.push(FetchTopicResponse {
                topic_id: topic.topic_id,
                partitions,
            });
        }
        let response = FetchResponse {
            error_code: ErrorCode::None,
            topics,
            node_endpoints: hints.endpoints,
        };
        (due, response)
    }

    /// whether a parked request is to be answered.
    pub fn is_satisfied(&self, replicas: &Replicas, here: Here<'_>) -> bool {
        let reading = self.reading(false, here);
        let mut bytes = 0;
        for topic in &self.request.topics {
            for asked in &topic.partitions {
                let id = id_of(topic, asked);
                match replicas.get(id).map(|p| p.available(asked, &reading)) {
                    Some(Some(n)) => bytes += n,
                    None if !is_known(id, here) => {}
                    Some(None) | None => return true,
                }
            }
        }
        bytes >= self.min_bytes(here)
    }

    fn reading(&self, fresh: bool, here: Here<'_>) -> Reading {
        Reading {
            replica: self.request.replica,
            isolation: self.request.isolation_level,
            max_bytes: self.max_bytes(here),
            first: true,
            fresh,
        }
    }

    fn max_bytes(&self, here: Here<'_>) -> i32 {
        self.request.max_bytes.min(here.config.fetch_max_bytes)
    }

    fn min_bytes(&self, here: Here<'_>) -> u64 {
        let min = self.request.min_bytes.min(self.max_bytes(here));
        u64::try_from(min).unwrap_or(0)
    }
}

fn id_of(topic: &FetchTopic, asked: &FetchPartition) -> TopicIdPartition {
    TopicIdPartition {
        topic: topic.topic_id,
        partition: asked.partition,
    }
}

/// Why a request may be due.
#[derive(Default)]
struct Due {
    /// It names a partition that the cluster has: else there is nothing to wait for.
    is_interested: bool,
    /// An error, or a diverging epoch.
    is_urgent: bool,
    bytes: u64,
}

fn is_known(id: TopicIdPartition, here: Here<'_>) -> bool {
    here.image.partition(id).is_some()
}

fn answer(
    id: TopicIdPartition,
    read: Read,
    reading: &mut Reading,
    due: &mut Due,
) -> FetchPartitionResponse {
    let bytes: u64 = read.records.iter().map(|b| u64::from(b.data.size)).sum();
    due.is_interested = true;
    due.is_urgent |= read.diverging.is_some();
    due.bytes += bytes;
    // from the first data on the limits hold.
    reading.first &= bytes == 0;
    let left = i64::from(reading.max_bytes) - i64::try_from(bytes).unwrap_or(i64::MAX);
    reading.max_bytes = i32::try_from(left.max(0)).unwrap_or(0);
    FetchPartitionResponse {
        partition: id.partition,
        error_code: ErrorCode::None,
        high_watermark: Some(read.hw),
        last_stable_offset: Some(read.lso),
        log_start_offset: read.log_start,
        diverging_epoch: read.diverging,
        current_leader: None,
        records: read.records,
    }
}

/// A partition that the metadata does not have is answered with an error, which by itself does not end the wait.
fn refusal(
    id: TopicIdPartition,
    error_code: ErrorCode,
    due: &mut Due,
    replicas: &Replicas,
    here: Here<'_>,
    hints: &mut Hints,
) -> FetchPartitionResponse {
    let is_unknown = matches!(
        error_code,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId
    );
    due.is_interested |= !is_unknown;
    due.is_urgent |= !is_unknown;
    let knows_better = matches!(
        error_code,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    FetchPartitionResponse {
        partition: id.partition,
        error_code,
        high_watermark: None,
        last_stable_offset: None,
        log_start_offset: Offset(-1),
        diverging_epoch: None,
        current_leader: match knows_better {
            true => hints.leader(id, replicas, here),
            false => None,
        },
        records: Vec::new(),
    }
}

fn tell_fenced(id: TopicIdPartition, error: ErrorCode, out: &mut Effects) {
    use ErrorCode::*;
    if matches!(
        error,
        NotLeaderOrFollower | FencedLeaderEpoch | UnknownLeaderEpoch
    ) {
        let event = ReplicaEvent::Fenced {
            error,
            write: false,
        };
        out.push(Effect::Tell(Event::Replica(id, event)));
    }
}
