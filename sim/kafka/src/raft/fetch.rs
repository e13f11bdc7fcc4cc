//! Replication by pull: a leader serves fetches, parks those that have nothing to get (K-9), and learns from their offsets
//! how far each voter has come; a follower appends, or truncates where its log departs (K-5).

use crate::effect::{Effect, Effects};
use crate::ids::{
    ConnId, CorrelationId, LeaderEpoch, METADATA_PARTITION, METADATA_TOPIC, NodeId, Offset,
};
use crate::log::batch::RecordBatch;
use crate::protocol::fetch::{
    EpochEndOffset, FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse,
    FetchTopic, FetchTopicResponse, IsolationLevel, ReplicaState,
};
use crate::protocol::produce::LeaderIdAndEpoch;
use crate::protocol::{ErrorCode, Request, Response};
use crate::raft::log::{OffsetAndEpoch, Validity};
use crate::raft::quorum::State;
use crate::raft::{At, FETCH_MAX_WAIT, Fault, Raft};
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::smallvec;

/// Kafka's MAX_FETCH_SIZE_BYTES.
const FETCH_MAX_BYTES: i32 = 8 * 1024 * 1024;

/// How Kafka's wire says that there is no leader. Here alone, where an epoch is told without one.
const NO_LEADER: NodeId = NodeId(-1);

/// A fetch that waits for records or for the high watermark.
#[derive(Clone, Debug, Serialize)]
pub struct Parked {
    conn: ConnId,
    id: CorrelationId,
    asked: Asked,
    expires: Time,
    /// What it is answered with if nothing happens.
    otherwise: Nothing,
}

/// That there is nothing to get: the state when a fetch came. As an answer it is written only when it is given.
#[derive(Clone, Copy, Debug)]
struct Nothing {
    hw: Option<Offset>,
    place: Place,
}

/// Where the answering replica stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    log_start: Offset,
    leader: LeaderIdAndEpoch,
}

/// As the response that it stands for.
impl Serialize for Nothing {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.response().serialize(to)
    }
}

impl Nothing {
    fn response(&self) -> FetchResponse {
        let answer = Answer {
            hw: self.hw,
            ..Answer::error(ErrorCode::None)
        };
        answer.at(self.place)
    }
}

impl Parked {
    /// On which connection it came.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// When it is answered anyhow.
    pub fn expires(&self) -> Time {
        self.expires
    }
}

/// What a fetch of the metadata log asks.
#[derive(Clone, Copy, Debug, Serialize)]
struct Asked {
    replica: Option<NodeId>,
    epoch: LeaderEpoch,
    offset: Offset,
    last_epoch: LeaderEpoch,
    hw: Option<Offset>,
    max_bytes: i32,
}

/// The answer before it is put into Kafka's schema.
struct Answer {
    error: ErrorCode,
    hw: Option<Offset>,
    diverging: Option<OffsetAndEpoch>,
    records: Vec<RecordBatch>,
}

impl Answer {
    fn error(error: ErrorCode) -> Answer {
        Answer {
            error,
            hw: None,
            diverging: None,
            records: Vec::new(),
        }
    }

    /// In Kafka's schema.
    fn at(self, place: Place) -> FetchResponse {
        let partition = FetchPartitionResponse {
            partition: METADATA_PARTITION.partition,
            error_code: self.error,
            high_watermark: self.hw,
            last_stable_offset: None,
            log_start_offset: place.log_start,
            diverging_epoch: self.diverging.map(|d| EpochEndOffset {
                epoch: d.epoch,
                end_offset: d.offset,
            }),
            current_leader: Some(place.leader),
            records: self.records,
        };
        FetchResponse {
            error_code: ErrorCode::None,
            topics: vec![FetchTopicResponse {
                topic_id: METADATA_TOPIC,
                partitions: smallvec![partition],
            }],
            node_endpoints: Vec::new(),
        }
    }
}

