//! Copying from leaders: Kafka's ReplicaFetcherThread, one per source broker (R-1… … ).
//!
//! It keeps: one question is outstanding per source broker; an answer counts for a partition only if it still stands where it
//! asked from, in the same epoch; what is copied begins where the log ends, and the log parts with what its leader does not
//! have before anything is copied.
//!
//! The loop of Kafka's thread, a step at a time: settle who is out of range, then truncate who must be, then fetch. How a
//! follower truncates is the switch `truncate`: with the fetch itself (KIP-595), or in a conversation before it
//! (OffsetForLeaderEpoch, KIP-279, KIP-101), or by its own high watermark, as before.
//!
//! Left out: fetch sessions, several fetchers per source, throttling, tiered storage.

mod conversation;
mod copy;
#[cfg(test)]
mod tests;

use crate::broker::partition::Here;
use crate::broker::replicas::Replicas;
use crate::effect::Effects;
use crate::event::Truncation;
use crate::ids::*;
use crate::log::Log;
use crate::protocol::fetch::*;
use crate::protocol::offsets::*;
use crate::protocol::{Request, Response};
use crate::rules::{Rules, Truncate};
use crate::sorted::Sorted;
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::smallvec;

/// All fetchers of a broker, by source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fetchers {
    by_source: Sorted<NodeId, Fetcher>,
}

/// What is fetched from one broker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fetcher {
    partitions: Sorted<TopicIdPartition, Progress>,
    /// The last partition that had data: the next request begins behind it, so that none starves.
    last: Option<TopicIdPartition>,
    doing: Doing,
}

/// One partition under a fetcher. Where it stands is its log's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Progress {
    /// The leader epoch it is fetched in.
    epoch: LeaderEpoch,
    state: State,
    /// It is left alone until then, after an error.
    delayed_until: Option<Time>,
}

/// The legal transitions, with their causes:
/// - Truncating -> Fetching: it was cut to where its leader, or its own high watermark, says;
/// - Fetching -> OutOfRange: its leader's log does not reach where it stands;
/// - OutOfRange -> BeforeRange: the leader's log does not end before that;
/// - OutOfRange or BeforeRange -> Fetching: it was cut to the leader's end, started over at the leader's start, or need not
///   move; or the leader did not answer well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum State {
    Truncating,
    Fetching,
    OutOfRange,
    BeforeRange,
}

/// The one question outstanding.
#[derive(Clone, Debug, Default, Serialize)]
enum Doing {
    #[default]
    Nothing,
    Fetching(Vec<(TopicIdPartition, FetchPartition)>),
    AskingEpochs(Vec<OffsetForLeaderPartition>),
    AskingOffset(ListOffsetsPartition),
}

/// What a fetcher works with.
pub struct Desk<'a, 'h> {
    /// The partitions.
    pub replicas: &'a mut Replicas,
    /// What they see around them.
    pub here: Here<'h>,
    /// The monotonic clock.
    pub now: Time,
    /// What is to be done.
    pub out: &'a mut Effects,
}

impl Fetchers {
    /// The metadata says whom to fetch a partition from; what was known of it is forgotten.
    pub fn start(
        &mut self,
        id: TopicIdPartition,
        source: NodeId,
        epoch: LeaderEpoch,
        log: &Log,
        rules: &Rules,
    ) {
        let knows_epochs = log.latest_epoch().is_some();
        let state = match rules.truncate {
            Truncate::FetchEpoch if knows_epochs => State::Fetching,
            _ => State::Truncating,
        };
        let progress = Progress {
            epoch,
            state,
            delayed_until: None,
        };
        let fetcher = self.by_source.get_or_default(source);
        fetcher.partitions.insert(id, progress);
    }

    /// These are not fetched any more.
    pub fn stop(&mut self, ids: &[TopicIdPartition]) {
        for fetcher in self.by_source.values_mut() {
            fetcher.partitions.retain(|id, _| !ids.contains(id));
        }
    }

    /// Lets go of fetchers that have nothing to fetch; their connections are to be closed.
    pub fn take_idle(&mut self) -> Vec<NodeId> {
        let is_idle = |f: &Fetcher| f.partitions.as_slice().is_empty();
        let idle = self.by_source.iter().filter(|(_, f)| is_idle(f));
        let idle: Vec<NodeId> = idle.map(|(source, _)| *source).collect();
        self.by_source.retain(|_, f| !is_idle(f));
        idle
    }

    /// From whom is fetched.
    pub fn sources(&self) -> Vec<NodeId> {
        self.by_source.iter().map(|(source, _)| *source).collect()
    }

    /// The fetcher of a source.
    pub fn get(&self, source: NodeId) -> Option<&Fetcher> {
        self.by_source.get(&source)
    }

    /// The fetcher of a source, to work.
    pub fn get_mut(&mut self, source: NodeId) -> Option<&mut Fetcher> {
        self.by_source.get_mut(&source)
    }
}

impl Fetcher {
    /// Whether it would ask something now: nothing is outstanding, and a partition is not delayed.
    pub fn is_ready(&self, now: Time) -> bool {
        !self.waits() && self.partitions.values().any(|p| !p.is_delayed(now))
    }

    /// For an answer.
    fn waits(&self) -> bool {
        !matches!(self.doing, Doing::Nothing)
    }

    /// When the next delay ends, if it has nothing to ask until then.
    pub fn wake_at(&self, now: Time) -> Option<Time> {
        if self.waits() {
            return None;
        }
        let delays = self.partitions.values().filter_map(|p| p.delayed_until);
        delays.filter(|until| *until > now).min()
    }