impl Raft {
    /// Another replica wants records: answered at once if there is anything to tell it, else parked.
    pub(super) fn on_fetch(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        r: &FetchRequest,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<(), Fault> {
        let (answer, parks) = match asked(r) {
            Ok(asked) if asked.replica == Some(self.node) => return Err(Fault::InconsistentLeader),
            Ok(asked) => {
                let answer = self.serve(asked, at, out);
                let nothing = answer.error.is_none()
                    && answer.records.is_empty()
                    && answer.diverging.is_none();
                // K-9: the sender's high watermark is news enough.
                let waits = r.max_wait_ms > 0 && answer.hw <= asked.hw;
                (answer, (nothing && waits).then_some(asked))
            }
            Err(error) => (Answer::error(error), None),
        };
        match parks {
            None => {
                let response = self.fetch_response(answer);
                out.push(Effect::Reply(conn, id, Response::Fetch(response)));
            }
            Some(asked) => self.parked.push(Parked {
                conn,
                id,
                asked,
                expires: at.now + Duration::millis(u64::try_from(r.max_wait_ms).unwrap_or(0)),
                otherwise: Nothing {
                    hw: answer.hw,
                    place: self.place(),
                },
            }),
        }
        Ok(())
    }

    fn serve(&mut self, asked: Asked, at: At<'_>, out: &mut Effects) -> Answer {
        if asked.epoch < self.epoch() {
            return Answer::error(ErrorCode::FencedLeaderEpoch);
        }
        if asked.epoch > self.epoch() {
            return Answer::error(ErrorCode::UnknownLeaderEpoch);
        }
        if !self.is_leader() {
            return Answer::error(ErrorCode::NotLeaderOrFollower);
        }
        let mut answer = Answer::error(ErrorCode::None);
        match self.log.validate(asked.offset, asked.last_epoch) {
            Validity::Diverging(end) => answer.diverging = Some(end),
            Validity::Valid => {
                if let (Some(replica), Some(leader)) = (asked.replica, self.quorum.leading()) {
                    if leader.update_follower(replica, asked.offset, at.now) {
                        self.advance_hw(at, out);
                    }
                }
                answer.records = self.log.read(asked.offset, self.log.leo(), asked.max_bytes);
            }
        }
        answer.hw = self.quorum.hw();
        answer
    }

    /// Answers the parked fetches whose offset is wanted, with what there is now. As in Kafka this counts as another fetch of
    /// their senders, though these may be gone since: a leader that is cut off notices it half a second later for that.
    pub(super) fn complete_parked(
        &mut self,
        wanted: impl Fn(Offset) -> bool,
        at: At<'_>,
        out: &mut Effects,
    ) {
        if self.parked.is_empty() {
            return;
        }
        let is_wanted = |p: &Parked| wanted(p.asked.offset);
        let mut completed = std::mem::take(&mut self.parked);
        // Mostly all are.
        if !completed.iter().all(is_wanted) {
            (completed, self.parked) = completed.into_iter().partition(is_wanted);
        }
        for parked in completed {
            let answer = self.serve(parked.asked, at, out);
            let response = Response::Fetch(self.fetch_response(answer));
            out.push(Effect::Reply(parked.conn, parked.id, response));
        }
    }

    /// This replica leads no longer.
    pub(super) fn refuse_parked(&mut self, out: &mut Effects) {
        for parked in std::mem::take(&mut self.parked) {
            let response = self.fetch_response(Answer::error(ErrorCode::NotLeaderOrFollower));
            out.push(Effect::Reply(
                parked.conn,
                parked.id,
                Response::Fetch(response),
            ));
        }
    }

    /// Fetches that have waited long enough get what they would have got at once.
    pub(super) fn expire_parked(&mut self, now: Time, out: &mut Effects) {
        while let Some(first) = self.parked.iter().position(|p| p.expires <= now) {
            let parked = self.parked.remove(first);
            out.push(Effect::Reply(
                parked.conn,
                parked.id,
                Response::Fetch(parked.otherwise.response()),
            ));
        }
    }

    fn fetch_response(&self, answer: Answer) -> FetchResponse {
        answer.at(self.place())
    }

    fn place(&self) -> Place {
        Place {
            log_start: self.log.log_start(),
            leader: LeaderIdAndEpoch {
                leader_id: self.leader().unwrap_or(NO_LEADER),
                leader_epoch: self.epoch(),
            },
        }
    }

    /// Fetches from the leader; from any voter while the leader does not answer, since there may be another by now.
    pub(super) fn fetch_from(&mut self, leader: NodeId, at: At<'_>, out: &mut Effects) {
        if self.requests.has_timed_out(leader, at.now) {
            self.requests.reset(leader);
            self.fetch_from_any(at, out);
        } else if self.requests.is_backing_off(leader, at.now) {
            self.fetch_from_any(at, out);
        } else if !self.requests.any_in_flight(at.now) && self.requests.is_ready(leader, at.now) {
            self.send_fetch(leader, at, out);
        }
    }

    /// Asks one voter, from a drawn one on, who leads; one at a time.
    pub(super) fn fetch_from_any(&mut self, at: At<'_>, out: &mut Effects) {
        if self.requests.any_in_flight(at.now) {
            return;
        }
        let others = self.quorum.others();
        let ready = |v: &NodeId| self.requests.is_ready(*v, at.now);
        if !others.iter().any(ready) {
            return;
        }
        let start = self.voter_die.below(others.len() as u64);
        let start = usize::try_from(start).expect("drawn below the length");
        let next = others
            .iter()
            .cycle()
            .skip(start)
            .copied()
            .find(|v| ready(v));
        self.send_fetch(next.expect("one is ready"), at, out);
    }

    fn send_fetch(&mut self, to: NodeId, at: At<'_>, out: &mut Effects) {
        let request = request_of(self.node, self.epoch(), self.log.end(), self.quorum.hw());
        self.send(to, Request::Fetch(request), at.now, out);
    }

    /// The leader, or a voter that was taken for it, has answered.
    pub(super) fn on_fetched(
        &mut self,
        r: FetchResponse,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<bool, Fault> {
        let Some(answer) = r
            .topics
            .into_iter()
            .next()
            .and_then(|t| t.partitions.into_iter().next())
        else {
            return Ok(false);
        };
        let Some(known) = answer.current_leader else {
            return Ok(false);
        };
        let leader = Some(known.leader_id).filter(|l| *l != NO_LEADER);
        if let Some(good) =
            self.take_common(answer.error_code, leader, known.leader_epoch, at, out)?
        {
            return Ok(good);
        }
        match answer.diverging_epoch {
            Some(end) => self.truncate(end, out)?,
            None => self.append_fetched(answer.records, answer.high_watermark, at, out)?,
        }
        let fetch_timeout = self.config.fetch_timeout;
        if let State::Follower {
            fetched, fetch_by, ..
        } = self.quorum.state_mut()
        {
            *fetched = true;
            *fetch_by = at.now + fetch_timeout;
        }
        Ok(true)
    }

    fn truncate(&mut self, leaders: EpochEndOffset, out: &mut Effects) -> Result<(), Fault> {
        if self.quorum.hw().is_some_and(|hw| leaders.end_offset < hw) {
            return Err(Fault::TruncationBelowHighWatermark);
        }
        let end = OffsetAndEpoch {
            epoch: leaders.epoch,
            offset: leaders.end_offset,
        };
        self.log.truncate_to_end_of(end, out);
        Ok(())
    }

    fn append_fetched(
        &mut self,
        records: Vec<RecordBatch>,
        hw: Option<Offset>,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<(), Fault> {
        let grew = !records.is_empty();
        for batch in records {
            let follows = batch.base_offset == self.log.leo();
            if !follows || batch.leader_epoch < self.log.last_epoch() {
                return Err(Fault::UnexpectedRecords);
            }
            self.log.append_as_follower(batch, out);
        }
        if grew && self.quorum.is_voter() {
            self.log.flush(out);
        }
        let Some(hw) = hw.map(|hw| hw.min(self.log.leo())) else {
            return Ok(());
        };
        match self.quorum.hw() {
            Some(known) if hw < known && at.rules.own_epoch_commit => {
                Err(Fault::HighWatermarkWentBack)
            }
            // Where counting commits, a new leader may know less than its predecessor told.
            Some(known) if hw <= known => Ok(()),
            _ => {
                self.commit_to(hw, out);
                Ok(())
            }
        }
    }
}

/// A replica's fetch of what follows its log's end.
pub(super) fn request_of(
    replica_id: NodeId,
    epoch: LeaderEpoch,
    end: OffsetAndEpoch,
    hw: Option<Offset>,
) -> FetchRequest {
    let position = FetchPartition {
        partition: METADATA_PARTITION.partition,
        current_leader_epoch: Some(epoch),
        fetch_offset: end.offset,
        last_fetched_epoch: Some(end.epoch),
        log_start_offset: Some(Offset(0)),
        partition_max_bytes: FETCH_MAX_BYTES,
        high_watermark: hw,
    };
    FetchRequest {
        replica: Some(ReplicaState {
            replica_id,
            replica_epoch: None,
        }),
        max_wait_ms: FETCH_MAX_WAIT.as_millis() as i32,
        min_bytes: 0,
        max_bytes: FETCH_MAX_BYTES,
        isolation_level: IsolationLevel::ReadUncommitted,
        topics: vec![FetchTopic {
            topic_id: METADATA_TOPIC,
            partitions: smallvec![position],
        }],
    }
}

/// The one position that a fetch of the metadata log names.
fn asked(r: &FetchRequest) -> Result<Asked, ErrorCode> {
    let topic = r.topics.first().filter(|t| t.topic_id == METADATA_TOPIC);
    let p = topic
        .and_then(|t| t.partitions.first())
        .ok_or(ErrorCode::InvalidRequest)?;
    let asked = Asked {
        replica: r.replica.map(|s| s.replica_id),
        epoch: p.current_leader_epoch.ok_or(ErrorCode::InvalidRequest)?,
        offset: p.fetch_offset,
        last_epoch: p.last_fetched_epoch.unwrap_or_default(),
        hw: p.high_watermark,
        max_bytes: p.partition_max_bytes,
    };
    if r.max_wait_ms < 0 || asked.offset < Offset(0) || asked.last_epoch > asked.epoch {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(asked)
}