    /// The next question, if there is one. Truncates what needs nobody's word on the way.
    pub fn next_request(&mut self, desk: &mut Desk<'_, '_>) -> Option<Request> {
        if self.waits() {
            return None;
        }
        // Mostly there is nothing to be settled first.
        if self.partitions.values().all(|p| p.state == State::Fetching) {
            return self.fetch(desk);
        }
        self.settle(desk)
            .or_else(|| self.truncate(desk))
            .or_else(|| self.fetch(desk))
    }

    /// The answer to the question outstanding.
    pub fn answered(&mut self, response: Response, desk: &mut Desk<'_, '_>) {
        match (std::mem::take(&mut self.doing), response) {
            (Doing::Fetching(asked), Response::Fetch(r)) => self.copy(&asked, r, desk),
            (Doing::AskingEpochs(asked), Response::OffsetForLeaderEpoch(r)) => {
                self.epochs_answered(&asked, &r, desk);
            }
            (Doing::AskingOffset(asked), Response::ListOffsets(r)) => {
                self.offset_answered(&asked, &r, desk);
            }
            (doing, response) => panic!("{:?} does not answer {doing:?}", response.api()),
        }
    }

    /// The source cannot be reached, or its answer will not come: every partition waits.
    pub fn failed(&mut self, backoff: Duration, now: Time) {
        self.doing = Doing::Nothing;
        for progress in self.partitions.values_mut() {
            progress.delay(backoff, now);
        }
    }

    /// all that is not delayed, each from its log's end on.
    fn fetch(&mut self, desk: &mut Desk<'_, '_>) -> Option<Request> {
        let mut asked = Vec::with_capacity(self.partitions.as_slice().len());
        for (id, progress) in self.in_turn() {
            if progress.state != State::Fetching || progress.is_delayed(desk.now) {
                continue;
            }
            let log = desk.replicas.get(id)?.log();
            asked.push((id, position(log, id, progress.epoch, desk.here)));
        }
        if asked.is_empty() {
            return None;
        }
        let request = fetch_request(&asked, desk.here);
        self.doing = Doing::Fetching(asked);
        Some(Request::Fetch(request))
    }

    /// The partitions from behind the last that had data.
    fn in_turn(&self) -> impl Iterator<Item = (TopicIdPartition, Progress)> {
        let all = self.partitions.as_slice();
        let upto = all.partition_point(|(id, _)| Some(*id) <= self.last);
        let (before, behind) = all.split_at(upto);
        behind.iter().chain(before).copied()
    }

    fn delay(&mut self, id: TopicIdPartition, desk: &Desk<'_, '_>) {
        if let Some(progress) = self.partitions.get_mut(&id) {
            progress.delay(backoff(desk.here), desk.now);
        }
    }

    /// fenced in the epoch that it still has, a partition is not fetched until the metadata brings a newer one.
    fn fenced(&mut self, id: TopicIdPartition) {
        self.partitions.remove(&id);
    }
}

impl Progress {
    fn is_delayed(self, now: Time) -> bool {
        self.delayed_until.is_some_and(|until| now < until)
    }

    fn delay(&mut self, backoff: Duration, now: Time) {
        if !self.is_delayed(now) {
            self.delayed_until = Some(now + backoff);
        }
    }
}

/// `replica.fetch.backoff.ms`.
pub fn backoff(here: Here<'_>) -> Duration {
    Duration::millis(u64::try_from(here.config.replica_fetch_backoff_ms).unwrap_or(0))
}

/// Cuts a partition's log; the recovery point goes back with it, on disk too (L-33).
fn cut(id: TopicIdPartition, to: Offset, why: Truncation, desk: &mut Desk<'_, '_>) {
    let Some(partition) = desk.replicas.get_mut(id) else {
        return;
    };
    let was_cut = partition
        .log_mut()
        .truncate_to(to, why, desk.here.now, desk.out);
    if was_cut {
        desk.replicas.truncated(id, desk.out);
    }
}

fn position(log: &Log, id: TopicIdPartition, epoch: LeaderEpoch, here: Here<'_>) -> FetchPartition {
    let says_epoch = here.rules.truncate == Truncate::FetchEpoch;
    FetchPartition {
        partition: id.partition,
        current_leader_epoch: Some(epoch),
        fetch_offset: log.leo(),
        last_fetched_epoch: log.latest_epoch().filter(|_| says_epoch),
        log_start_offset: Some(log.log_start()),
        partition_max_bytes: here.config.replica_fetch_max_bytes,
        high_watermark: None,
    }
}

fn fetch_request(asked: &[(TopicIdPartition, FetchPartition)], here: Here<'_>) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::with_capacity(1);
    for (id, position) in asked {
        match topics.last_mut() {
            Some(topic) if topic.topic_id == id.topic => topic.partitions.push(position.clone()),
            _ => topics.push(FetchTopic {
                topic_id: id.topic,
                partitions: smallvec![position.clone()],
            }),
        }
    }
    FetchRequest {
        replica: Some(ReplicaState {
            replica_id: here.node,
            replica_epoch: here.broker_epoch,
        }),
        max_wait_ms: here.config.replica_fetch_wait_max_ms,
        min_bytes: here.config.replica_fetch_min_bytes,
        max_bytes: here.config.replica_fetch_response_max_bytes,
        isolation_level: IsolationLevel::ReadUncommitted,
        topics,
    }
}
